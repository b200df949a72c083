"""What has changed lately: a change is seen for some seconds, however often the screen is drawn.  Pure."""

from __future__ import annotations

from typing import Any

from bankrmi.cli.status_table import Changed, Status

__all__ = ["SEEN_S", "Highlights"]

SEEN_S = 5.0
"""For so long a change stands out; at least until the next refresh."""

_RESTLESS = {"read_lease_ms", "role_for_ms", "slow_ms", "witness_silent_ms", "why"}
"""They change all the time, so that their changes say nothing."""


class Highlights:
    """Remembers what was shown, and when each value changed."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], Any] | None = None
        self._changed_s: dict[tuple[str, str], float] = {}

    def take(self, status: Status, now_s: float) -> Changed:
        """Return what stands out in this status."""
        values = _values(status)
        before, self._before = self._before, values
        old = {key for key, since_s in self._changed_s.items() if now_s - since_s >= SEEN_S}
        for key in old:
            del self._changed_s[key]
        for key, value in values.items():
            if before is not None and before.get(key) != value:
                self._changed_s[key] = now_s
        return set(self._changed_s)


def _values(status: Status) -> dict[tuple[str, str], Any]:
    values: dict[tuple[str, str], Any] = {("", "view"): status["view"]}
    for server in status["servers"]:
        shown = {**server, "role": server.get("role") if server["reachable"] else "away"}
        values |= {(server["server"], key): value for key, value in shown.items() if key not in _RESTLESS}
    return values
