"""The account object: what clients call, turned into events for the rules.

Rule 1: a call is answered exactly once, by the rules or, when it has waited too long, with `InDoubt`.
Rule 2: what is malformed is refused before the rules see it; what is too much is told `Busy` before it costs.
Rule 3: a retry joins the request that it repeats (see `waiting`).
Rule 4: what an answer holds is counted until it is made, and its time goes on (see `lookups` for outcomes).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import groupby
from math import ceil
from typing import Any

from bankrmi.bank.accounts import packed, packed_form
from bankrmi.bank.operations import Deposit, Operation, Withdraw, check_account, parse_request_id
from bankrmi.errors import InvalidRequest
from bankrmi.replication.effects import IsBusy, Reply
from bankrmi.replication.events import (
    CallersGone,
    Event,
    OutcomeAsked,
    Overdue,
    ReadArrived,
    RequestArrived,
    Seen,
)
from bankrmi.rmi import Call, Exposed
from bankrmi.server.answering import Asked, busy, long_outcome, many, one
from bankrmi.server.lookups import Lookups
from bankrmi.server.rates import EntryRates
from bankrmi.server.waiting import OVERDUE_SHARE, Waiting, WaitingRoom, cost_of

__all__ = ["ACCOUNT_ID", "AccountObject"]

ACCOUNT_ID = "bankrmi.account."

OPERATION_MS = 0.012
"""About what it takes to decide an operation, outside of the turns of callers."""

LOOK_MS = 100.0
"""How often it is looked who has waited too long, or is gone."""


class AccountObject:
    """The remote object of clients (see `rmi.RemoteObject`)."""

    exposed = Exposed(
        methods=frozenset({"balance", "withdraw", "deposit", "submit", "outcome", "status"}),
        attributes=frozenset({"service"}),
    )

    def __init__(
        self,
        take: Callable[[Event], None],
        status: Callable[[], dict[str, Any]],
        *,
        addresses: Mapping[str, str],
        now_ms: Callable[[], float],
        room: WaitingRoom,
        rates: EntryRates,
        operations_per_request: int,
        timeout_ms: float,
    ) -> None:
        self._take = take
        self._status = status
        self._now_ms = now_ms
        self._addresses = addresses
        self._room = room
        self._rates = rates
        self._at_most = operations_per_request
        self._timeout_ms = timeout_ms
        self._looked_ms = float("-inf")
        self._turns_away = False  # Meanwhile nobody gets ahead of those who came before him.
        self._lookups = Lookups(room.budget_bytes, cost_of(operations_per_request))
        self._methods: dict[str, Callable[..., None]] = {
            "withdraw": self._withdraw,
            "deposit": self._deposit,
            "balance": self._balance,
            "submit": self._submit,
            "outcome": self._outcome,
            "status": self._tell_status,
            "__getattr__": self._attribute,
        }

    def invoke(self, call: Call) -> None:
        """Take a call; wrong arguments are refused in a sentence."""
        method = self._methods[call.method]
        try:
            method(call, *call.args, **call.kwargs)
        except TypeError as error:
            traceback = error.__traceback__
            if traceback is not None and traceback.tb_next is None and not call.done:
                raise InvalidRequest(f"{call.method} does not take these arguments") from error
            raise

    @property
    def is_busy(self) -> bool:
        """Whether anybody waits for an answer."""
        return self._room.held_bytes > 0

    # -- what may be asked -----------------------------------------------------------------------

    def _withdraw(
        self, call: Call, account: Any, amount: Any, request_id: Any = None, seen: Any = None
    ) -> None:
        self._change(call, Withdraw(account, amount), request_id, seen)

    def _deposit(
        self, call: Call, account: Any, amount: Any, request_id: Any = None, seen: Any = None
    ) -> None:
        self._change(call, Deposit(account, amount), request_id, seen)

    def _change(self, call: Call, operation: Operation, request_id: Any, seen: Any) -> None:
        request, text = _request(request_id)
        checked = _seen(seen)
        asked = Asked(call, one, self._addresses, account=operation.account, request_id=text)
        self._request(asked, request, lambda: [packed(operation)], 1, checked)

    def _submit(self, call: Call, operations: Any, request_id: Any = None, seen: Any = None) -> None:
        if not isinstance(operations, Sequence) or isinstance(operations, str | bytes) or not operations:
            raise InvalidRequest("submit takes a list of operations, and at least one")
        if len(operations) > self._at_most:
            raise InvalidRequest(
                f"{len(operations)} operations are too many: at most {self._at_most} in a request"
            )
        request, text = _request(request_id)
        checked = _seen(seen)
        asked = Asked(call, many, self._addresses, request_id=text)
        self._request(asked, request, lambda: list(map(packed_form, operations)), len(operations), checked)

    def _outcome(self, call: Call, request_id: Any, seen: Any = None) -> None:
        request = parse_request_id(request_id)
        checked = _seen(seen)
        asked = Asked(call, many, self._addresses, request_id=request_id)
        key = ("outcome", *request)
        if not self._joins(asked, key, None):
            self._check_load(asked, 0, entries=1)
            waiting = self._let_in(asked, key, None, 0)
            self._lookups.put(OutcomeAsked(waiting, request, checked, call.peer.address))
            self._look_up()

    def _balance(self, call: Call, account: Any, seen: Any = None) -> None:
        checked = _seen(seen)
        asked = Asked(call, many, self._addresses, account=check_account(account))
        self._check_load(asked, 0, entries=0)
        self._take(ReadArrived(self._let_in(asked, None, None, 0), account, checked))

    def _tell_status(self, call: Call) -> None:
        call.answer(self._status())

    def _attribute(self, call: Call, name: str) -> None:
        call.answer(self._status()[name])

    # -- waiting ---------------------------------------------------------------------------------

    def _request(
        self,
        asked: Asked,
        request: tuple[str, int],
        work: Callable[[], list[bytes]],
        count: int,
        seen: Seen | None,
    ) -> None:
        """Have a request decided; `work` makes its operations, once it is known that there is room."""
        key = ("request", *request)
        if self._room.find(key) is not None:
            self._joins(asked, key, work())
            return
        self._check_load(asked, count, entries=count)
        operations = work()
        asked.call.charge(count * OPERATION_MS)
        waiting = self._let_in(asked, key, operations, count)
        self._take(RequestArrived(waiting, request, operations, seen, asked.call.peer.address))

    def _joins(self, asked: Asked, key: Hashable, content: Any) -> bool:
        """Attach a retry to what waits under its id, if anything does."""
        waiting = self._room.find(key)
        if waiting is None:
            return False
        if waiting.content != content:
            raise InvalidRequest(
                "this request id was used before, for another operation", request_id=asked.request_id
            )
        self._forget_arguments(asked.call)
        asked.since_ms = self._now_ms()
        self._room.join(waiting, asked, asked.since_ms)
        return True

    def _check_load(self, asked: Asked, operations: int, *, entries: int) -> None:
        """Raise Busy if too much waits here, or if this caller makes the journals grow too fast."""
        if not self._room.has_room(cost_of(operations), self._now_ms()):
            raise busy(asked.request_id)
        if entries:
            peer = asked.call.peer
            wait_ms = self._rates.wait_ms(peer.address, entries, self._now_ms(), ours=peer.our_protocol)
            if wait_ms > 0:
                raise busy(asked.request_id, retry_ms=ceil(wait_ms))

    def _let_in(self, asked: Asked, key: Hashable | None, content: Any, operations: int) -> Waiting:
        self._forget_arguments(asked.call)
        waiting = Waiting(self._answer, cost_of(operations), key, content)
        asked.since_ms = self._now_ms()
        self._room.enter(waiting, asked, asked.since_ms)
        return waiting

    def _forget_arguments(self, call: Call) -> None:
        """What a call said costs several times what is kept of it."""
        call.args, call.kwargs = (), {}

    def _look_up(self) -> None:
        """Give the rules the questions for outcomes that there is room for now, and somebody to ask them."""
        while not self._turns_away and (event := self._lookups.next()) is not None:
            if event.token.is_wanted:
                self._take(event)
            else:
                self._lookups.end(event.token)
                self._room.leave(event.token, self._now_ms(), turned_away=True)

    def _answer(self, waiting: Waiting, reply: Reply) -> None:
        callers: Sequence[Any] = self._room.leave(
            waiting, self._now_ms(), turned_away=isinstance(reply, IsBusy)
        )
        kept = long_outcome(reply) if callers else None
        for asked in callers:
            if kept is None or asked.gone:
                asked.answer(reply)
            else:
                self._room.hold(asked, cost_of(len(kept.entries)), asked.since_ms)
        if kept is None:
            self._lookups.end(waiting)
        else:
            in_turn = [asked for asked in callers if not asked.call.done]
            self._lookups.answered(waiting, in_turn)
            for asked in in_turn:
                asked.answer_in_turn(kept, self._made)
        self._look_up()

    def _made(self, asked: Asked) -> None:
        """An answer is made, or nobody wants it any more: nothing is kept for it."""
        self._room.let_go(asked)
        self._lookups.end(asked)
        self._look_up()

    def give_up_overdue(self) -> None:
        """Answer what has waited too long (promise 6, every call ends), and forget who is gone.

        What nobody waits for any more is not decided, if it is not yet; nor is what might end in doubt.
        """
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
        for _, asked in late:
            asked.give_up()  # type: ignore[attr-defined]
        for asked in self._room.give_up_answers(since_ms):
            asked.give_up()  # type: ignore[attr-defined]
            self._made(asked)  # type: ignore[arg-type]


def _request(request_id: Any) -> tuple[tuple[str, int], str]:
    """Return a request id, taken apart and as text; a caller without one gets one of its own."""
    if request_id is None:
        session = secrets.token_hex(12)
        return (session, 1), f"{session}:1"
    return parse_request_id(request_id), request_id


def _seen(seen: Any) -> Seen | None:
    if seen is None:
        return None
    if isinstance(seen, Sequence) and len(seen) == 2:
        history, action_id = seen
        if isinstance(history, str) and type(action_id) is int:
            return history, action_id
    raise InvalidRequest("`seen` is [history, action id], as an answer told them, or nothing")
