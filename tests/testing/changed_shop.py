"""Two services of one pair, each in two versions, and the same in plain Python, in tests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import bankrmi

__all__ = [
    "Dearer",
    "Orders",
    "PlainOrders1",
    "PlainShop",
    "PlainShop1",
    "PlainStock",
    "PlainStock1",
    "SoldOut",
    "Stock",
    "shopping",
]


class SoldOut(Exception):
    """There is not so much of it."""


class Stock1(bankrmi.Service):
    """How many there are of what."""

    def create(self) -> None:
        self.db.execute("CREATE TABLE item (name TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL)")

    @bankrmi.update
    def put(self, name: str, count: int) -> int:
        self.db.execute("INSERT OR IGNORE INTO item (name, count) VALUES (?, 0)", (name,))
        self.db.execute("UPDATE item SET count = count + ? WHERE name = ?", (count, name))
        return self.left(name)

    @bankrmi.update(raises=[SoldOut])
    def take(self, name: str, count: int) -> int:
        left = self.put(name, -count)
        if left < 0:
            raise SoldOut(name)
        return left

    @bankrmi.query
    def left(self, name: str) -> int:
        return self.db.execute("SELECT count FROM item WHERE name = ?", (name,)).value or 0


class Stock(Stock1):
    """What was kept for somebody is known, too."""

    version = 2
    previous = Stock1

    def create(self) -> None:
        super().create()
        self.migrate_1_to_2()

    def migrate_1_to_2(self) -> None:
        self.db.execute("ALTER TABLE item ADD COLUMN kept INTEGER NOT NULL DEFAULT 0")
        self.db.execute("UPDATE item SET kept = count")

    @bankrmi.update(raises=[SoldOut])
    def keep(self, name: str, count: int) -> int:
        self.take(name, count)
        self.db.execute("UPDATE item SET kept = kept + ? WHERE name = ?", (count, name))
        return int(self.db.execute("SELECT kept FROM item WHERE name = ?", (name,)).value)


class Orders1(bankrmi.ObjectService):
    """What was ordered, in attributes."""

    stock: Any = bankrmi.Uses(Stock)

    def __init__(self) -> None:
        self.placed: dict[str, int] = {}

    @bankrmi.update(raises=[SoldOut])
    def place(self, name: str, count: int) -> int:
        self.placed[name] = self.placed.get(name, 0) + count
        self.stock.take(name, count)
        return self.placed[name]

    @bankrmi.query
    def of(self, name: str) -> tuple[int, int]:
        return self.placed.get(name, 0), self.stock.left(name)


class Orders(Orders1):
    """Goods are kept, and not taken; how many orders there were is counted. Where the stock keeps nothing
    yet, nobody orders anything."""

    version = 2
    previous = Orders1

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def migrate_1_to_2(self) -> None:
        self.count = len(self.placed)

    @bankrmi.update(raises=[SoldOut])
    def place(self, name: str, count: int) -> int:
        self.placed[name] = self.placed.get(name, 0) + count
        self.count += 1
        return int(self.stock.keep(name, count)) + self.count


class PlainStock1:
    def __init__(self) -> None:
        self.items: dict[str, int] = {}

    def put(self, name: str, count: int) -> int:
        self.items[name] = self.left(name) + count
        return self.items[name]

    def take(self, name: str, count: int) -> int:
        if self.left(name) < count:
            raise SoldOut(name)
        return self.put(name, -count)

    def left(self, name: str) -> int:
        return self.items.get(name, 0)


class PlainStock(PlainStock1):
    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, int] = {}

    def migrate_1_to_2(self) -> None:
        self.kept = dict(self.items)

    def keep(self, name: str, count: int) -> int:
        self.take(name, count)
        self.kept[name] = self.kept.get(name, 0) + count
        return self.kept[name]


class PlainOrders1:
    def __init__(self, stock: Any) -> None:
        self.stock = stock
        self.placed: dict[str, int] = {}
        self.count = 0

    def place(self, name: str, count: int) -> int:
        self.stock.take(name, count)
        self.placed[name] = self.placed.get(name, 0) + count
        return self.placed[name]

    def of(self, name: str) -> tuple[int, int]:
        return self.placed.get(name, 0), self.stock.left(name)


class _PlainOrders(PlainOrders1):
    def migrate_1_to_2(self) -> None:
        self.count = len(self.placed)

    def place(self, name: str, count: int) -> int:
        kept: int = self.stock.keep(name, count)
        self.placed[name] = self.placed.get(name, 0) + count
        self.count += 1
        return kept + self.count


class PlainShop1:
    """Both, as they were."""

    def __init__(self) -> None:
        self.stock = PlainStock1()
        self.orders = PlainOrders1(self.stock)


class PlainShop:
    previous: type = PlainShop1

    def __init__(self) -> None:
        self.stock: PlainStock1 = PlainStock()
        self.orders: PlainOrders1 = _PlainOrders(self.stock)


class _DearStock(PlainStock):
    def migrate_1_to_2(self) -> None:
        self.kept = {name: count + 1 for name, count in self.items.items()}


class Dearer(PlainShop):
    """More is kept after the migration than the class says."""

    def __init__(self) -> None:
        self.stock = _DearStock()
        self.orders = _PlainOrders(self.stock)


def shopping(chance: random.Random, shop: Any) -> Iterator[Any]:
    name = chance.choice(["fig", "pear"])
    yield shop.stock.put(name, chance.randint(1, 4))
    yield shop.orders.place(name, chance.randint(1, 3))
    yield shop.orders.of(name)
    yield shop.stock.keep(name, 1)
