"""Whoever waits in a server for the rules: let in within one budget of bytes, or told at once.

Pure: no clock, no event loop, no wire; the caller brings the time. Requests, reads and questions for an
outcome are counted alike, from arrival until the answer is made, wherever they are meanwhile: queued, under
way, held, or decided while the answer waits for its caller's turn.

Rule 1: over the budget nothing is taken, and that is said at once; nobody is put out for others. Nor is
        what would wait for longer than `slow_ms`, as fast as those before were served: it might end in doubt.
Rule 2: a request of an id that waits already joins it: one entry, one decision, an answer for each caller.
Rule 3: whoever is answered, has given up or is gone costs nothing any more.
Assumption: a connection has one call in progress, so those who wait are about as many as connections.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

from bankrmi.server.service_rate import ServiceRate

__all__ = [
    "OPERATION_BYTES",
    "OVERDUE_SHARE",
    "QUESTION_BYTES",
    "SLOW_SHARE",
    "Caller",
    "Waiting",
    "WaitingRoom",
    "cost_of",
]

QUESTION_BYTES = 2048
"""What a call costs in memory while it waits, beside its operations; measured, and rounded up."""

OPERATION_BYTES = 88
"""What an operation costs in the queue, the longest there is, or what became of it in an answer that is not
made yet; measured, and rounded up."""


SLOW_SHARE = 0.45
"""Of the time that callers have: whoever would have to wait longer is not let in."""

OVERDUE_SHARE = 0.5
"""Of the time that callers have: what has waited this long, and is not decided, is turned away."""


def cost_of(operations: int) -> int:
    """Return the bytes that a request with this many operations, or a read, takes while it waits."""
    return QUESTION_BYTES + OPERATION_BYTES * operations


class Caller(Protocol):
    """One call that wants the answer."""

    @property
    def gone(self) -> bool:
        """Whether nobody is left to read it."""


@dataclass(slots=True, eq=False)
class Waiting:
    """One request or read, and all calls that want its answer; the rules know it as a token."""

    answer: Callable[[Waiting, Any], None]
    cost: int
    key: Hashable | None  # What makes two the same; None: nothing is the same as this one.
    content: Any
    callers: list[tuple[Caller, float]] = field(default_factory=list)  # With the time since when it waits.
    looks_up: bool = False
    """Whether it asks what became of a request (see `lookups`)."""

    @property
    def is_wanted(self) -> bool:
        """Whether anybody is left who wants the answer."""
        return not all(caller.gone for caller, _ in self.callers)

    def reply(self, reply: Any) -> None:
        """Hand over what the rules say."""
        self.answer(self, reply)


class WaitingRoom:
    """All that waits in one server."""

    def __init__(self, budget_bytes: int, *, slow_ms: float) -> None:
        self._budget = budget_bytes
        self._slow_ms = slow_ms
        self._rate = ServiceRate()
        self._held = 0
        self._in_answers = 0
        self._waiting: dict[Waiting, None] = {}
        self._answers: dict[Caller, tuple[int, float]] = {}  # With what each holds, and since when it waits.
        self._by_key: dict[Hashable, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, waiting: object) -> bool:
        return waiting in self._waiting

    @property
    def budget_bytes(self) -> int:
        """How much may be used."""
        return self._budget

    @property
    def held_bytes(self) -> int:
        """How much of the budget is used."""
        return self._held + self._in_answers

    def has_room(self, cost: int, now_ms: float, waited_ms: float = 0.0) -> bool:
        """Whether something of this cost may wait, which has waited for `waited_ms` before it came here."""
        if self._held + self._in_answers + cost > self._budget:
            return False
        return not self._waiting or waited_ms + self._rate.wait_ms(self._held + cost, now_ms) <= self._slow_ms

    def fits(self, cost: int) -> bool:
        """Whether the budget allows for `cost` more, however long it would take."""
        return self.held_bytes + cost <= self._budget

    def find(self, key: Hashable | None) -> Waiting | None:
        """Return the one of this key that waits already."""
        return None if key is None else self._by_key.get(key)

    def enter(self, waiting: Waiting, caller: Caller, now_ms: float, waited_ms: float = 0.0) -> None:
        """Let it wait; it has waited for `waited_ms` already, and `has_room` was asked."""
        self._waiting[waiting] = None
        self._rate.begin(now_ms)
        self._held += waiting.cost
        if waiting.key is not None:
            self._by_key[waiting.key] = waiting
        waiting.callers.append((caller, now_ms - waited_ms))

    def join(self, waiting: Waiting, caller: Caller, now_ms: float, waited_ms: float = 0.0) -> None:
        """Wait for the same answer.  Never refused: the request was taken, and costs no more for it."""
        waiting.cost += QUESTION_BYTES
        self._held += QUESTION_BYTES
        waiting.callers.append((caller, now_ms - waited_ms))

    def leave(self, waiting: Waiting, now_ms: float, *, turned_away: bool = False) -> list[Caller]:
        """It is answered: forget it; return who wanted to know, nobody if it had left."""
        if waiting not in self._waiting:
            return []
        if not turned_away:
            self._rate.serve(waiting.cost, now_ms)
        self._forget(waiting, now_ms)
        return [caller for caller, _ in waiting.callers]

    def hold(self, caller: Caller, cost: int, since_ms: float) -> None:
        """It is decided, and its answer waits for the caller's turn: that holds `cost` until `let_go`."""
        self._answers[caller] = cost, since_ms
        self._in_answers += cost

    def let_go(self, caller: Caller) -> None:
        """The answer is made, or given up."""
        cost, _ = self._answers.pop(caller, (0, 0.0))
        self._in_answers -= cost

    def give_up_answers(self, overdue_since_ms: float) -> list[Caller]:
        """Let go of answers that nobody wants any more, or that waited since before then; return whose."""
        given_up = [
            caller
            for caller, (_, since_ms) in self._answers.items()
            if caller.gone or since_ms <= overdue_since_ms
        ]
        for caller in given_up:
            self.let_go(caller)
        return given_up

    def _forget(self, waiting: Waiting, now_ms: float) -> None:
        del self._waiting[waiting]
        if not self._waiting:
            self._rate.end(now_ms)
        self._held -= waiting.cost
        if waiting.key is not None:
            del self._by_key[waiting.key]

    def waiting_since(self, since_ms: float) -> list[Waiting]:
        """Return what somebody has waited for since then, or longer."""
        return [one for one in self._waiting if any(began_ms <= since_ms for _, began_ms in one.callers)]

    def give_up(
        self, overdue_since_ms: float, now_ms: float
    ) -> tuple[list[Waiting], list[tuple[Waiting, Caller]]]:
        """Let go of all callers that are gone, or have waited since before then.

        Return what nobody waits for any more, and has left; and whom to tell that it took too long.
        """
        left: list[Waiting] = []
        late: list[tuple[Waiting, Caller]] = []
        for waiting in list(self._waiting):
            still = []
            for caller, since_ms in waiting.callers:
                if caller.gone:
                    continue
                if since_ms <= overdue_since_ms:
                    late.append((waiting, caller))
                else:
                    still.append((caller, since_ms))
            waiting.callers = still
            if not still:
                self._forget(waiting, now_ms)
                left.append(waiting)
        return left, late
