"""A shop: what is on the shelf, and who has ordered what. An order is one update: all of it, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

import bankrmi

__all__ = ["Line", "Order", "Product", "Shop", "SoldOut", "Unknown"]

MOST_PRODUCTS = 200
MOST_LINES = 50

Name = Annotated[str, Field(min_length=1, max_length=100)]
Count = Annotated[int, Field(ge=1, le=1_000)]
Cents = Annotated[int, Field(ge=0, le=100_000_00)]


class SoldOut(Exception):
    """There are fewer of it than that."""

    def __init__(self, product: str, left: int) -> None:
        super().__init__(product, left)
        self.product, self.left = product, left

    def __str__(self) -> str:
        return f"of {self.product} there are {self.left} left"


class Unknown(Exception):
    """There is no such thing."""


@dataclass(frozen=True)
class Product:
    """What can be bought."""

    name: str
    cents: int
    left: int


@dataclass(frozen=True)
class Line:
    """How many of what."""

    product: Name
    count: Count


@dataclass(frozen=True)
class Order:
    """What somebody has bought, at the price of that moment."""

    id: str
    customer: str
    placed: str
    cents: int
    lines: list[Line]


class Shop(bankrmi.Service):
    """One shop."""

    def create(self) -> None:
        """Begin with an empty shelf."""
        self.db.execute(
            "CREATE TABLE product (name TEXT PRIMARY KEY NOT NULL, cents INTEGER NOT NULL,"
            " left INTEGER NOT NULL CHECK (left >= 0))"
        )
        self.db.execute(
            "CREATE TABLE purchase (id TEXT PRIMARY KEY NOT NULL, customer TEXT NOT NULL,"
            " placed TEXT NOT NULL, cents INTEGER NOT NULL)"
        )
        self.db.execute(
            "CREATE TABLE line (purchase TEXT NOT NULL, product TEXT NOT NULL, count INTEGER NOT NULL,"
            " PRIMARY KEY (purchase, product))"
        )

    @bankrmi.update
    def stock(self, product: Name, cents: Cents, count: Count) -> Product:
        """Put some more on the shelf, at this price."""
        if self._product(product) is None:
            if self.db.execute("SELECT count(*) FROM product").value >= MOST_PRODUCTS:
                raise OverflowError(f"there are {MOST_PRODUCTS} products")
            self.db.execute("INSERT INTO product VALUES (?, ?, 0)", (product, cents))
        self.db.execute(
            "UPDATE product SET cents = ?, left = left + ? WHERE name = ?", (cents, count, product)
        )
        return self._known(product)

    @bankrmi.update(raises=[SoldOut, Unknown])
    def order(
        self, customer: Name, lines: Annotated[list[Line], Field(min_length=1, max_length=MOST_LINES)]
    ) -> Order:
        """Buy all of it, or, if anything is missing, nothing."""
        number, placed = self.new_id(), self.now.isoformat(timespec="seconds")
        cents = 0
        for line in lines:
            product = self._known(line.product)
            if product.left < line.count:
                raise SoldOut(product.name, product.left)  # What was taken for other lines is back by that.
            self.db.execute("UPDATE product SET left = left - ? WHERE name = ?", (line.count, product.name))
            self.db.execute(
                "INSERT INTO line VALUES (?, ?, ?)"
                " ON CONFLICT (purchase, product) DO UPDATE SET count = count + excluded.count",
                (number, product.name, line.count),
            )
            cents += product.cents * line.count
        self.db.execute("INSERT INTO purchase VALUES (?, ?, ?, ?)", (number, customer, placed, cents))
        return self._placed(number)

    @bankrmi.query
    def products(self) -> list[Product]:
        """Return what there is, and what there was."""
        return [
            Product(*row) for row in self.db.execute("SELECT name, cents, left FROM product ORDER BY name")
        ]

    @bankrmi.query(raises=[Unknown])
    def placed(self, number: str) -> Order:
        """Return an order."""
        return self._placed(number)

    @bankrmi.query
    def sold(self, product: Name) -> int:
        """Return how many of a product were ordered."""
        return int(
            self.db.execute("SELECT coalesce(sum(count), 0) FROM line WHERE product = ?", (product,)).value
        )

    # -- within ----------------------------------------------------------------------------------

    def _product(self, name: str) -> Product | None:
        row = self.db.execute("SELECT name, cents, left FROM product WHERE name = ?", (name,)).fetchone()
        return None if row is None else Product(*row)

    def _known(self, name: str) -> Product:
        product = self._product(name)
        if product is None:
            raise Unknown(f"{name} is not sold here")
        return product

    def _placed(self, number: str) -> Order:
        found = self.db.execute(
            "SELECT customer, placed, cents FROM purchase WHERE id = ?", (number,)
        ).fetchone()
        if found is None:
            raise Unknown("there is no such order")
        lines = self.db.execute(
            "SELECT product, count FROM line WHERE purchase = ? ORDER BY product", (number,)
        )
        customer, placed, cents = found
        return Order(number, customer, placed, cents, [Line(*row) for row in lines])
