"""What servers say to each other.  Each message has an answer; what gets lost is asked again.

`forms` has their plain values, and says what each field may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bankrmi.replication.record import Position, Record
from bankrmi.replication.view import View

__all__ = [
    "JOIN_OUTCOMES",
    "Acknowledged",
    "Census",
    "Checkpoint",
    "CheckpointAnswer",
    "Fence",
    "Holdings",
    "JoinAnswer",
    "JoinRequest",
    "LeaveRequest",
    "Message",
    "Mismatch",
    "Superseded",
    "ViewNews",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """From a primary: what precedes, records (none: the heartbeat), and how far is acknowledged.

    `base` is the tip of the primary's journal when it began to lead this epoch. `lease_ms` and `drift_ms` are
    the lease that the primary counts from what is acknowledged of this, and how far its clock and another may
    drift apart meanwhile: who acknowledges grants just that (R2, R3). `needs_protocol` is the oldest version
    of the protocol that knows all that the primary's journal holds: in an older one there is no such message
    (V13).
    """

    history: str
    epoch: int
    primary: str
    start_id: str
    number: int
    previous: Position
    base: Position
    acknowledged: int
    lease_ms: int
    drift_ms: int
    records: Sequence[Record] = ()
    needs_protocol: int = 1

    @property
    def through(self) -> int:
        """The action id at which its records end."""
        return self.records[-1].action_id if self.records else self.previous.action_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """All up to `matched`, the last record known to be the same as the primary's, is durable here (A5)."""

    server: str
    history: str
    epoch: int
    incarnation: str
    start_id: str
    number: int
    matched: int
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """What precedes the records is not in this journal; `tip` is its newest action id (A3)."""

    server: str
    epoch: int
    number: int
    tip: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """This server has adopted, or won, a newer epoch, or is of another history (A2)."""

    server: str
    history: str
    epoch: int
    number: int


CheckpointAnswer = Acknowledged | Mismatch | Superseded


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """From a server outside `in_sync`: the tail of its journal, newest first, thinning out (see `joining`).

    `number` counts the requests of one process: a late one speaks of a disk that has been replaced since.
    """

    server: str
    incarnation: str
    start_id: str
    number: int
    history: str | None
    tail: Sequence[Position]


JOIN_OUTCOMES = ("checkpoints", "copy", "wait", "not_primary", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinAnswer:
    """To the join request `number`.

    `outcome` is "checkpoints" (they will come), "copy" (nothing in common: fetch one), "wait" (ask again),
    "not_primary", or "unknown" (the primary's configuration does not name this server). `epoch` is the one
    that the primary leads, 0 if it leads none: what it promises, it may forget with the epoch.
    """

    server: str
    number: int
    outcome: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveRequest:
    """From a member whose process is about to stop: take me out of `in_sync` (V10)."""

    server: str
    start_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewNews:
    """A view that has been won; whoever gets this may believe it as if it had read it."""

    view: View


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Asked of all before the first view is made: are you empty? (V9)."""

    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """From an operator who restores the witness: look whether there is a view, and if not, stop and tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What a server holds; the answer to `Census` and `Fence`.

    `fenced` says that it has seen the witness without a view, and answers nobody until there is one.
    `may_have_moved_on` says that a proposal of its own, or of a process before it, may have won after
    `last_view`, unheard. `retired_for` is that of the epoch, if this server led it.
    """

    server: str
    incarnation: str
    start_id: str
    history: str | None
    epoch: int
    primary: str | None
    tip: Position
    fenced: bool
    last_view: View | None = None
    may_have_moved_on: bool = True
    retired_for: str | None = None

    @property
    def empty(self) -> bool:
        """Whether this copy has never held anything."""
        return self.history is None


Message = Checkpoint | JoinRequest | LeaveRequest | ViewNews | Census | Fence
