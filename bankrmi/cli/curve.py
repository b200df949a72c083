"""How many operations a second there were in the last minute: from the newest action ids.  Pure.

Rule 1: what was decided between two looks is spread evenly over the time between them; nothing is guessed
        where nobody looked.
Rule 2: action ids are compared within one history only: another one begins anew.
Rule 3: a copy that knows of less than was seen before takes nothing back: nothing was decided meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from bankrmi.cli.health import Status, leader_of

__all__ = ["BLOCKS", "IN_ASCII", "SPAN_S", "Curve", "drawn"]

SPAN_S = 60.0
NOW_S = 3.0
"""What is said to be now is the mean of so long."""

BLOCKS = "▁▂▃▄▅▆▇█"
IN_ASCII = "_.:-=+*#"


class Curve:
    """What was seen of one bank."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._history: object = None

    def take(self, status: Status, at_s: float) -> None:
        """Note how far the bank had come when it was asked."""
        newest = _newest(status)
        if newest is None:
            return
        history, action_id = newest
        if history != self._history:
            self._seen.clear()
            self._history = history
        if self._seen:
            action_id = max(action_id, self._seen[-1][1])
        self._seen.append((at_s, action_id))
        while len(self._seen) > 1 and self._seen[1][0] <= at_s - SPAN_S:
            self._seen.popleft()

    def rates(self, columns: int) -> list[float | None]:
        """Return the operations a second in each of so many parts of the minute, the newest last."""
        if not self._seen:
            return [None] * columns
        end_s, part_s = self._seen[-1][0], SPAN_S / columns
        return [self._rate(end_s - (columns - one) * part_s, part_s) for one in range(columns)]

    def now(self) -> float | None:
        """Return the operations a second of the last moments; None if it was not looked at for so long."""
        if len(self._seen) < 2:
            return None
        (first_s, _), (end_s, _) = self._seen[0], self._seen[-1]
        begin_s = max(first_s, end_s - NOW_S)
        return self._rate(begin_s, end_s - begin_s)

    def _rate(self, begin_s: float, seconds: float) -> float | None:
        before, after = self._at(begin_s), self._at(begin_s + seconds)
        return None if before is None or after is None or seconds <= 0 else (after - before) / seconds

    def _at(self, when_s: float) -> float | None:
        """Return how far it had come then, between two looks in proportion."""
        if when_s < self._seen[0][0]:
            return None
        before_s, before = self._seen[0]
        for after_s, after in self._seen:
            if when_s <= after_s:
                passed = (when_s - before_s) / (after_s - before_s) if after_s > before_s else 1.0
                return before + passed * (after - before)
            before_s, before = after_s, after
        return before


def drawn(rates: Iterable[float | None], levels: str) -> str:
    """Return a character for each; the lowest level is for none at all, a blank for what is not known."""
    rates = list(rates)
    highest = max((rate for rate in rates if rate), default=0.0)
    return "".join(
        " " if rate is None else levels[0] if rate <= 0 else levels[_level(rate / highest, len(levels))]
        for rate in rates
    )


def _level(part: float, levels: int) -> int:
    return max(1, min(levels - 1, round(part * (levels - 1))))


def _newest(status: Status) -> tuple[object, int] | None:
    """Return the newest action id of who leads; where nobody does, of any copy of the same history."""
    leader, view = leader_of(status), status["view"]
    if view is None:
        return None
    copies = [leader] if leader is not None else [one for one in status["servers"] if one["reachable"]]
    ids = [
        one["action_id"]
        for one in copies
        if type(one.get("action_id")) is int and one.get("history") in (None, view["history"])
    ]
    return (view["history"], max(ids)) if ids else None
