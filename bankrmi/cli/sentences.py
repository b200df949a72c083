"""What a person reads: one sentence for an answer, one for an error.

Rule: the texts of the menu are fixed; whoever changes one here changes what scripts look for.
"""

from __future__ import annotations

from collections.abc import Iterator

from bankrmi.bank.operations import LARGEST, Receipt
from bankrmi.bank.statements import Statement, StatementEntry
from bankrmi.errors import (
    AccountExists,
    AccountNotEmpty,
    AccountNotFound,
    BalanceTooLarge,
    BankError,
    Cancelled,
    InsufficientFunds,
    InvalidRequest,
    Unsettled,
)
from bankrmi.foreign_text import foreign
from bankrmi.moments import as_logged
from bankrmi.replication.record import DONE

__all__ = ["lines_of", "result_of", "sentence_of"]


def sentence_of(result: Receipt | BankError) -> str:
    """Return what became of one operation, or what went wrong, as one sentence."""
    match result:
        case Receipt(balance=balance):
            return f"Current balance: {balance}"
        case AccountNotFound() | InsufficientFunds() | BalanceTooLarge() if "to" in result.details:
            return f"{result.message[0].upper()}{result.message[1:]}"  # Of two accounts: it says which.
        case AccountNotFound():
            return "Account not found"
        case InsufficientFunds():
            return "Withdraw amount must be less than balance"
        case BalanceTooLarge():
            return f"The balance would be over {LARGEST}, the largest there can be"
        case AccountExists():
            return "There is such an account already"
        case AccountNotEmpty():
            return "There is money on the account: it is closed when its balance is 0"
        case Unsettled():
            return _with_request_id(result)
        case _:
            return result.message


def _with_request_id(error: Unsettled) -> str:
    """Return the message; who reads it must be able to ask again."""
    request_id = error.details.get("request_id")
    if request_id is None or str(request_id) in error.message:
        return error.message
    return f"{error.message} (request id {request_id})"


def result_of(result: Receipt | BankError) -> str:
    """Return one line of `outcome`: what became of one operation of a request."""
    match result:
        case Receipt(account=account, balance=balance, action_id=action_id):
            return f"done: account {account}, balance {balance}, action id {action_id}"
        case Cancelled():
            return "cancelled: it did not happen, and never will"
        case InvalidRequest():
            return result.message
        case _:
            return f"declined: {sentence_of(result)}"


def lines_of(statement: Statement, since: int = 0) -> Iterator[str]:
    """Yield a statement as lines: what is left out, an entry each, and the balance now."""
    if statement.begins_after > statement.since:
        yield f"Entries up to action id {statement.begins_after} are no longer in the journal"
    elif statement.since > since:
        yield f"Earlier entries, up to action id {statement.since}, are not listed"
    for entry in statement.entries:
        yield _line_of(entry)
    if statement.balance is None:
        yield "There is no such account any more"
    else:
        yield f"Current balance: {statement.balance}"


def _line_of(entry: StatementEntry) -> str:
    what = entry.kind.replace("_", " ")
    if entry.amount is not None:
        what += f" {entry.amount}"
    if entry.paid_to is not None:
        what += f" to {entry.paid_to}"
    elif entry.paid_by is not None:
        what += f" from {entry.paid_by}"
    if entry.status == DONE:
        came = f"balance {entry.balance}"
    else:
        came = f"declined: {foreign(entry.status.replace('_', ' '))}"
    when = foreign(as_logged(entry.time_us))
    return f"{entry.action_id}  {when}  {foreign(what)}, {came}, request {foreign(entry.request_id)}"
