"""The journal's unit: one decided request, and the digest that ties it to everything before it.

Rule 1: a record is a tuple of plain values in the order of the journal's columns, so that it goes to the
        disk and over the wire as it is. What was asked and what came of it is packed once, for all of them.
Rule 2: a request is one record, so it is never split (A4). Action ids count operations: a record has the id
        of its last one.
Rule 3: what an operation means is the state machine's business; here it is any value that msgpack can pack.
Rule 4: equal digests at an action id mean equal histories up to there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgpack

__all__ = [
    "CANCELLED",
    "DIGEST_BYTES",
    "DONE",
    "Entry",
    "Position",
    "Record",
    "Scalar",
    "chained",
    "entries_of",
    "follows",
    "one_by_one",
    "packed",
    "size_of",
    "unpacked",
]

Scalar = int | str | bytes | None
"""What a state machine may give as the result of an operation."""

DONE = "done"
"""The status of an operation that was not declined; it is left out where outcomes are packed."""

CANCELLED = "cancelled"
"""The one status that is ours: `outcome` settled that this request never happens (rule O4)."""

DIGEST_BYTES = 16

_pack = msgpack.Packer(autoreset=True).pack
_unpack = msgpack.unpackb


def packed(values: Sequence[Any]) -> bytes:
    """Return the operations of a request, or their outcomes, as the journal keeps them."""
    content: bytes = _pack(values)
    return content


def unpacked(content: bytes) -> tuple[Any, ...]:
    """Return what `packed` took; raises ValueError if this is nothing that it made."""
    values = _unpack(content, use_list=False) if content else ()
    if type(values) is not tuple:
        raise ValueError("these are not operations, nor outcomes")
    return values


def one_by_one(content: bytes) -> Iterator[Any]:
    """Return the same, without ever holding all of it."""
    unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=max(len(content), 1))
    unpacker.feed(content)
    return (unpacker.unpack() for _ in range(unpacker.read_array_header()))


class Position(NamedTuple):
    """A place in a journal, and by its digest all that came before.  Action id 0 is the opening state."""

    action_id: int
    epoch: int
    digest: bytes


class Entry(NamedTuple):
    """One operation of a record, and what came of it; `place` counts within the record.

    `beside` is what is recorded of it for those who look at the journal, and told to no caller.
    """

    action_id: int
    epoch: int
    session: str
    sequence: int
    place: int
    operation: Any
    status: str
    result: Scalar
    time_us: int
    digest: bytes
    beside: tuple[Scalar, ...] = ()


class Record(NamedTuple):
    """One decided request.

    `action_id` is that of its last operation, of which there are `operation_count`; `time_us` is the
    primary's wall clock. A cancelled request is one operation, and has neither `operations` nor `outcomes`.
    """

    action_id: int
    epoch: int
    session: str
    sequence: int
    operation_count: int
    operations: bytes
    outcomes: bytes
    time_us: int
    digest: bytes

    @property
    def position(self) -> Position:
        """Where the journal stands after it."""
        action_id, epoch, _, _, _, _, _, _, digest = self
        return tuple.__new__(Position, (action_id, epoch, digest))

    @property
    def first_id(self) -> int:
        """The action id of its first operation."""
        return self.action_id - self.operation_count + 1

    @property
    def action_ids(self) -> range:
        """The action ids of its operations, in their order."""
        return range(self.action_id - self.operation_count + 1, self.action_id + 1)

    @property
    def by_account(self) -> bool:
        """Whether action ids count for each account, and not for all of them together."""
        return False

    @property
    def request(self) -> tuple[str, int]:
        """Session and sequence number."""
        return self.session, self.sequence

    @property
    def cancelled(self) -> bool:
        """Whether the request never happens (O4)."""
        return not self.operations

    def entries(self) -> list[Entry]:
        """Return its operations, one by one, with what came of each; raises ValueError if it holds none."""
        _, epoch, session, sequence, count, _, _, time_us, digest = self
        if self.cancelled:
            return [
                Entry(self.action_id, epoch, session, sequence, 0, None, CANCELLED, None, time_us, digest)
            ]
        operations, outcomes = unpacked(self.operations), unpacked(self.outcomes)
        if not len(operations) == len(outcomes) == count:
            raise ValueError(
                f"of {count} operations there are {len(operations)}, and {len(outcomes)} outcomes"
            )
        first = self.first_id
        entries = []
        for place, (operation, outcome) in enumerate(zip(operations, outcomes, strict=True)):
            status, result, beside = told(outcome)
            at = (first + place, epoch, session, sequence, place)
            entries.append(Entry(*at, operation, status, result, time_us, digest, beside))
        return entries


def told(outcome: Any) -> tuple[str, Scalar, tuple[Scalar, ...]]:
    """Return status and result of an outcome, and what is recorded beside them.

    It is the result of what was done, or a status, the result, and whatever else.
    """
    if type(outcome) is not tuple:
        return DONE, outcome, ()
    status, result, *beside = outcome
    return status, result, tuple(beside)


def entries_of(records: Iterable[Record]) -> list[Entry]:
    """Return the operations of all these records, one by one."""
    return [entry for record in records for entry in record.entries()]


def chained(
    before: Position,
    epoch: int,
    request: tuple[str, int],
    decided: tuple[int, bytes, bytes],
    time_us: int,
) -> Record:
    """Return the record that follows `before`; `decided` is (count, operations, outcomes)."""
    session, sequence = request
    count, operations, outcomes = decided
    content = _pack((epoch, session, sequence, count, operations, outcomes, time_us))
    digest = blake2b(before.digest + content, digest_size=DIGEST_BYTES).digest()
    action_id = before.action_id + count
    return tuple.__new__(
        Record, (action_id, epoch, session, sequence, count, operations, outcomes, time_us, digest)
    )


def follows(record: Record, before: Position | Record) -> bool:
    """Whether it is what `chained` would have made, had it come after `before`."""
    content = _pack(record[1:-1])
    digest = blake2b(before.digest + content, digest_size=DIGEST_BYTES).digest()
    return record.action_id == before.action_id + record.operation_count and record.digest == digest


def size_of(record: Record) -> int:
    """Return the bytes that a record takes on the wire, generously."""
    return 72 + len(record.session) + len(record.operations) + len(record.outcomes)
