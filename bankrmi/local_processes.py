"""Which processes of the bank run on this machine, and what they do, by the locks in their data directories.

Rule: a process is the bank's only if it is ours, runs bankrmi as that server, and somebody looks after it
      (`up`, `chaos`): whoever else happens to have the number is left alone.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from bankrmi.config import Configuration
from bankrmi.storage.database import lock_owner

__all__ = ["KEEPER", "LocalProcesses"]

KEEPER = "witness"
"""What the process of the name server and the witness is called here, and its data directory."""


class LocalProcesses:
    """Those of one bank."""

    def __init__(self, configuration: Configuration, proc: Path = Path("/proc")) -> None:
        self._configuration = configuration
        self._proc = proc

    def pid(self, name: str) -> int | None:
        """Return the number of the process that is this server, or the witness; None if none is here."""
        try:
            pid = lock_owner(self.directory(name))
        except PermissionError:  # Somebody else's bank.
            return None
        return pid if pid is not None and self._is(pid, name) else None

    def directory(self, name: str) -> Path:
        """Return its data directory."""
        return self._configuration.data_dir / name

    def standing(self, name: str) -> str:
        """Return `running`, `stopped` (by SIGSTOP) or `gone`."""
        pid = self.pid(name)
        if pid is None:
            return "gone"
        return "stopped" if self._state(pid) == "T" else "running"

    def send(self, name: str, number: signal.Signals) -> int | None:
        """Send a signal; return to which process, None if there was none."""
        pid = self.pid(name)
        if pid is None:
            return None
        try:
            handle = os.pidfd_open(pid)  # It keeps being the same one, whatever ends meanwhile.
        except OSError:
            return None
        try:
            if not self._is(pid, name):
                return None
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
        return pid

    def _is(self, pid: int, name: str) -> bool:
        try:
            words = (self._proc / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
            owner = (self._proc / str(pid)).stat().st_uid
        except OSError:
            return False
        if owner != os.geteuid() or "bankrmi" not in words or "--parent-pid" not in words:
            return False
        if self._state(pid) in ("Z", "X", ""):
            return False
        if name == KEEPER:
            return "nameserver" in words
        return ("server", name) in pairwise(words)

    def _state(self, pid: int) -> str:
        try:
            text = (self._proc / str(pid) / "stat").read_text(errors="replace")
        except OSError:
            return ""
        return text.rpartition(")")[2].split()[0]
