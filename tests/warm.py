"""Processes of bankrmi that start in milliseconds: forked from an interpreter that has imported all of it.

Tests start about a thousand processes, and to import what a server needs takes half a second of CPU: half of
what the default run took. Here one interpreter, a child of ours, imports it once, and each process is a fork
of it that runs the command line from its first line, with the arguments, files, folder and environment that
it is given. It is as real a process as any other: a child of ours, with a pid, to be killed, paused and
waited for.

Rule 1: what is forked has done nothing yet: no thread, no loop, no socket, no file; see `warm_interpreter`.
Rule 2: a process that ends ends alone, and `Process` waits for it as its parent.
Rule 3: one process is started at a time, whichever threads want one.
Rule 4: where the start itself is what is tested (imports, an environment that the interpreter reads, what
        /proc calls it), `subprocess` is used as ever; so it is where coverage is measured.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from tests.warm_interpreter import Order

__all__ = ["Forked", "Process", "run", "start"]

_PR_SET_CHILD_SUBREAPER = 36
_READ_BY_THE_INTERPRETER = ("PYTHON", "LC_", "LANG", "COVERAGE_", "MALLOC_", "LD_")


class Forked:
    """One process; what `subprocess.Popen` says and does, as far as tests ask for it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return its exit code, or the signal that ended it as a negative number; None while it lives."""
        if self.returncode is None and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
            os.close(self._ended)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code once it has ended; raises subprocess.TimeoutExpired."""
        if self.poll() is None:
            ended = select.poll()
            ended.register(self._ended, select.POLLIN)
            ended.poll(None if timeout is None else timeout * 1000)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def __del__(self) -> None:
        if self.returncode is None:
            os.close(self._ended)


Process = Forked | subprocess.Popen[bytes]


def start(
    arguments: Sequence[str],
    *,
    stdin: int | IO[Any],
    stdout: int | IO[Any],
    stderr: int | IO[Any],
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    files: int | None = None,
    cwd: Path | None = None,
) -> Process:
    """Start `python -m bankrmi *arguments`; it may have `files` open at most.

    It starts in the folder that we are in; or in `cwd`, with the code that is there.
    """
    environment = dict(os.environ if env is None else env)
    if cwd is not None or not _can_be_forked(environment):
        limit = [] if files is None else ["/bin/sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
        return subprocess.Popen(
            [*limit, sys.executable, "-m", "bankrmi", *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            env=environment,
            cwd=cwd,
        )
    standard = [stream if isinstance(stream, int) else stream.fileno() for stream in (stdin, stdout, stderr)]
    passed = dict(enumerate(standard)) | {number: number for number in pass_fds}
    null = os.open(os.devnull, os.O_RDWR)
    try:
        given = [null if file == subprocess.DEVNULL else file for file in passed.values()]
        order = Order(list(arguments), str(Path.cwd()), environment, list(passed), files)
        with _ONE_AT_A_TIME:
            return Forked(_interpreter().fork(order, given))
    finally:
        os.close(null)


def run(
    arguments: Sequence[str],
    *,
    typed: str = "",
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, as `start` does; the result has what it prints on each of its outputs."""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin.write(typed.encode())
        stdin.seek(0)
        process = start(arguments, stdin=stdin, stdout=out, stderr=err, env=env, cwd=cwd)
        try:
            code = process.wait(timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        printed = []
        for file in (out, err):
            file.seek(0)
            printed.append(file.read().decode())
    return subprocess.CompletedProcess(["bankrmi", *arguments], code, *printed)


def _can_be_forked(environment: Mapping[str, str]) -> bool:
    """Whether an interpreter would begin with this environment as the warm one did."""
    ours = _read_by_the_interpreter(os.environ)
    return (
        sys.platform == "linux"
        and not any(name.startswith("COVERAGE_") for name in ours)
        and _read_by_the_interpreter(environment) == ours
    )


def _read_by_the_interpreter(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_BY_THE_INTERPRETER)
        and name != "PYTHONUNBUFFERED"  # `warm_interpreter` does what it says.
        and not name.startswith("PYTEST_")
    }


class _Interpreter:
    """The one that has imported everything; it lives as long as we do."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm_interpreter", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                cwd=Path(__file__).parent.parent,
            )

    def fork(self, order: Order, files: list[int]) -> int:
        """Have it fork a process; return its pid once it is a child of ours."""
        _adopt_orphans(True)
        try:
            socket.send_fds(self._socket, [order.packed()], files)
            answer = self._socket.recv(64)
        finally:
            _adopt_orphans(False)
        assert answer, f"the warm interpreter ended with {self._process.wait()}"
        return int(answer)


@cache
def _interpreter() -> _Interpreter:
    return _Interpreter()


_ONE_AT_A_TIME = threading.Lock()


def _adopt_orphans(adopted: bool) -> None:
    """Become the parent of processes below us whose own parent ends (prctl(2)), or leave them to init."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, int(adopted), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")
