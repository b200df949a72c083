"""Another server's copy, as its primary sees it: its standing, its link, its disk, its silence.

Rule 1: every change of what is known of a copy is a method of this file; others only read.
Rule 2: its standing changes as `TRANSITIONS` has it; any other change is a bug, and stops the process (F3).
Rule 3: only acknowledgements of the epoch being led change `matched` (A5).
Rule 4: a lease is confirmed by the time at which the acknowledged message was *sent* (R2).
Rule 5: nothing here sends; it says what to send next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from bankrmi.errors import BrokenInvariant

__all__ = ["COUNTING", "TRANSITIONS", "UNANSWERED_LIMIT", "JoinChange", "PeerState", "Standing", "Transition"]

UNANSWERED_LIMIT = 16
"""Checkpoints that may be on their way to one server; beyond that it is silent, and gets no more."""


class Standing(Enum):
    """How much a copy counts."""

    OUTSIDE = "outside"
    CATCHING_UP = "catching up"
    MANDATORY = "mandatory"  # Not in the view yet, but nothing is acknowledged without it (V3).
    MEMBER = "member"


COUNTING = (Standing.MEMBER, Standing.MANDATORY)
"""Nothing is acknowledged without a copy that stands so."""


class Transition(Enum):
    """What can change how much a copy counts."""

    NAMED = "is named by the view"
    NOT_NAMED = "is not named by the view"
    ADMITTED = "is admitted"
    CAUGHT_UP = "has caught up"
    GIVEN_UP = "is given up"


TRANSITIONS = {
    (Standing.OUTSIDE, Transition.NAMED): Standing.MEMBER,
    (Standing.CATCHING_UP, Transition.NAMED): Standing.MEMBER,
    (Standing.MANDATORY, Transition.NAMED): Standing.MEMBER,
    (Standing.MEMBER, Transition.NAMED): Standing.MEMBER,
    (Standing.OUTSIDE, Transition.NOT_NAMED): Standing.OUTSIDE,
    (Standing.CATCHING_UP, Transition.NOT_NAMED): Standing.CATCHING_UP,
    (Standing.MANDATORY, Transition.NOT_NAMED): Standing.CATCHING_UP,  # It was let in by nobody (V3).
    (Standing.MEMBER, Transition.NOT_NAMED): Standing.OUTSIDE,
    (Standing.OUTSIDE, Transition.ADMITTED): Standing.CATCHING_UP,
    (
        Standing.CATCHING_UP,
        Transition.ADMITTED,
    ): Standing.CATCHING_UP,  # With another disk, as in the next two.
    (Standing.MANDATORY, Transition.ADMITTED): Standing.CATCHING_UP,
    (Standing.MEMBER, Transition.ADMITTED): Standing.CATCHING_UP,  # V8.
    (Standing.CATCHING_UP, Transition.CAUGHT_UP): Standing.MANDATORY,
    (Standing.CATCHING_UP, Transition.GIVEN_UP): Standing.OUTSIDE,
    (Standing.MANDATORY, Transition.GIVEN_UP): Standing.OUTSIDE,
}
"""Every way in which a standing changes; in a new epoch it is said of each copy whether the view names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinChange:
    """What a request to be let in changes, beside its number.

    `leaves`: the member that the view names lost its disk, and the view does without it first (V8).
    `lost_disk`: the view cannot do without it; the new disk is to take its place.
    `copy_offered`: its process was told to fetch a copy, because that is faster.
    `resumes_at`: it is admitted, and the first entry that it gets.
    """

    number: int
    incarnation: str
    leaves: bool = False
    lost_disk: bool = False
    copy_offered: bool = False
    resumes_at: int | None = None


