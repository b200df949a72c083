"""The records of one database, by their action ids.

Rule 1: what is asked and what is written is all that there is here; what follows from it is the journal's.
Rule 2: what is inserted is written together, by one statement: with `flush`, or before anything is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import apsw

from bankrmi.replication.record import Position, Record
from bankrmi.storage.tables import INSERT_RECORD

__all__ = ["RecordTable"]

_POSITIONS = "SELECT action_id, epoch, digest FROM journal"


class RecordTable:
    """A position is where the journal stands after a record."""

    def __init__(self, database: apsw.Connection) -> None:
        self._database = database
        self._unwritten: list[Record] = []

    def _execute(self, statement: str, values: tuple[object, ...] = ()) -> apsw.Cursor:
        if self._unwritten:
            self.flush()
        return self._database.execute(statement, values)

    def newest(self) -> Position | None:
        """Return the position after the newest record, None if there is none."""
        return _position(self._execute(f"{_POSITIONS} ORDER BY action_id DESC LIMIT 1").get)

    def at(self, action_id: int) -> Position | None:
        """Return the position after the record that ends at this operation; None if none does."""
        return _position(self._execute(f"{_POSITIONS} WHERE action_id = ?", (action_id,)).get)

    def before(self, action_id: int) -> Position | None:
        """Return the position after the newest record that ends below; None if none does."""
        below = f"{_POSITIONS} WHERE action_id < ? ORDER BY action_id DESC LIMIT 1"
        return _position(self._execute(below, (action_id,)).get)

    def holding(self, action_id: int) -> Position | None:
        """Return the position after the record that holds this operation; None if none does."""
        from_there = f"{_POSITIONS} WHERE action_id >= ? ORDER BY action_id LIMIT 1"
        return _position(self._execute(from_there, (action_id,)).get)

    def record(self, action_id: int) -> Record:
        """Return the record that ends at this operation; there is one."""
        [row] = self._execute("SELECT * FROM journal WHERE action_id = ?", (action_id,))
        return Record._make(row)

    def time_us(self, action_id: int) -> int | None:
        """Return when the record that ends at this operation was decided; None if none does."""
        told: int | None = self._execute("SELECT time_us FROM journal WHERE action_id = ?", (action_id,)).get
        return told

    def above(self, action_id: int, at_most: int = -1) -> Iterator[Record]:
        """Give the records that end above, the oldest first."""
        rows = self._execute(
            "SELECT * FROM journal WHERE action_id > ? ORDER BY action_id LIMIT ?", (action_id, at_most)
        )
        return map(Record._make, rows)

    def insert(self, records: Sequence[Record]) -> None:
        """Have records written that follow one another."""
        self._unwritten += records

    def flush(self) -> None:
        """Write what was inserted; to be called before the transaction ends."""
        records, self._unwritten = self._unwritten, []
        if records:
            self._database.executemany(INSERT_RECORD, records)

    def discard(self) -> None:
        """Forget what was inserted since the transaction began."""
        self._unwritten.clear()

    def delete_up_to(self, action_id: int) -> None:
        """Remove the records that do not end above."""
        self._execute("DELETE FROM journal WHERE action_id <= ?", (action_id,))

    def delete_above(self, action_id: int) -> None:
        """Remove the records that end above."""
        self._execute("DELETE FROM journal WHERE action_id > ?", (action_id,))


def _position(row: tuple[int, int, bytes] | None) -> Position | None:
    return Position._make(row) if row else None
