"""What must come of operations, reckoned from the specification's words and nobody's production code.

Rule 1: the checker knows nothing of accounts; whatever can be replicated can be checked, given its model.
Rule 2: a model is a plain dictionary, never the state machine under test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from bankrmi.bank.operations import LARGEST
from bankrmi.bank.outcomes import EXISTS, INSUFFICIENT, NO_ACCOUNT, NOT_EMPTY, TOO_LARGE
from bankrmi.replication.record import DONE, Scalar

__all__ = ["BankModel", "Model"]

_WITHDRAW, _DEPOSIT, _TRANSFER, _OPEN, _CLOSE = range(5)
"""As the journal has them (`bank.forms`)."""


class Model(Protocol):
    """The state as a dictionary: what a read of each key must say."""

    @property
    def values(self) -> Mapping[Any, Any]:
        """Every key with its value now."""

    def apply(self, operation: Any) -> tuple[Scalar, ...]:
        """Do it; return the status and the result that the production code must come to.

        And what it must record beside them, if anything (`Entry.beside`).
        """

    def keys(self, operation: Any) -> Sequence[Any]:
        """Return the keys that this operation may have changed."""

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

    def keys(self, operation: Any) -> Sequence[Any]:
        """Return the account; or the two of a transfer, the one that pays first."""
        kind, account, more = operation
        return (account, more[0]) if kind == _TRANSFER else (account,)

    def apply(self, operation: Any) -> tuple[Scalar, ...]:
        """Withdraw, deposit or transfer, unless an account, the money or the room for it is missing."""
        kind, account, amount = operation
        if kind == _TRANSFER:
            return self._transfer(account, *amount)
        if kind in (_OPEN, _CLOSE):
            return self._open(account) if kind == _OPEN else self._close(account)
        deposit = {_WITHDRAW: False, _DEPOSIT: True}[kind]
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

    def _transfer(self, payer: int, payee: int, amount: int) -> tuple[Scalar, ...]:
        """Nothing, or both halves; the payee's balance is recorded, and not told to whoever asked."""
        has, there = self.values.get(payer), self.values.get(payee)
        if has is None or there is None:
            return NO_ACCOUNT, None, has, there
        if has < amount:
            return INSUFFICIENT, has, has, there
        if there + amount > LARGEST:
            return TOO_LARGE, None, has, there
        self.values[payer], self.values[payee] = has - amount, there + amount
        return DONE, has - amount, has - amount, there + amount

    def _open(self, account: int) -> tuple[Scalar, ...]:
        """An account that is there stays as it is."""
        if account in self.values:
            return EXISTS, self.values[account]
        self.values[account] = 0
        return DONE, 0

    def _close(self, account: int) -> tuple[Scalar, ...]:
        """No money goes with an account."""
        balance = self.values.get(account)
        if balance is None:
            return NO_ACCOUNT, None
        if balance > 0:
            return NOT_EMPTY, balance
        del self.values[account]
        return DONE, 0

    def in_words(self, operation: Any) -> str:
        """Return "withdraw 10 from account 2"."""
        kind, account, amount = operation
        if kind == _TRANSFER:
            payee, amount = amount
            return f"transfer {amount} from account {account} to account {payee}"
        if kind in (_OPEN, _CLOSE):
            return f"{'open' if kind == _OPEN else 'close'} account {account}"
        return (
            f"deposit {amount} on account {account}"
            if kind == _DEPOSIT
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
