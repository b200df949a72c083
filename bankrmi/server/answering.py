"""What callers of the account are answered: forms of what the rules say, in plain values and errors.

Rule: a form is made for a caller that is there to read it, and only then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bankrmi.bank.accounts import DONE, INSUFFICIENT, NO_ACCOUNT, TOO_LARGE, account_of
from bankrmi.errors import (
    AccountNotFound,
    BalanceTooLarge,
    BankError,
    Behind,
    Busy,
    Cancelled,
    InDoubt,
    InsufficientFunds,
    InvalidRequest,
    NotPrimary,
    Stale,
)
from bankrmi.replication.effects import (
    Decided,
    IsBehind,
    IsBusy,
    IsStale,
    NotLeading,
    Read,
    Refusal,
    Reply,
)
from bankrmi.replication.entry import CANCELLED, Entry
from bankrmi.rmi import Call, LongAnswer

__all__ = ["Asked", "busy", "many", "one", "too_late"]

_DECLINES: dict[str, tuple[type[BankError], str]] = {
    INSUFFICIENT: (InsufficientFunds, "the amount exceeds the balance of account {account}"),
    NO_ACCOUNT: (AccountNotFound, "there is no account {account}"),
    TOO_LARGE: (BalanceTooLarge, "the balance of account {account} would exceed 2^63-1"),
}

ANSWERED_AT_ONCE = 32
"""Entries; an answer about more is made when it is the caller's turn."""

OPERATION_MS = 0.012
"""About what it takes to decide an operation, outside of the turns of callers."""

ENTRY_MS = 0.003
"""About what it takes to look up an entry, outside of the turns of callers."""

BUSY_RETRY_MS = 100
"""After so long it is worth asking a server again that has too much to do."""


class Asked:
    """One call that waits, and the form in which it wants its answer.

    Not a dataclass: one is made for every call.
    """

    __slots__ = ("account", "addresses", "call", "form", "peer", "request_id")

    def __init__(
        self,
        call: Call,
        form: Callable[[Asked, Decided], Any],
        addresses: Mapping[str, str],
        *,
        account: int = 0,
        request_id: str | None = None,
    ) -> None:
        self.call = call
        self.peer = call.peer
        self.form = form
        self.addresses = addresses
        self.account = account
        self.request_id = request_id

    @property
    def gone(self) -> bool:
        """Whether nobody is left to read the answer."""
        return self.call.connection_lost

    def begin_waiting(self, operations: int) -> None:
        """What a call said costs several times what is kept of it; deciding it is for later."""
        call = self.call
        call.args, call.kwargs = (), {}
        if operations:
            call.charge(operations * OPERATION_MS)

    def answer(self, reply: Reply) -> None:
        """Answer with what the rules say; for a caller that is gone, without making the form of it."""
        if self.gone:
            self.call.answer(None)
            return
        if type(reply) is Decided and len(reply.entries) > ANSWERED_AT_ONCE:
            self.call.charge(len(reply.entries) * ENTRY_MS)
            self.call.answer_with(lambda: self._value(reply))
            return
        try:
            self.call.answer(self._value(reply))
        except BankError as error:
            self.call.fail(error)

    def give_up(self) -> None:
        """Say that it has taken too long."""
        self.call.fail(too_late(self.request_id))

    def _value(self, reply: Reply) -> Any:
        match reply:
            case Decided():
                return self.form(self, reply)
            case Read():
                return _read_answer(self.account, reply)
            case NotLeading(primary=primary, undecided=undecided):
                address = self.addresses.get(primary) if primary is not None else None
                names = f"{primary} at {address} leads" if primary is not None else "nobody is known to lead"
                raise NotPrimary(
                    f"this server does not lead: {names}",
                    primary=primary,
                    address=address,
                    undecided=undecided,
                )
            case IsBehind(action_id=action_id):
                raise Behind(
                    f"this copy ends at action id {action_id}, and you have seen more of it", newest=action_id
                )
            case IsBusy():
                raise busy(self.request_id)
            case IsStale(newest_sequence=newest):
                raise Stale(
                    f"request {self.request_id} came after number {newest} of its session was decided",
                    request_id=self.request_id,
                )
            case Refusal(why=why):
                raise InvalidRequest(why, request_id=self.request_id)
        raise AssertionError(f"no answer for {reply!r}")


def busy(request_id: str | None, *, retry_ms: int = BUSY_RETRY_MS) -> Busy:
    """Return the error that says so, and when to come again."""
    return Busy(
        f"this server has too much to do and did not take this: ask again in {retry_ms} ms",
        request_id=request_id,
        retry_ms=retry_ms,
    )


def too_late(request_id: str | None) -> BankError:
    """Return the error of a call that has waited too long."""
    if request_id is None:
        return NotPrimary("this server could not make sure in time that it leads", primary=None)
    return InDoubt(
        f"the outcome of {request_id} is not known yet: ask for it by this id", request_id=request_id
    )


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


def one(asked: Asked, reply: Decided) -> dict[str, Any]:
    """Return the answer to a single withdrawal or deposit."""
    entry = reply.entries[0]
    if entry.status == DONE and len(reply.entries) == 1:
        return {
            "account": asked.account,
            "balance": entry.result,
            "action_id": entry.action_id,
            "request_id": asked.request_id,
            "history": reply.history,
        }
    _refuse_cancelled(asked, reply)
    raise _declined(asked.account, entry, request_id=asked.request_id, history=reply.history)


def many(asked: Asked, reply: Decided) -> dict[str, Any] | LongAnswer:
    """Return the answer to `submit` and `outcome`: what became of each operation."""
    _refuse_cancelled(asked, reply)
    entries = reply.entries
    head = {
        "request_id": asked.request_id,
        "history": reply.history,
        "action_id": entries[-1].action_id,
    }
    if len(entries) <= ANSWERED_AT_ONCE:
        return {**head, "results": list(map(_result, entries))}
    return LongAnswer(
        head, "results", len(entries), lambda start, end: list(map(_result, entries[start:end]))
    )


def _refuse_cancelled(asked: Asked, reply: Decided) -> None:
    entry = reply.entries[0]
    if entry.status == CANCELLED:
        raise Cancelled(
            f"request {asked.request_id} never happened, and never will: "
            "its outcome was asked before it came",
            request_id=asked.request_id,
            action_id=entry.action_id,
            history=reply.history,
        )


def _result(entry: Entry) -> dict[str, Any]:
    account = account_of(entry.operation)
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
