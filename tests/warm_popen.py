"""`Popen` that forks modules of ours, and programs that use them, from an interpreter that has imported them,
and starts all else as ever.

Rule 1: what it returns is a child of ours, started with the same files, folder, environment, signals, session
        and process group as `subprocess.Popen` would start it with.
Rule 2: one process is started at a time, whichever threads want one.
Assumption: `subprocess.Popen` starts its process in `_execute_child`, by the names of its parameters here;
            where it does not (another Python), all is started as ever.
"""

from __future__ import annotations

import ctypes
import inspect
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.warm_interpreter import HEEDED, MOST_WORDS, Order, paths_of

__all__ = ["Popen", "fork", "replace_popen"]

_ROOT = Path(__file__).parent.parent
_PR_SET_CHILD_SUBREAPER = 36
_READ_BY_THE_INTERPRETER = ("PYTHON", "PYRO_", "LC_", "LANG", "COVERAGE_", "MALLOC_", "LD_")
_OURS = ("bankrmi", "tests")
_STARTING_OTHERS = {"up", "demo", "chaos", "bench", "console"}
_NOTHING_SPECIAL = {
    "executable": None,
    "shell": False,
    "gid": None,
    "gids": None,
    "uid": None,
    "umask": -1,
    "process_group": -1,
}


