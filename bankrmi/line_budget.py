"""How many log lines of a kind may be written: the first of a flood, then a few, and how many were not.

Rule 1: a log grows by no more than this, whatever happens: a full disk stops a bank.
Rule 2: what is left out is counted, and told with the next line that is written.
Assumption: the first lines of a flood tell as much as all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["LineBudget"]

_KINDS = 200
_OTHERS = "others"


class LineBudget:
    """Of each kind `burst` lines at once, and one more every `every_s` seconds."""

    def __init__(self, burst: int, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._every_s = every_s
        self._clock = clock
        self._until: dict[str, float] = {}
        """When all lines of the burst will be there again, by kind."""
        self._left_out: dict[str, int] = {}

    def allows(self, kind: str) -> bool:
        """Return whether a line of this kind may be written, and count it."""
        if kind not in self._until and len(self._until) >= _KINDS:
            kind = self._forget_old_kinds(kind)
        now = self._clock()
        until = max(now, self._until.get(kind, 0.0)) + self._every_s
        if until - now > self._burst * self._every_s:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return False
        self._until[kind] = until
        return True

    def left_out(self) -> str:
        """Return what was left out since this was last asked, as "N times KIND, ..."; or an empty text."""
        left_out, self._left_out = self._left_out, {}
        return ", ".join(f"{count} times {kind!r}" for kind, count in left_out.items())

    def _forget_old_kinds(self, kind: str) -> str:
        """Make room for one more kind; where there is none, return the one that all others share."""
        now = self._clock()
        self._until = {known: until for known, until in self._until.items() if until > now}
        return kind if len(self._until) < _KINDS else _OTHERS
