"""The two services of `changed`, each in two versions, in plain Python, and what clients call of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from tests.testing.changed.stock import SoldOut

__all__ = [
    "Dearer",
    "PlainOrders1",
    "PlainShop",
    "PlainShop1",
    "PlainStock",
    "PlainStock1",
    "shopping",
]


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
