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
    Unsettled,
)

__all__ = ["result_of", "sentence_of"]


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
