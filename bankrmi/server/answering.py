"""What callers of the account are answered: forms of what the rules say, in plain values and errors.

Rule 1: a form is made for a caller that is there to read it, and only then.
Rule 2: a long outcome waits for that packed, as the journal keeps it (`Kept`); overdue, it is given up.
Rule 3: each answer that is made is counted once (`request_figures`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from bankrmi.bank.forms import Form
from bankrmi.bank.outcomes import declined_form, is_done, told
from bankrmi.bank.statements import LOOKING_MS, StatementPage, TotalOfMoment
from bankrmi.errors import (
    AccountNotFound,
    BankError,
    Behind,
    Busy,
    Cancelled,
    Forgotten,
    InDoubt,
    InvalidRequest,
    NotPrimary,
    Stale,
)
from bankrmi.replication.effects import (
    Decided,
    IsBehind,
    IsBusy,
    IsForgotten,
    IsStale,
    NotLeading,
    NotYet,
    Read,
    Refusal,
    Reply,
)
from bankrmi.replication.record import one_by_one, packed, unpacked
from bankrmi.rmi import Call, LongAnswer
from bankrmi.server.request_figures import GONE, KindFigures
from bankrmi.server.request_lines import SLOW_S, tell_refused, tell_slow, tell_unheard

__all__ = [
    "Asked",
    "Kept",
    "busy",
    "cancelled",
    "long_outcome",
    "many",
    "many_packed",
    "many_told",
    "one",
    "read_of_balance",
    "read_of_statement",
    "read_of_total",
    "too_late",
]

ANSWERED_AT_ONCE = 32
"""Operations; an answer about more is made when it is the caller's turn."""

OPERATION_MS = 0.012
"""What is reckoned for an operation, which is decided outside of the turns of callers: several times what one
of a batch takes, and a fraction of what a single one does."""

TOLD_MS = 0.003
"""About what it takes to look up what came of an operation, outside of the turns of callers."""

BUSY_RETRY_MS = 100
"""After this long, a server that has too much to do is worth asking again."""


class Kept:
    """A long outcome, as the journal keeps it, until its answer is made."""

    __slots__ = ("count", "history", "record")

    def __init__(self, decided: Decided) -> None:
        self.history = decided.history
        self.record = decided.record
        self.count = decided.record.operation_count


def long_outcome(reply: Reply) -> Kept | None:
    """Return what to keep of it if making its form takes so long that it waits for the caller's turn."""
    if type(reply) is Decided and reply.record.operation_count > ANSWERED_AT_ONCE:
        return Kept(reply)
    return None


class Asked:
    """One call that waits, and the form in which it wants its answer.

    Not a dataclass: one is made for every call.
    """

    __slots__ = (
        "_began_s",
        "_figures",
        "_kept",
        "_made",
        "account",
        "addresses",
        "call",
        "form",
        "peer",
        "request_id",
        "waited_ms",
    )

    def __init__(
        self,
        call: Call,
        form: Callable[[Asked, Any], Any],
        addresses: Mapping[str, str],
        figures: KindFigures,
        *,
        account: int = 0,
        request_id: str | None = None,
    ) -> None:
        self.call = call
        self.peer = call.peer
        self.form = form
        self.addresses = addresses
        self.account = account
        self.request_id = call.about = request_id
        self._figures = figures
        self.waited_ms = call.waited_ms
        """How long it has waited for its turn to be read."""
        self._began_s = monotonic() - self.waited_ms / 1000
        self._kept: Kept | None = None
        self._made: Callable[[Asked], None] | None = None

    @property
    def gone(self) -> bool:
        """Whether nobody is left to read the answer."""
        return self.call.connection_lost

    @property
    def takes_packed(self) -> bool:
        """Whether its answer is as the journal keeps it, and made at once however long it is."""
        return self.form is many_packed

    def begin_waiting(self, operations: int) -> None:
        """What a call said costs several times what is kept of it; deciding it is for later."""
        call = self.call
        call.args, call.kwargs = (), {}
        if operations:
            call.charge(operations * OPERATION_MS)
        elif self.form is read_of_statement:  # It is made outside of the turns of callers, too, if it waits.
            call.charge(LOOKING_MS)

    def answer(self, reply: Reply) -> None:
        """Answer with what the rules say; for a caller that is gone, without making the form of it."""
        if self.call.source.lost:
            self._figures.counts[GONE] += 1
            tell_unheard(self.call)
            self.call.answer(None)
            return
        try:
            value = self._value(reply)
        except BankError as error:
            self._fail(error)
        else:
            self._done()
            self.call.answer(value)

    def _done(self) -> None:
        seconds = self._figures.done(self._began_s)
        if seconds >= SLOW_S:
            tell_slow(self.call, seconds)

    def _fail(self, error: BankError) -> None:
        self._figures.failed(error, self._began_s)
        tell_refused(self.call, error)
        self.call.fail(error)

    def answer_in_turn(self, kept: Kept, made: Callable[[Asked], None]) -> None:
        """Answer with a long outcome when it is the caller's turn; `made` is told once nothing is kept."""
        self._kept, self._made = kept, made
        self.call.charge(kept.count * TOLD_MS)
        self.call.answer_with(self._make)

    def _make(self) -> Any:
        try:
            answer = self.form(self, self._still_kept())
        except BankError as error:
            self._figures.failed(error, self._began_s)
            tell_refused(self.call, error)
            self._let_go()
            raise
        self._done()
        if isinstance(answer, LongAnswer):
            make = answer.make
            answer.make = lambda start, end: self._part(make, start, end)
            answer.done = self._let_go
        else:
            self._let_go()
        return answer

    def _still_kept(self) -> Kept:
        if self._kept is None:
            raise too_late(self.request_id)
        return self._kept

    def _part(self, make: Callable[[int, int], list[Any]], start: int, end: int) -> list[Any]:
        self._still_kept()
        return make(start, end)

    def _let_go(self) -> None:
        made, self._kept, self._made = self._made, None, None
        if made is not None:
            made(self)

    def give_up(self) -> None:
        """Say that it has taken too long; if it is being answered, when its turn comes."""
        if self.call.done:
            self._kept = None
        else:
            self._fail(too_late(self.request_id))

    def _value(self, reply: Reply) -> Any:
        match reply:
            case Decided():
                return self.form(self, reply)
            case Read():
                return self.form(self, reply)
            case NotLeading(retired_for=str(there), undecided=undecided):
                raise NotPrimary(
                    f"the bank is not here any more: it is in {there}",
                    primary=None,
                    address=None,
                    undecided=undecided,
                )
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
            case IsForgotten():
                raise Forgotten(
                    f"request {self.request_id} is too old, or its session is: it is not done now, and "
                    "whether it was done before is not known any more (if it was made just now, look at the "
                    "clock of the machine that made it)",
                    request_id=self.request_id,
                )
            case Refusal(why=why):
                raise InvalidRequest(why, request_id=self.request_id)
            case NotYet(why=why):  # Nothing was looked up in the journal: so it names no request id.
                raise InvalidRequest(f"nothing was done: {why}")
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


