"""The other side of `warm_popen`: imports bankrmi, then forks a process for each order that comes.

    python -m tests.warm_interpreter FD WORDS

A process is forked twice, and the one in between ends at once: so its parent is whoever ordered it, who has
declared that it adopts orphans meanwhile. One that starts others itself leaves an interpreter like this one
beside it, forked before it does anything. WORDS is as long as a command line may be: where it was, a fork
writes its own, by which it is known to `ps`, and to us (`bankrmi.local_processes`).

Rule: before a fork nothing is done but to import; a fork leaves this file as a fresh interpreter enters
its module (`bankrmi.__main__`).
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import io
import json
import os
import resource
import runpy
import signal
import socket
import sys
import termios
import threading
import time
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal, TextIO

__all__ = ["HEEDED", "MOST_WORDS", "Order", "paths_of"]

MOST_WORDS = 1 << 12
"""Bytes that a command line may have."""

_LONGEST_ORDER = 1 << 18
_MOST_FILES = 32
_CLONE_NEWNET = 0x40000000
_EVERYTHING = (
    "bankrmi.backup",
    "bankrmi.certificates.credentials",
    "bankrmi.cli.main",
    "bankrmi.cli.status_table",
    "bankrmi.client",
    "bankrmi.doctor",
    "bankrmi.nameserver.process",
    "bankrmi.server.process",
    "bankrmi.verifying",
    "tests.warm_popen",
)
"""What a process of a bank needs, what commands that tests run often import when they begin, and what starts
others beside them."""

HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that a new process ignores if whoever starts it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One process: its command line (`python -m`, `-c` or a file), folder, whole environment, and numbers of
    its files.

    After its files comes one that is the network it is in (namespaces(7)).
    `most_files` is how many it may have open, None as many as we; `group` is its process group, None one of
    its own, in a session of its own. `on_a_terminal` says that its standard input is the terminal of that.
    """

    words: list[str]
    folder: str
    environment: dict[str, str]
    numbers: list[int]
    most_files: int | None
    group: int | None
    on_a_terminal: bool
    blocked: list[int]
    ignored: list[int]
    starts_others: bool
    does_first: list[str | int] | None
    """A function of ours, as module and name, and its arguments: what `preexec_fn` does."""

    def packed(self) -> bytes:
        """Return it as it crosses the socket."""
        return json.dumps(asdict(self)).encode()


