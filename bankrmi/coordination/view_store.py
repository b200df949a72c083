"""The witness's disk: every view there ever was, the last one being the view.

Rule 1: a view is durable before `propose` returns: one transaction, a rollback journal, synchronous=EXTRA
        (which also syncs the folder when the journal is deleted; else a power cut could bring it back, and
        with it undo what was answered).
Rule 2: a write that failed is never tried again, and nothing is read after it: what is on disk is then
        unknown to this process, so it has to stop (`DiskFailed`).
Rule 3: one process at a time uses the folder; the operating system's lock on a file in it ends with it.
Rule 4: each row carries a checksum; a flipped bit is an error, not another primary.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import apsw

from bankrmi.coordination.coordinator import Expected
from bankrmi.coordination.succession import objection
from bankrmi.errors import BrokenInvariant, InvalidRequest, OperationFailed
from bankrmi.replication.view import View
from bankrmi.storage.database import own_directory, sync_directory

__all__ = ["DiskFailed", "ViewStore"]

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS views (
        number   INTEGER PRIMARY KEY AUTOINCREMENT,
        service  TEXT NOT NULL,
        history  TEXT NOT NULL,
        epoch    INTEGER NOT NULL,
        view     TEXT NOT NULL,
        checksum TEXT NOT NULL,
        UNIQUE (service, history, epoch)
    ) STRICT
"""
_IN_USE = "another witness (pid {owner}) uses {directory} already: is the bank up?"
_INSERT = "INSERT INTO views (service, history, epoch, view, checksum) VALUES (?, ?, ?, ?, ?)"
_VIEWS_OF_SERVICE = "SELECT view, checksum FROM views WHERE service = ? ORDER BY number"


class DiskFailed(BrokenInvariant):
    """The disk did not do what it was told; what is on it is unknown until the process starts again."""

    code = "broken_invariant"


class ViewStore:
    """The views of all services, in `folder`/view.db."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "view.db"
        self._lock = own_directory(folder, _IN_USE)
        self._failed = False
        try:
            self._database = apsw.Connection(str(self._file))
            self._prepare()
        except (apsw.Error, OSError) as error:
            self._lock.close()
            raise OperationFailed(f"the witness cannot use {self._file}: {error}") from error
        except DiskFailed:
            self._lock.close()
            raise

    def _prepare(self) -> None:
        self._database.set_busy_timeout(0)
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=DELETE", "synchronous=EXTRA"):
            self._database.pragma(*pragma.split("="))
        self._database.execute(_SCHEMA)
        sync_directory(self._file.parent)
        for (service,) in list(self._database.execute("SELECT DISTINCT service FROM views")):
            self.history(service)

    def close(self) -> None:
        """Let the next process use the folder."""
        if not self._lock.closed:
            with contextlib.suppress(apsw.Error):
                self._database.close()
            self._lock.close()

    def current(self, service: str) -> View | None:
        """Return the view of `service`, None if there is none."""
        views = self._views(f"{_VIEWS_OF_SERVICE} DESC LIMIT 1", service)
        return views[0] if views else None

    def history(self, service: str) -> list[View]:
        """Return all views of `service`, oldest first."""
        return self._views(_VIEWS_OF_SERVICE, service)

    def propose(self, service: str, expected: Expected, view: View) -> tuple[bool, View | None]:
        """Return whether `view` is the view now, and what is; raise InvalidRequest if it can never be.

        A proposal that arrives twice (its sender did not hear the first answer) has won both times:
        it names the process that made it, so nobody else takes its victory for his own.
        """
        current = self.current(service)
        held = None if current is None else (current.history, current.epoch)
        if held != expected:
            return current == view, current
        past = {one.history for one in self.history(service)}
        reason = objection(current, view, past)
        if reason is not None:
            raise InvalidRequest(f"the witness refuses the proposed view: {reason}")
        self._append(service, view)
        return True, view

    def _append(self, service: str, view: View) -> None:
        text = json.dumps(view.to_wire(), sort_keys=True)
        row = (service, view.history, view.epoch, text, _checksum(text))
        try:
            self._usable().execute(f"BEGIN IMMEDIATE; {_INSERT}; COMMIT", row)
        except apsw.Error as error:
            raise self._failure(error) from error

    def _views(self, query: str, service: str) -> list[View]:
        try:
            rows = list(self._usable().execute(query, (service,)))
        except apsw.Error as error:
            raise self._failure(error) from error
        return [self._checked(text, checksum) for text, checksum in rows]

    def _checked(self, text: str, checksum: str) -> View:
        if _checksum(text) != checksum:
            raise self._failure(ValueError("a view in it does not match its checksum"))
        return View.from_wire(json.loads(text))

    def _usable(self) -> apsw.Connection:
        if self._failed:
            raise DiskFailed(f"the witness cannot use {self._file} any more; start it again")
        return self._database

    def _failure(self, error: Exception) -> DiskFailed:
        self._failed = True
        return DiskFailed(f"the witness cannot use {self._file}: {error}")


def _checksum(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
