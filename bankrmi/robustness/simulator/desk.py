"""Where a simulated process lets callers in, with production's budget of what waits.

A retry joins the request that it repeats; over the budget callers are told that the server is busy; who has
waited too long is told so, and what nobody waits for any more is not decided.

Rule: it is reckoned here once more that no request waits twice, and that the budget was kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bankrmi.errors import BankError, Busy, InDoubt, NotPrimary
from bankrmi.replication.effects import IsBusy, Reply
from bankrmi.replication.events import CallersGone, OutcomeAsked, Overdue, ReadArrived, RequestArrived
from bankrmi.robustness.simulator.failure import Failure
from bankrmi.server.waiting import OVERDUE_SHARE, SLOW_SHARE, Waiting, WaitingRoom, cost_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from bankrmi.robustness.simulator.client import Attempt
    from bankrmi.robustness.simulator.process import SimulatedProcess

__all__ = ["Asking", "Desk"]

LOOK_MS = 100.0
TIMEOUT_MS = 4000.0

Asking = RequestArrived | OutcomeAsked | ReadArrived
"""What a caller may want; its token is the attempt that wants it."""


class Desk:
    """All that waits in one process."""

    def __init__(self, process: SimulatedProcess, budget_bytes: int) -> None:
        self._process = process
        self._weight = max(1, process.simulation.work.weight)
        self._room = WaitingRoom(budget_bytes, slow_ms=SLOW_SHARE * TIMEOUT_MS)
        self._budget_bytes = budget_bytes
        self._inside: dict[
            Waiting, tuple[Hashable | None, int]
        ] = {}  # With what makes two the same, and its cost.

    def open(self) -> None:
        """Look again and again who has waited too long."""
        self._process.after(LOOK_MS, self._look)

    def ask(self, event: Asking) -> None:
        """Let a caller in, or have him join who waits for the same, or tell him that it is too much."""
        attempt: Attempt = event.token
        if attempt.is_refused:
            return
        now_ms = self._process.world.now_ms
        key, content = _key(event)
        waiting = self._room.find(key)
        if waiting is not None and waiting.content == content:
            self._room.join(waiting, attempt, now_ms)
            return
        cost = cost_of(len(content or ()) * self._weight)
        if not self._room.has_room(cost, now_ms):
            self._tell(attempt, Busy("too much waits here already"))
            return
        waiting = Waiting(self._answer, cost, key if waiting is None else None, content)
        self._room.enter(waiting, attempt, now_ms)
        self._check_entered(waiting, cost)
        self._process.carrier.take(replace(event, token=waiting))

    def _check_entered(self, waiting: Waiting, cost: int) -> None:
        name = self._process.name
        if waiting.key is not None and any(waiting.key == key for key, _ in self._inside.values()):
            raise Failure("safety", f"what waits at {name} is let in once more: {waiting.key}")
        self._inside[waiting] = (waiting.key, cost)
        held = sum(one for _, one in self._inside.values())
        if held > self._budget_bytes:
            raise Failure("safety", f"at {name} {held} bytes wait, and {self._budget_bytes} may")

    def _answer(self, waiting: Waiting, reply: Reply) -> None:
        self._inside.pop(waiting, None)
        now_ms = self._process.world.now_ms
        for attempt in self._room.leave(waiting, now_ms, turned_away=isinstance(reply, IsBusy)):
            attempt.reply(reply)  # type: ignore[attr-defined]  # Only attempts were let in.

    def _look(self) -> None:
        now_ms = self._process.world.now_ms
        left, late = self._room.give_up(now_ms - TIMEOUT_MS, now_ms)
        for waiting in left:
            del self._inside[waiting]
        if left:
            self._process.carrier.take(CallersGone(frozenset(left)))
        for _, attempt in late:
            self._tell(attempt, _too_late(attempt))
        overdue = self._room.waiting_since(now_ms - OVERDUE_SHARE * TIMEOUT_MS)
        if overdue:
            self._process.carrier.take(Overdue(frozenset(overdue)))
        self.open()

    def _tell(self, attempt: Any, error: BankError) -> None:
        attempt.is_refused = isinstance(error, Busy)
        self._process.world.send(self._process.name, attempt.client, str(error), lambda: attempt.fail(error))


def _key(event: Asking) -> tuple[Hashable | None, Any]:
    match event:
        case RequestArrived(request=request, operations=operations):
            return ("request", *request), list(operations)
        case OutcomeAsked(request=request):
            return ("outcome", *request), None
        case ReadArrived():
            return None, None


def _too_late(attempt: Any) -> BankError:
    if attempt.asked.request is None:
        return NotPrimary("this server could not make sure in time that it leads", primary=None)
    return InDoubt("the outcome is not known yet", request_id=None)
