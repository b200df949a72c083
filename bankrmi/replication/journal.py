"""What the rules need of a disk.  `storage` keeps it in SQLite; the rules know only this.

Rule 1: everything written since the last commit is in one open transaction; the next one makes it durable,
        all of it or nothing.  The rules never commit by themselves: they ask for it with an effect.
Rule 2: reading sees what was written, committed or not, durable or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bankrmi.replication.code_versions import DoneMigration, StateVersion
from bankrmi.replication.record import Position, Record

__all__ = ["Adopted", "Journal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """The newest epoch that this server has acted in, and who led it; durable before it acted.

    `granted_ms`: none of the leases that this server has granted, and that may still run, binds it for
    longer; so its next process knows how long to wait (R3).  None: by a version that did not note it.
    `retired_for`: what the view says of that, for whoever leads by it: it outlives who keeps the view (V14).
    """

    history: str
    epoch: int
    primary: str
    start_id: str
    granted_ms: int | None = None
    retired_for: str | None = None


class Journal(Protocol):
    """One server's durable state: the journal, what it adds up to, the adopted epoch, the incarnation."""

    @property
    def incarnation(self) -> str:
        """Id of this disk; a wiped disk has another one."""

    @property
    def adopted(self) -> Adopted | None:
        """The newest epoch adopted, or None while this copy is empty."""

    @property
    def tip(self) -> Position:
        """Where the journal ends."""

    @property
    def anchor(self) -> Position:
        """Where the journal begins: the newest record that was folded, or else the opening state."""

    @property
    def goes_back_to(self) -> int:
        """The oldest action id that it can be rolled back to: the anchor's, or a later one.

        How to take back what is acknowledged is not known for ever.
        """

    @property
    def version(self) -> StateVersion:
        """Of the state, after the newest record."""

    def version_at(self, action_id: int) -> StateVersion:
        """Return the version of the state after the record that ends there, or holds it."""

    def migrations_since(self, action_id: int) -> Sequence[DoneMigration]:
        """Return the migrations that were done after that, in their order."""

    @property
    def needs_protocol(self) -> int:
        """The oldest version of the protocol that knows all that this journal holds, or ever held."""

    def protocol_of(self, operations: bytes) -> int:
        """Return the oldest version of the protocol that knows these packed operations."""

    @property
    def size_bytes(self) -> int:
        """About how much a copy of all this would be."""

    def open(self, adopted: Adopted) -> None:
        """Write the opening state, its history and its first epoch (rule V9)."""

    def adopt(self, adopted: Adopted) -> None:
        """Write a newer epoch, or a new history of the same journal (after a restore)."""

    def position(self, action_id: int) -> Position | None:
        """Return where the journal stands after the record that ends there; None if it holds none."""

    def before(self, action_id: int) -> Position | None:
        """Return where it stands after the newest record that ends below `action_id`, or at the anchor.

        None where it does not reach down to that.
        """

    def holding(self, action_id: int) -> Position | None:
        """Return where it stands after the record that holds this operation; None if none does."""

    def decided_us(self, action_id: int) -> int | None:
        """Return when the record that ends there was decided, by its primary's clock; None if none does."""

    def records(self, after: int, limit: int, *, at_most_bytes: int | None = None) -> list[Record]:
        """Return the records above `after` that hold about `limit` operations, fewer if they are long."""

    def decide(
        self, epoch: int, request: tuple[str, int], count: int, operations: bytes, time_us: int
    ) -> Record:
        """Apply a new request of `count` packed operations, and journal what became of them."""

    def cancel(self, epoch: int, request: tuple[str, int], time_us: int) -> Record:
        """Journal that this request never happens (rule O4)."""

    def append(self, records: Sequence[Record]) -> None:
        """Apply what was decided elsewhere; raise BrokenInvariant if it comes out differently here."""

    def roll_back(self, to: int) -> list[Record]:
        """Undo every record that ends above action id `to`; keep a record of them, and return them.

        Raises BrokenInvariant below `goes_back_to`.
        """

    def newest(self, session: str) -> int | None:
        """Return the sequence number of the newest request of a session."""

    def recorded(self, session: str, sequence: int) -> Record | None:
        """Return the record of a request; None if it is not in the journal, nor kept beside it."""

    def over(self, session: str) -> int | None:
        """Return the action id by which a session is over, and nothing new of it is done (O5); else None."""

    @property
    def lacks_horizon(self) -> bool:
        """Whether sessions may have been removed here by a horizon that was taken back since (O5)."""

    def may_have_been_removed(self, session: str) -> bool:
        """Whether this may be one of them, so that nobody can tell here whether a request of it is new."""

    def forgotten(self, session: str, sequence: int) -> int | None:
        """Return the action id by which a request without a record is too old to be known (O5); else None."""

    def read(self, query: Any) -> Any:
        """Ask the state machine."""

    def changed_at(self, query: Any) -> int:
        """Return the action id since which the answer is what it is; a later one where none is known (R4)."""
