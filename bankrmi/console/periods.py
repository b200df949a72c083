"""What became of the calls of a quarter of a second, in figures: the event `rate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["PERIOD_S", "UNUSUAL", "Period"]

PERIOD_S = 0.25
UNUSUAL = frozenset({"refused", "in_doubt"})
"""Calls that were not answered: their time is told with them, and is in no median."""


@dataclass(slots=True)
class Period:
    """One of them, while it lasts."""

    done: int = 0
    declined: int = 0
    failed: int = 0
    in_doubt: int = 0
    took_us: list[int] = field(default_factory=list)
    shown: int = 0
    """Calls that an event of their own tells of."""
    _slowest_us: int = -1

    @property
    def calls(self) -> int:
        """How many there were."""
        return self.done + self.declined + self.failed + self.in_doubt

    def take(self, outcome: str, took_us: int) -> bool:
        """Count a call that has ended; return whether none of this period took longer so far."""
        match outcome:
            case "done":
                self.done += 1
            case "declined":
                self.declined += 1
            case "in_doubt":
                self.in_doubt += 1
            case _:
                self.failed += 1
        if outcome not in UNUSUAL:
            self.took_us.append(took_us)
        is_slowest = took_us > self._slowest_us
        self._slowest_us = max(took_us, self._slowest_us)
        return is_slowest

    def in_sums(self, from_ms: float, to_ms: float) -> dict[str, Any]:
        """Return the event's fields."""
        took = sorted(self.took_us)
        seconds = max((to_ms - from_ms) / 1000, 0.001)
        return {
            "from_ms": round(from_ms),
            "per_second": round((self.done + self.declined) / seconds),
            "calls": self.calls,
            "done": self.done,
            "declined": self.declined,
            "failed": self.failed,
            "in_doubt": self.in_doubt,
            "median_us": took[len(took) // 2] if took else None,
            "p99_us": took[min(len(took) - 1, len(took) * 99 // 100)] if took else None,
            "slowest_us": took[-1] if took else None,
            "left_out": max(0, self.calls - self.shown),
        }