def main() -> None:
    """Fork what is ordered until whoever orders is gone; in a fork, run the module."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    _import_everything()
    while True:
        order = _ordered(orders)
        if order is None:
            os._exit(0)
        if not order.starts_others:
            break
        to_come = _interpreter_beside_us()
        if to_come is None:
            break
        orders = to_come
    try:
        _run(order.words)
    except SystemExit as ending:
        _end(ending.code)
        raise
    _end(0)


def _run(words: list[str]) -> None:
    """Run a module (`python -m name`), a text (`python -c text`), or a file (`python path`)."""
    if words[1] == "-m":
        runpy.run_module(words[2], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if words[1] == "-c":
        exec(compile(words[2], "<string>", "exec"), main.__dict__)
    else:
        main.__file__ = words[1]
        exec(compile(Path(words[1]).read_bytes(), words[1], "exec"), main.__dict__)


def _end(code: object) -> None:
    """End as an interpreter does, but for what it takes apart; return where that may have something to say.

    Taking apart what all forks share copies it first, page by page: three quarters of what a command costs.
    """
    if code is not None and not isinstance(code, int):
        return  # A text, that is printed.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return  # It ends with a code of its own.
    os._exit((code or 0) & 0xFF)


def _import_everything() -> None:
    sys.modules["rich"] = None  # type: ignore[assignment]  # As `bankrmi.__main__` does.
    import_module("structlog")
    del sys.modules["rich"]
    for module in _EVERYTHING:
        import_module(module)
    commands_by_name = import_module("bankrmi.cli.commands_by_name")
    list(commands_by_name.CommandsByName().values())
    gc.collect()
    gc.freeze()  # So that a collection in a fork does not copy every page that it only looks at.


def _ordered(orders: socket.socket) -> Order | None:
    """Fork what is ordered; return in each fork, with its order; or None when whoever orders is gone."""
    while True:
        message, files, _, _ = socket.recv_fds(orders, _LONGEST_ORDER, _MOST_FILES)
        if not message:
            return None
        not_yet_there = _forked(orders)
        if not_yet_there is not None:
            order = Order(**json.loads(message))
            orders.close()
            _become(order, files, not_yet_there)
            return order
        for file in files:
            os.close(file)


def _forked(orders: socket.socket) -> int | None:
    """Fork twice; return, in the new process, what it closes when it has become what is ordered."""
    theirs, ours = os.pipe()
    between = os.fork()
    if between == 0:
        between = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(theirs)
            while os.getppid() == between:  # It ends at once.
                time.sleep(0)
            return ours
        os.write(ours, str(pid).encode())
        os._exit(0)
    os.close(ours)
    os.waitpid(between, 0)
    forked = os.read(theirs, 64)
    os.read(theirs, 1)  # Until nobody has it open.
    os.close(theirs)
    orders.send(forked)
    return None


def _become(order: Order, files: list[int], not_yet_there: int) -> None:
    """Have the files, folder, environment, signals and arguments of the order, and nothing else of ours."""
    out_of_the_way = max(order.numbers) + 1  # There files wait for their numbers.
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, out_of_the_way) for file in (*files, not_yet_there)]
    for file in (*files, not_yet_there):
        os.close(file)
    os.closerange(3, out_of_the_way)
    *moved, network, becoming = moved
    _enter(network)
    for file, number in zip(moved, order.numbers, strict=True):
        os.dup2(file, number)
        os.close(file)
    if order.most_files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (order.most_files, order.most_files))
    _join(order)
    os.chdir(order.folder)
    is_file = order.words[1] not in ("-m", "-c")
    begins_in = str(Path(order.words[1]).absolute().parent) if is_file else order.folder
    _import_from([begins_in, *paths_of(order.environment)])
    os.environ.clear()
    os.environ.update(order.environment)
    sys.argv[:] = order.words[2 if order.words[1] == "-m" else 1 :]
    if order.words[1] == "-c":
        del sys.argv[1]
    _be_called(order.words)
    unbuffered = bool(order.environment.get("PYTHONUNBUFFERED"))
    sys.stdin = _text(0, "rb", sys.stdin)
    sys.stdout = _text(1, "wb", sys.stdout, unbuffered)
    sys.stderr = _text(2, "wb", sys.stderr, unbuffered, by_line=True)
    for number in HEEDED:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in order.ignored else usual)
    signal.pthread_sigmask(signal.SIG_SETMASK, order.blocked)
    if order.does_first is not None:
        module, name, *arguments = order.does_first
        getattr(import_module(str(module)), str(name))(*arguments)
    os.close(becoming)


def _enter(network: int) -> None:
    """Be in this network, which we are in already but for tests that make others."""
    if os.fstat(network).st_ino != Path("/proc/self/ns/net").stat().st_ino:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(network, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns(2) failed")
    os.close(network)


def paths_of(environment: Mapping[str, str]) -> list[str]:
    """Return where an interpreter with this environment looks first for what it imports."""
    places = environment.get("PYTHONPATH", "")
    return [str(Path(place).absolute()) for place in places.split(os.pathsep)] if places else []


def _import_from(first: list[str]) -> None:
    """Look for modules as an interpreter does that starts in this folder, with this PYTHONPATH."""
    began_with = {sys.path[0], *paths_of(os.environ)}
    places = [*first, *(place for place in sys.path if place not in began_with)]
    sys.path[:] = list(dict.fromkeys(places))


def _be_called(words: list[str]) -> None:
    """Have this command line in /proc, in the place of ours; behind it there are nulls (proc(5))."""
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = int(stat[45]), int(stat[46])
    line = b"".join(os.fsencode(word) + b"\0" for word in words)
    assert len(line) <= end - begin, "nobody orders it"
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, line, len(line))


def _join(order: Order) -> None:
    """Be in the session and process group of the order."""
    if order.group is None:
        os.setsid()
    elif os.getpgrp() != order.group:
        os.setpgid(0, order.group)
    if order.on_a_terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _text(
    number: int, mode: Literal["rb", "wb"], like: TextIO, unbuffered: bool = False, *, by_line: bool = False
) -> TextIO:
    binary = os.fdopen(number, mode, 0 if unbuffered else -1, closefd=False)
    return io.TextIOWrapper(
        binary,
        encoding=like.encoding,
        errors=like.errors,
        line_buffering=by_line or os.isatty(number),
        write_through=unbuffered,
    )


def _interpreter_beside_us() -> socket.socket | None:
    """Fork an interpreter for what this process will start; return, in it, where orders come from.

    It holds nothing that this process has open, and is in no group that a terminal sends signals to.
    """
    from tests import warm_popen

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork():
        theirs.close()
        warm_popen.replace_popen(ours)
        return None
    os.setpgid(0, 0)
    _be_called([sys.executable, "-m", __spec__.name])
    signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
    null = os.open(os.devnull, os.O_RDWR)
    orders = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 3)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(ours.detach())
    for number in {int(file.name) for file in Path("/proc/self/fd").iterdir()} - {0, 1, 2, orders}:
        try:
            os.close(number)
        except OSError:  # That of the folder itself.
            continue
    theirs.detach()
    return socket.socket(fileno=orders)


if __name__ == "__main__":
    main()
