"""What simulated clients want done.

Rule: the simulator knows nothing of accounts; whatever can be replicated, and has a model, can be simulated.
"""

from __future__ import annotations

import random
from typing import Any, Protocol

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import Form, form_of
from bankrmi.bank.operations import CloseAccount, Deposit, OpenAccount, Operation, Transfer, Withdraw
from bankrmi.storage.state_machine import StateMachine
from bankrmi.verifying.model import BankModel, Model

__all__ = ["LEDGER", "BankWorkload", "Workload"]

LEDGER = {1: 100, 2: 300, 3: 450}
_NO_SUCH_ACCOUNT = 404
_COMES_AND_GOES = 405
"""Without money, so that it can be closed again and again."""
_ACCOUNTS = [*LEDGER, _NO_SUCH_ACCOUNT]


class Workload(Protocol):
    """A state machine, and what may be asked of it."""

    def machine(self) -> StateMachine:
        """Return a new one, for one copy."""

    def model(self) -> Model:
        """Return the opening state."""

    def operation(self, chance: random.Random) -> Any:
        """Draw an operation, as the journal keeps it."""

    def query(self, chance: random.Random) -> Any:
        """Draw what to read."""


class BankWorkload:
    """The bank itself."""

    def machine(self) -> StateMachine:
        """Return empty accounts that open with the ledger."""
        return Accounts(LEDGER)

    def model(self) -> Model:
        """Return the ledger."""
        return BankModel(LEDGER)

    def operation(self, chance: random.Random) -> Form:
        """Draw a withdrawal, a deposit, a transfer (one in six), or the opening or closing of an account."""
        account = chance.choice(_ACCOUNTS)
        amount = chance.choice([0, 1, 10, 50, 1000])
        drawn = 10 * chance.random()
        if drawn >= 9.6:
            account = _COMES_AND_GOES if account == _NO_SUCH_ACCOUNT or int(1000 * drawn) % 2 else account
            return form_of(CloseAccount(account) if drawn >= 9.8 else OpenAccount(account))
        if 4 <= drawn < 5 or drawn >= 9:
            others = [one for one in _ACCOUNTS if one != account]
            return form_of(Transfer(account, others[int(10 * drawn) % len(others)], amount))
        operation: Operation = Withdraw(account, amount) if drawn < 5 else Deposit(account, amount)
        return form_of(operation)

    def query(self, chance: random.Random) -> Any:
        """Draw an account."""
        return chance.choice(list(LEDGER))
