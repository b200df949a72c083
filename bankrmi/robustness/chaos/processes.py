"""The processes of a run: started, killed, stopped for a while, and never touched unless they are ours.

Rule 1: a process is known by what started it (`Popen`), not by a number or a name: nothing else is signalled.
Rule 2: each ends with chaos, even with a chaos that is killed, and hears no Ctrl-C of the terminal.
Rule 3: a process that ends though nobody did anything to it is remembered: that is a violation.
Assumption: all is called from the thread that lives as long as the run (the kernel ends them with it).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bankrmi.robustness.chaos.network import ChaosNetwork
from bankrmi.signals import putting_off

__all__ = ["ChaosProcesses", "Ended"]

_NOT_BEGUN = (signal.SIGTERM, signal.SIGINT)
_AS_ASKED = (
    0,
    -signal.SIGKILL,
    *(-number for number in _NOT_BEGUN),
    *(128 + number for number in _NOT_BEGUN),
)
"""How a process ends that was told to: by the signal, or with the exit code that says so, if it had not begun
yet to do so in good order."""

_REMOVED = 2
_AT_ONCE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A process that ended by itself."""

    name: str
    exit_code: int


@dataclass(slots=True, kw_only=True)
class _Started:
    process: subprocess.Popen[bytes]
    ending: signal.Signals
    paused: bool = False
    asked_to_end: bool = False
    removed: bool = False


class ChaosProcesses:
    """By name: `witness`, `s1`, …, `client1`, …"""

    def __init__(self, network: ChaosNetwork, logs: Path, *, modules: Path | None = None) -> None:
        """`modules` is where they look for modules, too: for that of a class that is served."""
        self._modules = modules
        self._network = network
        self._logs = logs
        self._started: dict[str, _Started] = {}
        self._output: dict[str, bytearray] = {}  # Kept when a process ends, until the next one starts.
        self.ended_by_themselves: list[Ended] = []

    def start(self, name: str, module: Sequence[str], *, reports: bool = False) -> None:
        """Start `python -m MODULE …`; `reports` if its standard output is ours, to be read with `output`.

        It begins with the signals blocked that tell it to end: the module says when it knows what to do.
        """
        with putting_off():
            self.start_program(name, [sys.executable, "-m", *module], reports=reports)

    def start_program(
        self,
        name: str,
        words: Sequence[str],
        *,
        reports: bool = False,
        ending: signal.Signals = signal.SIGKILL,
    ) -> None:
        """Start any command, under this name; `ending` is what ends it at once, with all that it started."""
        assert not self.is_alive(name), f"{name} runs already"
        self._network.begins(name)
        command = self._network.command(name, list(words))
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if reports else log,
                stderr=log,
                pass_fds=self._network.inherited(name),
                start_new_session=True,
                env=_environment(self._modules),
            )
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
        self._output[name] = bytearray()
        self._started[name] = _Started(process=process, ending=ending)

    def log(self, name: str) -> Path:
        """Return the file with all that the processes of this name have said."""
        return self._logs / f"{name}.log"

    def names(self) -> tuple[str, ...]:
        """Return everybody who was ever started."""
        return tuple(self._started)

    def is_alive(self, name: str) -> bool:
        """Whether there is such a process, be it paused; notices those that ended by themselves."""
        started = self._started.get(name)
        if started is None:
            return False
        exit_code = started.process.poll()
        if exit_code is None:
            return True
        self._gone(name, started, exit_code)
        return False

    def _gone(self, name: str, started: _Started, exit_code: int) -> None:
        self._drain(name)
        if started.process.stdout is not None:
            started.process.stdout.close()
        del self._started[name]
        self._network.has_ended(name)
        left = started.removed and exit_code == _REMOVED
        if not left and not (started.asked_to_end and exit_code in _AS_ASKED):
            self.ended_by_themselves.append(Ended(name=name, exit_code=exit_code))

    def pid(self, name: str) -> int:
        """Return the number of a process that runs; by nothing else is it ever touched."""
        return self._started[name].process.pid

    def is_paused(self, name: str) -> bool:
        """Whether it stands still, by us."""
        return self.is_alive(name) and self._started[name].paused

    def kill(self, name: str) -> None:
        """`kill -9`; return when it is gone."""
        if self.is_alive(name):
            started = self._started[name]
            started.asked_to_end = True
            started.process.send_signal(started.ending)
            self._gone(name, started, _end_of(started.process))

    def may_leave(self, name: str, may: bool) -> None:
        """From here on it may end by itself, as a server does that is none of the bank any more; or not."""
        if self.is_alive(name):
            self._started[name].removed = may

    def ask_to_end(self, name: str, number: signal.Signals) -> None:
        """Send it a signal that ends it in its own time."""
        if self.is_alive(name):
            started = self._started[name]
            started.asked_to_end = True
            started.process.send_signal(number)

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        if self.is_alive(name):
            self._started[name].paused = True
            self._started[name].process.send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        if self.is_alive(name):
            self._started[name].paused = False
            self._started[name].process.send_signal(signal.SIGCONT)

    def output(self, name: str) -> list[str]:
        """Return the lines that it has written since the last time."""
        self._drain(name)
        *lines, rest = bytes(self._output.get(name, b"")).split(b"\n")
        self._output[name] = bytearray(rest)
        return [line.decode() for line in lines]

    def _drain(self, name: str) -> None:
        started = self._started.get(name)
        source: IO[bytes] | None = started.process.stdout if started is not None else None
        while source is not None and (data := source.read(1 << 16)):
            self._output[name] += data

    def kill_all(self) -> None:
        """End everything at once; whatever happened before."""
        for name in tuple(self._started):
            self.kill(name)


def _end_of(process: subprocess.Popen[bytes]) -> int:
    """Return its exit code; it was told to end at once."""
    try:
        return process.wait(_AT_ONCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _environment(modules: Path | None) -> dict[str, str]:
    """Return ours, without what would change the configuration behind its back."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BANKRMI_")}
    if modules is not None:
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(modules), kept.get("PYTHONPATH", "")]))
    return kept | {"PYTHONUNBUFFERED": "1"}