def read_of_balance(asked: Asked, reply: Read) -> dict[str, Any]:
    """Return the answer to a look-up."""
    account = asked.account
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


def read_of_total(_asked: Asked, reply: Read) -> dict[str, Any]:
    """Return the answer to `total`: in digits, since it may be larger than what all serializers carry.

    It has no action id where those count for each account.
    """
    if isinstance(reply.value, TotalOfMoment):
        return {"total": str(reply.value.total), "action_id": None, "history": reply.history}
    return {"total": str(reply.value), "action_id": reply.action_id, "history": reply.history}


def read_of_statement(asked: Asked, reply: Read) -> dict[str, Any]:
    """Return the answer to `statement`."""
    page: StatementPage = reply.value
    return {
        "account": asked.account,
        "balance": page.balance,
        "entries": page.entries,
        "through": page.through,
        "begins_after": page.begins_after,
        "action_id": reply.action_id,
        "history": reply.history,
    }


def one(asked: Asked, reply: Decided | Kept) -> dict[str, Any]:
    """Return the answer to a single withdrawal, deposit or transfer."""
    record = reply.record
    if record.cancelled:
        raise cancelled(asked, reply)
    outcomes = unpacked(record.outcomes)
    outcome = outcomes[0]
    if len(outcomes) == 1 and is_done(outcome):
        return {
            "account": asked.account,
            "balance": outcome if type(outcome) is int else outcome[1],
            "action_id": record.action_id,
            "request_id": asked.request_id,
            "history": reply.history,
        }
    raise declined_form(
        unpacked(record.operations)[0],
        outcome,
        record.first_id,
        request_id=asked.request_id,
        history=reply.history,
    )


def many_packed(asked: Asked, reply: Decided | Kept) -> dict[str, Any]:
    """Return the answer to `submit` of packed operations: what became of each, as the journal keeps it."""
    record = reply.record
    if record.cancelled:
        raise cancelled(asked, reply)
    return {
        "request_id": asked.request_id,
        "history": reply.history,
        "action_id": record.action_id,
        "outcomes": record.outcomes,
    } | _ids_of(record, all_of_them=True)


def many_told(asked: Asked, reply: Decided | Kept) -> dict[str, Any]:
    """Return the same where there are transfers: of them more is kept than is told."""
    answer, record = many_packed(asked, reply), reply.record
    forms, outcomes = unpacked(record.operations), unpacked(record.outcomes)
    return answer | {"outcomes": packed([told(*one) for one in zip(forms, outcomes, strict=True)])}


def many(asked: Asked, reply: Decided | Kept) -> dict[str, Any] | LongAnswer:
    """Return the answer to `submit` and `outcome`: what became of each operation."""
    record = reply.record
    if record.cancelled:
        raise cancelled(asked, reply)
    operations, outcomes = one_by_one(record.operations), one_by_one(record.outcomes)
    ids = iter(record.action_ids)
    head = {
        "request_id": asked.request_id,
        "history": reply.history,
        "action_id": record.action_id,
    } | _ids_of(record)

    def results(start: int, end: int) -> list[Any]:
        """The next ones: they are wanted in their order."""
        return [_result(next(operations), next(outcomes), next(ids)) for _ in range(end - start)]

    if record.operation_count <= ANSWERED_AT_ONCE:
        return {**head, "results": results(0, record.operation_count)}
    return LongAnswer(head, "results", record.operation_count, results)


def _ids_of(record: Any, *, all_of_them: bool = False) -> dict[str, Any]:
    """Return what an answer about many says of action ids, where they do not count through."""
    if not record.by_account:
        return {}
    return {"by_account": True} | ({"action_ids": list(record.action_ids)} if all_of_them else {})


def cancelled(asked: Asked, reply: Decided | Kept) -> Cancelled:
    """Return the error of a request whose outcome was asked before it came."""
    return Cancelled(
        f"request {asked.request_id} never happened, and never will: its outcome was asked before it came",
        request_id=asked.request_id,
        action_id=reply.record.action_id,
        history=reply.history,
    )


def _result(form: Form, outcome: Any, action_id: int) -> dict[str, Any]:
    if is_done(outcome):
        balance = outcome if type(outcome) is int else outcome[1]
        return {"account": form[1], "balance": balance, "action_id": action_id}
    error = declined_form(form, outcome, action_id)
    return {"code": error.code, "message": error.message, **error.details}
