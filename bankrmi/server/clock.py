"""The clocks of a real server.

Rule: leases are counted by CLOCK_BOOTTIME, which goes on while the machine is suspended; what people
      read is wall-clock time, and nothing is decided by it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

__all__ = ["LoopClock", "now_ms", "wall_us"]

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_ms() -> float:
    """Return the time that leases are counted by, in milliseconds."""
    return time.clock_gettime_ns(_CLOCK) / 1e6


def wall_us() -> int:
    """Return the time of day, in microseconds since 1970."""
    return time.time_ns() // 1000


class LoopClock:
    """The clocks, and the timers of the running event loop (see `ports.Clock`)."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    now_ms = staticmethod(now_ms)
    wall_us = staticmethod(wall_us)

    def after(self, delay_ms: float, action: Callable[[], None]) -> asyncio.TimerHandle:
        """Let something happen in `delay_ms` milliseconds."""
        return self._loop.call_later(delay_ms / 1000, action)

    def soon(self, action: Callable[[], None]) -> None:
        """Let something happen in the next pass of the loop, when what has arrived by then was read."""
        self._loop.call_soon(action)
