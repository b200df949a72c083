"""The journal in SQLite, and what it adds up to beside it: the state machine's tables, the index of requests.

Rule 1: the first change opens a transaction; `write` ends it, `sync` makes durable what was written, and
        `commit` does both.  There is never more than one.
Rule 2: every record is applied when it is journalled and undone when it is removed, so the state is
        always what the journal adds up to.
Rule 3: a commit writes the journal. What follows from it is written every now and then (`derived`).
Rule 4: the older end of the journal may be folded, in small transactions of their own (`folding`).
Rule 5: this room keeps; it never decides.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.code_versions import DoneMigration, StateVersion
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import (
    DIGEST_BYTES,
    Position,
    Record,
    chained,
    follows,
    size_of,
)
from bankrmi.replication.sessions import HORIZON
from bankrmi.storage.about import About
from bankrmi.storage.database import DiskFailed
from bankrmi.storage.derived import Derived, WriteBehind
from bankrmi.storage.folding import Anchor, Folding, Keeping
from bankrmi.storage.migration import migrate
from bankrmi.storage.place import Place
from bankrmi.storage.record_table import RecordTable
from bankrmi.storage.remembered import Remembered
from bankrmi.storage.rolled_back import keep_record
from bankrmi.storage.state_machine import StateMachine
from bankrmi.storage.tables import FORMAT, NEWEST_FORMAT, SESSIONS, TABLES
from bankrmi.storage.write_ahead_log import WriteAheadLog

__all__ = ["SqliteJournal", "WriteBehind"]

_EMPTY = Position(0, 0, b"")


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
        behind: WriteBehind | None = None,
        keeping: Keeping | None = None,
    ) -> None:
        """Use a database; `rolled_back_to` is the folder for the record of what is rolled back.

        `place` knows whether the database still is where it was; without, nobody looks. `keeping`: how much
        stays when `fold` is called; without, all of it.
        """
        self._database = database
        self._log = WriteAheadLog(database)
        self._place = place
        self._failed = False
        self._closed = False
        self._about = About(database)
        self._records = RecordTable(database)
        self._derived = Derived(database, machine, behind or WriteBehind())
        self._rolled_back_to = rolled_back_to
        self._open_transaction = False
        self._execute = database.execute
        self._keeping = keeping or Keeping()
        self._folding = Folding(database, self._about, self._records, machine)
        self._remembered = Remembered(self._records, self._derived.requests, self._folding.sessions)
        if not self._execute("SELECT 1 FROM sqlite_schema WHERE name = 'about'").get:
            self._begin()
            self._execute(TABLES + SESSIONS)
            self._about.set(format=FORMAT, incarnation=new_incarnation(), written_to=0)
            machine.attach(database)
            self.commit()
        else:
            migrate(database)
            self._execute(SESSIONS)
            machine.attach(database)
            self._log.write_again()  # A process that was killed may have left what only the kernel holds.
        self._load()
        self._begin_folding()

    def _load(self) -> None:
        about = self._about.everything()
        self._incarnation = str(about["incarnation"])
        self._opening = Position(0, 0, about["opening"]) if "opening" in about else None
        self._adopted = Adopted(**json.loads(about["adopted"])) if "adopted" in about else None
        self._needs_protocol = int(about.get("needs_protocol", 1))
        self._folding.load(about.get("anchor"), about.get("removed_to_ms"))
        self._tip = self._records.newest() or self.anchor
        written_to = int(about["written_to"])
        self._derived.load(written_to, self._records.above(written_to))
        self._remembered.find_horizon()

    # -- transactions ----------------------------------------------------------------------------

    def _begin(self) -> None:
        if not self._open_transaction:
            self._open_transaction = True
            self._execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make everything written since the last commit durable.  Raises DiskFailed (see `write`)."""
        self.write()
        self.sync()
        self.check_place()

    def write(self) -> None:
        """End the transaction: it is whole in the log, and durable when a `sync` that begins now has ended.

        Raises DiskFailed if it may not be: then nothing is known, and the process has to stop (F1).
        """
        if not self._open_transaction:
            return
        if self._failed:
            raise DiskFailed("the disk has failed before")
        try:
            self._log.check_length()
            self._records.flush()
            if self._derived.is_due:
                self._derived.write(self._tip.action_id)
                self._about.set(written_to=self._derived.written_to)
            self._about.write_notes()
            self._execute("COMMIT")
        except apsw.Error as error:
            self._failed = True
            raise DiskFailed(f"the disk refused a commit: {error}") from error
        except (BrokenInvariant, DiskFailed):
            self._failed = True
            raise
        self._open_transaction = False
        self._about.notes_are_written()
        self._log.keep_under_ceiling()
        self._log.lengthen_ahead()

    def sync(self) -> None:
        """Make durable what was written.  Alone of all here it may be called in another thread.

        Raises DiskFailed, after which the process has to stop, and nothing is synced again (F1).
        """
        if self._failed:
            raise DiskFailed("the disk has failed before")
        try:
            self._log.sync()
        except DiskFailed:
            self._failed = True
            raise

    # -- folding ---------------------------------------------------------------------------------

    def _begin_folding(self) -> None:
        """Know what the state at the opening adds up to, before any record of it goes."""
        if self._keeping.folds and self._folding.anchor is None and self._opening is not None:
            assert self._adopted is not None
            self._folding.begin(self._opening, self._adopted.history, within=self._apart)

    def fold(self, up_to: int, now_us: int) -> bool:
        """Make the journal shorter, and give back space, by one small step; return whether that did anything.

        `up_to` is the newest action id that is known to be acknowledged, and is needed by nobody. What is
        written is durable with the next commit.  Raises DiskFailed.
        """
        if self._open_transaction or self._failed or self._adopted is None:
            return False
        horizon = self._remembered.horizon
        return self._folding.step(
            self._keeping,
            min(up_to, self._derived.written_to, self._tip.action_id - 1),
            tip=self._tip.action_id,
            history=self._adopted.history,
            horizon_ms=horizon.ms if horizon.action_id <= up_to else 0,
            now_us=now_us,
            within=self._apart,
        )

    def _apart(self, change: Callable[[], None]) -> None:
        """Write something in a transaction of its own.  Raises DiskFailed."""
        try:
            self._log.check_length()
            self._execute("BEGIN IMMEDIATE")
            change()
            self._execute("COMMIT")
        except apsw.Error as error:
            self._failed = True
            raise DiskFailed(f"the disk refused to have the journal folded: {error}") from error
        except Exception:
            self._failed = True  # The transaction is open, and half done: nothing may be written after it.
            raise
        self._log.keep_under_ceiling()

    @property
    def format(self) -> int:
        """Of the tables: whoever gets a copy has to know it."""
        return NEWEST_FORMAT if self.anchor.action_id or self._needs_protocol > 1 else FORMAT

    @property
    def needs_protocol(self) -> int:
        """The oldest version of the protocol that knows all that this journal holds, or ever held."""
        return self._needs_protocol

    def protocol_of(self, operations: bytes) -> int:
        """Return the oldest version of the protocol that knows these packed operations."""
        return self._derived.machine.protocol_of(operations)

    @property
    def anchored(self) -> Anchor | None:
        """Where the journal begins, and what is known of the state there; None where it is kept whole."""
        return self._folding.anchor

    def kept_sessions(self, after: str, limit: int, *, at_most_bytes: int) -> list[tuple[Any, ...]]:
        """Return what is kept of folded sessions, in their order, of some of those after `after`."""
        return self._folding.sessions.rows(after, limit, at_most_bytes)

    @property
    def opening(self) -> bytes | None:
        """The digest of the opening state; None while this copy is empty."""
        return None if self._opening is None else self._opening.digest

    def keep_over(self) -> None:
        """Have the sessions stay over that are, though the journal will be rolled back to before the horizon:
        of some of them nothing may be known here any more."""
        if self._folding.anchor is not None and self._remembered.horizon.ms:
            self._begin()
            self._folding.keep_over(self._remembered.horizon.ms)

    def wanted_horizon(self, now_us: int) -> int | None:
        """Return up to which beginning, in milliseconds, sessions may be over by now; None: as before."""
        return self._folding.wanted_horizon(self._keeping, self._remembered.horizon.ms, now_us)

    def check_place(self) -> None:
        """Raise DiskFailed if what was written is no longer where the next process will look for it (F1)."""
        if self._place is not None:
            self._place.check()

    def tend(self) -> None:
        """Look after the disk, every now and then, between groups: its place, and the length of its log.

        Raises DiskFailed, after which the process has to stop (F1).
        """
        self.check_place()
        self._log.check_length()
        if not self._open_transaction and not self._failed:
            self._log.bring_in_if_due()

    def shrink(self) -> None:
        """Give up the memory for pages that were read; they are read again when they are needed."""
        if not self._open_transaction and not self._failed:
            self._database.pragma("shrink_memory")

    def discard(self) -> None:
        """Forget everything written since the last commit, as a crash would."""
        if self._open_transaction:
            if self._database.in_transaction:  # SQLite has rolled it back by itself if the disk is full.
                self._execute("ROLLBACK")
            self._records.discard()
            self._open_transaction = False
            self._derived.machine.forget()
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
        return self._derived.machine

    def export(self) -> Iterable[tuple[Any, ...]]:
        """Return the state machine's whole state, in a fixed order."""
        return self._derived.machine.export()

    def close(self, *, writes: bool = True) -> None:
        """Close the database; what was not committed is gone.  Raises DiskFailed.

        What follows from the journal is written before, unless nobody will start from this database soon
        (not `writes`). After a failure the log stays beside the database, for the next process to bring in.
        """
        if self._closed:
            return
        self._closed = True
        if self._open_transaction and not self._database.in_transaction:
            self._failed = True  # SQLite gave it up: the disk was full, or failed, before there was a commit.
        if not self._failed:
            self.discard()
            if writes and (self._about.has_notes or self._derived.any_unwritten):
                self._begin()
                self._derived.want_written()
                self.commit()
            self._log.finish()
        self._log.close()
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
    def anchor(self) -> Position:
        """Where the journal begins: the newest record that was folded, or else the opening state."""
        anchor = self._folding.anchor
        return anchor.position if anchor is not None else self._opening or _EMPTY

    @property
    def version(self) -> StateVersion:
        """Of the state, after the newest record."""
        return self._derived.machine.version

    @property
    def goes_back_to(self) -> int:
        """The oldest action id that it can be rolled back to: the anchor's, or a later one."""
        return max(self.anchor.action_id, self._derived.machine.goes_back_to)

    def version_at(self, action_id: int) -> StateVersion:
        """Return the version of the state after the record that ends there, or holds it."""
        return self._derived.machine.version_at(action_id)

    def migrations_since(self, action_id: int) -> Sequence[DoneMigration]:
        """Return the migrations that were done after that, in their order."""
        return self._derived.machine.migrations_since(action_id)

    @property
    def size_bytes(self) -> int:
        """How large the database is."""
        pages: int = self._database.pragma("page_count")
        size: int = self._database.pragma("page_size")
        return pages * size

    @property
    def opened_with(self) -> bytes | None:
        """Identifies the opening state; None while this copy is empty."""
        opened_with: bytes | None = self._about.get("opened_with")
        return opened_with

    def noted(self, name: str) -> str | None:
        """Return what was noted under this name; None if nothing was."""
        return self._about.noted(name)

    def note(self, name: str, text: str) -> None:
        """Keep what is no part of the copy, and whose loss does no harm, from the next commit on."""
        self._about.note(name, text)

    def open(self, adopted: Adopted) -> None:
        """Write the opening state, its history and its first epoch (rule V9)."""
        if self._opening is not None:
            raise BrokenInvariant("this copy was opened before")
        self._begin()
        identity = self._derived.machine.open()
        digest = hashlib.blake2b(
            adopted.history.encode() + b"\0" + identity, digest_size=DIGEST_BYTES
        ).digest()
        self._about.set(opening=digest, opened_with=identity)
        self._opening = self._tip = Position(0, 0, digest)
        self.adopt(adopted)
        if self._keeping.folds:
            self._folding.begin(self._opening, adopted.history)

    def adopt(self, adopted: Adopted) -> None:
        """Write a newer epoch, or a new history of the same journal."""
        if self._adopted is not None and adopted.epoch < self._adopted.epoch:
            raise BrokenInvariant(f"cannot go back from epoch {self._adopted.epoch} to {adopted.epoch}")
        self._begin()
        self._about.set_adopted(adopted)
        self._adopted = adopted

    def make_own(self, incarnation: str, adopted: Adopted) -> None:
        """Make a copied database this server's: an incarnation of its own (V8), and an adopted epoch.

        The copied epoch stays if it is newer: adopting more than one knows of is always safe. And if it is of
        another history: the copy shows which one its source is of, a view may be out of date. What was
        granted is this server's in any case: the source's leases bind the source.
        """
        self._begin()
        self._about.set(incarnation=incarnation)
        self._incarnation = incarnation
        copied = self._adopted
        if copied is None or (copied.history == adopted.history and adopted.epoch >= copied.epoch):
            self.adopt(adopted)
        else:
            self.adopt(replace(copied, granted_ms=adopted.granted_ms))

    # -- reading ---------------------------------------------------------------------------------

    def position(self, action_id: int) -> Position | None:
        """Return where the journal stands after the record that ends at `action_id`, or at its anchor.

        None if no record ends there, or none that is kept.
        """
        if action_id == self._tip.action_id:
            return self._tip if self._opening is not None else None
        if action_id == self.anchor.action_id:
            return self.anchor if self._opening is not None else None
        if action_id > self._tip.action_id:
            return None
        return self._records.at(action_id)

    def before(self, action_id: int) -> Position | None:
        """Return where the journal stands after the newest record that ends below `action_id`.

        That is the anchor if there is none; None while this copy is empty, and below the anchor.
        """
        if action_id > self._tip.action_id:
            return self.position(self._tip.action_id)
        if action_id <= self.anchor.action_id or self._opening is None:
            return None
        return self._records.before(action_id) or self.anchor

    def holding(self, action_id: int) -> Position | None:
        """Return where the journal stands after the record that holds this operation; None if none does."""
        return self._records.holding(action_id) if action_id > self.anchor.action_id else None

    def decided_us(self, action_id: int) -> int | None:
        """Return when the record that ends there was decided, by its primary's clock; None if none does."""
        return self._records.time_us(action_id)

    def records(self, after: int, limit: int, *, at_most_bytes: int | None = None) -> list[Record]:
        """Return the records above `after` that hold about `limit` operations, fewer if they are long."""
        records: list[Record] = []
        operations = size_bytes = 0
        for record in self._records.above(after, limit):
            records.append(record)
            operations += record.operation_count
            size_bytes += size_of(record)
            if operations >= limit or (at_most_bytes is not None and size_bytes >= at_most_bytes):
                break
        return records

    def newest(self, session: str) -> int | None:
        """Return the sequence number of the newest request of a session."""
        return self._derived.requests.newest(session)

    def recorded(self, session: str, sequence: int) -> Record | None:
        """Return the record of a request; None if it is not in the journal, nor kept beside it."""
        return self._remembered.recorded(session, sequence)

    def over(self, session: str) -> int | None:
        """Return the action id by which a session is over (that of the horizon); None if it is not."""
        return self._remembered.over(session)

    @property
    def lacks_horizon(self) -> bool:
        """Whether sessions may have been removed here by a horizon that was taken back since."""
        return self._remembered.lacks_horizon

    def may_have_been_removed(self, session: str) -> bool:
        """Whether this may be one of them, so that nobody can tell here whether a request of it is new."""
        return self._remembered.may_have_been_removed(session)

    def forgotten(self, session: str, sequence: int) -> int | None:
        """Return the action id by which a request without a record is too old to be known; None if it is not.

        Its session is over (that of the horizon), or a newer one of its session is folded, or what came of it
        is kept no longer (that one's).
        """
        return self._remembered.forgotten(session, sequence)

    def read(self, query: Any) -> Any:
        """Ask the state machine."""
        return self._derived.machine.read(query)

    def changed_at(self, query: Any) -> int:
        """Return the action id since which the answer is what it is; a later one where none is known (R4)."""
        changed_at = self._derived.changed_at(query)
        return min(changed_at, self._tip.action_id)  # What was after that is rolled back.

    # -- writing ---------------------------------------------------------------------------------

    def decide(
        self, epoch: int, request: tuple[str, int], count: int, operations: bytes, time_us: int
    ) -> Record:
        """Apply a new request of `count` packed operations, and journal what became of them."""
        if self._derived.machine.own_transactions:
            self.write()
        self._begin()
        outcomes = self._derived.decide(operations, self._tip.action_id + count, (time_us, request))
        record = chained(self._tip, epoch, request, (count, operations, outcomes), time_us)
        self._insert([record])
        return record

    def cancel(self, epoch: int, request: tuple[str, int], time_us: int) -> Record:
        """Journal that this request never happens (rule O4): one operation, whatever it would have been."""
        self._begin()
        record = chained(self._tip, epoch, request, (1, b"", b""), time_us)
        self._insert([record])
        return record

    def append(self, records: Sequence[Record]) -> None:
        """Apply what was decided elsewhere; raise BrokenInvariant if it comes out differently here."""
        self._begin()
        before: Position | Record = self._tip
        self._derived.requests.check([record.request for record in records])
        for record in records:
            if self._derived.outcomes_of(record) != record.outcomes:
                raise BrokenInvariant(
                    f"the request at action id {record.first_id} comes out differently here"
                )
            if not follows(record, before):
                raise BrokenInvariant(
                    f"the record at action id {record.action_id} does not follow from the one before"
                )
            before = record
        self._insert(records)

    def _insert(self, records: Sequence[Record]) -> None:
        self._records.insert(records)
        for record in records:
            self._derived.note(record)
            if record.session == HORIZON:
                self._remembered.note_horizon(record)
        self._tip = records[-1].position
        if self._derived.machine.needs_protocol > self._needs_protocol:
            self._note_needs()

    def _note_needs(self) -> None:
        """In the transaction of the first record that an older version does not know: it will not open this.

        It stays so, whatever becomes of that record.
        """
        self._needs_protocol = self._derived.machine.needs_protocol
        self._about.set(format=NEWEST_FORMAT, needs_protocol=self._needs_protocol)

    def roll_back(self, to: int) -> list[Record]:
        """Undo every record that ends above action id `to`, newest first; return them, oldest first.

        A record of them is kept beside the database.
        """
        if to < self.goes_back_to:
            raise BrokenInvariant(
                f"what was acknowledged is to be rolled back to action id {to}: the journal goes back to "
                f"{self.goes_back_to}"
            )
        removed = list(self._records.above(to))
        if not removed:
            return []
        if self._rolled_back_to is not None:
            keep_record(removed, self._rolled_back_to, self._derived.machine)
        self._begin()
        self._derived.undo(removed)
        self._records.delete_above(to)
        self._tip = self._records.newest() or self.anchor
        self._remembered.find_horizon()
        return removed
