"""Waits that are all equally long, in one event loop: one timer for all of them.

Nearly every call waits as long as every other, and is answered long before that is over. A timer for each
would be made, sorted in, and thrown away.

Rule: whoever begins last is due last, so the timer is set for the oldest wait that was not over when it rang;
      each wait ends when it is due, not later than with a timer of its own.
"""

from __future__ import annotations

import asyncio

__all__ = ["EqualWaits"]


class EqualWaits:
    """Those that last `wait_ms`."""

    __slots__ = ("_due", "_loop", "_timer", "wait_ms")

    def __init__(self, loop: asyncio.AbstractEventLoop, wait_ms: int) -> None:
        self.wait_ms = wait_ms
        self._loop = loop
        self._due: dict[asyncio.Future[None], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, waiter: asyncio.Future[None]) -> None:
        """Set its result when the wait is over, unless it has ended before."""
        due = self._due[waiter] = self._loop.time() + self.wait_ms / 1000
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._ring)

    def end(self, waiter: asyncio.Future[None]) -> None:
        """It no longer waits."""
        del self._due[waiter]

    def _ring(self) -> None:
        self._timer = None
        now = self._loop.time()
        for waiter, due in self._due.items():
            if due > now:
                self._timer = self._loop.call_at(due, self._ring)
                return
            if not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        """Keep no timer if nobody waits."""
        if self._timer is not None and not self._due:
            self._timer.cancel()
            self._timer = None
