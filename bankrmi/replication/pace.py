"""How much a primary decides while a joiner lags: so much that the joiner wins.

Pure; the caller brings the time.

Rule 1: new entries come at half the speed at which the joiner gains, so that the gap always closes.
Rule 2: but never slower than at half the usual speed: whoever the bank serves notices little of it.
Rule 3: a batch is decided whole, and what it took in excess is paid back by waiting.
"""

from __future__ import annotations

__all__ = ["Pace"]

MEASURED_MS = 1_000.0
"""Over how long the usual speed is measured."""

FORGET_MS = 200.0
"""What was not used within this time is not saved up for a burst."""


class Pace:
    """The speed of one primary, in entries."""

    def __init__(self, now_ms: float, least_per_ms: float) -> None:
        """`least_per_ms` is taken for usual when less was measured: a bank that was idle may be busy now."""
        self._least_per_ms = self._usual_per_ms = least_per_ms
        self._since_ms = now_ms
        self._decided = 0
        self._window_ms: float | None = (
            None  # Since when somebody lags, or what was saved was forgotten last.
        )
        self._gained = 0
        self._used = 0.0

    def decided(self, entries: int) -> None:
        """`entries` new entries were decided."""
        self._decided += entries
        self._used += entries

    def gained(self, entries: int) -> None:
        """A joiner that lags has gained `entries`."""
        self._gained += entries

    def nobody_lags(self, now_ms: float) -> None:
        """Measure what is usual."""
        self._window_ms = None
        passed_ms = now_ms - self._since_ms
        if passed_ms >= MEASURED_MS:
            measured = self._decided / passed_ms
            self._usual_per_ms = max(self._least_per_ms, measured, (self._usual_per_ms + measured) / 2)
            self._since_ms, self._decided = now_ms, 0

    def may_decide(self, now_ms: float) -> bool:
        """Somebody lags: whether it is time for a group."""
        if self._window_ms is None:
            self._window_ms, self._gained, self._used = now_ms, 0, 0.0
        allowed = max(self._gained, self._usual_per_ms * (now_ms - self._window_ms)) / 2
        if now_ms - self._window_ms >= FORGET_MS:
            self._used = max(0.0, self._used - allowed)
            self._window_ms, self._gained, allowed = now_ms, 0, 0.0
        return self._used <= allowed
