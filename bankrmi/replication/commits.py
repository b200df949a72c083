"""What was asked of this server's disk, what of it is durable, and the answers that wait for that.

Rule 1: commits are numbered in the order in which they are asked for, and become durable in that order.
Rule 2: memory may be ahead of the disk; what is said may not. An answer that rests on what was written waits
        for the last commit that was asked for when it was made (A1, A2).
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from bankrmi.replication.effects import Answer, Effect, Reply

__all__ = ["Commits"]


class _UnderWay(NamedTuple):
    """A commit that is not known to be durable; the journal ended at `tip` when it was asked for."""

    number: int
    tip: int
    asked_ms: float


class _Owed(NamedTuple):
    """An answer that waits for a commit."""

    number: int
    answer: Answer


class Commits:
    """The commits of one process."""

    def __init__(self, tip: int) -> None:
        """Begin with a journal that ends at `tip`, durably."""
        self.asked = 0
        self.durable_tip = tip
        """Where the journal ended at the newest commit that is durable."""
        self._under_way: deque[_UnderWay] = deque()
        self._owed: deque[_Owed] = deque()

    def ask(self, tip: int, now_ms: float) -> int:
        """Note that a commit is asked for; return its number."""
        self.asked += 1
        self._under_way.append(_UnderWay(self.asked, tip, now_ms))
        return self.asked

    @property
    def are_under_way(self) -> bool:
        """Whether anything that was written is not durable yet."""
        return bool(self._under_way)

    def are_overdue(self, listened_ms: float, timeout_ms: float) -> bool:
        """Whether the oldest one takes so long that this server is as good as silent (V2)."""
        return bool(self._under_way) and listened_ms - self._under_way[0].asked_ms >= timeout_ms

    def owe(self, token: Any, reply: Reply) -> None:
        """Keep an answer until all that was asked for by now is durable."""
        self._owed.append(_Owed(self.asked, Answer(token, reply)))

    def ended(self, number: int) -> list[Effect]:
        """All commits up to this one are durable; return the answers that may leave, in their order."""
        while self._under_way and self._under_way[0].number <= number:
            self.durable_tip = self._under_way.popleft().tip
        answers: list[Effect] = []
        while self._owed and self._owed[0].number <= number:
            answers.append(self._owed.popleft().answer)
        return answers
