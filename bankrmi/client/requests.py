"""What goes to the account object: the same for both clients.  Pure.  (`answers` is what comes back.)

Rule: what is malformed is refused here (`InvalidRequest`), before anything is sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bankrmi.bank.forms import SINCE_PROTOCOL, packed_operations
from bankrmi.bank.operations import (
    CloseAccount,
    Deposit,
    OpenAccount,
    Operation,
    Transfer,
    Withdraw,
    check_account,
    check_amount,
    parse_request_id,
)
from bankrmi.bank.statements import ENTRIES_AT_MOST
from bankrmi.client.answers import (
    is_number,
    read_outcomes,
    read_receipt,
    read_results,
    read_statement,
    read_status,
    read_total,
)
from bankrmi.errors import InvalidRequest
from bankrmi.replication.sessions import new_session

__all__ = [
    "ACCOUNT_ID",
    "Operation",
    "Request",
    "Session",
    "asked_balance",
    "asked_outcome",
    "asked_statement",
    "asked_status",
    "asked_total",
    "closed",
    "deposited",
    "object_of",
    "opened",
    "submitted",
    "transferred",
    "withdrawn",
]

SESSION_SECONDS = 900.0
"""After this, the next request is one of a new session."""

ACCOUNT_ID = "bankrmi.account."
"""What the ids of account objects begin with; the name of the server follows."""


def object_of(server: str, service: str = "") -> str:
    """Return the object of a server that is called; `service`: that of one that stands beside the first."""
    return f"{ACCOUNT_ID}{server}.{service}" if service else ACCOUNT_ID + server


_OPERATIONS = {Withdraw, Deposit}


class Session:
    """A sequence of requests, one at a time (rule O3); its id says when it began (O5).

    A session that has lasted long is left behind as well: servers forget those that began long ago.

    It is left behind as soon as a request of it has no certain outcome. Going on with higher numbers would
    be safe (the request would be `Stale` if it came late, rule O2), but then it could not be repeated either,
    and whoever has its id might still want to do so: as long as nothing newer of the session is journalled,
    both repeating it and asking for its outcome work.
    """

    __slots__ = ("_began_s", "_clock", "_id", "_sequence")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` is the time of day, in seconds."""
        self._clock = clock
        self._begin(clock())

    def _begin(self, now_s: float) -> None:
        self._began_s = now_s
        self._id = new_session(1000 * now_s)
        self._sequence = 0

    def next_request_id(self) -> str:
        """Return an id that was never used before and never will be again."""
        now_s = self._clock()
        if abs(now_s - self._began_s) > SESSION_SECONDS:
            self._begin(now_s)
        self._sequence += 1
        return f"{self._id}:{self._sequence}"


class Request(NamedTuple):
    """What a caller wants: a change, a look-up, or to know what became of a change.

    A tuple and not a dataclass: one is made for every call.

    `request_id` is the caller's own, or what `outcome` asks for; None if the client is to choose one for a
    change, and for a look-up, which has none. `read` makes of an answer, and the id that it was sent under,
    what the caller gets; it raises Unbelievable. `accounts` are those that it may be about, if it says so.
    `needs_protocol` is the version that a server has to speak to be asked.
    """

    method: str
    args: tuple[object, ...]
    read: Callable[[Any, str | None], Any]
    changes: bool = False
    request_id: str | None = None
    takes_seen: bool = True
    accounts: tuple[int, ...] = ()
    needs_protocol: int = 1


def asked_balance(account: int) -> Request:
    """Return the look-up of a balance."""
    check_account(account)
    return Request(
        method="balance",
        args=(account,),
        read=lambda answer, _: read_receipt(answer, None, account),
        accounts=(account,),
    )


def asked_outcome(request_id: str) -> Request:
    """Return the question what became of a request."""
    parse_request_id(request_id)
    return Request(
        method="outcome",
        args=(request_id,),
        read=lambda answer, asked: read_results(answer, str(asked)),
        request_id=request_id,
    )


def asked_status() -> Request:
    """Return the question how the primary is."""
    return Request(method="status", args=(), read=lambda answer, _: read_status(answer), takes_seen=False)


