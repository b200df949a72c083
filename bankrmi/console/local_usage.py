"""What processes on this machine use, about once a second: the event `usage`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from bankrmi.diagnosis.usage import cpu_seconds, resident_kb

__all__ = ["LocalUsage"]

EVERY_S = 1.0


class LocalUsage:
    """Of the processes of one bank."""

    def __init__(self, pid_of: Callable[[str], int | None], now_s: Callable[[], float] = time.time) -> None:
        """`pid_of` returns which process has a name; None if none has, or it is not here."""
        self._pid_of = pid_of
        self._now_s = now_s
        self._looked_s = 0.0
        self._spent: dict[int, float] = {}

    def look(self, names: Sequence[str]) -> dict[str, Any] | None:
        """Return the event's fields; None if it is too early for another look, or nobody is here."""
        now_s, before_s = self._now_s(), self._looked_s
        if now_s - before_s < EVERY_S:
            return None
        pids = {name: pid for name in names if (pid := self._pid_of(name)) is not None}
        spent = {pid: cpu_seconds(pid) for pid in pids.values()}
        before, self._spent, self._looked_s = self._spent, spent, now_s
        cpu = {
            name: round(max(0.0, spent[pid] - before[pid]) / (now_s - before_s), 3)
            for name, pid in pids.items()
            if pid in before
        }
        if not cpu:
            return None
        return {
            "from_ms": round(before_s * 1000),
            "cpu": cpu,
            "resident_kb": {name: resident_kb(pids[name]) for name in cpu},
        }
