"""The processes of a run: started, watched, and ended with it, even with a `kill -9` of it.

Rule 1: a process is known by what started it, and nothing else is ever signalled.
Rule 2: none hears the Ctrl-C of the terminal: who started them stops them, in one place, `stop`.
Rule 3: a process that ends while it is waited for is an error that tells what it said last.
Assumption: all is called from the thread that lives as long as the run (the kernel ends them with it).
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bankrmi.errors import OperationFailed
from bankrmi.signals import let_through, putting_off

__all__ = ["Children", "python"]

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_END_SECONDS = 5.0
_READY_SECONDS = 60.0
_SHOWN_BYTES = 600


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of ours."""
    return [sys.executable, "-m", module, *arguments]


@dataclass(slots=True, kw_only=True)
class _Child:
    process: subprocess.Popen[bytes]
    ending: signal.Signals


class Children:
    """By name; each has a log beside the others."""

    def __init__(self, logs: Path, *, modules: Path | None = None) -> None:
        """`modules`: where Python finds more of them, in all processes."""
        self._logs = logs
        self._modules = modules
        self._children: dict[str, _Child] = {}

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        user: str | None = None,
        ending: signal.Signals = signal.SIGKILL,
        speaks: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Start a process; `ending` is the signal that ends it, `speaks` leaves us its standard streams."""
        assert name not in self._children, f"{name} runs already"
        with self.log(name).open("ab") as log, putting_off():  # Ctrl-C would be lost in a fork.
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if speaks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if speaks else log,
                stderr=log,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                cwd=self._logs if user else None,
                extra_groups=[] if user else None,
                env=_environment(self._modules),
                start_new_session=True,
                preexec_fn=partial(_follow, os.getpid(), int(ending)),
            )
            self._children[name] = _Child(process=process, ending=ending)
        return process

    def run(self, name: str, command: Sequence[str], *, user: str | None = None) -> None:
        """Run a command to its end; raise OperationFailed with its last words if it fails."""
        process = self.start(name, command, user=user)
        code = process.wait()
        del self._children[name]
        if code != 0:
            raise OperationFailed(f"{name} ended with code {code}: {self.last_words(name)}")

    def log(self, name: str) -> Path:
        """Return the file with what the processes of this name have said."""
        return self._logs / f"{name}.log"

    def last_words(self, name: str) -> str:
        """Return the end of a log."""
        return self.log(name).read_bytes()[-_SHOWN_BYTES:].decode(errors="replace").strip()

    def __contains__(self, name: str) -> bool:
        """Whether a process of this name was started, and not ended."""
        return name in self._children

    def pid(self, name: str) -> int:
        """Return the number of a process that was started."""
        return self._children[name].process.pid

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """Return a process that was started."""
        return self._children[name].process

    def until(self, ready: Callable[[], bool], *, what: str) -> None:
        """Wait until something holds; raise OperationFailed if it never does, or if a process ends."""
        deadline = time.monotonic() + _READY_SECONDS
        while not ready():
            for name, child in self._children.items():
                if child.process.poll() is not None:
                    raise OperationFailed(
                        f"{name} ended with code {child.process.returncode}: {self.last_words(name)}"
                    )
            if time.monotonic() > deadline:
                raise OperationFailed(f"{what} did not get ready within {_READY_SECONDS:g} s")
            time.sleep(0.02)

    def end(self, name: str) -> None:
        """End one, and wait until it is gone."""
        child = self._children.pop(name, None)
        if child is not None:
            _end(child)

    def stop(self) -> None:
        """End all, the last one first."""
        while self._children:
            _end(self._children.popitem()[1])


def _end(child: _Child) -> None:
    """End a process, be it stopped (SIGSTOP) or deaf; its group is its own, and goes with it."""
    process = child.process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGCONT)
        if child.ending == signal.SIGKILL:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.send_signal(child.ending)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()


def _follow(parent: int, ending: int) -> None:
    """What a child does last before it is its program: have the kernel end it with us."""
    let_through()
    _LIBC.prctl(_PR_SET_PDEATHSIG, ending, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _environment(modules: Path | None) -> dict[str, str]:
    """Return ours, without what would change a configuration behind its back."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("BANKRMI_")}
    if modules is not None:
        ours["PYTHONPATH"] = os.pathsep.join(filter(None, (str(modules), ours.get("PYTHONPATH"))))
    return ours
