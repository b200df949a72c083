"""What follows from the journal: the state machine's tables, and the index of requests.

Rule 1: every record is applied once, when it is journalled, and undone when it is removed.
Rule 2: what changed stays in memory and is written every now and then, in one transaction with the action id
        that it is written up to; at a start, the records above that are applied again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from bankrmi.errors import BrokenInvariant, ConfigurationError
from bankrmi.replication.record import Record, packed, unpacked
from bankrmi.storage.database import BEFORE_REPLACING
from bankrmi.storage.request_index import RequestIndex
from bankrmi.storage.state_machine import Moment, StateMachine

__all__ = ["Derived", "WriteBehind"]


@dataclass(frozen=True, slots=True)
class WriteBehind:
    """How far what follows from the journal may lag behind it on the disk.

    It is written at the first commit that finds so many records, or operations, that are not in it. They are
    what a start applies again, and what is kept in memory. 0 writes it at every commit.
    """

    records: int = 512
    operations: int = 32_768


class Derived:
    """All that one journal adds up to."""

    def __init__(self, database: apsw.Connection, machine: StateMachine, behind: WriteBehind) -> None:
        self.machine = machine
        self.requests = RequestIndex(database)
        self.written_to = 0
        """Up to which action id it is on the disk."""
        self._behind = behind
        self._unchanged_since = 0
        self._unwritten_records = self._unwritten_operations = 0
        self._must_write = False

    def load(self, written_to: int, above: Iterable[Record]) -> None:
        """Go on from what is on the disk: apply the records above that again.  Raises ConfigurationError."""
        self.requests.forget()
        self._unwritten_records = self._unwritten_operations = 0
        self._must_write = False  # What is written may hold what was rolled back since.
        self.written_to = self._unchanged_since = written_to
        for record in above:
            try:
                if self.outcomes_of(record) != record.outcomes:
                    raise BrokenInvariant("another outcome")
                self.note(record)
            except BrokenInvariant as error:
                raise ConfigurationError(
                    f"in the database, the state after action id {written_to} does not fit the journal at "
                    f"{record.action_id} ({error}): {BEFORE_REPLACING}"
                ) from error

    # -- applying --------------------------------------------------------------------------------

    def decide(self, operations: bytes, action_id: int, moment: Moment) -> bytes:
        """Apply the packed operations of a new request, which ends at `action_id`; return what came of it."""
        return packed(self.machine.apply(unpacked(operations), action_id, moment))

    def outcomes_of(self, record: Record) -> bytes | None:
        """Apply a record of another copy; return what came of it here, None if it is not what it says."""
        if record.cancelled:
            return b"" if record.operation_count == 1 else None
        try:
            self.machine.check(record.operations)
            operations = unpacked(record.operations)
            if len(operations) != record.operation_count:
                return None
            moment = record.time_us, record.request
            return packed(self.machine.apply(operations, record.action_id, moment, record.outcomes))
        except (ValueError, TypeError, OverflowError) as error:
            raise BrokenInvariant(
                f"the operations at action id {record.first_id} cannot be read: {error}"
            ) from error

    def note(self, record: Record) -> None:
        """This record, which is applied, is in the journal."""
        self.requests.add(record.session, record.sequence, record.action_id)
        self._unwritten_records += 1
        self._unwritten_operations += record.operation_count

    def undo(self, records: Sequence[Record]) -> None:
        """These, the newest, leave the journal; what is left is written with the next commit."""
        for record in reversed(records):
            if not record.cancelled:
                self.machine.undo(unpacked(record.operations), unpacked(record.outcomes), record.first_id - 1)
        self.requests.remove([record.request for record in records])
        self._must_write = True

    def changed_at(self, query: Any) -> int:
        """Return the action id since which the answer is what it is; a later one where none is known."""
        changed_at = self.machine.changed_at(query)
        return self._unchanged_since if changed_at is None else changed_at

    # -- writing ---------------------------------------------------------------------------------

    @property
    def any_unwritten(self) -> bool:
        """Whether a start would have something to apply again."""
        return self._unwritten_records > 0

    @property
    def is_due(self) -> bool:
        """Whether it is to be written with this commit."""
        return (
            self._must_write
            or self._unwritten_records > self._behind.records
            or self._unwritten_operations > self._behind.operations
        )

    def want_written(self) -> None:
        """Have it written with the next commit."""
        self._must_write = True

    def write(self, action_id: int) -> None:
        """Write it as it is after the newest record, in the transaction that is open."""
        try:
            self.machine.flush()
            self.requests.flush()
        except apsw.ConstraintError as error:
            raise BrokenInvariant(
                f"the database has another one of what is to be written: {error}"
            ) from error
        self._unchanged_since, self.written_to = self.written_to, action_id
        self._unwritten_records = self._unwritten_operations = 0
        self._must_write = False
