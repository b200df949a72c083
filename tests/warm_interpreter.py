"""The other side of `warm_popen`: imports bankrmi, then forks a process for each order that comes.

    python -m tests.warm_interpreter FD

A process is forked twice, and the one in between ends at once: so its parent is whoever ordered it, who has
declared that it adopts orphans meanwhile. What a forked process starts itself is started as ever.

Rule: before a fork nothing is done but to import; a fork leaves this file as a fresh interpreter enters
its module (`bankrmi.__main__`).
"""

from __future__ import annotations

import atexit
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
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Literal, TextIO

__all__ = ["HEEDED", "Order"]

_LONGEST_ORDER = 1 << 18
_MOST_FILES = 32
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
)
"""What a process of a bank needs, and what commands that tests run often import when they begin."""

HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that a new process ignores if whoever starts it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One process: its module and arguments, folder, whole environment, and the numbers of its files.

    `most_files` is how many it may have open, None as many as we; `group` is its process group, None one of
    its own, in a session of its own. `on_a_terminal` says that its standard input is the terminal of that.
    """

    module: str
    arguments: list[str]
    folder: str
    environment: dict[str, str]
    numbers: list[int]
    most_files: int | None
    group: int | None
    on_a_terminal: bool
    blocked: list[int]
    ignored: list[int]

    def packed(self) -> bytes:
        """Return it as it crosses the socket."""
        return json.dumps(asdict(self)).encode()


def main() -> None:
    """Fork what is ordered until whoever orders is gone; in a fork, run the module."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    _import_everything()
    order = _ordered(orders)
    if order is None:
        os._exit(0)
    try:
        runpy.run_module(order.module, run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        _end(ending.code)
        raise
    _end(0)


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
        if _forked(orders):
            order = Order(**json.loads(message))
            _become(order, files, orders)
            return order
        for file in files:
            os.close(file)


def _forked(orders: socket.socket) -> bool:
    """Fork twice; return whether this is the new process."""
    theirs, ours = os.pipe()
    between = os.fork()
    if between == 0:
        between = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(theirs)
            os.close(ours)
            while os.getppid() == between:  # It ends at once.
                time.sleep(0)
            return True
        os.write(ours, str(pid).encode())
        os._exit(0)
    os.waitpid(between, 0)
    orders.send(os.read(theirs, 64))
    os.close(theirs)
    os.close(ours)
    return False


def _become(order: Order, files: list[int], orders: socket.socket) -> None:
    """Have the files, folder, environment, signals and arguments of the order, and nothing else of ours."""
    orders.close()
    out_of_the_way = max(order.numbers) + 1  # There files wait for their numbers.
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, out_of_the_way) for file in files]
    os.closerange(3, out_of_the_way)
    for file, number in zip(moved, order.numbers, strict=True):
        os.dup2(file, number)
        os.close(file)
    if order.most_files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (order.most_files, order.most_files))
    _join(order)
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environment)
    sys.argv[:] = [order.module, *order.arguments]
    unbuffered = bool(order.environment.get("PYTHONUNBUFFERED"))
    sys.stdin = _text(0, "rb", sys.stdin)
    sys.stdout = _text(1, "wb", sys.stdout, unbuffered)
    sys.stderr = _text(2, "wb", sys.stderr, unbuffered, by_line=True)
    for number in HEEDED:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in order.ignored else usual)
    signal.pthread_sigmask(signal.SIG_SETMASK, order.blocked)


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


if __name__ == "__main__":
    main()
