"""What can come of an operation: the balance after it, or that it was declined, and why.

As the journal keeps it, that is one of

    balance                                  a withdrawal or a deposit that was done
    (status, balance)                        one that was declined
    (status, told, balance, balance of to)   a transfer, done or declined

To open an account is done with 0, and so is to close one. The balances of a transfer are those after it, None
where there is no such account. They are there for whoever checks or copies the journal. `told` is what its
caller is told: the payee's is not his business.
"""

from __future__ import annotations

from typing import Any

from bankrmi.bank.forms import CLOSE, TRANSFER, Form, accounts_of
from bankrmi.errors import (
    AccountExists,
    AccountNotEmpty,
    AccountNotFound,
    BalanceTooLarge,
    InsufficientFunds,
    Refused,
)
from bankrmi.replication.record import DONE, Entry

__all__ = [
    "DECLINES",
    "EXISTS",
    "INSUFFICIENT",
    "NOT_EMPTY",
    "NO_ACCOUNT",
    "TOO_LARGE",
    "balances_after",
    "declined",
    "declined_form",
    "follow",
    "is_done",
    "told",
]

INSUFFICIENT = "insufficient"
NO_ACCOUNT = "no_account"
TOO_LARGE = "too_large"
EXISTS = "exists"
NOT_EMPTY = "not_empty"

_DECLINED: dict[str, tuple[type[Refused], str]] = {
    INSUFFICIENT: (InsufficientFunds, "the amount exceeds the balance of account {account}"),
    NO_ACCOUNT: (AccountNotFound, "there is no account {account}"),
    TOO_LARGE: (BalanceTooLarge, "the balance of account {account} would exceed 2^63-1"),
    EXISTS: (AccountExists, "there is an account {account} already"),
    NOT_EMPTY: (AccountNotEmpty, "there is money on account {account}: it is closed when it is at 0"),
}

DECLINES = frozenset(_DECLINED)
"""Why an operation can be declined: the statuses that the journal knows."""


def is_done(outcome: Any) -> bool:
    """Whether the operation of this outcome was done."""
    return type(outcome) is int or outcome[0] == DONE


def declined(
    account: int, outcome: tuple[str, int | None], action_id: int, **more: str | int | None
) -> Refused:
    """Return the error of an operation that was declined: why, and at which balance; `more` are details.

    `account` is the one that it was declined for.
    """
    status, balance = outcome
    kind, sentence = _DECLINED[status]
    return kind(
        sentence.format(account=account), account=account, balance=balance, action_id=action_id, **more
    )


def declined_form(form: Form, outcome: Any, action_id: int, **more: str | None) -> Refused:
    """Return the error of an operation of the journal that was declined; of a transfer, it says to whom."""
    status, balance = outcome[0], outcome[1]
    to = {"to": accounts_of(form)[1]} if form[0] == TRANSFER else {}
    return declined(_declined_for(form, outcome), (status, balance), action_id, **to, **more)


def _declined_for(form: Form, outcome: Any) -> int:
    """Return the account for which an operation was declined; of a transfer it may be either."""
    if form[0] != TRANSFER:
        return form[1]
    status, _, balance, _ = outcome
    payer, payee = accounts_of(form)
    is_the_payees = status == TOO_LARGE or (status == NO_ACCOUNT and balance is not None)
    return payee if is_the_payees else payer


def told(form: Form, outcome: Any) -> Any:
    """Return what callers who take their outcomes packed are told of one.

    That is the balance, or (status, balance), or, of a transfer, (status, balance, account it is about).
    """
    if form[0] != TRANSFER:
        return outcome
    status, balance = outcome[0], outcome[1]
    return balance if status == DONE else (status, balance, _declined_for(form, outcome))


def balances_after(entry: Entry) -> list[tuple[int, int | None]]:
    """Return what accounts hold after an entry of the journal that is not cancelled; None: there is none."""
    if entry.status == DONE and entry.operation[0] == CLOSE:
        return [(entry.operation[1], None)]
    balances: Any = entry.beside or (entry.result,)
    return list(zip(accounts_of(entry.operation), balances, strict=True))


def follow(balances: dict[int, int], entry: Entry) -> None:
    """Have these accounts hold what they hold after an entry of the journal that is not cancelled."""
    for account, balance in balances_after(entry):
        if balance is None:
            balances.pop(account, None)
        else:
            balances[account] = balance
