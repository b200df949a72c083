"""A class that is tested in this folder, a plain one that it is held against, and classes with mistakes."""

from __future__ import annotations

import random
from collections.abc import Generator
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import bankrmi

NAMES = ("apple", "pear", "fig")


class OutOfStock(Exception):
    """There are fewer than that."""


class Stock(bankrmi.Service):
    """How many there are of what, and a log of it."""

    def create(self) -> None:
        self.db.execute("CREATE TABLE item (name TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL)")
        self.db.execute("CREATE TABLE log (number INTEGER PRIMARY KEY, at TEXT NOT NULL, id TEXT NOT NULL)")

    @bankrmi.update
    def put(self, name: str, count: int = 1) -> int:
        self.db.execute("INSERT OR IGNORE INTO item VALUES (?, 0)", (name,))
        self.db.execute("UPDATE item SET count = count + ? WHERE name = ?", (count, name))
        return self._count(name)

    @bankrmi.update(raises=[OutOfStock])
    def take(self, name: str, count: int) -> int:
        self.db.execute("UPDATE item SET count = count - ? WHERE name = ?", (count, name))
        if self._count(name) < 0:
            raise OutOfStock(name)
        return self._count(name)

    @bankrmi.update
    def note(self) -> tuple[str, str, float]:
        at, drawn = self.now.isoformat(), self.new_id()
        self.db.execute("INSERT INTO log (at, id) VALUES (?, ?)", (at, drawn))
        return at, drawn, self.random.random()

    @bankrmi.update
    def fail(self, name: str) -> None:
        self.put(name, 1)
        raise RuntimeError(f"no {name} today")

    @bankrmi.query
    def get(self, name: str) -> int:
        return self._count(name)

    @bankrmi.query
    def items(self) -> dict[str, int]:
        return {str(name): count for name, count in self.db.execute("SELECT * FROM item ORDER BY name")}

    def _count(self, name: str) -> int:
        return int(self.db.execute("SELECT count FROM item WHERE name = ?", (name,)).value or 0)


class PlainStock:
    """The same with a dict."""

    now: datetime
    random: random.Random

    def __init__(self) -> None:
        self._items: dict[str, int] = {}

    def put(self, name: str, count: int = 1) -> int:
        self._items[name] = self._items.get(name, 0) + count
        return self._items[name]

    def take(self, name: str, count: int) -> int:
        self.put(name, -count) if name in self._items else None  # It raises afterwards, on purpose.
        if self.get(name) < 0:
            raise OutOfStock(name)
        return self.get(name)

    def note(self) -> tuple[str, str, float]:
        return self.now.isoformat(), self.new_id(), self.random.random()

    def new_id(self) -> str:
        raise AssertionError("it is set before each call")

    def fail(self, name: str) -> None:
        raise LookupError("another error than the class raises: nobody has declared it")

    def get(self, name: str) -> int:
        return self._items.get(name, 0)

    def items(self) -> dict[str, int]:
        return dict(self._items)


def workload(chance: random.Random, stock: Stock) -> Generator[Any, Any, None]:
    """A client that goes by what it is told."""
    name = chance.choice(NAMES)
    if chance.random() < 0.1:
        yield stock.note()
        yield stock.items()
    count = yield stock.put(name, chance.randint(0, 3))
    if count > 3:
        try:
            yield stock.take(name, chance.randint(1, 6))
        except OutOfStock as error:
            assert error.args == (name,)
            yield stock.fail(name)
    yield stock.get(name)


class Leases(bankrmi.Service):
    """What is held for a while: its query goes by the time."""

    def create(self) -> None:
        self.db.execute("CREATE TABLE lease (name TEXT PRIMARY KEY NOT NULL, ends TEXT NOT NULL)")

    @bankrmi.update
    def grant(self, name: str, milliseconds: int) -> None:
        ends = (self.now + timedelta(milliseconds=milliseconds)).isoformat()
        self.db.execute("INSERT OR REPLACE INTO lease VALUES (?, ?)", (name, ends))

    @bankrmi.query
    def held(self) -> list[str]:
        now = self.now.isoformat()
        return [
            str(name)
            for (name,) in self.db.execute("SELECT name FROM lease WHERE ends > ? ORDER BY 1", (now,))
        ]


# -- with a mistake each -----------------------------------------------------------------------------------


_calls = count()


class ByAGlobal(Stock):
    """It writes down a number that no other copy has: how often it was called here."""

    @bankrmi.update
    def note(self) -> tuple[str, str, float]:
        self.db.execute("INSERT INTO log (at, id) VALUES (?, '')", (str(next(_calls)),))
        return "", "", 0.0


class Refused(Stock):
    """It asks for what no update may have."""

    @bankrmi.update
    def note(self) -> tuple[str, str, float]:
        return "", "", random.random()


class ForgetsSome(Stock):
    """It does not what its model does."""

    @bankrmi.update
    def put(self, name: str, count: int = 1) -> int:
        return super().put(name, 0 if count == 3 else count)


class ReadsOnly(bankrmi.Service):
    """Nothing is ever changed."""

    def create(self) -> None:
        self.db.execute("CREATE TABLE item (name TEXT PRIMARY KEY NOT NULL)")

    @bankrmi.query
    def get(self, name: str) -> int:
        return len(name)
