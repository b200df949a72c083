"""How long who comes now will wait, by how fast those before were served.  Pure; the caller brings the time.

Rule 1: only time in which somebody waits counts: a server with little to do is not a slow one.
Rule 2: what was long ago counts little (`REMEMBERED_MS`), so a server that stands still is soon known to be
        slow, and one that is quick again to be quick.
Rule 3: while hardly anything is known, nobody is believed to wait.
"""

from __future__ import annotations

from math import exp, inf

__all__ = ["ServiceRate"]

REMEMBERED_MS = 2000.0
KNOWN_AFTER_MS = 1000.0
"""A takeover, in which everybody waits, is over by then."""
GRAIN_MS = 1.0
"""Time that passes is reckoned in pieces that are no smaller: many are served in one of them."""


class ServiceRate:
    """The cost that is served in a millisecond."""

    __slots__ = ("_seen_ms", "_served", "_waited_ms")

    def __init__(self) -> None:
        self._served = 0.0
        self._waited_ms = 0.0
        self._seen_ms: float | None = None  # None while nobody waits.

    def begin(self, now_ms: float) -> None:
        """Somebody waits."""
        if self._seen_ms is None:
            self._seen_ms = now_ms

    def serve(self, cost: float, now_ms: float) -> None:
        """Something of this cost was answered."""
        if self._seen_ms is not None and now_ms - self._seen_ms >= GRAIN_MS:
            self._pass(now_ms)
        self._served += cost

    def end(self, now_ms: float) -> None:
        """Nobody waits any more."""
        self._pass(now_ms)
        self._seen_ms = None

    def wait_ms(self, cost: float, now_ms: float) -> float:
        """Return how long it takes to serve something of this cost."""
        if self._seen_ms is not None and now_ms - self._seen_ms >= GRAIN_MS:
            self._pass(now_ms)
        if self._waited_ms < KNOWN_AFTER_MS:
            return 0.0
        return cost * self._waited_ms / self._served if self._served > 0 else inf

    def _pass(self, now_ms: float) -> None:
        if self._seen_ms is None or now_ms <= self._seen_ms:
            return
        passed_ms, self._seen_ms = now_ms - self._seen_ms, now_ms
        kept = exp(-passed_ms / REMEMBERED_MS)
        self._served *= kept
        self._waited_ms = self._waited_ms * kept + passed_ms
