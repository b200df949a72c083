"""The account object: what clients call, turned into events, and what the rules say, turned into answers.

Rule 1: a call is answered exactly once, by the rules or, when it has waited too long, with `InDoubt`.
Rule 2: what is malformed is refused before the rules see it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bankrmi.bank.accounts import DONE, INSUFFICIENT, NO_ACCOUNT, TOO_LARGE, described, packed
from bankrmi.bank.operations import (
    Deposit,
    Operation,
    Withdraw,
    check_account,
    operation_from_wire,
    parse_request_id,
)
from bankrmi.errors import (
    AccountNotFound,
    BalanceTooLarge,
    BankError,
    Behind,
    Cancelled,
    InDoubt,
    InsufficientFunds,
    InvalidRequest,
    NotPrimary,
    Stale,
)
from bankrmi.replication.effects import Decided, IsBehind, IsStale, NotLeading, Read, Refusal, Reply
from bankrmi.replication.entry import CANCELLED, Entry
from bankrmi.replication.events import Event, OutcomeAsked, ReadArrived, RequestArrived, Seen
from bankrmi.rmi import Call, Exposed

__all__ = ["ACCOUNT_ID", "AccountObject"]

ACCOUNT_ID = "bankrmi.account."

_ANSWERED_AT_ONCE = 32
"""Entries; an answer about more is made when it is the caller's turn."""
_OPERATION_MS, _ENTRY_MS = 0.012, 0.003
"""About what it takes to decide an operation and to look up an entry, outside of the turns of callers."""

_DECLINES: dict[str, tuple[type[BankError], str]] = {
    INSUFFICIENT: (InsufficientFunds, "the amount exceeds the balance of account {account}"),
    NO_ACCOUNT: (AccountNotFound, "there is no account {account}"),
    TOO_LARGE: (BalanceTooLarge, "the balance of account {account} would exceed 2^63-1"),
}


class _Waiting:
    """A call that the rules have to answer."""

    __slots__ = ("account", "answer", "call", "owner", "request_id", "since_ms")

    def __init__(
        self,
        call: Call,
        answer: Callable[[_Waiting, Decided], Any],
        owner: AccountObject,
        *,
        account: int = 0,
        request_id: str | None = None,
    ) -> None:
        self.call = call
        self.answer = answer
        self.owner = owner
        self.since_ms = owner.now_ms()
        self.account = account
        self.request_id = request_id
        owner.unanswered[self] = None

    def reply(self, reply: Reply) -> None:
        """Answer the call with what the rules say, unless it has been given up."""
        if self.owner.unanswered.pop(self, self) is self:
            return
        if type(reply) is Decided and len(reply.entries) > _ANSWERED_AT_ONCE:
            self.call.charge(len(reply.entries) * _ENTRY_MS)
            self.call.answer_with(lambda: self._value(reply))
            return
        try:
            self.call.answer(self._value(reply))
        except BankError as error:
            self.call.fail(error)

    def _value(self, reply: Reply) -> Any:
        match reply:
            case Decided():
                return self.answer(self, reply)
            case Read():
                return _read_answer(self.account, reply)
            case NotLeading(primary=primary):
                address = self.owner.addresses.get(primary) if primary is not None else None
                names = f"{primary} at {address} leads" if primary is not None else "nobody is known to lead"
                raise NotPrimary(f"this server does not lead: {names}", primary=primary, address=address)
            case IsBehind(action_id=action_id):
                raise Behind(
                    f"this copy ends at action id {action_id}, and you have seen more of it", newest=action_id
                )
            case IsStale(newest_sequence=newest):
                raise Stale(
                    f"request {self.request_id} came after number {newest} of its session was decided",
                    request_id=self.request_id,
                )
            case Refusal(why=why):
                raise InvalidRequest(why, request_id=self.request_id)
        raise AssertionError(f"no answer for {reply!r}")


def _read_answer(account: int, reply: Read) -> dict[str, Any]:
    if reply.value is None:
        raise AccountNotFound(
            f"there is no account {account}",
            account=account,
            action_id=reply.action_id,
            history=reply.history,
        )
    return {
        "account": account,
        "balance": reply.value,
        "action_id": reply.action_id,
        "history": reply.history,
    }


