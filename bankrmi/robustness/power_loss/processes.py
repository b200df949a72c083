"""A bank of real processes, each on a disk of its own, and each under strace if wished.

Rule 1: no process outlives the `with`; nothing that we did not start is touched.
Rule 2: each process has a `data_dir` of its own, as on a machine of its own.
Rule 3: to wait is to wait for a condition, with a deadline.
"""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

from bankrmi.client.asking import ask_once
from bankrmi.config import Configuration, load
from bankrmi.errors import BankError, OperationFailed

__all__ = ["WITNESS", "BankProcesses"]

WITNESS = "nameserver"
DEADLINE_S = 60.0
_POLL_S = 0.01
_LOWEST_PORT, _HIGHEST_PORT = 12_000, 32_000

Wrapper = Callable[[list[str]], list[str]]
Value = TypeVar("Value")


_RECORDS_BEHIND = 5
"""Few: what follows from the journal is written many times in a recording, and lags behind it in between."""


class BankProcesses:
    """The witness (`nameserver`) and servers, by name."""

    def __init__(
        self, folder: Path, ledger: Mapping[int, int], *, servers: tuple[str, ...] = ("s1", "s2")
    ) -> None:
        self.folder = folder
        self.servers = servers
        self._ledger = ledger
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ready: dict[str, int] = {}
        self._open = ExitStack()

    def __enter__(self) -> BankProcesses:
        witness, *addresses = [
            self._open.enter_context(_HeldPort()).address for _ in (WITNESS, *self.servers)
        ]
        named = "".join(f"  {name}: {one}\n" for name, one in zip(self.servers, addresses, strict=True))
        for name in (WITNESS, *self.servers):
            text = f"nameserver: {witness}\nservers:\n{named}data_dir: {self.machine(name)}/data\n"
            text += f"journal: {{records_behind: {_RECORDS_BEHIND}}}\n"
            self.machine(name).mkdir()
            (self.folder / f"{name}.yaml").write_text(text)
        lines = "".join(f"{account},{balance}\n" for account, balance in self._ledger.items())
        (self.folder / "ledger.csv").write_text(lines)
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            self.kill(name)
        self._open.close()

    def machine(self, name: str) -> Path:
        """Return the folder that stands for the disk of this process's machine; its data is in `data`."""
        return self.folder / f"machine-{name}"

    def configuration(self, name: str = WITNESS) -> Configuration:
        """Return the configuration that this process has."""
        return load(self.folder / f"{name}.yaml")

    # -- life and death --------------------------------------------------------------------------

    def start(self, name: str, wrapper: Wrapper = list, *, wait: bool = True) -> None:
        """Start a process; `wait` until it serves, leads, or is in sync."""
        ours, theirs = os.pipe()
        what = [WITNESS] if name == WITNESS else ["server", name]
        command = [sys.executable, "-m", "bankrmi", "--config", str(self.folder / f"{name}.yaml"), *what]
        command += ["--parent-pid", str(os.getpid()), "--ready-fd", str(theirs)]
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                wrapper(command),
                pass_fds=(theirs,),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
            )
        os.close(theirs)
        self._ready[name] = ours
        if wait:
            self.wait_until_ready(name)

    def wait_until_ready(self, name: str) -> None:
        """Wait for the line with which a process says that it is ready."""
        readable, _, _ = select.select([self._ready[name]], [], [], DEADLINE_S)
        if not readable or not os.read(self._ready[name], 4096):
            raise OperationFailed(f"{name} is not ready; what each has said last:\n{self._last_words()}")

    def kill(self, name: str) -> None:
        """`kill -9`; return when it is gone, and strace with it."""
        process = self._running.pop(name)
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()
        self._wait_for_strace(name)

    def terminate(self, name: str) -> int:
        """Ask it to stop in good order; return its exit code."""
        self._running[name].terminate()
        return self.wait_for_end(name)

    def wait_for_end(self, name: str) -> int:
        """Wait until it has ended by itself; return its exit code."""
        code = self._running[name].wait(DEADLINE_S)
        del self._running[name]
        self._wait_for_strace(name)
        return code

    def _wait_for_strace(self, name: str) -> None:
        """Wait until nobody holds the other end of the pipe any more: all that strace wrote is written."""
        pipe = self._ready.pop(name)
        deadline = time.monotonic() + DEADLINE_S
        while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            if not os.read(pipe, 4096):
                break
        os.close(pipe)

    def _last_words(self) -> str:
        """The end of every log: who is not ready may wait for somebody else, who stands still or is dead."""
        said = (
            f"{name}, in state {self._state(name)}:\n{self.log(name).read_text()[-2000:]}"
            for name in self._running
        )
        return "\n".join(said)

    def _state(self, name: str) -> str:
        """What the kernel says: R runs, S sleeps, D waits for a disk, T or t stands still, Z has died."""
        stat = Path(f"/proc/{self._running[name].pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0]

    def has_ended(self, name: str) -> bool:
        """Whether it has ended by itself."""
        return self._running[name].poll() is not None

    def pause(self, name: str) -> None:
        """SIGSTOP; return when it stands still."""
        self._running[name].send_signal(signal.SIGSTOP)
        self.until(lambda: self._state(name) in ("t", "T"), f"{name} stands still")

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self._running[name].send_signal(signal.SIGCONT)

    def log(self, name: str) -> Path:
        """Return the file with what the processes of this name have printed."""
        return self.folder / f"{name}.log"

    # -- what they say ---------------------------------------------------------------------------

    def until(self, condition: Callable[[], Value], what: str) -> Value:
        """Wait until the condition holds; return what it gave."""
        deadline = time.monotonic() + DEADLINE_S
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise OperationFailed(f"in {DEADLINE_S:g} s it did not come about that {what}")
            time.sleep(_POLL_S)
        return value

    def status(self, name: str) -> dict[str, Any] | None:
        """Return what a server says of itself; None if it does not answer."""
        if name not in self._running:
            return None
        address = self.configuration().servers[name]
        try:
            return dict(
                ask_once(address, f"bankrmi.account.{name}", "status", [], seconds=1.0, role="client")
            )
        except BankError:
            return None

    def wait_for_primary(self, name: str) -> None:
        """Wait until this server leads."""
        self.until(lambda: (self.status(name) or {}).get("role") == "primary", f"{name} leads")

    def leads_after_loss(self, name: str) -> bool:
        """Wait for what becomes of a server whose primary is gone: return whether it leads.

        It does not if the primary had gone on without it before: where a machine is slow, that may be.
        """

        def known() -> str:
            status = self.status(name) or {}
            out = name not in (status.get("in_sync") or [name])
            return "leads" if status.get("role") == "primary" else "is out" if out else ""

        return self.until(known, f"{name} leads, or may not") == "leads"

    def wait_until_in_sync(self, *names: str) -> None:
        """Wait until one of these servers leads and exactly these are in sync."""

        def in_sync() -> bool:
            found = [status for name in names if (status := self.status(name)) is not None]
            return any(one["role"] == "primary" and one["in_sync"] == sorted(names) for one in found)

        self.until(in_sync, f"{', '.join(names)} are in sync")

    def switch_over(self, primary: str, *, seconds: float = DEADLINE_S) -> None:
        """Have the primary hand over to the other one."""
        address = self.configuration().servers[primary]
        ask_once(address, f"bankrmi.operator.{primary}", "switchover", [None], seconds=seconds)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BANKRMI_")}
    return kept | {"PYTHONUNBUFFERED": "1"}


class _HeldPort:
    """A port that nobody else is given; held by a socket that is bound and never listens."""

    def __enter__(self) -> _HeldPort:
        while True:
            port = random.randrange(_LOWEST_PORT, _HIGHEST_PORT)
            holder = socket.socket()
            try:
                holder.bind(("127.0.0.1", port))
            except OSError:
                holder.close()
                continue
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._holder, self.address = holder, f"127.0.0.1:{port}"
            return self

    def __exit__(self, *_: object) -> None:
        self._holder.close()