class Popen(subprocess.Popen[Any]):
    """What `subprocess.Popen` says and does; `most_files` is how many files it may have open.

    `uses_ours`: what Python runs may be a text, a file, or a module of others (pytest); it does not mind that
    our code is imported already.
    """

    def __init__(
        self,
        args: Sequence[str],
        *,
        most_files: int | None = None,
        uses_ours: bool = False,
        **keywords: Any,
    ) -> None:
        self._most_files = most_files
        self._uses_ours = uses_ours
        super().__init__(args, **keywords)

    def _execute_child(self, *args: Any) -> None:
        as_ever = super()._execute_child  # type: ignore[misc]
        given = dict(inspect.signature(as_ever).bind(*args).arguments)
        pid = self._forked(given)
        if pid is None:
            assert self._most_files is None, "only what is forked"
            as_ever(*args)
            return
        self.pid = pid
        self._child_created = True
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(given[end] for end in ends))  # type: ignore[attr-defined]

    def _forked(self, given: Mapping[str, Any]) -> int | None:
        """Return its pid if it can be forked."""
        if any(given.get(name, usual) != usual for name, usual in _NOTHING_SPECIAL.items()):
            return None
        does_first = given["preexec_fn"]
        if does_first is not None and not _can_be_told(does_first):
            return None
        standard = (given["p2cread"], given["c2pwrite"], given["errwrite"])
        files = {number: number if file == -1 else file for number, file in enumerate(standard)}
        return fork(
            given["args"],
            files=files | {number: number for number in given["pass_fds"]},
            folder=given["cwd"],
            environment=given["env"],
            most_files=self._most_files,
            own_session=given["start_new_session"],
            does_first=does_first,
            uses_ours=self._uses_ours,
        )

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and not only look for it now and then."""
        if timeout is not None and self.returncode is None:
            _wait_for_end(self.pid, timeout)
        return super().wait(timeout)


def _wait_for_end(pid: int, timeout: float) -> None:
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:  # Another thread has waited for it.
        return
    try:
        waiting = select.poll()
        waiting.register(ended, select.POLLIN)
        waiting.poll(timeout * 1000)
    finally:
        os.close(ended)


def fork(
    command: Sequence[str],
    *,
    files: Mapping[int, int],
    folder: str | os.PathLike[str] | None,
    environment: Mapping[str, str] | None,
    most_files: int | None = None,
    own_session: bool = False,
    on_a_terminal: bool = False,
    does_first: partial[object] | None = None,
    uses_ours: bool = False,
) -> int | None:
    """Fork what this command would run; return its pid, or None if it has to be started as ever.

    `does_first` is what the new process does before it is its program (`preexec_fn`); `uses_ours` as for
    `Popen`.
    """
    words, network = _without_its_network([os.fsdecode(word) for word in command])
    variables = {
        os.fsdecode(name): os.fsdecode(value)
        for name, value in (os.environ if environment is None else environment).items()
    }
    if not _is_ours(words, uses_ours) or len(os.fsencode("\0".join(words))) >= MOST_WORDS:
        return None
    starts_in = Path.cwd() if folder is None else Path(folder).absolute()
    first = [str(starts_in)] if folder is not None and words[1] in ("-m", "-c") else []
    if not _finds_our_code([*first, *paths_of(variables)]):
        return None
    with _ONE_AT_A_TIME:
        if not _forks_with(variables):
            return None
        order = Order(
            words=words,
            folder=str(starts_in),
            environment=variables,
            numbers=list(files),
            most_files=most_files,
            group=None if own_session or on_a_terminal else os.getpgrp(),
            on_a_terminal=on_a_terminal,
            blocked=[int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
            ignored=[int(number) for number in HEEDED if signal.getsignal(number) == signal.SIG_IGN],
            starts_others=uses_ours or not _STARTING_OTHERS.isdisjoint(words[3:]),
            does_first=None
            if does_first is None
            else [does_first.func.__module__, does_first.func.__name__, *does_first.args],
        )
        with network.open("rb", buffering=0) as place:
            return _INTERPRETER[0].fork(order, [*files.values(), place.fileno()])


def _is_ours(words: Sequence[str], uses_ours: bool) -> bool:
    """Whether Python runs a module of ours, or anything else that `uses_ours`."""
    if len(words) < 2 or words[0] != sys.executable:
        return False
    if words[1] == "-m" and words[2].partition(".")[0] in _OURS:
        return True
    return uses_ours and (words[1] in ("-c", "-m") or not words[1].startswith("-"))


def _can_be_told(does_first: object) -> bool:
    """Whether it is a function of a module of ours, with plain values: another process can call it, too."""
    return (
        isinstance(does_first, partial)
        and not does_first.keywords
        and does_first.func.__module__.partition(".")[0] in _OURS
        and does_first.func.__name__ == does_first.func.__qualname__
        and all(type(value) in (int, str) for value in does_first.args)
    )


def _without_its_network(words: list[str]) -> tuple[list[str], Path]:
    """Return what is run, and the network in which: `nsenter` starts it in another one than ours."""
    if words[:1] == ["nsenter"] and words[2:3] == ["--"] and words[1].startswith("--net="):
        return words[3:], Path(words[1].removeprefix("--net="))
    return words, Path("/proc/thread-self/ns/net")


def _finds_our_code(places: Sequence[str]) -> bool:
    """Whether an interpreter that looks in these places first finds no other code than ours."""
    with_code = (place for place in map(Path, places) if (place / "bankrmi").exists())
    return next(with_code, _ROOT).resolve() == _ROOT.resolve()


def replace_popen(orders: socket.socket) -> None:
    """Start with `Popen` whatever this process starts, from the interpreter that takes these orders."""
    _INTERPRETER[:] = [_Interpreter(orders)]
    subprocess.Popen = Popen  # type: ignore[misc, assignment]


def _forks_with(environment: Mapping[str, str]) -> bool:
    """Whether a new interpreter would begin with this environment as the warm one did."""
    if not _INTERPRETER and sys.platform == "linux":
        _INTERPRETER.append(_new_interpreter())
    ours = _INTERPRETER[0].began_with
    return (
        not any(name.startswith("COVERAGE_") for name in ours)
        and _read_by_the_interpreter(environment) == ours
    )


def _read_by_the_interpreter(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_BY_THE_INTERPRETER)
        and name != "PYTHONUNBUFFERED"  # `warm_interpreter` does what it says.
        and name != "PYTHONPATH"  # So it does with this.
    }


class _Interpreter:
    """One that has imported everything; it lives as long as we do."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self.began_with = _read_by_the_interpreter(os.environ)

    def fork(self, order: Order, files: list[int]) -> int:
        """Have it fork a process; return its pid once it is a child of ours."""
        _adopt_orphans(True)
        try:
            socket.send_fds(self._orders, [order.packed()], files)
            answer = self._orders.recv(64)
        finally:
            _adopt_orphans(False)
        assert answer, "the warm interpreter has ended"
        return int(answer)


def _new_interpreter() -> _Interpreter:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        _STARTED.append(
            _AS_EVER(
                [sys.executable, "-m", "tests.warm_interpreter", str(theirs.fileno()), "." * MOST_WORDS],
                pass_fds=(theirs.fileno(),),
                cwd=_ROOT,
            )
        )
    return _Interpreter(ours)


_INTERPRETER: list[_Interpreter] = []
_STARTED: list[subprocess.Popen[bytes]] = []
_AS_EVER = subprocess.Popen  # Whatever that name stands for later.
_ONE_AT_A_TIME = threading.Lock()


def _adopt_orphans(adopted: bool) -> None:
    """Become the parent of processes below us whose own parent ends (prctl(2)), or leave them to init."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, int(adopted), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")
