"""What passes at the moment, and how late.  Only ever used in the event loop of the relays."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

from bankrmi.relays.ways import Way

__all__ = ["Weather"]


class Weather:
    """Of all links of one bank."""

    def __init__(self) -> None:
        self._cut: frozenset[Way] = frozenset()
        self._ends: frozenset[str] = frozenset()
        self._late_ms: Counter[Way] = Counter()
        self._changed = asyncio.Event()

    def cut(self, ways: Iterable[Way]) -> None:
        """Cut exactly these from now on."""
        self._cut = frozenset(ways)
        self._ends = frozenset(end for way in self._cut for end in way)
        self._changed.set()
        self._changed = asyncio.Event()

    def slow(self, by_ms: int, ways: Iterable[Way]) -> None:
        """Let everything be `by_ms` later these ways, from now on; less late if it is below 0."""
        for way in ways:
            self._late_ms[way] += by_ms

    @property
    def late(self) -> dict[Way, int]:
        """By how much each slow way is late."""
        return {way: late_ms for way, late_ms in sorted(self._late_ms.items()) if late_ms > 0}

    def is_cut(self, way: Way) -> bool:
        """Whether nothing passes that way."""
        return way in self._cut

    async def passage(self, end: str, ways: Callable[[], Iterable[Way]]) -> None:
        """Return when something may pass, all of these ways, at one `end` of each.

        Which ways they are is asked only if any way from or to that end is cut.
        """
        while end in self._ends and any(way in self._cut for way in ways()):
            await self._changed.wait()

    async def lateness(self, end: str, way: Callable[[], Way]) -> None:
        """Return when something that begins its way now has arrived."""
        if any(end in late for late, late_ms in self._late_ms.items() if late_ms):
            await asyncio.sleep(self._late_ms[way()] / 1000)
