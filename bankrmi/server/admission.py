"""Who is let in to wait for the rules: one piece, for the account object and for the simulator's callers.

    visitor ──> joins what waits under its id | told Busy | waits, and the rules are asked

Rule 1: over the budget of the room, or over a caller's rate of entries, it is told `Busy` before it costs.
Rule 2: a retry joins the request that it repeats; another operation under an id that waits is refused.
Rule 3: whoever was let in is answered exactly once: by the rules, or, when it has waited too long, with the
        word that it took too long (promise 6). What nobody waits for any more is not decided, if it is not
        yet; nor is what might end in doubt.
Rule 4: what an answer holds is counted until it is made, and its time goes on (see `lookups` for outcomes).
Rule 5: no clock, no wire: the time and the way to the rules are given.
Rule 6: one of ours waits from when its message came, not from when it was read: its time goes on meanwhile. A
        stranger waits for his share, which is not a sign of load, and has told no time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import groupby
from math import ceil
from typing import Any, Protocol

from bankrmi.errors import InvalidRequest
from bankrmi.replication.effects import IsBusy, Read, Reply
from bankrmi.replication.events import (
    CallersGone,
    Event,
    OutcomeAsked,
    Overdue,
    ReadArrived,
    RequestArrived,
    Seen,
)
from bankrmi.rmi import Peer
from bankrmi.server.answering import Kept, busy, long_outcome
from bankrmi.server.lookups import Lookups
from bankrmi.server.rates import EntryRates
from bankrmi.server.waiting import OVERDUE_SHARE, QUESTION_BYTES, Caller, Waiting, WaitingRoom, cost_of

__all__ = ["BUSY", "LOOK_MS", "Admission", "Visitor"]

BUSY = ("waiting_bytes", "waiting_time", "entry_rate", "overdue")
"""Why callers are told `Busy`: too much waits; it would wait too long; they make the journals grow too fast;
it has waited too long to be decided in time."""

LOOK_MS = 100.0
"""How often it is looked who has waited too long, or is gone."""


class Visitor(Caller, Protocol):
    """One call that wants in, and then its answer."""

    @property
    def peer(self) -> Peer:
        """Who asks."""

    @property
    def request_id(self) -> str | None:
        """The id of the request that it is about, if it is about one."""

    @property
    def waited_ms(self) -> float:
        """How long it has waited for its turn to be read."""

    @property
    def takes_packed(self) -> bool:
        """Whether a long outcome is no work for it."""

    def begin_waiting(self, operations: int) -> None:
        """It waits from now on, with this many operations that are to be decided for it."""

    def answer(self, reply: Reply) -> None:
        """Hand over what the rules say."""

    def answer_in_turn(self, kept: Kept, made: Callable[[Any], None]) -> None:
        """Hand over a long outcome when it is its turn; `made` is called once nothing is kept for it."""

    def give_up(self) -> None:
        """Say that it has taken too long."""


class Admission:
    """The door of one server."""

    def __init__(
        self,
        take: Callable[[Event], None],
        read_at_once: Callable[[Any, Seen | None], Read | None],
        *,
        now_ms: Callable[[], float],
        room: WaitingRoom,
        rates: EntryRates,
        operations_per_request: int,
        timeout_ms: float,
        look_otherwise: Callable[[], bool] = lambda: False,
    ) -> None:
        """`look_otherwise`: whether the same operations may not look as they did before (S6)."""
        self.look_otherwise = look_otherwise
        self._take = take
        self._read_at_once = read_at_once
        self._now_ms = now_ms
        self._room = room
        self._rates = rates
        self._timeout_ms = timeout_ms
        self._looked_ms = float("-inf")
        self._lookups = Lookups(room.budget_bytes, cost_of(operations_per_request))
        self._turns_away = False
        self.refused = dict.fromkeys(BUSY, 0)
        """How many callers were told `Busy`, by why."""

    @property
    def waiting(self) -> int:
        """How many requests, reads and questions wait."""
        return len(self._room)

    @property
    def held_bytes(self) -> int:
        """How much memory they take up, of the budget."""
        return self._room.held_bytes

    @property
    def budget_bytes(self) -> int:
        """The budget."""
        return self._room.budget_bytes

    @property
    def is_busy(self) -> bool:
        """Whether anybody waits for an answer."""
        return self._room.held_bytes > 0

    # -- who wants in ----------------------------------------------------------------------------

    def request(
        self,
        visitor: Visitor,
        request: tuple[str, int],
        work: Callable[[], bytes],
        count: int,
        seen: Seen | None,
        *,
        more_bytes: int = 0,
        entries: int = 0,
    ) -> None:
        """Have a request of `count` operations decided; `work` packs them, once there is known to be room.

        Where operations can be long: it takes so many more bytes while it waits, and the journals as if it
        were so many entries.
        """
        key = ("request", *request)
        if self._room.find(key) is not None:
            self._joins(visitor, key, work())
            return
        now_ms, cost = self._now_ms(), cost_of(count) + more_bytes
        waited_ms = _waited_ms(visitor)
        self._check_load(visitor, cost, now_ms, waited_ms, entries=entries or count)
        operations = work()
        waiting = self._let_in(visitor, key, operations, cost, now_ms, waited_ms, count)
        self._take(RequestArrived(waiting, request, operations, count, seen, visitor.peer.address))

    def outcome(self, visitor: Visitor, request: tuple[str, int], seen: Seen | None) -> None:
        """Have it settled what became of a request."""
        key = ("outcome", *request)
        if not self._joins(visitor, key, None):
            now_ms, waited_ms = self._now_ms(), _waited_ms(visitor)
            self._check_load(visitor, QUESTION_BYTES, now_ms, waited_ms, entries=1)
            waiting = self._let_in(visitor, key, None, QUESTION_BYTES, now_ms, waited_ms)
            waiting.looks_up = True
            self._lookups.put(OutcomeAsked(waiting, request, seen, visitor.peer.address))
            self._look_up()

    def read(self, visitor: Visitor, query: Any, seen: Seen | None, *, more_bytes: int = 0) -> None:
        """Have something read; what nothing keeps waiting is answered before this returns.

        `more_bytes`: what a long question takes, beside what a usual one does, while it waits.
        """
        reply = self._read_at_once(query, seen)
        if reply is not None:
            visitor.answer(reply)
            return
        now_ms, waited_ms, cost = self._now_ms(), _waited_ms(visitor), QUESTION_BYTES + more_bytes
        self._check_load(visitor, cost, now_ms, waited_ms)
        waiting = self._let_in(visitor, None, None, cost, now_ms, waited_ms)
        self._take(ReadArrived(waiting, query, seen))

    def _joins(self, visitor: Visitor, key: Hashable, content: Any) -> bool:
        """Attach a retry to what waits under its id, if anything does."""
        waiting = self._room.find(key)
        if waiting is None:
            return False
        if waiting.content != content and not self.look_otherwise():
            raise InvalidRequest(
                "this request id was used before, for another operation", request_id=visitor.request_id
            )
        visitor.begin_waiting(0)
        self._room.join(waiting, visitor, self._now_ms(), _waited_ms(visitor))
        return True

    def _check_load(
        self, visitor: Visitor, cost: int, now_ms: float, waited_ms: float, *, entries: int = 0
    ) -> None:
        """Raise Busy if too much waits here, or if this caller makes the journals grow too fast."""
        if not self._room.has_room(cost, now_ms, waited_ms):
            self.refused["waiting_time" if self._room.fits(cost) else "waiting_bytes"] += 1
            raise busy(visitor.request_id)
        if entries:
            peer = visitor.peer
            wait_ms = self._rates.wait_ms(peer.address, entries, now_ms, ours=peer.our_protocol)
            if wait_ms > 0:
                self.refused["entry_rate"] += 1
                raise busy(visitor.request_id, retry_ms=ceil(wait_ms))

    def _let_in(
        self,
        visitor: Visitor,
        key: Hashable | None,
        content: Any,
        cost: int,
        now_ms: float,
        waited_ms: float,
        operations: int = 0,
    ) -> Waiting:
        visitor.begin_waiting(operations)
        waiting = Waiting(self._answer, cost, key, content)
        self._room.enter(waiting, visitor, now_ms, waited_ms)
        return waiting

    # -- how they leave --------------------------------------------------------------------------

    def _answer(self, waiting: Waiting, reply: Reply) -> None:
        is_busy = type(reply) is IsBusy
        callers = self._room.leave(waiting, self._now_ms(), turned_away=is_busy)
        if is_busy:
            self.refused["overdue"] += len(callers)
        kept = long_outcome(reply)
        if kept is None and not waiting.looks_up:  # Most are so.
            for visitor in callers:
                visitor.answer(reply)  # type: ignore[attr-defined]  # Only visitors were let in.
            return
        in_turn: list[Any] = []
        for visitor, since_ms in waiting.callers:
            if kept is None or visitor.takes_packed or visitor.gone:  # type: ignore[attr-defined]
                visitor.answer(reply)  # type: ignore[attr-defined]
            else:
                self._room.hold(visitor, cost_of(kept.count), since_ms)
                in_turn.append(visitor)
        if in_turn:
            self._lookups.answered(waiting, in_turn)
        else:
            self._lookups.end(waiting)
        for visitor in in_turn:
            visitor.answer_in_turn(kept, self._made)
        self._look_up()

    def _made(self, visitor: Visitor) -> None:
        """An answer is made, or nobody wants it any more: nothing is kept for it."""
        self._room.let_go(visitor)
        self._lookups.end(visitor)
        self._look_up()

    def _look_up(self) -> None:
        """Give the rules the questions for outcomes that there is room for now, and somebody to ask them."""
        while not self._turns_away and (event := self._lookups.next()) is not None:
            if event.token.is_wanted:
                self._take(event)
            else:
                self._lookups.end(event.token)
                self._room.leave(event.token, self._now_ms(), turned_away=True)

    def give_up_overdue(self) -> None:
        """Answer who has waited too long, forget who is gone, and say so to the rules; every `LOOK_MS`."""
        now_ms = self._now_ms()
        if now_ms - self._looked_ms < LOOK_MS:
            return
        self._looked_ms = now_ms
        self._give_up(now_ms - self._timeout_ms, now_ms)
        overdue = self._room.waiting_since(now_ms - OVERDUE_SHARE * self._timeout_ms)
        self._turns_away = True
        for is_here, together in groupby(overdue, self._lookups.waits):  # In the order in which they came.
            if not is_here:
                self._take(Overdue(frozenset(together)))
                continue
            for waiting in list(together):
                self._answer(waiting, IsBusy())
        self._turns_away = False
        self._look_up()

    def _give_up(self, since_ms: float, now_ms: float) -> None:
        left, late = self._room.give_up(since_ms, now_ms)
        for waiting in left:
            self._lookups.end(waiting)
        if left:
            self._take(CallersGone(frozenset(left)))
        for _, visitor in late:
            visitor.give_up()  # type: ignore[attr-defined]
        for visitor in self._room.give_up_answers(since_ms):
            visitor.give_up()  # type: ignore[attr-defined]
            self._made(visitor)  # type: ignore[arg-type]


def _waited_ms(visitor: Visitor) -> float:
    return visitor.waited_ms if visitor.peer.our_protocol else 0.0
