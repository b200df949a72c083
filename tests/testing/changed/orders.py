"""Orders, as they are."""

from __future__ import annotations

from typing import Any

import bankrmi
from tests.testing.changed.orders_1 import Orders as Orders1
from tests.testing.changed.stock import SoldOut, Stock

__all__ = ["Orders"]


class Orders(Orders1):
    """Goods are kept, and not taken; how many orders there were is counted. Where the stock keeps nothing
    yet, nobody orders anything."""

    version = 2
    previous = Orders1
    stock: Any = bankrmi.Uses(Stock)

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
