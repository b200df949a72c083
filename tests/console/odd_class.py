"""A class with arguments of all kinds, and with words that would be markup if anybody let them; and one
that can be served beside it, and calls it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

import bankrmi


class OutOfStock(Exception):
    """There are fewer than that."""


@dataclass(frozen=True)
class Place:
    """Where something is."""

    shelf: str
    marks: list[str] = field(default_factory=list)


class Odd(bankrmi.Service):
    """What the page is shown with."""

    def create(self) -> None:
        """Begin with nothing."""
        self.db.execute("CREATE TABLE item (name TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL)")

    @bankrmi.update
    def put(self, name: str, count: int = 1) -> int:
        """Add some; <img src=x onerror=alert(1)> is no picture."""
        self.db.execute("INSERT OR IGNORE INTO item VALUES (?, 0)", (name,))
        self.db.execute("UPDATE item SET count = count + ? WHERE name = ?", (count, name))
        return self.get(name)

    @bankrmi.update(raises=[OutOfStock])
    def take(self, name: str, count: int) -> int:
        """Take some away."""
        left = self.get(name) - count
        if left < 0:
            raise OutOfStock(f"<i>{name}</i>")
        self.db.execute("UPDATE item SET count = ? WHERE name = ?", (left, name))
        return left

    @bankrmi.update
    def everything(
        self,
        number: int | None,
        part: float,
        flag: bool,
        size: Literal["s", "m"],
        place: Place,
        raw: bytes = b"x",
        *more: int,
        **named: Any,
    ) -> list[Any]:
        """Return what was given."""
        return [number, part, flag, size, place, raw.hex(), list(more), named]

    @bankrmi.update
    def fail(self) -> None:
        """Change something, and then break."""
        self.put("never", 1)
        raise RuntimeError("\u202ebroken")

    @bankrmi.query
    def get(self, name: str) -> int:
        """Return how many there are."""
        return int(self.db.execute("SELECT count FROM item WHERE name = ?", (name,)).value or 0)

    @bankrmi.query
    def long(self, text: str, times: int) -> str:
        """Return a long text."""
        return text * times

    @bankrmi.query
    def rare(self, code: Annotated[str, Field(pattern="^zebra-[0-9]{9}$")]) -> str:
        """Take what nobody makes up."""
        return code


class Errands(bankrmi.Service):
    """What was fetched."""

    odd = bankrmi.Uses(Odd)

    def create(self) -> None:
        """Begin with nothing."""
        self.db.execute("CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL)")

    @bankrmi.update
    def fetch(self, name: str) -> int:
        """Take one away; return how many are left."""
        self.db.execute("INSERT INTO item VALUES (?, ?)", (self.new_id(), name))
        return self.odd.take(name, 1)

    @bankrmi.query
    def get(self, name: str) -> int:
        """Return how many were fetched."""
        return int(self.db.execute("SELECT count(*) FROM item WHERE name = ?", (name,)).value)
