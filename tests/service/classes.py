"""Classes that are served, in tests."""

from __future__ import annotations

import dataclasses
import random
import time
from typing import Any

from bankrmi.service import Service, query, update

__all__ = ["Inventory", "Line", "OutOfStock"]


class OutOfStock(Exception):
    """There is not so much of it."""

    def __init__(self, name: str, left: int) -> None:
        super().__init__(name, left)
        self.left = left


class Mute(Exception):
    """It does not even say what it is."""

    __module__ = 7  # type: ignore[assignment]

    def __str__(self) -> str:
        raise RuntimeError("no words")


@dataclasses.dataclass
class Line:
    name: str
    count: int = 1


class Inventory(Service):
    """Things, and how many of each."""

    def create(self) -> None:
        self.db.execute("CREATE TABLE item (name TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL)")
        self.db.execute("CREATE TABLE log (number INTEGER PRIMARY KEY, at TEXT NOT NULL, what TEXT NOT NULL)")
        self.db.execute("INSERT INTO item VALUES ('pear', 5)")

    @update
    def put(self, name: str, count: int) -> int:
        self.db.execute(
            "INSERT INTO item VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET count = count + excluded.count",
            (name, count),
        )
        return self._count(name)

    @update(raises=[OutOfStock])
    def take(self, name: str, count: int = 1) -> int:
        self.db.execute("UPDATE item SET count = count - ? WHERE name = ?", (count, name))
        left = self._count(name)
        if left < 0:
            raise OutOfStock(name, left + count)
        return left

    @update
    def note(self, what: str) -> tuple[str, str]:
        at, drawn = self.now.isoformat(), self.new_id()
        self.db.execute("INSERT INTO log (at, what) VALUES (?, ?)", (at, f"{what} {drawn}"))
        return at, drawn

    @update
    def put_all(self, lines: list[Line]) -> int:
        self.db.executemany("INSERT INTO item VALUES (?, ?)", [(line.name, line.count) for line in lines])
        return len(lines)

    @update
    def clear(self) -> None:
        self.db.execute("DELETE FROM item")

    @update
    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    @update
    def spin(self) -> None:
        while True:
            try:
                while True:
                    pass
            except Exception:  # Whatever it catches.
                continue

    @update
    def count_for_ever(self) -> int:
        rows = self.db.execute(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
        )
        return int(rows.value)

    @update
    def fill(self, swallows: bool) -> str:
        """Write for ever; and, if it is interrupted, perhaps go on as if nothing were."""
        rows = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT 'x' || x, x FROM n"
        try:
            self.db.execute(f"INSERT OR IGNORE INTO item {rows}")
        except BaseException:
            if not swallows:
                raise
        try:
            self.db.execute("INSERT INTO item VALUES ('after', 1)")
        except BaseException:
            return "could not go on"
        return "went on"

    @update
    def misbehave(self, how: str) -> Any:
        """Do something that no update may."""
        self.db.execute("INSERT INTO item VALUES ('half', 1)")
        match how:
            case "clock":
                return time.time()
            case "chance":
                return random.random()
            case "file":
                return open("/etc/hostname").read()  # noqa: PTH123
            case "exit":
                raise SystemExit(3)
            case "interrupt":
                raise KeyboardInterrupt
            case "recursion":
                return self._count(self.misbehave.__get__(self)(how))
            case "object":
                return object()
            case "remember":
                self.cached = 1
                return "remembered"
            case "surrogate":
                return {"half": ["\ud800"]}
            case "surrogate as a key":
                return {"\ud800": 1}
            case "surrogate in words":
                raise ValueError("é\ud800")
            case "surrogate in a statement":
                return self.db.execute("INSERT INTO item VALUES (?, 1)", ("\ud800",)).fetchall()
            case "mute":
                raise Mute
            case "swallow":
                try:
                    self.db.execute("INSERT INTO item VALUES (NULL, 1)")
                except Exception:
                    return "went on"
                return "was not refused"
            case _:
                return self.db.execute(how).fetchall()

    @query
    def get(self, name: str) -> int | None:
        found = self.db.execute("SELECT count FROM item WHERE name = ?", (name,)).value
        return None if found is None else int(found)

    @query
    def everything(self) -> dict[str, int]:
        return {
            str(name): count for name, count in self.db.execute("SELECT name, count FROM item ORDER BY name")
        }

    @query
    def change_something(self) -> None:
        self.db.execute("DELETE FROM item")

    def _count(self, name: str) -> int:
        return int(self.db.execute("SELECT count FROM item WHERE name = ?", (name,)).value)
