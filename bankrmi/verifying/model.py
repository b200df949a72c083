"""What must come of operations, reckoned from the specification's words and nobody's production code.

Rule 1: the checker knows nothing of accounts; whatever can be replicated can be checked, given its model.
Rule 2: a model is a plain dictionary, never the state machine under test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from bankrmi.bank.operations import LARGEST
from bankrmi.bank.outcomes import INSUFFICIENT, NO_ACCOUNT, TOO_LARGE
from bankrmi.replication.record import DONE, Scalar

__all__ = ["BankModel", "Model"]


class Model(Protocol):
    """The state as a dictionary: what a read of each key must say."""

    @property
    def values(self) -> Mapping[Any, Any]:
        """Every key with its value now."""

    def apply(self, operation: Any) -> tuple[str, Scalar]:
        """Do it; return the status and the result that the production code must come to."""

    def key(self, operation: Any) -> Any:
        """Return the key that this operation may have changed."""

    def in_words(self, operation: Any) -> str:
        """Return the operation as a person would say it."""

    def audit(self, values: Mapping[Any, Any]) -> Iterator[str]:
        """Say what else is wrong with a copy's state, once all operations have been applied here."""


class BankModel:
    """Accounts, and how much was put on and taken off them in all."""

    def __init__(self, ledger: Mapping[int, int]) -> None:
        self.values = dict(ledger)
        self._opening = sum(ledger.values())
        self._deposited = 0
        self._withdrawn = 0

    def key(self, operation: Any) -> Any:
        """Return the account."""
        account: int = operation[1]
        return account

    def apply(self, operation: Any) -> tuple[str, Scalar]:
        """Withdraw or deposit, unless the account, the money or the room for it is missing."""
        deposit, account, amount = operation
        balance = self.values.get(account)
        if balance is None:
            return NO_ACCOUNT, None
        if deposit:
            if balance + amount > LARGEST:
                return TOO_LARGE, balance
            self._deposited += amount
            balance += amount
        else:
            if amount > balance:
                return INSUFFICIENT, balance
            self._withdrawn += amount
            balance -= amount
        self.values[account] = balance
        return DONE, balance

    def in_words(self, operation: Any) -> str:
        """Return "withdraw 10 from account 2"."""
        deposit, account, amount = operation
        return (
            f"deposit {amount} on account {account}"
            if deposit
            else f"withdraw {amount} from account {account}"
        )

    def audit(self, values: Mapping[Any, Any]) -> Iterator[str]:
        """No balance is negative, and money comes and goes only by deposits and withdrawals."""
        for account, balance in values.items():
            if balance < 0:
                yield f"account {account} holds {balance}, and a balance is never negative"
        total, expected = sum(values.values()), self._opening + self._deposited - self._withdrawn
        if total != expected:
            yield (
                f"all accounts hold {total}, and the opening {self._opening} with {self._deposited} "
                f"deposited and {self._withdrawn} withdrawn is {expected}"
            )
