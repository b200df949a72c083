"""A backup's file while it is made: records as they come, the accounts beside them, the label at the end.

Rule 1: nobody sees it under its name before it is whole, checked and durable; whatever ends the making takes
        it away.
Rule 2: it is for its owner only.
Rule 3: records are taken only in the order of their digests, from the position on that the draft begins with.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import apsw

from bankrmi.bank.forms import DEPOSIT, SINCE_PROTOCOL
from bankrmi.bank.outcomes import follow
from bankrmi.errors import OperationFailed
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import CANCELLED, Position, Record, entries_of, follows
from bankrmi.storage.about import About
from bankrmi.storage.backup_label import INCREMENT_TABLES, Label, write_label
from bankrmi.storage.copying import sync_copy
from bankrmi.storage.database import DiskFailed, open_database
from bankrmi.storage.folding import Anchor
from bankrmi.storage.kept_sessions import INSERT_SESSION
from bankrmi.storage.record_table import RecordTable
from bankrmi.storage.tables import FORMAT, NEWEST_FORMAT, SESSIONS, TABLES
from bankrmi.verifying.record_check import UNREADABLE

__all__ = ["Beginning", "Draft", "drafted"]

_ACCOUNTS = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT"


class Beginning(Protocol):
    """What a bank opened with, and where its journal begins (None: there)."""

    @property
    def opening(self) -> bytes:
        """The digest of the opening state."""

    @property
    def opened_with(self) -> bytes | None:
        """What identifies it."""

    @property
    def anchor(self) -> Anchor | None:
        """Where the journal is folded to."""


class Draft:
    """One file: open until `finish`."""

    def __init__(self, path: Path, since: Position, *, whole: bool) -> None:
        """Begin a file at `path`, which is not there. Its first record follows `since`."""
        self.path = path
        self.whole = whole
        self.tip = self._since = since
        self._balances: dict[int, int] = {}
        self._needs_protocol = 1
        self._database = open_database(path, as_copy=True)
        self._database.pragma("journal_mode", "off")  # A draft that failed is thrown away.
        # A transaction of its own: the checksum VFS has to see the first page before it takes others.
        self._database.execute(
            f"BEGIN; {TABLES + SESSIONS + _ACCOUNTS if whole else INCREMENT_TABLES}; COMMIT"
        )
        self._database.execute("BEGIN")
        self._records = RecordTable(self._database)

    @property
    def size_bytes(self) -> int:
        """How large the file is by now, about."""
        return int(self._database.pragma("page_count")) * int(self._database.pragma("page_size"))

    def take_accounts(self, accounts: Mapping[int, int]) -> None:
        """Take accounts as they were at some record that is taken later, or is the newest by now."""
        self._balances.update(accounts)

    def take_records(self, records: Sequence[Record]) -> None:
        """Take the next records; raises OperationFailed if they do not follow, or cannot be read."""
        before: Position | Record = self.tip
        for record in records:
            if not follows(record, before):
                raise OperationFailed(
                    f"the record at action id {record.action_id} does not follow from the one before"
                )
            before = record
        if records:
            self._records.insert(records)
            self._records.flush()
            self.tip = records[-1].position
        if self.whole:
            self._note_balances(records)

    def _note_balances(self, records: Sequence[Record]) -> None:
        """An account has what its newest operation left it with, whenever it was looked at."""
        try:
            for entry in entries_of(records):
                if entry.status == CANCELLED:
                    continue
                follow(self._balances, entry)
                if entry.operation[0] > DEPOSIT:
                    self._needs_protocol = SINCE_PROTOCOL
        except UNREADABLE as error:
            raise OperationFailed(
                f"a record up to action id {self.tip.action_id} cannot be read: {error}"
            ) from error

    def take_sessions(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Take what is kept of sessions whose requests are folded."""
        self._database.executemany(INSERT_SESSION, rows)

    def finish(self, label: Label, begins: Beginning, adopted: Adopted) -> None:
        """Write what stands beside the records, and close the file; it is durable then."""
        about = About(self._database)
        about.set(format=FORMAT)
        if self.whole:
            about.set(incarnation="backup", opening=begins.opening, opened_with=begins.opened_with)
            if begins.anchor is not None:
                about.set(anchor=begins.anchor.packed())
                if begins.anchor.position.action_id:
                    about.set(format=NEWEST_FORMAT)
            if self._needs_protocol > 1:
                about.set(format=NEWEST_FORMAT, needs_protocol=self._needs_protocol)
            about.set(written_to=self.tip.action_id)
            about.set_adopted(adopted)
            rows = sorted(self._balances.items())
            self._database.executemany("INSERT INTO accounts VALUES (?,?)", rows)
            self._database.execute("INSERT INTO requests SELECT session, sequence, action_id FROM journal")
        write_label(self._database, label)
        self._database.execute("COMMIT")
        self._database.close()
        sync_copy(self.path)

    def close(self) -> None:
        """Close the file, finished or not."""
        self._database.close(True)


@contextmanager
def drafted(file: Path, since: Position, *, whole: bool) -> Iterator[Draft]:
    """Make a draft beside `file`, which is gone at the end, unless it was renamed by then.

    Raises OperationFailed if the disk does not take it.
    """
    path = file.with_name(f".{secrets.token_hex(4)}.backup.tmp")
    try:
        draft = Draft(path, since, whole=whole)
        try:
            yield draft
        finally:
            draft.close()
    except (apsw.FullError, DiskFailed) as error:
        raise OperationFailed(f"{file.parent} is full ({error}): no backup was written") from error
    except apsw.Error as error:
        raise OperationFailed(f"{path} cannot be written ({error}): no backup was written") from error
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
