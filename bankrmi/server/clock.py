"""The clocks of a real server.

Rule: leases are counted by CLOCK_BOOTTIME, which goes on while the machine is suspended; what people
      read is wall-clock time, and nothing is decided by it.
"""

from __future__ import annotations

import time

__all__ = ["now_ms", "wall_us"]

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_ms() -> float:
    """Return the time that leases are counted by, in milliseconds."""
    return time.clock_gettime_ns(_CLOCK) / 1e6


def wall_us() -> int:
    """Return the time of day, in microseconds since 1970."""
    return time.time_ns() // 1000
