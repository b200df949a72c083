"""When is another server asked whether it leads now?  Pure; the caller brings the time.

Rule 1: while a server is only slow, all others are asked, ever more seldom: a primary that is cut off lives,
        and does not know that it no longer leads; and of the others not everybody answers.
Rule 2: of all calls of a client one asks, for all of them; who leads then, all find in `signs`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bankrmi.client.decisions import Candidate
from bankrmi.client.pauses import Pauses
from bankrmi.client.signs import Signs

__all__ = ["Enquiries"]

_LONGEST_PATIENCES = 16
"""Whether another one leads is asked after two patiences, then after 4, 8 and 16, never longer."""


class Enquiries:
    """Those of one call."""

    __slots__ = ("_in_ms", "_longest_ms", "_pause_ms", "_pauses", "_signs", "_turns", "at_ms")

    def __init__(self, *, patience_ms: int, pauses: Pauses, signs: Signs) -> None:
        self._pauses = pauses
        self._signs = signs
        self._in_ms = 2 * patience_ms
        self._longest_ms = _LONGEST_PATIENCES * patience_ms
        self._turns: list[Candidate] = []  # Who is still to be asked, of those that were to be asked last.
        self._pause_ms = 0
        self.at_ms: int | None = None
        """When the next ones are due; None as long as no server was slow."""

    def begin(self, now_ms: int) -> int:
        """Some server has the request since now, or before: return when others are asked."""
        if self.at_ms is None:
            self.at_ms = now_ms + self._pauses.drawn_ms(self._in_ms)
        return self.at_ms

    def is_due(self, now_ms: int) -> bool:
        """Some server is slow: whether it is time to ask others, or there are some left to be asked."""
        return now_ms >= self.begin(now_ms) or bool(self._turns)

    def take_turn(self, free: Sequence[Candidate], now_ms: int) -> Candidate | None:
        """Return which of those that are free to be asked is asked now; None if all have been."""
        if self.at_ms is not None and now_ms >= self.at_ms:
            self._turns, self._pause_ms = list(free), self._in_ms // 2
            self._in_ms = min(2 * self._in_ms, self._longest_ms)
            self.at_ms = now_ms + self._pauses.drawn_ms(self._in_ms)
        while self._turns:
            candidate = self._turns.pop(0)
            if candidate in free and self.take_on(candidate, now_ms, self._pause_ms):
                return candidate
        return None

    def take_on(self, candidate: Candidate, now_ms: int, pause_ms: int) -> bool:
        """Be the one who asks this server, unless a call of this client has done so within the pause."""
        if now_ms - self._signs.enquired_ms(candidate) < pause_ms:
            return False
        self._signs.enquire(candidate, now_ms)
        return True
