"""What one update changed: how to take it back, and a digest to compare copies by (SQLite's session
extension).

Rule 1: what reverses a change is in the database with it, in the same transaction, until it is known that
        nobody takes it back any more.
Rule 2: the digest is over what was in each row before and is after, in a fixed order: equal changes have
        equal digests, whatever the version of SQLite.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import apsw
import msgpack

from bankrmi.errors import BrokenInvariant

__all__ = ["UNDO_TABLE", "Recorder", "changed_tables", "digest_of", "table_at_its_end", "take_back"]

UNDO_TABLE = (
    "CREATE TABLE IF NOT EXISTS service_undo (action_id INTEGER PRIMARY KEY, changes BLOB NOT NULL) STRICT"
)
DIGEST_BYTES = 16

_LARGEST = (1 << 63) - 1
_HAS_NO_ROW_IDS = "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?"
_LARGEST_IN_BYTES = _LARGEST.to_bytes(8, "big")


class Recorder:
    """Records what is changed while it is open."""

    def __init__(self, session: apsw.Session) -> None:
        self._session = session

    @classmethod
    @contextmanager
    def of(cls, database: apsw.Connection) -> Iterator[Recorder]:
        """Record the changes of a database until the context ends."""
        session = apsw.Session(database, "main")
        try:
            session.attach()
            yield cls(session)
        finally:
            session.close()

    def changes(self) -> bytes:
        """Return the changes so far; nothing if there are none."""
        found: bytes = self._session.changeset()
        return found


def digest_of(changes: bytes) -> bytes:
    """Return the digest of changes."""
    if not changes:
        return b""
    told = sorted(
        msgpack.packb((change.name, change.op, _told(change.old), _told(change.new)))
        for change in apsw.Changeset.iter(changes)
    )
    return blake2b(b"".join(told), digest_size=DIGEST_BYTES).digest()


def changed_tables(changes: bytes) -> list[str]:
    """Return the tables that changes are in."""
    return sorted({change.name for change in apsw.Changeset.iter(changes)})


def table_at_its_end(database: apsw.Connection, changes: bytes) -> str | None:
    """Return a table in which a row was given the largest number as its key: SQLite would number the next one
    by chance, and so another way on every copy (https://sqlite.org/autoinc.html).  None if there is none.

    It numbers no row where keys are no row ids.
    """
    if _LARGEST_IN_BYTES not in changes:
        return None
    for change in apsw.Changeset.iter(changes):
        if len(change.pk_columns) == 1 and change.new is not None:
            [key] = change.pk_columns
            if change.new[key] == _LARGEST and not database.execute(_HAS_NO_ROW_IDS, (change.name,)).get:
                return change.name
    return None


def _told(row: Any) -> Any:
    """Return a row, or what of it has changed; what has not is marked."""
    return None if row is None else [[] if value is apsw.no_change else value for value in row]


def take_back(database: apsw.Connection, changes: bytes) -> None:
    """Take changes back, which are the newest that there are; raises BrokenInvariant if they are not."""

    def conflict(reason: int, change: apsw.TableChange) -> int:
        raise BrokenInvariant(f"a change of {change.name} cannot be taken back: conflict {reason}")

    # What triggers and foreign keys did is among the changes, and is not to be done once more.
    database.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    try:
        apsw.Changeset.apply(
            apsw.Changeset.invert(changes),
            database,
            conflict=conflict,
            flags=apsw.SQLITE_CHANGESETAPPLY_FKNOACTION,
        )
    finally:
        database.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 1)
