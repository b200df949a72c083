"""The account object: what clients call, turned into events for the rules.

Rule 1: a call is answered exactly once, by the rules or, when it has waited too long, with `InDoubt`.
Rule 2: what is malformed is refused before the rules see it; who may wait for them, `admission` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, assert_never

from bankrmi.bank.forms import announced, look_at, packed_form, packed_forms
from bankrmi.bank.operations import check_account, parse_request_id
from bankrmi.bank.statements import ENTRIES_AT_MOST, TOTAL, KeptJournal, StatementQuery
from bankrmi.errors import BankError, InvalidRequest
from bankrmi.rmi import Call, Exposed
from bankrmi.rmi.objects import READ_ATTRIBUTE, is_of_the_call_itself
from bankrmi.server.admission import Admission
from bankrmi.server.answering import (
    Asked,
    many,
    many_packed,
    many_told,
    one,
    read_of_balance,
    read_of_statement,
    read_of_total,
)
from bankrmi.server.call_arguments import request_of, seen_of
from bankrmi.server.request_figures import DONE, KINDS, Kind, KindFigures, RequestFigures
from bankrmi.server.request_lines import tell_refused

__all__ = ["ACCOUNT_ID", "AccountObject"]

_Found = TypeVar("_Found")

_STATEMENT_BYTES = 256 * ENTRIES_AT_MOST
"""What an answer to `statement` takes, at most, while it waits."""

ACCOUNT_ID = "bankrmi.account."

Invoked = Kind | Literal["__getattr__"]
"""What the daemon lets through: a method that is exposed, or the reading of an attribute."""


class AccountObject:
    """The remote object of clients (see `rmi.RemoteObject`)."""

    exposed = Exposed(
        methods=frozenset(KINDS),
        attributes=frozenset({"service"}),
    )

    def __init__(
        self,
        admission: Admission,
        status: Callable[[], dict[str, Any]],
        *,
        addresses: Mapping[str, str],
        operations_per_request: int,
        journal: Callable[[], KeptJournal],
    ) -> None:
        """`journal` returns what statements are made of."""
        self._admission = admission
        self._status = status
        self._addresses = addresses
        self._at_most = operations_per_request
        self._journal = journal
        self.figures = RequestFigures()
        names: tuple[Invoked, ...] = (*KINDS, "__getattr__")
        self._methods = {str(name): self._method(name) for name in names}

    def invoke(self, call: Call) -> None:
        """Take a call; wrong arguments are refused in a sentence."""
        try:
            self._methods[call.method](call, *call.args, **call.kwargs)
        except BankError as error:
            self._figures_of(call).failed(error)
            tell_refused(call, error)
            raise
        except TypeError as error:
            if is_of_the_call_itself(error) and not call.done:
                self._figures_of(call).counts[InvalidRequest.code] += 1
                raise InvalidRequest(f"{call.method} does not take these arguments") from error
            raise

    def _figures_of(self, call: Call) -> KindFigures:
        """Return where it counts; to read an attribute is to ask for the status."""
        return self.figures.of["status" if call.method == READ_ATTRIBUTE else call.method]

    def _method(self, name: Invoked) -> Callable[..., None]:
        match name:
            case "withdraw" | "deposit":
                return self._change
            case "transfer":
                return self._transfer
            case "open_account" | "close_account":
                return self._open_or_close
            case "balance":
                return self._balance
            case "total":
                return self._total
            case "statement":
                return self._statement
            case "submit":
                return self._submit
            case "outcome":
                return self._outcome
            case "status":
                return self._tell_status
            case "__getattr__":
                return self._attribute
            case _:
                assert_never(name)

    # -- what may be asked -----------------------------------------------------------------------

    def _change(
        self, call: Call, account: Any, amount: Any, request_id: Any = None, seen: Any = None
    ) -> None:
        """Withdraw or deposit, as the method says."""
        self._ask_for((call.method, account, amount), call, request_id, seen)

    def _transfer(
        self,
        call: Call,
        from_account: Any,
        to_account: Any,
        amount: Any,
        request_id: Any = None,
        seen: Any = None,
    ) -> None:
        self._ask_for((call.method, from_account, to_account, amount), call, request_id, seen)

    def _open_or_close(self, call: Call, account: Any, request_id: Any = None, seen: Any = None) -> None:
        self._ask_for((call.method, account), call, request_id, seen)

    def _ask_for(self, form: tuple[Any, ...], call: Call, request_id: Any, seen: Any) -> None:
        """Have one operation done, of which the account is the second value."""
        operations = packed_form(form)
        request, text = request_of(request_id)
        checked = seen_of(seen)
        asked = Asked(
            call, one, self._addresses, self.figures.of[call.method], account=form[1], request_id=text
        )
        self._admission.request(asked, request, lambda: operations, 1, checked)

    def _submit(self, call: Call, operations: Any, request_id: Any = None, seen: Any = None) -> None:
        form: Callable[..., Any] = many
        count = _count(operations)
        if count > self._at_most:
            raise InvalidRequest(f"{count} operations are too many: at most {self._at_most} in a request")
        if type(operations) is bytes:
            form = many_packed if _readable(look_at, operations)[1] else many_told
        request, text = request_of(request_id)
        checked = seen_of(seen)
        asked = Asked(call, form, self._addresses, self.figures.of["submit"], request_id=text)
        work = (lambda: packed_forms(operations)) if form is many else (lambda: operations)
        self._admission.request(asked, request, work, count, checked)

    def _outcome(self, call: Call, request_id: Any, seen: Any = None) -> None:
        request = parse_request_id(request_id)
        checked = seen_of(seen)
        asked = Asked(call, many, self._addresses, self.figures.of["outcome"], request_id=request_id)
        self._admission.outcome(asked, request, checked)

    def _balance(self, call: Call, account: Any, seen: Any = None) -> None:
        checked = seen_of(seen)
        figures = self.figures.of["balance"]
        asked = Asked(call, read_of_balance, self._addresses, figures, account=check_account(account))
        self._admission.read(asked, account, checked)

    def _total(self, call: Call, seen: Any = None) -> None:
        checked = seen_of(seen)
        asked = Asked(call, read_of_total, self._addresses, self.figures.of["total"])
        self._admission.read(asked, TOTAL, checked)

    def _statement(
        self, call: Call, account: Any, since: Any = 0, limit: Any = ENTRIES_AT_MOST, seen: Any = None
    ) -> None:
        query = StatementQuery(account, since, limit, self._journal)
        checked = seen_of(seen)
        asked = Asked(
            call, read_of_statement, self._addresses, self.figures.of["statement"], account=query.account
        )
        self._admission.read(asked, query, checked, more_bytes=_STATEMENT_BYTES)

    def _tell_status(self, call: Call) -> None:
        self.figures.of["status"].counts[DONE] += 1
        call.answer(self._status())

    def _attribute(self, call: Call, name: str) -> None:
        self.figures.of["status"].counts[DONE] += 1
        call.answer(self._status()[name])


def _count(operations: Any) -> int:
    """Return how many operations these are, in a list; or, packed as the journal keeps them, say they are."""
    if type(operations) is bytes:
        count = _readable(announced, operations)
    elif isinstance(operations, Sequence) and not isinstance(operations, str):
        count = len(operations)
    else:
        count = 0
    if count == 0:
        raise InvalidRequest("submit takes a list of operations, and at least one")
    return count


def _readable(look: Callable[[bytes], _Found], operations: bytes) -> _Found:
    try:
        return look(operations)
    except ValueError as error:
        raise InvalidRequest(f"these operations cannot be read: {error}") from error
