"""Orders, as they were."""

from __future__ import annotations

from typing import Any

import bankrmi
from tests.testing.changed.stock_1 import SoldOut, Stock

__all__ = ["Orders"]


class Orders(bankrmi.ObjectService):
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
