"""The journal's unit: one decided operation, and the digest that ties it to everything before it.

Rule 1: an entry is a tuple of plain values in the order of the journal's columns, so that it goes to the
        disk and over the wire as it is.
Rule 2: what an operation means is the state machine's business; here it is bytes, a status and a result.
Rule 3: equal digests at an action id mean equal histories up to there.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import msgpack

__all__ = ["CANCELLED", "DIGEST_BYTES", "Entry", "Position", "Scalar", "chained", "size_of"]

Scalar = int | str | bytes | None
"""What a state machine may give as the result of an operation."""

CANCELLED = "cancelled"
"""The one status that is ours: `outcome` settled that this request never happens (rule O4)."""

DIGEST_BYTES = 16

_pack = msgpack.Packer(autoreset=True).pack


class Position(NamedTuple):
    """A place in a journal, and by its digest all that came before.  Action id 0 is the opening state."""

    action_id: int
    epoch: int
    digest: bytes


class Entry(NamedTuple):
    """One decided operation; `place` counts within its request, `time_us` the primary's wall clock."""

    action_id: int
    epoch: int
    session: str
    sequence: int
    place: int
    operation: bytes
    status: str
    result: Scalar
    time_us: int
    digest: bytes

    @property
    def position(self) -> Position:
        """Where this entry stands."""
        return Position(self.action_id, self.epoch, self.digest)


def chained(
    before: Position,
    epoch: int,
    request: tuple[str, int],
    place: int,
    decided: tuple[bytes, str, Scalar],
    time_us: int,
) -> Entry:
    """Return the entry that follows `before`; `decided` is (operation, status, result)."""
    session, sequence = request
    operation, status, result = decided
    content = _pack((epoch, session, sequence, place, operation, status, result, time_us))
    digest = blake2b(before.digest + content, digest_size=DIGEST_BYTES).digest()
    return Entry(
        before.action_id + 1, epoch, session, sequence, place, operation, status, result, time_us, digest
    )


def size_of(entry: Entry) -> int:
    """Return the bytes that an entry takes on the wire, generously."""
    result = entry.result
    return (
        72
        + len(entry.session)
        + len(entry.operation)
        + (len(result) if isinstance(result, str | bytes) else 0)
    )
