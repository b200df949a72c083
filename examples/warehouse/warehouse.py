"""Three services in one pair of servers: what is on the shelf, what was bought, and the points for that.

To buy is one update of `Purchases`, which calls the other two: all of it is done, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

import bankrmi

__all__ = ["Points", "Purchase", "Purchases", "Shelf", "SoldOut", "TooFewPoints"]

Name = Annotated[str, Field(min_length=1, max_length=100)]
Count = Annotated[int, Field(ge=1, le=1_000)]

CENTS_A_POINT = 100


class SoldOut(Exception):
    """There are fewer of it than that."""


class TooFewPoints(Exception):
    """A customer has fewer points than that."""


class Shelf(bankrmi.Service):
    """How many there are of what, and what one costs."""

    def create(self) -> None:
        """Begin with an empty shelf."""
        self.db.execute(
            "CREATE TABLE item (name TEXT PRIMARY KEY NOT NULL, cents INTEGER NOT NULL,"
            " count INTEGER NOT NULL CHECK (count >= 0))"
        )

    @bankrmi.update
    def put(self, name: Name, cents: Count, count: Count) -> int:
        """Put some more on the shelf, at this price; return how many there are."""
        self.db.execute("INSERT OR IGNORE INTO item VALUES (?, ?, 0)", (name, cents))
        self.db.execute("UPDATE item SET cents = ?, count = count + ? WHERE name = ?", (cents, count, name))
        return self.left(name)

    @bankrmi.update(raises=[SoldOut])
    def take(self, name: Name, count: Count) -> int:
        """Take some off the shelf; return what they cost."""
        if self.left(name) < count:
            raise SoldOut(name)
        self.db.execute("UPDATE item SET count = count - ? WHERE name = ?", (count, name))
        return count * int(self.db.execute("SELECT cents FROM item WHERE name = ?", (name,)).value)

    @bankrmi.query
    def left(self, name: Name) -> int:
        """Return how many there are."""
        return self.db.execute("SELECT count FROM item WHERE name = ?", (name,)).value or 0


class Points(bankrmi.ObjectService):
    """What customers have earned: an object without tables."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    @bankrmi.update(raises=[TooFewPoints])
    def earn(self, customer: Name, points: int) -> int:
        """Add points, or take some off; return what the customer has then."""
        self.of[customer] = self.of.get(customer, 0) + points
        if self.of[customer] < 0:
            raise TooFewPoints(customer)  # What was changed has not happened.
        return self.of[customer]

    @bankrmi.query
    def balance(self, customer: Name) -> int:
        """Return what a customer has."""
        return self.of.get(customer, 0)


@dataclass(frozen=True)
class Purchase:
    """What somebody has bought."""

    id: str
    cents: int
    points: int


class Purchases(bankrmi.Service):
    """Who has bought what."""

    shelf = bankrmi.Uses(Shelf)
    points = bankrmi.Uses(Points)

    def create(self) -> None:
        """Begin with nothing bought."""
        self.db.execute(
            "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, customer TEXT NOT NULL, name TEXT NOT NULL,"
            " count INTEGER NOT NULL)"
        )

    @bankrmi.update(raises=[SoldOut, TooFewPoints])
    def buy(self, customer: Name, name: Name, count: Count, pay_points: bool = False) -> Purchase:
        """Buy some, for money or for points: all of it, or nothing."""
        number = self.new_id()
        self.db.execute("INSERT INTO item VALUES (?, ?, ?, ?)", (number, customer, name, count))
        cents = self.shelf.take(name, count)
        earned = cents // CENTS_A_POINT
        points = self.points.earn(customer, -10 * earned if pay_points else earned)
        return Purchase(number, 0 if pay_points else cents, points)

    @bankrmi.update(raises=[SoldOut])
    def buy_what_there_is(self, customer: Name, name: Name, count: Count) -> int:
        """Buy as many as there are, up to that; return how many."""
        try:
            self.shelf.take(name, count)
        except SoldOut:  # Of what `take` had done, nothing is left: one may go on.
            count = self.shelf.left(name)
            if not count:
                raise
            self.shelf.take(name, count)
        self.db.execute("INSERT INTO item VALUES (?, ?, ?, ?)", (self.new_id(), customer, name, count))
        return count

    @bankrmi.query
    def bought(self, customer: Name) -> list[tuple[str, int]]:
        """Return what somebody has bought, by name."""
        rows = self.db.execute(
            "SELECT name, sum(count) FROM item WHERE customer = ? GROUP BY name ORDER BY name", (customer,)
        )
        return [(name, count) for name, count in rows]

    @bankrmi.query
    def overview(self, name: Name) -> tuple[int, int]:
        """Return how many were bought, and how many are left: both of one moment."""
        sold = self.db.execute("SELECT coalesce(sum(count), 0) FROM item WHERE item.name = ?", (name,)).value
        return int(sold), self.shelf.left(name)
