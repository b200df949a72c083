"""The journal at the end, replayed with the model: is it sound in itself, and what did it come to?

Rule 1: whether it is sound, `verifying.record_check` says.
Rule 2: what is kept for the verdict is small: a journal has millions of entries.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from bankrmi.replication.record import CANCELLED, Entry, Position, Record, Scalar
from bankrmi.robustness.checker.history import RequestId
from bankrmi.robustness.checker.sentences import Violations
from bankrmi.verifying.model import Model
from bankrmi.verifying.record_check import UNREADABLE, RecordCheck

__all__ = ["Replay"]


_NOT_READ = "not read"


class Replay:
    """What every request and every read should have been told.  Give it all records, then `finish`."""

    def __init__(self, opening: Position, model: Model, violations: Violations) -> None:
        self.operations: list[Any] = []
        self.requests: dict[RequestId, int] = {}
        """Where each request begins."""
        self._statuses: list[str] = []
        self._results: list[Scalar] = []
        self._ends = bytearray(b"\1")  # By action id: does a request end here?
        self._model = model
        self._opening = dict(model.values)
        self._changes: dict[Any, tuple[array[int], list[Any]]] = {}
        self._totals: tuple[array[int], list[int]] = (array("q", [0]), [_sum(model.values.values())])
        self._check = RecordCheck(opening, model, violations.add)
        self._same: dict[Any, Any] = {}

    # -- what it came to -------------------------------------------------------------------------

    @property
    def newest_action_id(self) -> int:
        """Where the journal ends."""
        return len(self._statuses)

    @property
    def newest(self) -> Mapping[str, int]:
        """The newest sequence number of each session."""
        return self._check.newest

    def end_of(self, action_id: int) -> int:
        """Return where the request ends that stands at `action_id`; 0 is an end by itself."""
        return self._ends.index(1, action_id)

    def results(self, first: int, last: int) -> tuple[tuple[int, str, Scalar], ...]:
        """Return what is to be told of these action ids: (action id, status, result)."""
        between = slice(first - 1, last)
        return tuple(
            zip(range(first, last + 1), self._statuses[between], self._results[between], strict=True)
        )

    def is_cancelled(self, action_id: int) -> bool:
        """Return whether the request at `action_id` never happens."""
        return self._statuses[action_id - 1] == CANCELLED

    def value_at(self, key: Any, action_id: int) -> Any:
        """Return what a read of `key` says after the entry `action_id`; None if there is no such key."""
        if key not in self._changes:
            return self._opening.get(key)
        ids, values = self._changes[key]
        return values[bisect_right(ids, action_id) - 1]

    def total_at(self, action_id: int) -> int:
        """Return what all values come to together after the entry `action_id`; they are numbers."""
        ids, totals = self._totals
        return totals[bisect_right(ids, action_id) - 1]

    # -- records ---------------------------------------------------------------------------------

    def take(self, record: Record) -> None:
        """Take the next record."""
        same, first = self._same, len(self._statuses) + 1
        session = same.setdefault(record.session, record.session)
        self.requests.setdefault((session, record.sequence), first)
        for number, entry in enumerate(self._check.take(record) or [_unreadable(record)], first):
            self._ends.append(0)
            operation = same.setdefault(entry.operation, entry.operation)
            self.operations.append(operation)
            self._statuses.append(same.setdefault(entry.status, entry.status))
            self._results.append(entry.result)
            if entry.status not in (CANCELLED, _NOT_READ):
                self._note_change(operation, number)
        self._ends[-1] = 1

    def finish(self) -> None:
        """The last record was taken."""
        self._same.clear()

    def _note_change(self, operation: Any, number: int) -> None:
        try:
            keys = self._model.keys(operation)
        except UNREADABLE:
            return  # That is said already.
        for key in keys:
            value, opening = self._model.values.get(key), self._opening.get(key)
            if key not in self._changes:
                if value is None and opening is None:
                    continue  # Nobody has it: it takes no room.
                self._changes[key] = (array("q", [0]), [opening])
            ids, history = self._changes[key]
            if history[-1] != value:
                if gained := _sum([value]) - _sum([history[-1]]):
                    self._totals[0].append(number)
                    self._totals[1].append(self._totals[1][-1] + gained)
                ids.append(number)
                history.append(value)


def _sum(values: Iterable[Any]) -> int:
    return sum(value for value in values if type(value) is int)


def _unreadable(record: Record) -> Entry:
    """Return what stands for a record whose operations cannot be read: one, with an outcome of its own."""
    _, epoch, session, sequence, _, _, _, time_us, digest = record
    return Entry(record.action_id, epoch, session, sequence, 0, None, _NOT_READ, None, time_us, digest)
