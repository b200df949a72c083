"""A market whose customers pay from their accounts: the bank beside a class of one's own, in one pair.

An order takes goods from the shelf, and money from the customer's account to the market's: all of it, in one
record, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

import bankrmi
from bankrmi.errors import AccountNotFound, InsufficientFunds

__all__ = ["TILL", "Market", "Order", "SoldOut"]

Name = Annotated[str, Field(min_length=1, max_length=100)]
Count = Annotated[int, Field(ge=1, le=1_000)]
Cents = Annotated[int, Field(ge=0, le=1_000_000_000)]

TILL = 1
"""The market's own account."""


class SoldOut(Exception):
    """There are fewer of it than that."""


@dataclass(frozen=True)
class Order:
    """What somebody has bought, and what that has left on the account."""

    id: str
    cents: int
    balance: int


class Market(bankrmi.Service):
    """Goods with prices, and who has bought them."""

    bank = bankrmi.Uses(bankrmi.Account)

    def create(self) -> None:
        """Begin with an empty shelf."""
        self.db.execute(
            "CREATE TABLE goods (name TEXT PRIMARY KEY NOT NULL, cents INTEGER NOT NULL,"
            " count INTEGER NOT NULL CHECK (count >= 0)) STRICT"
        )
        self.db.execute(
            "CREATE TABLE sale (id TEXT PRIMARY KEY NOT NULL, account INTEGER NOT NULL, name TEXT NOT NULL,"
            " count INTEGER NOT NULL, cents INTEGER NOT NULL) STRICT"
        )

    @bankrmi.update
    def stock(self, name: Name, cents: Cents, count: Count) -> int:
        """Put some more on the shelf, at this price; return how many there are."""
        self.db.execute("INSERT OR IGNORE INTO goods VALUES (?, ?, 0)", (name, cents))
        self.db.execute("UPDATE goods SET cents = ?, count = count + ? WHERE name = ?", (cents, count, name))
        return self.left(name)

    @bankrmi.update(raises=[SoldOut, InsufficientFunds, AccountNotFound])
    def order(self, account: int, name: Name, count: Count) -> Order:
        """Buy some, paid from an account."""
        if self.left(name) < count:
            raise SoldOut(name)
        self.db.execute("UPDATE goods SET count = count - ? WHERE name = ?", (count, name))
        price = self.db.execute("SELECT cents FROM goods WHERE name = ?", (name,)).value
        number, cents = self.new_id(), count * price
        paid = self.bank.transfer(account, TILL, cents)  # If this raises, the goods are back on the shelf.
        self.db.execute("INSERT INTO sale VALUES (?, ?, ?, ?, ?)", (number, account, name, count, cents))
        return Order(number, cents, paid.balance)

    @bankrmi.query
    def left(self, name: Name) -> int:
        """Return how many there are."""
        return self.db.execute("SELECT count FROM goods WHERE name = ?", (name,)).value or 0

    @bankrmi.query
    def takings(self) -> int:
        """Return what was sold for: no more, and no less, has come to the market's account."""
        return int(self.db.execute("SELECT coalesce(sum(cents), 0) FROM sale").value)
