"""A simulated process's event loop: one thing after the other, each for as long as its work takes.

What callers send is dealt with in production's turns (`rmi.turn`): they share a few milliseconds of each
pass; then come links of servers, timers and the process's own work, as many as have arrived by then.

Rule 1: while the process is busy, or waits for its disk, or stands still, whatever comes waits.
Rule 2: with nothing to do, what comes is done at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bankrmi.rmi.turn import Line, Turn
from bankrmi.robustness.simulator.world import World

__all__ = ["Loop"]

UNREAD_MS = 0.03
"""To answer a call that is not read."""


@dataclass(slots=True, eq=False)
class _Call:
    """A caller's message: who sent it, what reading it costs, and what to do with it then."""

    caller: str
    line: Line
    cost_ms: float
    action: Callable[[], None]
    unread: Callable[[], None] | None
    arrived_ms: float


class Loop:
    """Does what arrives, when there is time."""

    def __init__(
        self,
        world: World,
        may_go_on: Callable[[], bool],
        on_free: Callable[[], None],
        *,
        unread_ms: float = 0.0,
    ) -> None:
        """`may_go_on` says whether the process lives, moves, and is between two steps.

        `on_free` is called when the work that was under way is done: then the process carries out what it
        came to, and calls `go_on`.  `unread_ms` is production's limit of that name.
        """
        self._world = world
        self._may_go_on = may_go_on
        self._on_free = on_free
        self._own: deque[Callable[[], None]] = deque()
        self._turn: Turn[_Call] = Turn(lambda: world.now_ms)
        self._own_first = 0  # So many of its own come before the next turn of callers.
        self._calls = 0
        self._unread_ms = unread_ms
        self.waited_ms = 0.0
        """How long the message that is looked into waited for it."""
        self._busy_until_ms = 0.0
        self._running = False
        self._looking = False

    @property
    def is_busy(self) -> bool:
        """Whether work is under way."""
        return self._world.now_ms < self._busy_until_ms

    @property
    def waiting(self) -> int:
        """How many messages wait for their turn."""
        return len(self._own) + self._calls

    def spend(self, cost_ms: float) -> None:
        """Be busy for so much longer; `go_on` comes by itself."""
        if cost_ms > 0:
            self._busy_until_ms = max(self._busy_until_ms, self._world.now_ms) + cost_ms
            self._world.after(self._busy_until_ms - self._world.now_ms, self._free)

    def _free(self) -> None:
        if not self.is_busy:
            self._on_free()

    def arrive(self, action: Callable[[], None]) -> None:
        """Something of the process's own, or from another server."""
        self._own.append(action)
        self.go_on()

    def call(
        self,
        caller: str,
        line: Line,
        cost_ms: float,
        action: Callable[[], None],
        unread: Callable[[], None] | None = None,
    ) -> None:
        """A caller has sent something; `unread` is done instead if it has waited for too long, if given."""
        self._turn.wait(_Call(caller, line, cost_ms, action, unread, self._world.now_ms), line)
        self._calls += 1
        self.go_on()

    def go_on(self) -> None:
        """Do what waits, as far as there is time now."""
        if self._running:
            return
        self._running = True
        try:
            while self._may_go_on() and not self.is_busy and self._do_one():
                pass
        finally:
            self._running = False

    def _do_one(self) -> bool:
        if self._own_first:
            self._own_first -= 1
            self._own.popleft()()
            return True
        call = self._turn.next() if self._calls else None
        if call is None:
            self._turn.begin()
            if self._own:
                self._own_first = len(self._own)
                return True
            call = self._turn.next() if self._calls else None
        if call is None:
            if self._calls:
                self._look_again()
            return False
        self._calls -= 1
        self.waited_ms = self._world.now_ms - call.arrived_ms
        cost_ms, action = call.cost_ms, call.action
        if call.unread is not None and self.waited_ms > self._unread_ms:
            cost_ms, action = min(cost_ms, UNREAD_MS), call.unread
        self._turn.spent(call, call.line, cost_ms)
        self.spend(cost_ms)
        action()
        return True

    def _look_again(self) -> None:
        """All who wait owe time: come back when they have paid."""
        pause_ms = self._turn.pause_ms()
        if pause_ms is not None and not self._looking:
            self._looking = True

            def look() -> None:
                self._looking = False
                self.go_on()

            self._world.after(max(0.1, pause_ms), look)