def asked_total() -> Request:
    """Return the question what all accounts hold together."""
    return Request(
        method="total", args=(), read=lambda answer, _: read_total(answer), needs_protocol=SINCE_PROTOCOL
    )


def asked_statement(account: int, since: int, limit: int) -> Request:
    """Return the question for entries of an account above `since`; `limit` is how many are wanted at all."""
    check_account(account)
    for name, value in (("since", since), ("limit", limit)):
        if not is_number(value) or (name == "limit" and value == 0):
            raise InvalidRequest(
                f"{name} of a statement is a whole number that is not negative, nor too large"
            )
    return Request(
        method="statement",
        args=(account, since, ENTRIES_AT_MOST),
        read=lambda answer, _: read_statement(answer, account, since, limit),
        accounts=(account,),
        needs_protocol=SINCE_PROTOCOL,
    )


def withdrawn(account: int, amount: int, request_id: str | None) -> Request:
    """Return the request of one withdrawal."""
    return _one_change("withdraw", account, amount, request_id)


def deposited(account: int, amount: int, request_id: str | None) -> Request:
    """Return the request of one deposit."""
    return _one_change("deposit", account, amount, request_id)


def _one_change(method: str, account: int, amount: int, request_id: str | None) -> Request:
    return _change(
        method,
        (check_account(account), check_amount(amount)),
        request_id,
        lambda answer, sent_as: read_receipt(answer, sent_as, account),
        accounts=(account,),
    )


def transferred(from_account: int, to_account: int, amount: int, request_id: str | None) -> Request:
    """Return the request of one transfer."""
    asked = Transfer(from_account, to_account, amount)
    return _change(
        "transfer",
        (asked.account, asked.to, asked.amount),
        request_id,
        lambda answer, sent_as: read_receipt(answer, sent_as, asked.account),
        accounts=(asked.account, asked.to),
        needs_protocol=SINCE_PROTOCOL,
    )


def opened(account: int, request_id: str | None) -> Request:
    """Return the request to open an account."""
    return _opened_or_closed("open_account", OpenAccount(account), request_id)


def closed(account: int, request_id: str | None) -> Request:
    """Return the request to close an account."""
    return _opened_or_closed("close_account", CloseAccount(account), request_id)


def _opened_or_closed(method: str, asked: OpenAccount | CloseAccount, request_id: str | None) -> Request:
    return _change(
        method,
        (asked.account,),
        request_id,
        lambda answer, sent_as: read_receipt(answer, sent_as, asked.account),
        accounts=(asked.account,),
        needs_protocol=SINCE_PROTOCOL,
    )


def submitted(operations: Sequence[Operation], request_id: str | None, *, at_most: int) -> Request:
    """Return the request of many operations."""
    given: list[Any] = _listed(operations)
    if not given:
        raise InvalidRequest("there is no operation to submit")
    if len(given) > at_most:
        raise InvalidRequest(f"{len(given)} operations are too many: at most {at_most} in a request")
    more = set(map(type, given)) - _OPERATIONS
    for kind in more:
        if not issubclass(kind, Operation):
            raise InvalidRequest(
                f"not an operation: a {kind.__name__} (make a Withdraw, a Deposit, a Transfer, ...)"
            )
    accounts = [operation.account for operation in given]
    payees = [getattr(operation, "to", None) for operation in given] if more else None
    return _change(
        "submit",
        (packed_operations(given),),
        request_id,
        lambda answer, sent_as: read_outcomes(answer, str(sent_as), accounts, payees),
        needs_protocol=1 if all(issubclass(kind, Withdraw | Deposit) for kind in more) else SINCE_PROTOCOL,
    )


def _listed(operations: object) -> list[object]:
    try:
        return list(operations)  # type: ignore[call-overload, no-any-return]  # that is what is tried
    except TypeError:
        raise InvalidRequest(f"not a list of operations: a {type(operations).__name__}") from None


def _change(
    method: str,
    args: tuple[object, ...],
    request_id: str | None,
    read: Callable[[Any, str | None], Any],
    *,
    accounts: tuple[int, ...] = (),
    needs_protocol: int = 1,
) -> Request:
    if request_id is not None:
        parse_request_id(request_id)
    return Request(method, args, read, True, request_id, True, accounts, needs_protocol)
