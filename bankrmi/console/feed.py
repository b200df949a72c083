"""What has happened lately, and whoever listens: one line of events for every page that is open.

Rule 1: events have numbers that only grow; whoever comes back says the last one that he has seen.
Rule 2: only so many are kept, and only for so long. A listener who is too slow is cut off, and begins anew.
Assumption: all is called in one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, Protocol

from bankrmi.console.events import event_of, text_of

__all__ = ["Event", "Feed", "Telling"]

KEPT = 20_000
KEPT_MS = 300_000
BEHIND_AT_MOST = 5_000
"""Events that one listener may lag behind."""


class Telling(Protocol):
    """Whoever is told what happens: the pages that are open, or a file."""

    def put(self, kind: str, **values: Any) -> None:
        """Tell one event of a kind, with its fields (`events` has them all)."""


class Event(NamedTuple):
    """One thing that happened, as it is told."""

    number: int
    t: int
    """When, in milliseconds since 1970."""
    text: str
    """All of it, as JSON."""


class Feed:
    """The events of one console."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._number = 0
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._over = False

    def put(self, kind: str, **values: Any) -> None:
        """Tell everybody."""
        now = self._now_ms()
        self._number += 1
        event = Event(self._number, now, text_of(event_of(kind, now, values)))
        self._kept.append(event)
        while self._kept[0].t < now - KEPT_MS:
            self._kept.popleft()
        for listener in list(self._listeners):
            if listener.qsize() >= BEHIND_AT_MOST:
                self._cut_off(listener)
            else:
                listener.put_nowait(event)

    async def listen(self, seen: int = 0) -> AsyncIterator[Event]:
        """Yield what is kept of what came after event `seen`, and then what comes, until the console ends."""
        if seen > self._number:  # Of another console, which had this address before.
            seen = 0
        listener: asyncio.Queue[Event | None] = asyncio.Queue()
        kept = [event for event in self._kept if event.number > seen]
        if self._over:
            return
        self._listeners.add(listener)
        try:
            for event in kept:
                yield event
            while (next_one := await listener.get()) is not None:
                yield next_one
        finally:
            self._listeners.discard(listener)

    @property
    def listeners(self) -> int:
        """How many pages are open."""
        return len(self._listeners)

    def close(self) -> None:
        """Let everybody go."""
        self._over = True
        for listener in list(self._listeners):
            self._cut_off(listener)

    def _cut_off(self, listener: asyncio.Queue[Event | None]) -> None:
        self._listeners.discard(listener)
        while not listener.empty():
            listener.get_nowait()
        listener.put_nowait(None)
