"""What a person reads: one sentence for an answer, one for an error.

Rule: the texts of the menu are fixed; whoever changes one here changes what scripts look for.
"""

from __future__ import annotations

from bankrmi.bank.operations import LARGEST, Receipt
from bankrmi.errors import (
    AccountNotFound,
    BalanceTooLarge,
    BankError,
    Cancelled,
    InsufficientFunds,
    InvalidRequest,
    Unreached,
    Unsettled,
)

__all__ = ["result_of", "sentence_of"]


def sentence_of(result: Receipt | BankError) -> str:
    """Return what became of one operation, or what went wrong, as one sentence."""
    match result:
        case Receipt(balance=balance):
            return f"Current balance: {balance}"
        case AccountNotFound():
            return "Account not found"
        case InsufficientFunds():
            return "Withdraw amount must be less than balance"
        case BalanceTooLarge():
            return f"The balance would be over {LARGEST}, the largest there can be"
        case Unreached():
            return "Nobody could be reached, and nothing was done"
        case Unsettled():
            return _unsettled(result)
        case _:
            return result.message


def _unsettled(error: Unsettled) -> str:
    request_id = error.details.get("request_id")
    if request_id is None:
        return "Nobody answered in time"
    return (
        "Nobody answered in time, and it may or may not have happened: "
        f"'bankrmi outcome {request_id}' will say"
    )


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
