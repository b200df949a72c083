"""What a primary knows about another server's copy: how far it matches, and whether it counts.

Rule 1: only acknowledgements of the epoch being led change `matched` (A5).
Rule 2: a lease is confirmed by the time at which the acknowledged message was *sent* (R2).
Rule 3: nothing here sends; it says what to send next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

__all__ = ["UNANSWERED_LIMIT", "Peer", "Standing"]

UNANSWERED_LIMIT = 16
"""Checkpoints that may be on their way to one server; beyond that it is silent, and gets no more."""


class Standing(Enum):
    """How much a copy counts."""

    OUTSIDE = "outside"
    CATCHING_UP = "catching up"
    MANDATORY = "mandatory"  # Not in the view yet, but nothing is acknowledged without it (V3).
    MEMBER = "member"


@dataclass(slots=True)
class Peer:
    """Another server, as its primary sees it."""

    server: str
    standing: Standing = Standing.OUTSIDE
    incarnation: str | None = None
    start_id: str | None = None
    linked: bool = False
    gone: bool = False  # Its address refused a connection: worth no waiting.
    leaving: bool = False
    lost_disk: bool = False  # The view names another disk of this server: that member confirms nothing.
    lost_disk_number: int = 0  # Of the newest message when that was heard.
    contradicted: bool = False  # It has said in this epoch what cannot be; that was told to people.

    copy_offered_to: str | None = None  # The process that was told to fetch a copy because that is faster.
    join_number: int = 0  # Of the newest request to be let in that its running process has made.
    matched: int = 0  # Durable there and known to be the same as here, in this epoch.
    next_id: int = 1  # The first operation not sent yet.
    resume_id: int = 1  # Where to begin again when what was sent may be lost.
    backward: int = 1  # How far the next mismatch goes back.

    unanswered: dict[int, float] = field(default_factory=dict)  # Message number: sent at.
    on_the_way: dict[int, int] = field(default_factory=dict)  # Message number: bytes of records.
    confirmed_number: int = 0
    confirmed_at_ms: float = float("-inf")
    waiting_since_ms: float | None = None
    last_sent_ms: float = float("-inf")

    @property
    def counts(self) -> bool:
        """Whether nothing is acknowledged without this copy."""
        return self.standing in (Standing.MEMBER, Standing.MANDATORY)

    @property
    def tracked(self) -> bool:
        """Whether this copy gets checkpoints."""
        return self.standing is not Standing.OUTSIDE

    def begin_epoch(self, standing: Standing, tip: int) -> None:
        """A new epoch is led: what was confirmed before does not count in it."""
        if standing is Standing.MEMBER and self.standing is Standing.OUTSIDE:
            self.resume_id = tip + 1
        elif self.matched:
            self.resume_id = self.matched + 1
        self.standing = standing
        self.next_id = min(self.resume_id, tip + 1)
        self.matched = self.confirmed_number = 0
        self.confirmed_at_ms = float("-inf")
        self._forget_sent()
        self.waiting_since_ms = None
        self.leaving = self.contradicted = False
        self.backward = 1

    def lag(self, tip: int) -> int:
        """Return how many entries this copy lacks, or may lack."""
        return tip + 1 - self.resume_id

    def has_room(self, window_bytes: int) -> bool:
        """Whether more older entries may be sent."""
        return sum(self.on_the_way.values()) < window_bytes

    def sent(self, number: int, through: int, now_ms: float, *, size: int = 0) -> None:
        """A checkpoint whose records end at `through` was sent; of so many bytes, 0 if there are none."""
        self.unanswered[number] = now_ms
        if size:
            self.on_the_way[number] = size
        self.next_id = through + 1
        self.last_sent_ms = now_ms
        if self.waiting_since_ms is None:
            self.waiting_since_ms = now_ms

    def acknowledged(self, number: int, matched: int) -> int:
        """A checkpoint was acknowledged; return how many entries are new.

        Acknowledgements arrive late and twice, too.
        """
        known = self.matched or self.resume_id - 1
        sent_at_ms = self.unanswered.get(number)
        if sent_at_ms is not None:
            self.confirmed_at_ms = max(self.confirmed_at_ms, sent_at_ms)
        self.confirmed_number = max(self.confirmed_number, number)
        self.answered(number)
        self.matched = max(self.matched, matched)
        self.resume_id = max(self.resume_id, self.matched + 1)
        self.next_id = max(self.next_id, self.resume_id)
        self.gone = self.gone and not self.linked  # An answer that was long on its way says nothing of now.
        self.backward = 1
        return max(0, self.matched - known)

    def answered(self, number: int) -> None:
        """The server answered this message: it is not silent; what was sent before is answered, or lost.

        Unless the connection is gone: what comes late says nothing of now, and waiting goes on from the loss.
        """
        for older in [sent for sent in self.unanswered if sent <= number]:
            del self.unanswered[older]
            self.on_the_way.pop(older, None)
        if self.linked:
            self.waiting_since_ms = next(iter(self.unanswered.values()), None)

    def mismatched(self, number: int, tip: int) -> None:
        """What preceded the entries is not there: begin further back, faster each time.

        What was sent after them cannot be there either, and its answers would only repeat that.
        """
        self.answered(number)
        self._forget_sent()
        self.waiting_since_ms = None
        back = min(self.next_id, self.resume_id) - self.backward
        self.backward *= 2
        self.resume_id = self.next_id = max(self.matched + 1, 1, min(tip + 1, back))

    def give_up_waiting(self, now_ms: float, timeout_ms: float) -> None:
        """Take what was not answered in time for lost, so that it is sent again."""
        oldest_ms = next(iter(self.unanswered.values()), now_ms)
        if now_ms - oldest_ms >= timeout_ms:
            self._send_again()

    def _send_again(self) -> None:
        self._forget_sent()
        self.next_id = self.resume_id

    def _forget_sent(self) -> None:
        self.unanswered.clear()
        self.on_the_way.clear()

    def lost(self, now_ms: float) -> None:
        """The connection is gone, and with it perhaps what was on its way."""
        self.linked = False
        self._send_again()
        if self.waiting_since_ms is None:
            self.waiting_since_ms = now_ms

    def is_silent(self, now_ms: float, timeout_ms: float) -> bool:
        """Whether it has owed an answer for too long, or is known to be gone, or wants to leave."""
        return self.leaving or self.owes_an_answer(now_ms, timeout_ms)

    def owes_an_answer(self, now_ms: float, timeout_ms: float) -> bool:
        """Whether it has confirmed nothing for too long, or is known to be gone; who wants to leave does."""
        overdue = self.waiting_since_ms is not None and now_ms - self.waiting_since_ms >= timeout_ms
        return overdue or (self.gone and not self.linked)
