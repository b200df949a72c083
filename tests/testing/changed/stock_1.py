"""The stock, as it was."""

from __future__ import annotations

import bankrmi

__all__ = ["SoldOut", "Stock"]


class SoldOut(Exception):
    """There is not so much of it."""


class Stock(bankrmi.Service):
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
