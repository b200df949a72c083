"""The journal in SQLite, and the state machine's tables beside it, in one transaction.

Rule 1: the first change opens a transaction; `commit` ends it, durably.  There is never more than one.
Rule 2: every entry is applied when it is journalled and undone when it is removed, so the state is
        always what the journal adds up to.
Rule 3: this room keeps; it never decides.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import apsw

from bankrmi.errors import BrokenInvariant, ConfigurationError
from bankrmi.replication.entry import CANCELLED, DIGEST_BYTES, Entry, Position, Scalar, chained, size_of
from bankrmi.replication.journal import Adopted
from bankrmi.storage.database import BEFORE_REPLACING, DiskFailed, private_opener, sync_directory
from bankrmi.storage.place import Place
from bankrmi.storage.state_machine import StateMachine
from bankrmi.storage.write_ahead_log import WriteAheadLog

__all__ = ["SqliteJournal"]

FORMAT = 1
"""Of the tables below; a file of another format is refused."""

_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
    action_id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    session TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    place INTEGER NOT NULL,
    operation BLOB NOT NULL,
    status TEXT NOT NULL,
    result ANY,
    time_us INTEGER NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX request ON journal (session, sequence) WHERE place = 0;
"""

_EMPTY = Position(0, 0, b"")
_INSERT = "INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?,?)"


