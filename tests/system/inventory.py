"""A class that is replicated in tests/system/test_service.py; it is copied beside the configuration there."""

from __future__ import annotations

import time
from dataclasses import dataclass

import bankrmi


class OutOfStock(Exception):
    """There are fewer than that."""


@dataclass(frozen=True)
class Item:
    """How many there are of what."""

    name: str
    count: int


class Inventory(bankrmi.Service):
    """What there is in a store."""

    def create(self) -> None:
        """Begin with nothing."""
        self.db.execute("CREATE TABLE item (name TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL)")

    @bankrmi.update
    def put(self, name: str, count: int = 1) -> int:
        """Add some; return how many there are."""
        self.db.execute(
            "INSERT INTO item VALUES (:name, :count) ON CONFLICT (name) DO UPDATE SET count = count + :count",
            {"name": name, "count": count},
        )
        return self._count(name)

    @bankrmi.update(raises=[OutOfStock])
    def take(self, name: str, count: int) -> int:
        """Take some away; return how many are left."""
        self.db.execute("UPDATE item SET count = count - ? WHERE name = ?", (count, name))
        left = self._count(name)
        if left < 0:
            raise OutOfStock(name, left + count)
        return left

    @bankrmi.query
    def get(self, name: str) -> int:
        """Return how many there are."""
        return self._count(name)

    @bankrmi.query
    def items(self) -> list[Item]:
        """Return all that there is."""
        return [Item(name, count) for name, count in self.db.execute("SELECT name, count FROM item")]

    @bankrmi.update
    def fail(self, name: str) -> None:
        """Change something, and then break."""
        self.put(name, 1)
        raise RuntimeError(f"no {name} today")

    @bankrmi.update
    def spin(self) -> None:
        """Never end."""
        while True:
            pass

    @bankrmi.query
    def doze(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def _count(self, name: str) -> int:
        return int(self.db.execute("SELECT count FROM item WHERE name = ?", (name,)).value or 0)
