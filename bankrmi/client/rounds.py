"""Whose turn is it?  All servers that may be asked are asked once a round; between rounds there is a pause.

Rule 1: nobody has two turns in one round, whatever servers say of each other.
Rule 2: a pause counts from the beginning of its round: what the round took counts towards it.
Rule 3: a round with nobody in it does not count, so the next pause is not made longer by it.
"""

from __future__ import annotations

from collections.abc import Callable

from bankrmi.client.decisions import Candidate
from bankrmi.client.pauses import Pauses

__all__ = ["RoundRobin"]


class RoundRobin:
    """The rounds of one call, and who has not had his turn in this one."""

    __slots__ = ("_began_ms", "_count", "_paused", "_pauses", "_queue", "next_at_ms")

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self._queue: list[Candidate] = []
        self._count = 0
        self._began_ms = 0
        self._paused = True
        self.next_at_ms = 0
        """When the pause before the next round is over, once there is one."""

    @property
    def is_over(self) -> bool:
        """Whether all have had their turn."""
        return not self._queue

    def begin(self, due: list[Candidate], now_ms: int) -> None:
        """Begin another round, with those that are due, in this order; not before the pause is over."""
        if not self._paused:
            self._paused = True
            self.next_at_ms = max(now_ms + 1, self._began_ms + self._pauses.between_rounds_ms(self._count))
        if due and now_ms >= self.next_at_ms:
            self._queue = due
            self._count += 1
            self._began_ms = now_ms
            self._paused = False

    def take_turn(self) -> Candidate:
        """Return whose turn it is; it has had it then."""
        return self._queue.pop(0)

    def reorder(self, rank: Callable[[Candidate], tuple[bool, bool]]) -> None:
        """Put those first who rank lowest."""
        self._queue.sort(key=rank)

    def begin_anew(self) -> None:
        """Others became known: their round begins at once."""
        self._queue = []
        self._paused, self.next_at_ms = True, 0
