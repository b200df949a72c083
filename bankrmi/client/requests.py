"""What goes to the account object and what comes back: forms and values, the same for both clients.  Pure.

Rule 1: what is malformed is refused here (`InvalidRequest`), before anything is sent.
Rule 2: an answer that cannot be read settles nothing: it is `InDoubt` for a change, `Unsettled` for a read.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bankrmi.bank.operations import Deposit, Receipt, Withdraw, check_account, parse_request_id
from bankrmi.errors import BankError, InDoubt, InvalidRequest, Refused, Unsettled, error_of

__all__ = [
    "ACCOUNT_ID",
    "Operation",
    "Request",
    "Session",
    "asked_balance",
    "asked_outcome",
    "asked_status",
    "changed",
    "news_of",
    "read_receipt",
    "read_results",
    "submitted",
]

ACCOUNT_ID = "bankrmi.account."
"""What the ids of account objects begin with; the name of the server follows."""

Operation = Withdraw | Deposit
Value = TypeVar("Value")

_NO_DETAILS = frozenset({"code", "message", "happened"})


class Session:
    """A sequence of requests, one at a time (rule O3).

    It is left behind as soon as a request of it has no certain outcome. Going on with higher numbers would
    be safe (the request would be `Stale` if it came late, rule O2), but then it could not be repeated either,
    and whoever has its id might still want to do so: as long as nothing newer of the session is journalled,
    both repeating it and asking for its outcome work.
    """

    __slots__ = ("_id", "_sequence")

    def __init__(self) -> None:
        self._id = secrets.token_hex(12)
        self._sequence = 0

    def next_request_id(self) -> str:
        """Return an id that was never used before and never will be again."""
        self._sequence += 1
        return f"{self._id}:{self._sequence}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a caller wants: a change, a look-up, or to know what became of a change.

    `request_id` is the caller's own, or what `outcome` asks for; None if the client is to choose one for a
    change, and for a look-up, which has none.
    """

    method: str
    args: tuple[object, ...]
    changes: bool = False
    request_id: str | None = None
    takes_seen: bool = True


def asked_balance(account: int) -> Request:
    """Return the look-up of a balance."""
    return Request(method="balance", args=(check_account(account),))


def asked_outcome(request_id: str) -> Request:
    """Return the question what became of a request."""
    parse_request_id(request_id)
    return Request(method="outcome", args=(request_id,), request_id=request_id)


def asked_status() -> Request:
    """Return the question how the primary is."""
    return Request(method="status", args=(), takes_seen=False)


def changed(operation: Operation, request_id: str | None) -> Request:
    """Return the request of one operation."""
    method, account, amount = operation.to_wire()
    return _change(method, (account, amount), request_id)


def submitted(operations: Sequence[Operation], request_id: str | None, *, at_most: int) -> Request:
    """Return the request of many operations."""
    if not operations:
        raise InvalidRequest("there is no operation to submit")
    if len(operations) > at_most:
        raise InvalidRequest(f"{len(operations)} operations are too many: at most {at_most} in a request")
    given: Sequence[object] = operations
    for operation in given:
        if not isinstance(operation, Withdraw | Deposit):
            kind = type(operation).__name__
            raise InvalidRequest(f"not an operation: a {kind} (make a Withdraw or a Deposit)")
    return _change("submit", ([operation.to_wire() for operation in operations],), request_id)


def _change(method: str, args: tuple[object, ...], request_id: str | None) -> Request:
    if request_id is not None:
        parse_request_id(request_id)
    return Request(method=method, args=args, changes=True, request_id=request_id)


def news_of(answer: object) -> tuple[str, int] | None:
    """Return (history, action id) of an answer or an error, None if it carries none (rule R5)."""
    carried = answer.details if isinstance(answer, BankError) else answer
    if isinstance(carried, dict):
        history, action_id = carried.get("history"), carried.get("action_id")
        if isinstance(history, str) and type(action_id) is int:
            return history, action_id
    return None


def read_receipt(answer: Any, request_id: str | None) -> Receipt:
    """Return the receipt of an answered operation or look-up."""
    return _read(lambda: _receipt(answer, request_id), request_id)


def read_results(answer: Any, request_id: str) -> list[Receipt | Refused]:
    """Return what became of each operation of a request, in their order."""
    return _read(lambda: [_result(one, request_id) for one in answer["results"]], request_id)


def _receipt(form: Any, request_id: str | None) -> Receipt:
    receipt = Receipt(form["account"], form["balance"], form["action_id"], request_id)
    if not type(receipt.account) is type(receipt.balance) is type(receipt.action_id) is int:
        raise TypeError("a receipt is made of whole numbers")
    return receipt


def _result(form: Any, request_id: str) -> Receipt | Refused:
    if "code" not in form:
        return _receipt(form, request_id)
    details = {name: value for name, value in form.items() if name not in _NO_DETAILS}
    details.setdefault("request_id", request_id)
    error = error_of(form["code"], str(form.get("message", form["code"])), details)
    if not isinstance(error, Refused):
        raise TypeError("an operation was done, or refused")
    return error


def _read(read: Callable[[], Value], request_id: str | None) -> Value:
    try:
        return read()
    except (KeyError, TypeError, ValueError) as error:
        if request_id is None:
            raise Unsettled("the server answered what cannot be read") from error
        raise InDoubt(
            f"the server answered {request_id} with what cannot be read", request_id=request_id
        ) from error
