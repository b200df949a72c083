"""What simulated clients want done, and what must come of it, reckoned without the production code.

Rule 1: the simulator knows nothing of accounts; whatever can be replicated can be simulated.
Rule 2: `Model` is a plain dictionary and the specification's words, never the state machine under test.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Protocol

import msgpack

from bankrmi.bank.accounts import DONE, INSUFFICIENT, NO_ACCOUNT, TOO_LARGE, Accounts, packed
from bankrmi.bank.operations import LARGEST, Deposit, Withdraw
from bankrmi.replication.entry import Scalar
from bankrmi.storage.state_machine import StateMachine

__all__ = ["LEDGER", "BankModel", "BankWorkload", "Model", "Workload"]

LEDGER = {1: 100, 2: 300, 3: 450}


class Model(Protocol):
    """The state as a dictionary: what a read of each key must say."""

    @property
    def values(self) -> Mapping[Any, Any]:
        """Every key with its value now."""

    def apply(self, operation: bytes) -> tuple[str, Scalar]:
        """Do it; return the status and the result that the production code must come to."""

    def key(self, operation: bytes) -> Any:
        """Return the key that this operation may have changed."""


class Workload(Protocol):
    """A state machine, and what may be asked of it."""

    def machine(self) -> StateMachine:
        """Return a new one, for one copy."""

    def model(self) -> Model:
        """Return the opening state."""

    def operation(self, chance: random.Random) -> bytes:
        """Draw an operation."""

    def query(self, chance: random.Random) -> Any:
        """Draw what to read."""


class BankModel:
    """Accounts, by the issue's words and nobody's code."""

    def __init__(self, ledger: Mapping[int, int]) -> None:
        self.values = dict(ledger)

    def key(self, operation: bytes) -> Any:
        """Return the account."""
        return msgpack.unpackb(operation)[1]

    def apply(self, operation: bytes) -> tuple[str, Scalar]:
        """Withdraw or deposit, unless the account, the money or the room for it is missing."""
        deposit, account, amount = msgpack.unpackb(operation)
        if account not in self.values:
            return NO_ACCOUNT, None
        balance = self.values[account]
        if deposit and balance + amount > LARGEST:
            return TOO_LARGE, balance
        if not deposit and amount > balance:
            return INSUFFICIENT, balance
        self.values[account] = balance + amount if deposit else balance - amount
        return DONE, self.values[account]


class BankWorkload:
    """The bank itself."""

    def machine(self) -> StateMachine:
        """Return empty accounts that open with the ledger."""
        return Accounts(LEDGER)

    def model(self) -> Model:
        """Return the ledger."""
        return BankModel(LEDGER)

    def operation(self, chance: random.Random) -> bytes:
        """Draw a withdrawal or a deposit; some come to nothing."""
        account = chance.choice([*LEDGER, 404])
        amount = chance.choice([0, 1, 10, 50, 1000])
        kind = Withdraw if chance.random() < 0.5 else Deposit
        return packed(kind(account, amount))

    def query(self, chance: random.Random) -> Any:
        """Draw an account."""
        return chance.choice(list(LEDGER))
