"""How long does a caller pause before it comes again?  Pure arithmetic; who asks brings the chance.

Rule 1: each pause is drawn from half of its longest to all of it: callers who failed together must not come
        together.
Rule 2: pauses grow up to a bound; what a server wants is believed up to a bound, too.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["BACKOFF_MS", "BUSY_MS", "Pauses"]

BACKOFF_MS = (1, 2, 5, 10, 20, 50, 100)
"""The longest time from each round to the next, and half of it the shortest; the last one for ever."""

BUSY_MS = (10, 20, 40, 80, 160, 250)
"""The longest pause after each `Busy`, and half of it the shortest; the last one for ever."""

_RETRY_AT_MOST_MS = 1000
"""Longer than this no server can make a caller wait."""


class Pauses:
    """The pauses of one call; `draw` returns numbers from 0 to 1."""

    __slots__ = ("_draw",)

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw

    def between_rounds_ms(self, rounds: int) -> int:
        """Return the time from the beginning of this round, the first is 1, to the next."""
        return self.drawn_ms(BACKOFF_MS[min(rounds, len(BACKOFF_MS)) - 1])

    def after_busy_ms(self, refusals: int, wanted_ms: object, *, at_most_ms: int) -> int:
        """Return the pause after this many refusals; the last one said when the server wants to be asked."""
        at_most_ms = min(at_most_ms, _RETRY_AT_MOST_MS)
        least_ms = min(max(0, wanted_ms), at_most_ms) if type(wanted_ms) is int else 0
        return least_ms + self.drawn_ms(BUSY_MS[min(refusals, len(BUSY_MS)) - 1])

    def drawn_ms(self, longest_ms: int) -> int:
        """Return something between half and all of it."""
        return max(1, round(longest_ms * (1 + self._draw()) / 2))
