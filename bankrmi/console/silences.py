"""For how long callers heard nothing: between two successes, while somebody waited for one.

Assumption: all callers are in this process, and tell of each success when it comes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from math import inf

__all__ = ["SILENCE_MS", "Silences"]

SILENCE_MS = 250.0
"""What is shorter is no silence that is told by itself."""

SUCCESSES_KEPT = 20_000
"""Of the newest calls: several seconds of the highest load, and more of any other."""


class Silences:
    """When callers were told of successes."""

    def __init__(self) -> None:
        self._done: deque[tuple[float, float]] = deque(maxlen=SUCCESSES_KEPT)

    def done(self, began_ms: float, now_ms: float) -> float | None:
        """A call that began then has succeeded; return since when there was a silence, if this ends one."""
        since_ms = max(began_ms, self._done[-1][0]) if self._done else began_ms
        self._done.append((now_ms, began_ms))
        return since_ms if now_ms - since_ms >= SILENCE_MS else None

    def around(self, at_ms: float) -> tuple[float, float] | None:
        """Return from when until when it was silent around this; None if nobody waited, or it lasts."""
        after = bisect_left(self._done, (at_ms, -inf))
        if after == len(self._done):
            return None
        ended_ms, began_ms = self._done[after]
        since_ms = max(began_ms, self._done[after - 1][0]) if after else began_ms
        return (since_ms, ended_ms) if since_ms <= at_ms else None
