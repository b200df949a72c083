"""The checkpoints that a leader sends: their numbers, and what is in them.  Rules A3, A4.

Rule 1: numbers only grow, over all epochs that a leader leads: an answer names what it answers.
Rule 2: records that all get at the same time are read once.
Rule 3: who could not read what the journal holds is sent nothing, and so is left behind (V13): one record
        that it does not know would end its process.
Rule 4: a server whose own commit is overdue says nothing: whoever hears nothing may lead in its place (V2).
"""

from __future__ import annotations

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.messages import Checkpoint
from bankrmi.replication.peer import UNANSWERED_LIMIT, PeerState
from bankrmi.replication.record import Position, Record, size_of
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["Checkpoints"]

CATCH_UP_WINDOW_BYTES = 1 << 20
"""Of older records that may be on their way to one server; the message that exceeds it is the last one."""

SENT_AT_ONCE = 2
"""Messages of older records that one answer calls forth: they are read from the disk, and others wait."""


class Checkpoints:
    """What one leader says to those that follow it."""

    def __init__(self, view: View, base: Position) -> None:
        self.number = 0
        """Of the newest message."""
        self.base = base
        """The tip of the journal when this epoch was begun."""
        self._view = view
        self._group: list[Record] = []
        self._before_group = base

    def begin_epoch(self, view: View, base: Position) -> None:
        """Speak for this epoch from now on."""
        self._view, self.base, self._group = view, base, []

    def begin_group(self, group: list[Record], before: Position) -> None:
        """These records are new, and stand behind `before`: most will get just them."""
        self._group, self._before_group = group, before

    def send(self, peer: PeerState, acknowledged: int, step: Step) -> None:
        """Send what the server does not have yet; nothing new makes it a heartbeat."""
        if not peer.linked or len(peer.unanswered) >= UNANSWERED_LIMIT or step.commit_is_overdue:
            return
        if not self.can_read(peer, step):
            peer.is_owed(step.now_ms)
            return
        previous, records = self._news_for(peer.next_id, step)
        self.number += 1
        message = Checkpoint(
            history=self._view.history,
            epoch=self._view.epoch,
            primary=step.settings.server,
            start_id=step.start_id,
            number=self.number,
            previous=previous,
            base=self.base,
            acknowledged=acknowledged,
            lease_ms=step.settings.lease_ms,
            drift_ms=step.settings.drift_ms,
            records=records,
            needs_protocol=step.journal.needs_protocol,
        )
        size = sum(map(size_of, records))
        peer.sent(self.number, message.through, step.now_ms, size=size)
        step.send(peer.server, message)

    def can_read(self, peer: PeerState, step: Step) -> bool:
        """V13: whether a server that is linked knows all that the journal holds; said once if not."""
        needed = step.journal.needs_protocol
        if needed == 1 or not (why := step.links.too_old_for(needed, [peer.server])):
            return True
        if peer.is_too_old():
            step.report("a server cannot be sent what this journal holds", server=peer.server, why=why)
        return False

    def send_more(self, peer: PeerState, acknowledged: int, step: Step) -> None:
        """Keep a copy that lags supplied: a few messages are on the way, and few are read at a time."""
        for _ in range(SENT_AT_ONCE):
            if peer.next_id > step.tip or not peer.has_room(CATCH_UP_WINDOW_BYTES):
                return
            self.send(peer, acknowledged, step)

    def _news_for(self, next_id: int, step: Step) -> tuple[Position, list[Record]]:
        """Return what precedes the operation that is next for a server, and records from there on."""
        if self._group and self._group[0].first_id == next_id:
            return self._before_group, self._group
        previous = step.journal.before(next_id)
        if previous is None:
            raise BrokenInvariant(f"action id {next_id - 1} is missing from our own journal")
        if previous.action_id >= step.tip:
            return previous, []
        settings = step.settings
        return previous, step.journal.records(
            previous.action_id, settings.catch_up_operations, at_most_bytes=settings.catch_up_bytes
        )