def _one(waiting: _Waiting, reply: Decided) -> dict[str, Any]:
    """The answer to a single withdrawal or deposit."""
    entry = reply.entries[0]
    if entry.status == DONE and len(reply.entries) == 1:
        return {
            "account": waiting.account,
            "balance": entry.result,
            "action_id": entry.action_id,
            "request_id": waiting.request_id,
            "history": reply.history,
        }
    _refuse_cancelled(waiting, reply)
    raise _declined(waiting.account, entry, request_id=waiting.request_id, history=reply.history)


def _many(waiting: _Waiting, reply: Decided) -> dict[str, Any]:
    """The answer to `submit` and `outcome`: what became of each operation."""
    _refuse_cancelled(waiting, reply)
    return {
        "request_id": waiting.request_id,
        "history": reply.history,
        "action_id": reply.entries[-1].action_id,
        "results": [_result(entry) for entry in reply.entries],
    }


def _refuse_cancelled(waiting: _Waiting, reply: Decided) -> None:
    entry = reply.entries[0]
    if entry.status == CANCELLED:
        raise Cancelled(
            f"request {waiting.request_id} never happened, and never will: "
            "its outcome was asked before it came",
            request_id=waiting.request_id,
            action_id=entry.action_id,
            history=reply.history,
        )


def _result(entry: Entry) -> dict[str, Any]:
    account = described(entry.operation)["account"]
    if entry.status == DONE:
        return {"account": account, "balance": entry.result, "action_id": entry.action_id}
    error = _declined(account, entry)
    return {"code": error.code, "message": error.message, **error.details}


def _declined(account: int, entry: Entry, **more: str | None) -> BankError:
    kind, sentence = _DECLINES[entry.status]
    balance = entry.result if isinstance(entry.result, int) else None
    return kind(
        sentence.format(account=account),
        account=account,
        balance=balance,
        action_id=entry.action_id,
        **more,
    )


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
        operations_per_request: int,
        timeout_ms: float,
    ) -> None:
        self._take = take
        self._status = status
        self.now_ms = now_ms
        self.addresses = addresses
        self._at_most = operations_per_request
        self._timeout_ms = timeout_ms
        self.unanswered: dict[_Waiting, None] = {}
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
        waiting = _Waiting(call, _one, self, account=operation.account, request_id=text)
        call.charge(_OPERATION_MS)
        self._take(RequestArrived(waiting, request, (packed(operation),), checked))

    def _submit(self, call: Call, operations: Any, request_id: Any = None, seen: Any = None) -> None:
        if not isinstance(operations, Sequence) or isinstance(operations, str | bytes) or not operations:
            raise InvalidRequest("submit takes a list of operations, and at least one")
        if len(operations) > self._at_most:
            raise InvalidRequest(
                f"{len(operations)} operations are too many: at most {self._at_most} in a request"
            )
        work = [packed(operation_from_wire(form)) for form in operations]
        request, text = _request(request_id)
        checked = _seen(seen)
        waiting = _Waiting(call, _many, self, request_id=text)
        call.charge(len(work) * _OPERATION_MS)
        self._take(RequestArrived(waiting, request, work, checked))

    def _outcome(self, call: Call, request_id: Any, seen: Any = None) -> None:
        request = parse_request_id(request_id)
        checked = _seen(seen)
        waiting = _Waiting(call, _many, self, request_id=request_id)
        self._take(OutcomeAsked(waiting, request, checked))

    def _balance(self, call: Call, account: Any, seen: Any = None) -> None:
        checked = _seen(seen)
        waiting = _Waiting(call, _many, self, account=check_account(account))
        self._take(ReadArrived(waiting, account, checked))

    def _tell_status(self, call: Call) -> None:
        call.answer(self._status())

    def _attribute(self, call: Call, name: str) -> None:
        call.answer(self._status()[name])

    def give_up_overdue(self) -> None:
        """Answer what has waited too long: promise 6, every call ends."""
        limit_ms = self.now_ms() - self._timeout_ms
        while self.unanswered:
            waiting = next(iter(self.unanswered))
            if waiting.since_ms > limit_ms:
                break
            del self.unanswered[waiting]
            waiting.call.fail(_too_late(waiting.request_id))


def _too_late(request_id: str | None) -> BankError:
    if request_id is None:
        return NotPrimary("this server could not make sure in time that it leads", primary=None)
    return InDoubt(
        f"the outcome of {request_id} is not known yet: ask for it by this id", request_id=request_id
    )


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