@dataclass(slots=True)
class PeerState:
    """Another server, as its primary sees it."""

    server: str
    standing: Standing = Standing.OUTSIDE
    incarnation: str | None = None
    start_id: str | None = None
    linked: bool = False
    gone: bool = False  # Its address refused a connection: worth no waiting.
    refused_at: str | None = None  # Which that was, for people.
    leaving: bool = False
    stopping: bool = False  # Its process was asked to stop (V10), and is not another one yet.
    lost_disk: bool = False  # The view names another disk of this server: that member confirms nothing.
    lost_disk_number: int = 0  # Of the newest message when that was heard.
    contradicted: bool = False  # It has said in this epoch what cannot be; that was told to people.

    too_old: str | None = None  # The process that could not read our journal; that was told to people.
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
        return self.standing in COUNTING

    @property
    def tracked(self) -> bool:
        """Whether this copy gets checkpoints."""
        return self.standing is not Standing.OUTSIDE

    @property
    def joins(self) -> bool:
        """Whether this copy is on its way into the view."""
        return self.standing in (Standing.CATCHING_UP, Standing.MANDATORY)

    # -- standing and disk -----------------------------------------------------------------------

    def begin_epoch(self, named: str | None, tip: int, *, stopping: bool = False) -> None:
        """A new epoch is led, whose view names this disk of the server, or (None) does not name it.

        `stopping`: its process handed the lead over, and is about to end.
        """
        self.lost_disk = self.lost_disk and named not in (None, self.incarnation)
        if named is None or self.lost_disk:
            self._begin(Transition.NOT_NAMED, tip)
        else:
            self.incarnation = named
            self._begin(Transition.NAMED, tip)
        self.stopping = self.stopping or stopping

    def asked_to_join(self, change: JoinChange, *, tip: int, newest_number: int) -> None:
        """It asked to be let in; this is what the primary made of it."""
        self.join_number = change.number
        if change.leaves:
            self.leaving, self.stopping = True, False
        if change.lost_disk:
            self.lost_disk, self.lost_disk_number = True, newest_number
        if change.copy_offered:
            self.copy_offered_to = self.start_id
        if change.resumes_at is not None:
            self.incarnation, self.matched = change.incarnation, 0
            self.resume_id = change.resumes_at
            self._begin(Transition.ADMITTED, tip)

    def catch_up(self, tip: int) -> bool:
        """Return whether it has just caught up: nothing is acknowledged without it from now on (V3)."""
        if self.standing is not Standing.CATCHING_UP or self.next_id <= tip:
            return False
        self._change(Transition.CAUGHT_UP)
        return True

    def give_up_joining(self, named: str | None, *, tip: int, newest_number: int) -> None:
        """V3: mandatory until the let-in is settled, not longer.

        If it was to take the place of a disk that the view names, that one is waited for again (V8).
        """
        self._change(Transition.GIVEN_UP)
        if self.lost_disk:
            assert named is not None, "the view names the disk that was lost"
            self.incarnation, self.matched = named, 0
            self._begin(Transition.NAMED, tip)
            self.lost_disk_number = newest_number

    def _change(self, transition: Transition) -> None:
        after = TRANSITIONS.get((self.standing, transition))
        if after is None:
            raise BrokenInvariant(f"{self.server} {transition.value}, and its copy is {self.standing.value}")
        self.standing = after

    def _begin(self, transition: Transition, tip: int) -> None:
        """Change the standing and begin anew: what was confirmed before does not count."""
        was_outside = self.standing is Standing.OUTSIDE
        self._change(transition)
        if was_outside and self.standing is Standing.MEMBER:
            self.resume_id = tip + 1
        elif self.matched:
            self.resume_id = self.matched + 1
        self.next_id = min(self.resume_id, tip + 1)
        self.matched = self.confirmed_number = 0
        self.confirmed_at_ms = float("-inf")
        self._forget_sent()
        self.waiting_since_ms = None
        self.leaving = self.contradicted = False
        self.backward = 1

    # -- link ------------------------------------------------------------------------------------

    def connected(self, start_id: str | None) -> None:
        """A connection is up, to this process; another one has not asked for anything yet."""
        if self.start_id != start_id:
            self.join_number, self.leaving, self.stopping = 0, False, False
        self.linked, self.gone, self.start_id = True, False, start_id

    def lost(self, now_ms: float) -> None:
        """The connection is gone, and with it perhaps what was on its way."""
        self.linked = False
        self._send_again()
        if self.waiting_since_ms is None:
            self.waiting_since_ms = now_ms

    def refused(self, address: str | None = None) -> None:
        """Its address refused a connection."""
        if not self.linked:
            self.gone, self.refused_at = True, address

    def leaves(self) -> None:
        """Its process wants to stop (V10)."""
        self.leaving = self.stopping = True

    def contradicts(self) -> bool:
        """It has said what cannot be; return whether that is the first time in this epoch."""
        first, self.contradicted = not self.contradicted, True
        return first

    def is_too_old(self) -> bool:
        """Its process could not read our journal (V13); return whether that is news."""
        is_news, self.too_old = self.too_old != self.start_id, self.start_id
        return is_news

    # -- what was sent, and what it holds --------------------------------------------------------

    def lag(self, tip: int) -> int:
        """Return how many entries this copy lacks, or may lack."""
        return tip + 1 - self.resume_id

    def has_room(self, window_bytes: int) -> bool:
        """Whether more older entries may be sent."""
        return sum(self.on_the_way.values()) < window_bytes

    def sent(self, number: int, through: int, now_ms: float, *, size: int = 0) -> None:
        """A checkpoint with records up to `through` was sent; they have `size` bytes, 0 if there are none."""
        self.unanswered[number] = now_ms
        if size:
            self.on_the_way[number] = size
        self.next_id = through + 1
        self.last_sent_ms = now_ms
        if self.waiting_since_ms is None:
            self.waiting_since_ms = now_ms

    def is_owed(self, now_ms: float) -> None:
        """There is something that it ought to have, and is not sent: it confirms nothing from now on."""
        if self.waiting_since_ms is None:
            self.waiting_since_ms = now_ms

    def acknowledged(self, number: int, matched: int) -> int:
        """A checkpoint was acknowledged; return how many entries are new.

        Acknowledgements arrive late and twice, too. A disk that was taken for lost, and confirms what was
        sent since, was only away.
        """
        if self.lost_disk and self.standing is Standing.MEMBER and number > self.lost_disk_number:
            self.lost_disk = False
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

    def mismatched(self, number: int, tip: int, *, lowest: int = 1) -> None:
        """What preceded the entries is not there: begin further back, faster each time.

        Not below `lowest`, where our own journal begins: what is folded was acknowledged, and so is there.

        What was sent after them cannot be there either, and its answers would only repeat that.
        """
        self.answered(number)
        self._forget_sent()
        self.waiting_since_ms = None
        back = min(self.next_id, self.resume_id) - self.backward
        self.backward *= 2
        self.resume_id = self.next_id = max(self.matched + 1, lowest, min(tip + 1, back))

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

    # -- silence ---------------------------------------------------------------------------------

    def is_silent(self, now_ms: float, timeout_ms: float) -> bool:
        """Whether it has owed an answer for too long, or is known to be gone, or wants to leave."""
        return self.leaving or self.owes_an_answer(now_ms, timeout_ms)

    def owes_an_answer(self, now_ms: float, timeout_ms: float) -> bool:
        """Whether it has confirmed nothing for too long, or is known to be gone; who wants to leave does."""
        since_ms = self.waiting_since_ms
        return (since_ms is not None and now_ms - since_ms >= timeout_ms) or self.is_gone

    def silent_ms(self, now_ms: float) -> float:
        """Return for how long it has owed an answer; less than nothing if it owes none."""
        return float("-inf") if self.waiting_since_ms is None else now_ms - self.waiting_since_ms

    @property
    def is_gone(self) -> bool:
        """Whether its process is known to be gone."""
        return self.gone and not self.linked
