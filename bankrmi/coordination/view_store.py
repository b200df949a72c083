"""The witness's disk: every view there ever was, the last one being the view.

Rule 1: a view is durable before `propose` returns: one transaction in a write-ahead log, which is synced.
        Each takeover waits for that; a rollback journal took four syncs, and a file was made and deleted.
Rule 2: a write that failed is never tried again, and nothing is read after it: what is on disk is then
        unknown to this process, so it has to stop (`ViewStoreFailed`). So it is if the file is no longer the
        one under its name.
Rule 3: one process at a time uses the folder; the operating system's lock on a file in it ends with it.
Rule 4: each row carries a checksum, and the newest is found by two indexes, which have to agree; a flipped
        bit is an error, not another primary. In a log it would be the end of the log: so what is new is
        brought into the database soon after (`settle`), when nobody waits for it.
Rule 5: what a question or a proposal costs does not depend on how many views there were.
Rule 6: what it writes, it dates, by its own clock: nobody else can say when a view was made.
Rule 7: a store has an id, drawn when it is made: by that two witnesses are told apart, whatever their
        addresses.
Rule 8: the view of a service can be moved away, to another keeper: from then on none follows it here, until
        it is moved back. Each change of `kept` has a revision of its own, which never comes again, so what
        was meant for one state is never done in another, however late it arrives. Which moves there were is
        noted on the view that was moved here; if it is the one that was here before, its row is written anew.
Rule 9: the file says of which format it is; an older one is brought up to the present one, step by step, each
        in one transaction, and a newer one is refused and left as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw

from bankrmi.coordination.coordinator import Expected
from bankrmi.coordination.succession import decided
from bankrmi.errors import BrokenInvariant, ConfigurationError, InvalidRequest, OperationFailed, ViewMoved
from bankrmi.replication.view import View
from bankrmi.storage.database import locked_by_another, own_directory, private_opener, sync_directory
from bankrmi.storage.disk_failure import DiskFailed
from bankrmi.storage.place import Place, make_private
from bankrmi.storage.write_ahead_log import WriteAheadLog

__all__ = ["FORMAT", "HISTORY_BYTES", "StoredView", "ViewStore", "ViewStoreFailed"]

HISTORY_BYTES = 128 << 10
"""One answer of `history` ends with the view that reaches this."""

_BEYOND = (1 << 63) - 1
"""Higher than the number of any view."""

_FORMAT_1 = """
    CREATE TABLE IF NOT EXISTS views (
        number   INTEGER PRIMARY KEY AUTOINCREMENT,
        service  TEXT NOT NULL,
        history  TEXT NOT NULL,
        epoch    INTEGER NOT NULL,
        view     TEXT NOT NULL,
        checksum TEXT NOT NULL,
        UNIQUE (service, history, epoch)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS of_service ON views (service);
    CREATE TABLE IF NOT EXISTS moves (
        number   INTEGER PRIMARY KEY AUTOINCREMENT,
        service  TEXT NOT NULL,
        view     INTEGER NOT NULL,
        moved_to TEXT NOT NULL,
        checksum TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS moves_of_service ON moves (service);
    CREATE TABLE IF NOT EXISTS store (id TEXT NOT NULL) STRICT;
    INSERT INTO store SELECT '{id}' WHERE NOT EXISTS (SELECT 1 FROM store)
"""
_STEPS = (_FORMAT_1,)
"""What makes each format of the one before; 0 is an empty file, or one from before the first release."""
FORMAT = len(_STEPS)
_IN_USE = "another witness (pid {owner}) uses {directory} already: is the bank up?"
_INSERT = "INSERT INTO views (service, history, epoch, view, checksum) VALUES (?, ?, ?, ?, ?)"
_WRITE_MOVED = (
    f"{_INSERT} ON CONFLICT (service, history, epoch) DO UPDATE SET view = excluded.view, "
    "checksum = excluded.checksum"
)
_ROWS = "SELECT service, history, epoch, view, checksum FROM views INDEXED BY of_service WHERE service = ?"
_BACKWARD = f"{_ROWS} AND number < ? ORDER BY number DESC"
_NEWEST = f"{_ROWS} ORDER BY number DESC LIMIT 1"
_FOLLOWING = f"{_ROWS} AND number > ? ORDER BY number"
_NEWEST_EPOCH = (
    "SELECT max(epoch) FROM views INDEXED BY sqlite_autoindex_views_1 WHERE service = ? AND history = ?"
)
_ANY_VIEW = "SELECT 1 FROM views INDEXED BY sqlite_autoindex_views_1 WHERE service = ? LIMIT 1"
_NUMBER = "SELECT number FROM views WHERE service = ? AND history = ? AND epoch = ?"
_ANY_OF_HISTORY = "SELECT 1 FROM views WHERE service = ? AND history = ? LIMIT 1"
_NEWEST_NUMBER = "SELECT coalesce(max(number), 0) FROM views INDEXED BY of_service WHERE service = ?"
_NEWEST_MOVE = (
    "SELECT number, view, moved_to, checksum FROM moves INDEXED BY moves_of_service "
    "WHERE service = ? ORDER BY number DESC LIMIT 1"
)
_INSERT_MOVE = "INSERT INTO moves (service, view, moved_to, checksum) VALUES (?, ?, ?, ?)"
_NEXT_SERVICE = "SELECT service FROM views WHERE service > ? ORDER BY service LIMIT 1"


def _wall_us() -> int:
    return time.time_ns() // 1000


class ViewStoreFailed(BrokenInvariant):
    """The disk did not do what it was told; what is on it is unknown until the process starts again."""

    code = "broken_invariant"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredView:
    """What a store holds of a service: the view, and where it was moved to, if it was; at which revision."""

    view: View | None
    moved_to: str | None
    revision: str


class ViewStore:
    """The views of all services, in `folder`/view.db."""

    def __init__(self, folder: Path, *, wall_us: Callable[[], int] = _wall_us) -> None:
        self._wall_us = wall_us
        self._file = folder / "view.db"
        self._failed = False
        with contextlib.ExitStack() as taken:  # Given back if there is no store in the end.
            self._lock = taken.enter_context(own_directory(folder, _IN_USE))
            try:
                with contextlib.suppress(FileExistsError):
                    os.close(private_opener(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
                make_private(folder, folder.iterdir())
                self._database = apsw.Connection(str(self._file))
                taken.callback(self._database.close, force=True)
                self._prepare()
                self._log = WriteAheadLog(self._database)
                taken.callback(self._log.close)
                self._log.write_again()  # A process that was killed may have left what only the kernel holds.
                self._log.bring_in()
                self._place = Place(folder, self._file, Path(self._database.filename_wal))
            except (apsw.BusyError, apsw.LockedError) as error:
                raise locked_by_another(self._file) from error
            except (apsw.Error, OSError, DiskFailed) as error:
                raise OperationFailed(f"the witness cannot use {self._file}: {error}") from error
            for service in self.services():
                self.kept(service)
            taken.pop_all()

    def _prepare(self) -> None:
        database = self._database
        database.set_busy_timeout(0)
        database.pragma("locking_mode", "exclusive")
        found = database.pragma("user_version")
        if not 0 <= found <= FORMAT:
            raise ConfigurationError(
                f"{self._file} is of format {found}, and this version reads formats up to {FORMAT}: "
                "run the version of bankrmi that wrote it"
            )
        database.pragma("journal_mode", "wal")
        database.pragma("synchronous", "full")
        # Not only when the first view is written: who looks into it by then would end this process.
        database.execute("BEGIN EXCLUSIVE; COMMIT")
        self._migrate(found)
        self.id = str(database.execute("SELECT id FROM store").get)
        sync_directory(self._file.parent)

    def _migrate(self, found: int) -> None:
        for before, step in enumerate(_STEPS[found:], found):
            made = step.format(id=secrets.token_hex(8))
            self._database.execute(f"BEGIN IMMEDIATE; {made}; PRAGMA user_version={before + 1}; COMMIT")

    def close(self) -> None:
        """Let the next process use the folder."""
        if not self._lock.closed:
            with contextlib.suppress(apsw.Error, DiskFailed):
                if not self._failed:
                    self._log.finish()
            with contextlib.suppress(apsw.Error):
                self._database.close()
            self._log.close()
            self._lock.close()

    def settle(self) -> None:
        """Bring what was written lately into the database (rule 4); it takes some syncs of the disk."""
        self._usable()
        if self._log.pages:
            try:
                self._log.bring_in()
                self._log.lengthen_ahead()
            except DiskFailed as error:
                raise self._failure(error) from error

    def services(self) -> list[str]:
        """Return the services that have a view, in the order of their names."""
        found: list[str] = []
        while rows := self._rows(_NEXT_SERVICE, found[-1] if found else ""):
            found.append(str(rows[0][0]))
        return found

    def current(self, service: str) -> View | None:
        """Return the view of `service`, None if there is none."""
        rows = self._rows(_NEWEST, service)
        if not rows:
            if self._rows(_ANY_VIEW, service):
                raise self._failure(ValueError("its indexes do not agree"))
            return None
        view = self._checked(service, *rows[0])
        if self._rows(_NEWEST_EPOCH, service, view.history) != [(view.epoch,)]:
            raise self._failure(ValueError("its indexes do not agree"))
        return view

    def history(self, service: str, after: Expected = None) -> list[View]:
        """Return the views of `service` that followed `after`, oldest first; not more than fit one answer.

        The next ones follow the last of these; after the newest there are none.  Raises InvalidRequest if
        there never was such a view.
        """
        number = 0 if after is None else self._number(service, *after)
        return list(self._until_full(_FOLLOWING, service, number))

    def history_before(self, service: str, before: Expected = None) -> list[View]:
        """Return the views of `service` before `before` (None: the newest), newest first; as many as fit one
        answer.

        The older ones are before the last of these; before the first there are none.  Raises InvalidRequest
        if there never was such a view.
        """
        number = _BEYOND if before is None else self._number(service, *before)
        return list(self._until_full(_BACKWARD, service, number))

    def _number(self, service: str, history: str, epoch: int) -> int:
        found = self._rows(_NUMBER, service, history, epoch)
        if not found:
            raise InvalidRequest(f"there never was a view of epoch {epoch} in that history")
        return int(found[0][0])

    def _until_full(self, query: str, service: str, number: int) -> Iterator[View]:
        room = HISTORY_BYTES
        for row in self._reading(query, service, number):
            yield self._checked(service, *row)
            room -= len(row[3])
            if room <= 0:
                return

    def propose(self, service: str, expected: Expected, view: View) -> tuple[bool, View | None]:
        """Return whether `view` is the view now, and what is; raise InvalidRequest if it can never be."""
        current = self.here(service)
        verdict = decided(current, expected, view, _PastHistories(self, service))
        if verdict.objection is not None:
            raise InvalidRequest(f"the witness refuses the proposed view: {verdict.objection}")
        if not verdict.follows:
            return verdict.won, current
        dated = replace(view, written_us=self._wall_us(), moves=())
        self._append(service, dated)
        return True, dated

    def has_had(self, service: str, history: str) -> bool:
        """Return whether the service ever had a view of this history."""
        return bool(self._rows(_ANY_OF_HISTORY, service, history))

    # -- moving it to another keeper, and back -----------------------------------------------------

    def here(self, service: str) -> View | None:
        """Return the view, if it is kept here; raises ViewMoved if it was moved away."""
        kept = self.kept(service)
        if kept.moved_to is not None:
            raise ViewMoved(
                f"the view of {service} was moved to {kept.moved_to}, and is not kept here any more",
                moved_to=kept.moved_to,
            )
        return kept.view

    def kept(self, service: str) -> StoredView:
        """Return what there is of a service, moved or not."""
        view = self.current(service)
        [(number,)] = self._rows(_NEWEST_NUMBER, service)
        moves = self._rows(_NEWEST_MOVE, service)
        if not moves:
            return StoredView(view=view, moved_to=None, revision=f"{number}.0")
        [(move, at_view, moved_to, checksum)] = moves
        if _checksum(f"{service} {at_view} {moved_to}") != checksum:
            raise self._failure(ValueError("a move in it does not match its checksum"))
        return StoredView(view=view, moved_to=moved_to or None, revision=f"{number}.{move}")

    def move(self, service: str, revision: str, view: View, moved_to: str | None) -> tuple[bool, StoredView]:
        """Close the service here, in favour of `moved_to`; or (None) let `view` go on here.

        Return whether that was done, which it is only at this revision, and what is kept now.  Raises
        InvalidRequest for what can never be done.
        """
        kept = self.kept(service)
        if kept.revision != revision:
            return False, kept
        if moved_to is not None and (kept.moved_to is not None or view != kept.view):
            raise InvalidRequest("only the view that is kept here can be moved away")
        if moved_to is None and kept.view is not None and kept.moved_to is None:
            raise InvalidRequest("a view is kept here already")
        new = view != kept.view
        if new and self._rows(_NUMBER, service, view.history, view.epoch):
            raise InvalidRequest(f"there was another view of epoch {view.epoch} here")
        comes_back = not new and moved_to is None and kept.view is not None
        noted = replace(kept.view, moves=view.moves) if comes_back and kept.view is not None else view
        self._note_move(service, noted if new or comes_back else None, moved_to or "")
        return True, self.kept(service)

    def _note_move(self, service: str, view: View | None, moved_to: str) -> None:
        database = self._usable()
        try:
            with database:
                if view is not None:
                    text = json.dumps(view.to_wire(), sort_keys=True)
                    row = (service, view.history, view.epoch, text, _checksum(text))
                    database.execute(_WRITE_MOVED, row)
                number = database.execute(_NEWEST_NUMBER, (service,)).get
                checksum = _checksum(f"{service} {number} {moved_to}")
                database.execute(_INSERT_MOVE, (service, number, moved_to, checksum))
            self._log.sync()
        except Exception as error:  # Whatever it is: what is on the disk is unknown.
            raise self._failure(error) from error
        self._usable()

    def _append(self, service: str, view: View) -> None:
        text = json.dumps(view.to_wire(), sort_keys=True)
        row = (service, view.history, view.epoch, text, _checksum(text))
        try:
            self._usable().execute(f"BEGIN IMMEDIATE; {_INSERT}; COMMIT", row)
            self._log.sync()
        except (OverflowError, ValueError, TypeError) as error:  # A value that SQLite does not take.
            self._usable().execute("ROLLBACK")
            raise InvalidRequest("this view cannot be written") from error
        except Exception as error:  # Whatever it is: a transaction may be open.
            raise self._failure(error) from error
        self._usable()

    def _rows(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        return list(self._reading(query, *values))

    def _reading(self, query: str, *values: str | int) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._usable().execute(query, values)
        except (apsw.Error, UnicodeDecodeError) as error:
            raise self._failure(error) from error

    def _checked(self, wanted: str, service: str, history: str, epoch: int, text: str, checksum: str) -> View:
        if _checksum(text) != checksum:
            raise self._failure(ValueError("a view in it does not match its checksum"))
        try:
            view = View.from_wire(json.loads(text))
        except ValueError as error:
            raise self._failure(ValueError(f"what stands in it {error}")) from error
        if (wanted, view.history, view.epoch) != (service, history, epoch):
            raise self._failure(ValueError("a view in it stands as another"))
        return view

    def _usable(self) -> apsw.Connection:
        if self._failed:
            raise ViewStoreFailed(f"the witness cannot use {self._file} any more; start it again")
        try:
            self._place.check()
            self._log.check_length()
        except DiskFailed as error:
            raise self._failure(error) from error
        return self._database

    def _failure(self, error: Exception) -> ViewStoreFailed:
        self._failed = True
        return ViewStoreFailed(f"the witness cannot use {self._file}: {error}")


class _PastHistories:
    """The histories that a service ever had: asked for one by one, not read."""

    def __init__(self, store: ViewStore, service: str) -> None:
        self._store = store
        self._service = service

    def __contains__(self, history: object) -> bool:
        return self._store.has_had(self._service, str(history))


def _checksum(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