class SqliteJournal:
    """One server's durable state (see `replication.journal.Journal`)."""

    def __init__(
        self,
        database: apsw.Connection,
        machine: StateMachine,
        *,
        new_incarnation: Callable[[], str],
        rolled_back_to: Path | None = None,
        place: Place | None = None,
    ) -> None:
        """Use a database; `rolled_back_to` is the folder for the record of what is rolled back.

        `place` knows whether the database still is where it was; without, nobody looks.
        """
        self._database = database
        self._log = WriteAheadLog(database)
        self._place = place
        self._failed = False
        self._closed = False
        self._notes: dict[str, str] = {}
        self._machine = machine
        self._rolled_back_to = rolled_back_to
        self._open_transaction = False
        self._execute = database.execute
        if not self._execute("SELECT 1 FROM sqlite_schema WHERE name = 'about'").get:
            self._begin()
            self._execute(_TABLES)
            self._set(format=FORMAT, incarnation=new_incarnation())
            machine.attach(database)
            self.commit()
        else:
            machine.attach(database)
        self._load()

    def _load(self) -> None:
        about = dict(self._execute("SELECT name, value FROM about"))
        if about.get("format") != FORMAT:
            raise ConfigurationError(
                f"the database is of format {about.get('format')}, this version reads format {FORMAT}: "
                f"run the version that wrote it; or {BEFORE_REPLACING}"
            )
        self._incarnation = str(about["incarnation"])
        self._opening = Position(0, 0, about["opening"]) if "opening" in about else None
        self._adopted = Adopted(**json.loads(about["adopted"])) if "adopted" in about else None
        newest = self._execute(
            "SELECT action_id, epoch, digest FROM journal ORDER BY action_id DESC LIMIT 1"
        ).get
        self._tip = Position._make(newest) if newest else self._opening or _EMPTY

    def _set(self, **values: Any) -> None:
        self._database.executemany("INSERT OR REPLACE INTO about VALUES (?,?)", values.items())

    # -- transactions ----------------------------------------------------------------------------

    def _begin(self) -> None:
        if not self._open_transaction:
            self._open_transaction = True
            self._execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make everything written since the last commit durable.

        Raises DiskFailed if it may not be: then nothing is known, and the process has to stop (F1). So it is
        if what was written is no longer where the next process will look for it.
        """
        if not self._open_transaction:
            return
        try:
            self._machine.flush()
            if self._notes:
                self._set(**self._notes)
            self._execute("COMMIT")
        except apsw.Error as error:
            self._failed = True
            raise DiskFailed(f"the disk refused a commit: {error}") from error
        self._open_transaction = False
        self._notes.clear()
        if self._place is not None:
            self._place.check()
        self._log.keep_under_ceiling()

    def tend(self) -> None:
        """Look after the disk, every now and then, between groups: its place, and the length of its log.

        Raises DiskFailed, after which the process has to stop (F1).
        """
        if self._place is not None:
            self._place.check()
        if not self._open_transaction and not self._failed:
            self._log.bring_in_if_due()

    def shrink(self) -> None:
        """Give up the memory for pages that were read; they are read again when they are needed."""
        if not self._open_transaction and not self._failed:
            self._database.pragma("shrink_memory")

    def discard(self) -> None:
        """Forget everything written since the last commit, as a crash would."""
        if self._open_transaction:
            self._execute("ROLLBACK")
            self._open_transaction = False
        self._machine.forget()
        self._load()

    def copied_to(self, target: apsw.Connection) -> apsw.Connection:
        """Copy the committed database, in one go, into an empty one; return that."""
        with target.backup("main", self._database, "main") as backup:
            backup.step()
        return target

    @property
    def database(self) -> apsw.Connection:
        """The connection, for whoever copies the database."""
        return self._database

    @property
    def machine(self) -> StateMachine:
        """What is replicated, in the state of this journal."""
        return self._machine

    def export(self) -> Iterable[tuple[Any, ...]]:
        """Return the state machine's whole state, in a fixed order."""
        return self._machine.export()

    def close(self) -> None:
        """Close the database; what was not committed is gone.  Raises DiskFailed.

        After a failure the log stays beside the database, for the next process to bring in.
        """
        if self._closed:
            return
        self._closed = True
        if not self._failed:
            if self._open_transaction:
                self._execute("ROLLBACK")
                self._open_transaction = False
            if self._notes:
                self._machine.forget()
                self._begin()
                self.commit()
            self._log.finish()
        self._database.close()

    # -- what this copy is -----------------------------------------------------------------------

    @property
    def incarnation(self) -> str:
        """Id of this disk."""
        return self._incarnation

    @property
    def adopted(self) -> Adopted | None:
        """The newest epoch adopted, or None while this copy is empty."""
        return self._adopted

    @property
    def tip(self) -> Position:
        """The newest entry."""
        return self._tip

    @property
    def size_bytes(self) -> int:
        """How large the database is."""
        pages: int = self._database.pragma("page_count")
        size: int = self._database.pragma("page_size")
        return pages * size

    @property
    def opened_with(self) -> bytes | None:
        """Identifies the opening state; None while this copy is empty."""
        opened_with: bytes | None = self._execute("SELECT value FROM about WHERE name = 'opened_with'").get
        return opened_with

    def noted(self, name: str) -> str | None:
        """Return what was noted under this name; None if nothing was."""
        noted: str | None = (
            self._notes.get(f"note:{name}")
            or self._execute("SELECT value FROM about WHERE name = ?", (f"note:{name}",)).get
        )
        return noted

    def note(self, name: str, text: str) -> None:
        """Keep what is no part of the copy, and whose loss does no harm, from the next commit on."""
        self._notes[f"note:{name}"] = text

    def open(self, adopted: Adopted) -> None:
        """Write the opening state, its history and its first epoch (rule V9)."""
        if self._opening is not None:
            raise BrokenInvariant("this copy was opened before")
        self._begin()
        identity = self._machine.open()
        digest = hashlib.blake2b(
            adopted.history.encode() + b"\0" + identity, digest_size=DIGEST_BYTES
        ).digest()
        self._set(opening=digest, opened_with=identity)
        self._opening = self._tip = Position(0, 0, digest)
        self.adopt(adopted)

    def adopt(self, adopted: Adopted) -> None:
        """Write a newer epoch, or a new history of the same journal."""
        if self._adopted is not None and adopted.epoch < self._adopted.epoch:
            raise BrokenInvariant(f"cannot go back from epoch {self._adopted.epoch} to {adopted.epoch}")
        self._begin()
        self._set(
            adopted=json.dumps(
                {
                    "history": adopted.history,
                    "epoch": adopted.epoch,
                    "primary": adopted.primary,
                    "start_id": adopted.start_id,
                    "granted_ms": adopted.granted_ms,
                }
            )
        )
        self._adopted = adopted

    def make_own(self, incarnation: str, adopted: Adopted) -> None:
        """Make a copied database this server's: an incarnation of its own (V8), and an adopted epoch.

        The copied epoch stays if it is newer: adopting more than one knows of is always safe. And if it is of
        another history: the copy shows which one its source is of, a view may be out of date. What was
        granted is this server's in any case: the source's leases bind the source.
        """
        self._begin()
        self._set(incarnation=incarnation)
        self._incarnation = incarnation
        copied = self._adopted
        if copied is None or (copied.history == adopted.history and adopted.epoch >= copied.epoch):
            self.adopt(adopted)
        else:
            self.adopt(replace(copied, granted_ms=adopted.granted_ms))

    # -- reading ---------------------------------------------------------------------------------

    def position(self, action_id: int) -> Position | None:
        """Return where the entry `action_id` stands; 0 is the opening state."""
        if action_id == self._tip.action_id:
            return self._tip if self._opening is not None else None
        if action_id == 0:
            return self._opening
        found = self._execute("SELECT epoch, digest FROM journal WHERE action_id = ?", (action_id,)).get
        return Position(action_id, *found) if found else None

    def entries(self, after: int, limit: int, *, at_most_bytes: int | None = None) -> list[Entry]:
        """Return about `limit` entries above `after`, fewer if they are long; to a request's end (A4)."""
        entries = self._range(after + 1, after + limit)
        if at_most_bytes is not None:
            sizes = accumulate(map(size_of, entries))
            del entries[1 + bisect_left(list(sizes), at_most_bytes) :]
        if entries:
            entries += self._range(entries[-1].action_id + 1, self._end_of_request(entries[-1].action_id))
        return entries

    def _range(self, first: int, last: int) -> list[Entry]:
        rows = self._execute(
            "SELECT * FROM journal WHERE action_id BETWEEN ? AND ? ORDER BY action_id", (first, last)
        )
        return list(map(Entry._make, rows))

    def _end_of_request(self, action_id: int) -> int:
        """Return the last action id of this entry's request: the next request begins at place 0."""
        following: int | None = self._execute(
            "SELECT action_id FROM journal NOT INDEXED"
            " WHERE action_id > ? AND place = 0 ORDER BY action_id LIMIT 1",
            (action_id,),
        ).get
        return self._tip.action_id if following is None else following - 1

    def newest(self, session: str) -> int | None:
        """Return the sequence number of the newest request of a session."""
        newest: int | None = self._execute(
            "SELECT max(sequence) FROM journal WHERE place = 0 AND session = ?", (session,)
        ).get
        return newest

    def recorded(self, session: str, sequence: int) -> list[Entry]:
        """Return the entries of a request; empty if it is not in the journal."""
        first = self._execute(
            "SELECT action_id FROM journal WHERE place = 0 AND session = ? AND sequence = ?",
            (session, sequence),
        ).get
        return self._range(first, self._end_of_request(first)) if first else []

    def read(self, query: Any) -> Any:
        """Ask the state machine."""
        return self._machine.read(query)

    # -- writing ---------------------------------------------------------------------------------

    def decide(
        self, epoch: int, request: tuple[str, int], operations: Sequence[bytes], time_us: int
    ) -> list[Entry]:
        """Apply a new request and journal what became of each of its operations."""
        self._begin()
        apply = self._machine.apply
        tip, entries = self._tip, []
        for place, operation in enumerate(operations):
            status, result = apply(operation)
            entry = chained(tip, epoch, request, place, (operation, status, result), time_us)
            entries.append(entry)
            tip = entry.position
        self._insert(entries)
        return entries

    def cancel(self, epoch: int, request: tuple[str, int], time_us: int) -> list[Entry]:
        """Journal that this request never happens (rule O4): one entry for all its operations."""
        self._begin()
        entry = chained(self._tip, epoch, request, 0, (b"", CANCELLED, None), time_us)
        self._insert([entry])
        return [entry]

    def append(self, entries: Sequence[Entry]) -> None:
        """Apply entries decided elsewhere; raise BrokenInvariant if they come out differently here."""
        self._begin()
        apply = self._machine.apply
        tip = self._tip
        for entry in entries:
            if entry.status != CANCELLED and apply(entry.operation) != (entry.status, entry.result):
                raise BrokenInvariant(f"the entry at action id {entry.action_id} comes out differently here")
            request = (entry.session, entry.sequence)
            decided: tuple[bytes, str, Scalar] = (entry.operation, entry.status, entry.result)
            if chained(tip, entry.epoch, request, entry.place, decided, entry.time_us) != entry:
                raise BrokenInvariant(
                    f"the entry at action id {entry.action_id} does not follow from the one before"
                )
            tip = entry.position
        self._insert(entries)

    def _insert(self, entries: Sequence[Entry]) -> None:
        if len(entries) == 1:
            self._execute(_INSERT, entries[0])
        else:
            self._database.executemany(_INSERT, entries)
        self._tip = entries[-1].position

    def roll_back(self, to: int) -> list[Entry]:
        """Undo every entry above action id `to`, newest first; keep a record of them beside the database."""
        removed = [
            Entry._make(row)
            for row in self._execute("SELECT * FROM journal WHERE action_id > ? ORDER BY action_id", (to,))
        ]
        if not removed:
            return []
        self._record(removed)
        self._begin()
        for entry in reversed(removed):
            if entry.status != CANCELLED:
                self._machine.undo(entry.operation, entry.status, entry.result)
        self._execute("DELETE FROM journal WHERE action_id > ?", (to,))
        self._tip = self._opening or _EMPTY
        if to:
            position = self._execute(
                "SELECT action_id, epoch, digest FROM journal WHERE action_id = ?", (to,)
            ).get
            self._tip = Position._make(position)
        return removed

    def _record(self, removed: Sequence[Entry]) -> None:
        """Write what is rolled back to `rolled-back-<epoch>.jsonl`, for whoever has to explain it."""
        if self._rolled_back_to is None:
            return
        path = self._rolled_back_to / f"rolled-back-{removed[0].epoch}.jsonl"
        try:
            with open(path, "a", encoding="utf-8", opener=private_opener) as file:
                for entry in removed:
                    file.write(json.dumps(self._in_words(entry)) + "\n")
                file.flush()
                os.fsync(file.fileno())
            sync_directory(path.parent)
        except OSError as error:
            raise DiskFailed(f"the disk refused the record of what is rolled back: {error}") from error

    def _in_words(self, entry: Entry) -> dict[str, Any]:
        what = self._machine.describe(entry.operation) if entry.operation else {}
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.time_us // 1_000_000))
        return {
            "action_id": entry.action_id,
            "epoch": entry.epoch,
            "request_id": f"{entry.session}:{entry.sequence}",
            "place": entry.place,
            **what,
            "status": entry.status,
            "result": entry.result,
            "time": when,
            "digest": entry.digest.hex(),
        }
