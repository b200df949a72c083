"""The ledger file of a bank that is open: has it been edited since?  That changes nothing, and is said.

Rule 1: the file is read in full only if it is not the one that was looked at before: size, time and inode say
        so, then a hash of its bytes.
Rule 2: to understand an edited one takes long (seconds for a million accounts), and is left to a process of
        its own, while the server serves.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import structlog

from bankrmi.bank import ledger_fingerprint
from bankrmi.bank.accounts import fingerprint
from bankrmi.bank.ledger_file import open_ledger, read_ledger
from bankrmi.errors import ConfigurationError

__all__ = ["OpeningLedger"]

log = structlog.get_logger("bankrmi.server")

_NOTE = "ledger"
_OPENED = "opened"


class Notes(Protocol):
    """Where it is kept what was found out about the file: the server's database."""

    @property
    def opened_with(self) -> bytes | None:
        """Identifies the opening state."""

    def noted(self, name: str) -> str | None:
        """Return what was noted under this name."""

    def note(self, name: str, text: str) -> None:
        """Keep this from the next commit on."""


class OpeningLedger:
    """One ledger file."""

    def __init__(self, path: Path, *, of_classes: bool = False, may_be_missing: bool = False) -> None:
        """`of_classes`: what identifies their opening state is not known by the ledger alone."""
        self._path = path
        self._of_classes = of_classes
        self._may_be_missing = may_be_missing
        self._unknown: dict[str, Any] | None = None
        self._task: asyncio.Task[None] | None = None

    def balances(self) -> dict[int, int]:
        """Return what a bank would open with; raises ConfigurationError."""
        return {} if self._is_missing else read_ledger(self._path)

    @property
    def _is_missing(self) -> bool:
        return self._may_be_missing and self._look() is None

    def read(self, notes: Notes) -> dict[int, int]:
        """Return what a bank opens with, and note which file it was; raises ConfigurationError."""
        if self._is_missing:
            log.info("there is no ledger: this begins without an account", ledger=str(self._path))
            return {}
        balances = self.balances()
        found = self._look()
        if found is not None:
            opened = {_OPENED: fingerprint(balances).hex()} if self._of_classes else {}
            notes.note(_NOTE, json.dumps({**found, "hash": self._hash(), "same": True, **opened}))
        return balances

    def compare(self, notes: Notes) -> None:
        """Say so if it is known that the file was edited after the bank opened with it."""
        found = self._look()
        if found is None:
            return
        before = json.loads(notes.noted(_NOTE) or "{}")
        if self._of_classes:
            if _OPENED not in before:
                return  # A copy of another server's: what that opened with is not known here.
            found[_OPENED] = before[_OPENED]
        if any(before.get(name) != value for name, value in found.items()):
            found["hash"] = self._hash()
            if found["hash"] is None:
                log.warning("the ledger cannot be read; that changes nothing", ledger=str(self._path))
                return
            if found["hash"] != before.get("hash"):
                self._unknown = found
                return
            before.update(found)
            notes.note(_NOTE, json.dumps(before))
        if not before["same"]:
            self._warn()

    def find_out(self, notes: Callable[[], Notes]) -> None:
        """Have an edited file understood, beside the loop, and say what came of it."""
        if self._unknown is not None:
            self._task = asyncio.get_running_loop().create_task(self._find_out(self._unknown, notes))

    async def _find_out(self, found: dict[str, Any], notes: Callable[[], Notes]) -> None:
        command = [sys.executable, "-m", ledger_fingerprint.__name__, str(self._path)]
        reading = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            told, _ = await reading.communicate()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                reading.kill()
            raise
        kept = notes()
        if reading.returncode or kept.opened_with is None:
            return  # It cannot be understood, so nobody would open a bank with it either.
        same = told.decode().strip() == found.get(_OPENED, kept.opened_with.hex())
        kept.note(_NOTE, json.dumps({**found, "same": same}))
        if not same:
            self._warn()

    def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> dict[str, Any] | None:
        """Return what tells one file from another without reading it; None if there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "inode": found.st_ino}

    def _hash(self) -> str | None:
        try:
            with open_ledger(self._path) as file:
                return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        except (ConfigurationError, OSError):
            return None

    def _warn(self) -> None:
        log.warning(
            "the ledger was edited since the bank opened with it; that changes nothing",
            ledger=str(self._path),
            remedy="use deposits and withdrawals; `bankrmi export` writes the current ledger",
        )
