"""Carries out in the event loop what `turn` says: serves callers, and lets the loop go round in between.

Rule 1: one call of `_go` is one turn of callers; everything else that is ready runs before the next.
Rule 2: nobody is served in the middle of somebody else's call: what comes up there waits for the next turn.
Assumption: all daemons of one event loop share one of these.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from .turn import Line, Turn

__all__ = ["Rounds", "Served", "now_ms"]


_seconds = time.monotonic
_work_seconds = time.thread_time
_LOOKED_INTO_MS = 1.0
"""What took longer may have been work, or waiting for the processor."""


def now_ms() -> float:
    """Return the time, in milliseconds, that only goes forward."""
    return _seconds() * 1000


class Served(Protocol):
    """A connection, as its turn sees it."""

    line: Line
    is_in_line: bool
    waits_since: float
    """When it was put in line, as `now_ms` says."""
    waited_ms: float
    """How long it was in line for what it does now."""

    @property
    def has_answer(self) -> bool: ...

    was_message: bool
    """Whether what was done last was to look into a message: that tells how dear his messages are."""

    def work(self) -> bool: ...


class Rounds:
    """The turns of one event loop."""

    def __init__(self, *, strangers_share: float) -> None:
        self.turn: Turn[Served] = Turn(now_ms, strangers_share=strangers_share)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._coming: asyncio.Handle | None = None
        self._pauses = False  # What is coming is the end of a pause.
        self._is_serving = False
        self._worked_at: float | None = None  # In a turn of those who waited: looked at when one took long.

    def use(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belong to this loop from now on."""
        self._loop = loop

    def arrived(self, caller: Served) -> None:
        """The caller has something to be done: do it at once if nobody waits, else put him in line."""
        if caller.is_in_line:
            caller.waits_since = now_ms()  # What he was put in line for may be answered already.
        elif self._is_serving or not self.turn.is_free(caller.line):
            self.wait(caller)
        elif self._serve(caller):
            self._come_again(0.0)

    def wait(self, caller: Served) -> None:
        """Put the caller in line, unless he stands there."""
        if not caller.is_in_line:
            caller.is_in_line = True
            caller.waits_since = now_ms()
            self.turn.wait(caller, caller.line, for_answer=caller.has_answer)
            self._come_again(0.0)

    def _serve(self, caller: Served) -> bool:
        """Do one thing for the caller; return whether half of this turn is over."""
        line, begun = caller.line, _seconds()
        self._is_serving = True
        try:
            has_more = caller.work()
        finally:
            self._is_serving = False
            ms = (_seconds() - begun) * 1000
            work_ms = ms
            if ms > _LOOKED_INTO_MS and self._worked_at is not None:
                before, self._worked_at = self._worked_at, _work_seconds()
                work_ms = (self._worked_at - before) * 1000
            is_half_spent = self.turn.spent(caller, line, ms, work_ms, is_message=caller.was_message)
        if has_more:
            self.wait(caller)
        return is_half_spent

    def _go(self) -> None:
        self._coming = None
        turn = self.turn
        turn.begin()
        self._worked_at = _work_seconds()
        try:
            while (caller := turn.next()) is not None:
                caller.is_in_line = False
                caller.waited_ms = now_ms() - caller.waits_since
                self._serve(caller)
                caller.waited_ms = 0.0
        finally:
            self._worked_at = None
            pause_ms = turn.pause_ms()
            if pause_ms is not None:
                self._come_again(pause_ms)

    def _come_again(self, pause_ms: float) -> None:
        """Have a turn begin after `pause_ms`; an earlier one that is coming already will do."""
        assert self._loop is not None
        if self._coming is not None:
            if pause_ms or not self._pauses:
                return
            self._coming.cancel()
        self._pauses = pause_ms > 0
        if self._pauses:
            self._coming = self._loop.call_later(pause_ms / 1000, self._go)
        else:
            self._coming = self._loop.call_soon(self._go)
