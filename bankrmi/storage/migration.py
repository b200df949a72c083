"""How the tables of a format become those of the next one, up to the present (see `tables`).

Rule 1: a step is one transaction, when the database is opened: a crash leaves what was before it, whole.
Rule 2: what comes out depends on the journal alone, so that all copies of a bank come out the same, digests
        included, whichever is migrated first.
Rule 3: there is no way back, and no guess: what a newer version wrote is refused, and left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby, islice
from typing import Any

import apsw
import msgpack

from bankrmi.errors import ConfigurationError
from bankrmi.replication.record import CANCELLED, DONE, Position, Record, chained, packed
from bankrmi.storage.database import BEFORE_REPLACING
from bankrmi.storage.tables import FORMAT, INSERT_RECORD, INSERT_REQUEST, NEWEST_FORMAT, TABLES

__all__ = ["migrate", "waits_for_migration"]

_AT_ONCE = 1000
_JOURNAL_AND_REQUESTS = TABLES[TABLES.index("CREATE TABLE journal") :]


def waits_for_migration(database: apsw.Connection) -> int:
    """Return how many operations are to be brought into the present format; a second for some 10 000."""
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'about'").get:
        return 0
    if _format_of(database) not in _STEPS:
        return 0
    count: int = database.execute("SELECT count(*) FROM journal").get
    return count


def migrate(database: apsw.Connection) -> None:
    """Make this a database of the present format.

    Raises ConfigurationError if it is of a format that this version does not know.
    """
    while (found := _format_of(database)) not in (FORMAT, NEWEST_FORMAT):
        if found not in _STEPS:
            raise ConfigurationError(
                f"the database is of format {found}, this version reads formats {min(_STEPS)} to "
                f"{NEWEST_FORMAT}: run the version that wrote it; or {BEFORE_REPLACING}"
            )
        _in_one_transaction(database, found)


def _format_of(database: apsw.Connection) -> Any:
    return database.execute("SELECT value FROM about WHERE name = 'format'").get


def _in_one_transaction(database: apsw.Connection, found: int) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        _STEPS[found](database)
        database.execute("UPDATE about SET value = ? WHERE name = 'format'", (found + 1,))
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # SQLite has rolled it back by itself if the disk is full.
            database.execute("ROLLBACK")
        raise


def _from_format_1(database: apsw.Connection) -> None:
    database.execute("DROP INDEX request; ALTER TABLE journal RENAME TO journal_1")
    database.execute(_JOURNAL_AND_REQUESTS)
    opening: bytes = database.execute("SELECT value FROM about WHERE name = 'opening'").get or b""
    tip = Position(0, 0, opening)
    rows = database.execute("SELECT * FROM journal_1 ORDER BY action_id")
    for piece in _pieces(_chained(tip, rows)):
        database.executemany(INSERT_RECORD, piece)
        database.executemany(INSERT_REQUEST, [(*record.request, record.action_id) for record in piece])
        tip = piece[-1].position
    database.execute("DROP TABLE journal_1")
    database.execute("INSERT OR REPLACE INTO about VALUES ('written_to',?)", (tip.action_id,))


def _pieces(records: Iterator[Record]) -> Iterator[list[Record]]:
    while piece := list(islice(records, _AT_ONCE)):
        yield piece


def _chained(tip: Position, rows: Iterable[Any]) -> Iterator[Record]:
    """Return a record for each request of a journal of format 1."""
    for (session, sequence), request in groupby(rows, lambda row: (row[2], row[3])):
        entries = list(request)
        _, epoch, *_, time_us, _ = entries[0]
        operations, outcomes = b"", b""
        if entries[0][6] != CANCELLED:
            operations = packed([msgpack.unpackb(entry[5]) for entry in entries])
            outcomes = packed([entry[7] if entry[6] == DONE else entry[6:8] for entry in entries])
        record = chained(tip, epoch, (session, sequence), (len(entries), operations, outcomes), time_us)
        tip = record.position
        yield record


_STEPS: Mapping[int, Callable[[apsw.Connection], None]] = {1: _from_format_1}
"""What makes the next format of each."""
