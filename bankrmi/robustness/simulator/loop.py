"""A simulated process's event loop: one thing after the other, each for as long as its work takes.

What callers send is dealt with in production's turns (`rmi.turn`): they share a few milliseconds of each
pass; then come links of servers, timers and the process's own work, as many as have arrived by then.

Rule 1: while the process is busy, or waits for its disk, or stands still, whatever comes waits.
Rule 2: with nothing to do, what comes is done at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bankrmi.rmi.turn import Line, Turn
from bankrmi.robustness.simulator.world import World

__all__ = ["Loop"]

UNREAD_MS = 0.03
"""To answer a call that is not read."""


@dataclass(slots=True, eq=False)
class _Call:
    """A caller's message: what reading it costs, and what to do with it then."""

    cost_ms: float
    action: Callable[[], None]
    unread: Callable[[], None] | None
    arrived_ms: float


@dataclass(slots=True, eq=False)
class _Caller:
    """One connection, and what it has sent that is not looked into: it stands in line once."""

    line: Line
    sent: deque[_Call] = field(default_factory=deque)


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
        self._turn: Turn[_Caller] = Turn(lambda: world.now_ms)
        self._callers: dict[tuple[str, Line], _Caller] = {}
        self._own_first = 0  # How many of its own come before the next turn of callers.
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
        """Be busy for `cost_ms` longer; `go_on` comes by itself."""
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
        sender = self._callers.setdefault((caller, line), _Caller(line))
        if not sender.sent:
            self._turn.wait(sender, line)
        sender.sent.append(_Call(cost_ms, action, unread, self._world.now_ms))
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
        caller = self._turn.next() if self._calls else None
        if caller is None:
            self._turn.begin()
            if self._own:
                self._own_first = len(self._own)
                return True
            caller = self._turn.next() if self._calls else None
        if caller is None:
            if self._calls:
                self._look_again()
            return False
        self._calls -= 1
        self._serve(caller, caller.sent.popleft())
        return True

    def _serve(self, caller: _Caller, call: _Call) -> None:
        self.waited_ms = self._world.now_ms - call.arrived_ms
        unread = call.unread if self.waited_ms > self._unread_ms else None
        cost_ms = call.cost_ms if unread is None else min(call.cost_ms, UNREAD_MS)
        self._turn.spent(caller, caller.line, cost_ms, is_message=unread is None)
        if caller.sent:
            self._turn.wait(caller, caller.line)
        self.spend(cost_ms)
        (unread or call.action)()

    def _look_again(self) -> None:
        """All who wait owe time: come back when they have paid."""
        pause_ms = self._turn.pause_ms()
        if pause_ms is not None and not self._looking:
            self._looking = True

            def look() -> None:
                self._looking = False
                self.go_on()

            self._world.after(max(0.1, pause_ms), look)
