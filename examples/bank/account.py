"""The bank that bankrmi serves by itself, as a class like any other: the same questions, the same decisions.

bankrmi's own bank knows a shorter way to take something back, writes balances behind the journal, and takes
thousands of operations in one request. That is faster, and a room of its own (`bankrmi/bank`); what it
decides is this.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

import bankrmi

__all__ = ["Account", "Exists", "Insufficient", "NoAccount", "NotEmpty", "TooLarge"]

LARGEST = 2**63 - 1

Number = Annotated[int, Field(ge=0, le=LARGEST)]
Amount = Annotated[int, Field(ge=0, le=LARGEST)]


class NoAccount(Exception):
    """There is no account of this number."""


class Exists(Exception):
    """There is one already."""


class NotEmpty(Exception):
    """There is money on it."""


class Insufficient(Exception):
    """The amount exceeds the balance."""


class TooLarge(Exception):
    """The balance would exceed 2^63 - 1."""


class Account(bankrmi.Service):
    """Accounts that are never in the red."""

    def create(self) -> None:
        """Begin without an account."""
        self.db.execute(
            "CREATE TABLE account (number INTEGER PRIMARY KEY NOT NULL,"
            " balance INTEGER NOT NULL CHECK (balance >= 0)) STRICT"
        )

    @bankrmi.update(raises=[Exists])
    def open_account(self, account: Number) -> int:
        """Have an account where there is none yet; it begins at 0."""
        if self._balance(account) is not None:
            raise Exists(account)
        self.db.execute("INSERT INTO account VALUES (?, 0)", (account,))
        return 0

    @bankrmi.update(raises=[NoAccount, NotEmpty])
    def close_account(self, account: Number) -> int:
        """Have it no more; only at 0."""
        if self._known(account) > 0:
            raise NotEmpty(account)
        self.db.execute("DELETE FROM account WHERE number = ?", (account,))
        return 0

    @bankrmi.update(raises=[NoAccount, TooLarge])
    def deposit(self, account: Number, amount: Amount) -> int:
        """Put `amount` on the account; return the balance after it."""
        return self._set(account, self._known(account) + amount)

    @bankrmi.update(raises=[NoAccount, Insufficient])
    def withdraw(self, account: Number, amount: Amount) -> int:
        """Take `amount` off the account; return the balance after it."""
        return self._set(account, self._known(account) - amount)

    @bankrmi.update(raises=[NoAccount, Insufficient, TooLarge])
    def transfer(self, from_account: Number, to_account: Number, amount: Amount) -> int:
        """Take it off one account and put it on the other, or do nothing; return what the first has left."""
        if from_account == to_account:
            raise ValueError(f"account {from_account} cannot transfer to itself")
        left, there = self._known(from_account) - amount, self._known(to_account) + amount
        self._set(from_account, left)
        self._set(to_account, there)  # If this raises, what was taken is back by that.
        return left

    @bankrmi.query(raises=[NoAccount])
    def balance(self, account: Number) -> int:
        """Return what is on the account."""
        return self._known(account)

    # -- within ----------------------------------------------------------------------------------

    def _balance(self, account: int) -> int | None:
        found: int | None = self.db.execute("SELECT balance FROM account WHERE number = ?", (account,)).value
        return found

    def _known(self, account: int) -> int:
        balance = self._balance(account)
        if balance is None:
            raise NoAccount(account)
        return balance

    def _set(self, account: int, balance: int) -> int:
        if balance < 0:
            raise Insufficient(account)
        if balance > LARGEST:
            raise TooLarge(account)
        self.db.execute("UPDATE account SET balance = ? WHERE number = ?", (balance, account))
        return balance
