"""Reads at a primary: under the lease from the own copy, else after a round trip.  Rules R1, R2, R4.

Rule 1: the value is taken when the read arrives, and leaves when the newest entry that changed it is
        acknowledged, all that the epoch began with, and what its caller has seen.
Rule 2: without the lease it leaves only after every member has confirmed a message that was *sent* after
        the read arrived; one such round is on its way at a time, and the next one serves all who wait.
Rule 3: whether the lease holds is reckoned here from facts that the leader brings.
Rule 4: until when reads are answered at once is reckoned once, and holds until the rules take a step.
"""

from __future__ import annotations

from collections.abc import Collection
from math import inf
from typing import Any, NamedTuple

from bankrmi.replication.answers import Answers, PendingAnswer
from bankrmi.replication.effects import Read
from bankrmi.replication.events import ReadArrived, Seen
from bankrmi.replication.journal import Journal
from bankrmi.replication.lease import holds_until, read_lease_ends_ms, read_lease_left_ms

__all__ = ["NOT_AT_ONCE", "ReadFacts", "Reads", "ReadsAtOnce", "rests_on"]


class ReadFacts(NamedTuple):
    """What decides at one moment whether a leader may read.

    `confirmed_at_ms` says of every copy that counts, beside the leader's own, when the newest message was
    sent that it has confirmed in this epoch. `settled`: no proposal of this server can still win.
    """

    now_ms: float
    lease_ms: float
    drift_ms: float
    confirmed_at_ms: list[float]
    settled: bool
    lost_disk: bool

    @property
    def may_read_until_ms(self) -> float:
        """R1: a primary alone, with no proposal of its own unsettled.  R2: the read lease."""
        if self.lost_disk:
            return -inf
        if not self.confirmed_at_ms:
            return inf if self.settled else -inf
        return read_lease_ends_ms(self.lease_ms, self.drift_ms, self.confirmed_at_ms)

    @property
    def may_read(self) -> bool:
        """Whether reads need no round trip now."""
        return holds_until(self.may_read_until_ms, self.now_ms)

    @property
    def can_confirm(self) -> bool:
        """Whether there is somebody to confirm reads, and nobody who cannot."""
        return bool(self.confirmed_at_ms) and not self.lost_disk

    @property
    def lease_left_ms(self) -> float:
        """For how long reads need no round trip, for the status."""
        return read_lease_left_ms(self.now_ms, self.lease_ms, self.drift_ms, self.confirmed_at_ms)


class ReadsAtOnce(NamedTuple):
    """What reads are answered by that nothing keeps waiting (R1, R2, R4, R5), until the rules take a step."""

    until_ms: float
    history: str
    acknowledged: int
    newest: int
    """The newest entry here that is acknowledged: what an answer says of how much it has seen."""

    def read(self, query: Any, seen: Seen | None, journal: Journal, now_ms: float) -> Read | None:
        """Return the answer, or None if the read has to wait."""
        if (
            not holds_until(self.until_ms, now_ms)
            or rests_on(query, seen, journal, self.history) > self.acknowledged
        ):
            return None
        return Read(self.history, self.newest, journal.read(query))


NOT_AT_ONCE = ReadsAtOnce(-inf, "", 0, 0)
"""Every read waits."""


def rests_on(query: Any, seen: Seen | None, journal: Journal, history: str) -> int:
    """R4, R5: return what has to be acknowledged here before the read is answered.

    Of what the caller has seen this copy may hold another entry, if a clock betrays the lease.
    """
    changed_at = journal.changed_at(query)
    if seen is None or seen[0] != history:
        return changed_at
    return max(changed_at, seen[1])


class Reads:
    """The reads of one primary that wait: for a confirmation, or for the end of a switchover."""

    def __init__(self) -> None:
        self._unconfirmed: list[PendingAnswer] = []
        self._held: list[ReadArrived] = []

    def hold(self, event: ReadArrived) -> None:
        """The lead is being given away: nothing is read meanwhile (V5)."""
        self._held.append(event)

    def take_held(self) -> list[ReadArrived]:
        """A switchover came to nothing: return what is to be read now."""
        held, self._held = self._held, []
        return held

    def add_unconfirmed(self, action_id: int, token: Any, reply: Read) -> None:
        """Keep an answer until it may be read without a lease, or is confirmed."""
        self._unconfirmed.append(PendingAnswer(action_id, 0, token, reply))

    @property
    def wait(self) -> bool:
        """Whether any read waits for a confirmation that was not asked for yet."""
        return bool(self._unconfirmed)

    def move_to(self, answers: Answers, *, number: int) -> None:
        """Those that wait leave when what they saw is acknowledged, and message `number` confirmed."""
        for waiting in self._unconfirmed:
            answers.add(waiting.action_id, waiting.token, waiting.reply, number=number)
        self._unconfirmed = []

    def begin_epoch(self, answers: Answers) -> None:
        """What was to be confirmed in the epoch before has to be confirmed in the new one."""
        self._unconfirmed += answers.take_unconfirmed()

    def drop(self, tokens: Collection[Any]) -> None:
        """Nobody waits for these answers any more."""
        self._unconfirmed = [waiting for waiting in self._unconfirmed if waiting.token not in tokens]
        self._held = [event for event in self._held if event.token not in tokens]

    def take_tokens(self) -> list[Any]:
        """Give up every read that waits here; return whom to tell."""
        tokens = [waiting.token for waiting in self._unconfirmed] + [event.token for event in self._held]
        self._unconfirmed, self._held = [], []
        return tokens
