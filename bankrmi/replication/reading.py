"""Reads at a primary: under the lease from the own copy, else after a round trip.  Rules R1, R2, R4, R5.

Rule 1: the value is taken when the read arrives, and leaves when the newest entry it saw is acknowledged.
Rule 2: without the lease it leaves only after every member has confirmed a message that was *sent* after
        the read arrived; one such round is on its way at a time, and the next one serves all who wait.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from bankrmi.replication.answers import Waiting
from bankrmi.replication.effects import Answer, IsBehind, Read
from bankrmi.replication.events import ReadArrived
from bankrmi.replication.lease import holds_read_lease, read_lease_left_ms

if TYPE_CHECKING:
    from bankrmi.replication.primary import Primary

__all__ = ["Reads"]


class Reads:
    """The reads of one primary."""

    def __init__(self, primary: Primary) -> None:
        self._primary = primary
        self._replica = primary.replica
        self._unconfirmed: list[Waiting] = []
        self._held: list[ReadArrived] = []

    def take(self, event: ReadArrived) -> None:
        """Answer a read as soon as it may be."""
        primary, replica = self._primary, self._replica
        if primary.membership.switching_over:
            self._held.append(event)
            return
        tip = replica.journal.tip.action_id
        if primary.is_behind(event.seen):
            replica.effects.append(Answer(event.token, IsBehind(tip)))
            return
        reply = Read(primary.view.history, tip, replica.journal.read(event.query))
        if not self._may_read():
            self._unconfirmed.append(Waiting(tip, 0, event.token, reply))
        elif primary.acknowledged >= tip:
            replica.effects.append(Answer(event.token, reply))
        else:
            primary.answers.add(tip, event.token, reply)

    @property
    def have_work(self) -> bool:
        """Whether `confirm` would do something now."""
        return bool(self._unconfirmed) and (self._may_read() or self._may_confirm())

    def confirm(self) -> None:
        """Send what will confirm every read that waits for it; or do without, if there is a lease now."""
        if not self._unconfirmed:
            return
        if self._may_read():
            number = 0
        elif self._may_confirm():
            number = self._primary.send_to_required()
        else:
            return
        for waiting in self._unconfirmed:
            self._primary.answers.add(waiting.action_id, waiting.token, waiting.reply, number=number)
        self._unconfirmed = []
        self._primary.release()

    def _may_read(self) -> bool:
        """R1: a primary alone, with no proposal of its own unsettled.  R2: the read lease."""
        if self._primary.somebody_lost_a_disk():
            return False
        if not self._primary.required:
            return self._replica.proposals.settled
        settings = self._replica.settings
        return holds_read_lease(
            self._replica.now_ms, settings.lease_ms, settings.drift_ms, self._confirmations()
        )

    def _may_confirm(self) -> bool:
        if not self._primary.required or self._primary.somebody_lost_a_disk():
            return False
        return not self._primary.answers.await_confirmation

    def lease_left_ms(self) -> float:
        """Return how long reads need no round trip, for the status."""
        settings = self._replica.settings
        return read_lease_left_ms(
            self._replica.now_ms, settings.lease_ms, settings.drift_ms, self._confirmations()
        )

    def _confirmations(self) -> list[float]:
        return [peer.confirmed_at_ms for peer in self._primary.required]

    def begin_epoch(self) -> None:
        """What was to be confirmed in the epoch before has to be confirmed in the new one."""
        self._unconfirmed += self._primary.answers.take_unconfirmed()

    def resume(self) -> None:
        """A switchover came to nothing: read again."""
        held, self._held = self._held, []
        for event in held:
            self.take(event)

    def drop(self, tokens: Collection[Any]) -> None:
        """Nobody waits for these answers any more."""
        self._unconfirmed = [waiting for waiting in self._unconfirmed if waiting.token not in tokens]
        self._held = [event for event in self._held if event.token not in tokens]

    def take_tokens(self) -> list[Any]:
        """Give up every read that waits here; return whom to tell."""
        tokens = [waiting.token for waiting in self._unconfirmed] + [event.token for event in self._held]
        self._unconfirmed, self._held = [], []
        return tokens
