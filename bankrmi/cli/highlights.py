"""What has changed lately: a change is seen for some seconds, however often the screen is drawn.  Pure.

Rule: it is seen on more than one screen, however seldom they are drawn: who looked away finds it on the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bankrmi.cli.status_table import Changed, Status

__all__ = ["SEEN_S", "Highlights"]

SEEN_S = 5.0
"""How long a change stands out."""

SEEN_SCREENS = 3
"""On at least this many screens it stands out; the first of them is the one that shows the change."""

_RESTLESS = {"read_lease_ms", "role_for_ms", "slow_ms", "witness_silent_ms", "why"}
"""They change all the time, so that their changes say nothing."""


class Highlights:
    """Remembers what was shown, and when each value changed."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], Any] | None = None
        self._changed: dict[tuple[str, str], _Change] = {}

    def take(self, status: Status, now_s: float) -> Changed:
        """Return what stands out in this status."""
        values = _values(status)
        before, self._before = self._before, values
        for key, value in values.items():
            if before is not None and before.get(key) != value:
                self._changed[key] = _Change(at_s=now_s)
        self._changed = {key: change for key, change in self._changed.items() if not change.is_old(now_s)}
        for change in self._changed.values():
            change.screens += 1
        return set(self._changed)


@dataclass(slots=True)
class _Change:
    """When a value changed, and how many screens have shown it since."""

    at_s: float
    screens: int = 0

    def is_old(self, now_s: float) -> bool:
        return self.screens >= SEEN_SCREENS and now_s - self.at_s >= SEEN_S


def _values(status: Status) -> dict[tuple[str, str], Any]:
    values: dict[tuple[str, str], Any] = {("", "view"): status["view"]}
    for server in status["servers"]:
        shown = {**server, "role": server.get("role") if server["reachable"] else "away"}
        values |= {(server["server"], key): value for key, value in shown.items() if key not in _RESTLESS}
    return values
