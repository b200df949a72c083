"""Services of one pair that call each other, in tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bankrmi.service import ObjectService, ServedServices, Service, Uses, described, query, update

__all__ = ["SHOP", "Audit", "Orders", "SoldOut", "Stock", "served"]


class SoldOut(Exception):
    """There is not so much of it."""


class Stock(Service):
    """Things; the tables have the names that those of the others have, too."""

    orders: Uses[Orders]

    def create(self) -> None:
        self.db.execute(
            "CREATE TABLE item (name TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL CHECK (count >= 0))"
        )
        self.db.execute("CREATE TABLE log (number INTEGER PRIMARY KEY, item TEXT REFERENCES item (name))")
        self.db.execute("CREATE INDEX by_item ON log (item)")
        self.db.execute("INSERT INTO item VALUES ('pear', 5)")

    @update
    def put(self, name: str, count: int) -> int:
        self.db.execute(
            "INSERT INTO item VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET count = item.count + ?",
            (name, count, count),
        )
        return self.left(name)

    @update(raises=[SoldOut])
    def take(self, name: str, count: int) -> int:
        left = self.left(name)
        self.db.execute("INSERT INTO log (item) SELECT name FROM item WHERE item.name = ?", (name,))
        self.db.execute("UPDATE item SET count = max(count - ?, 0) WHERE name = ?", (count, name))
        if left < count:
            raise SoldOut(name)
        return left - count

    @update
    def take_all(self, name: str) -> int:
        """Leave it to SQLite that there is not so much."""
        self.db.execute("UPDATE item SET count = count - 100 WHERE name = ?", (name,))
        return 0

    @update
    def order_some(self, name: str) -> str:
        return self.orders.place(name, 1)

    @update
    def order_around(self, name: str) -> int:
        """Call who calls back."""
        return self.orders.take_only(name, 1)

    @query
    def left(self, name: str) -> int:
        return self.db.execute("SELECT count FROM item WHERE name = ?", (name,)).value or 0

    @query
    def logged(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM log").value)

    @query
    def ordered_of(self, name: str) -> int:
        return self.orders.count_of(name)


class Orders(Service):
    """What was ordered, and taken from the stock for that."""

    stock = Uses(Stock)
    audit: Uses[Audit]

    def create(self) -> None:
        self.db.execute("CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, count INTEGER)")
        self.db.execute("CREATE TABLE log (number INTEGER PRIMARY KEY, what TEXT NOT NULL)")
        self.db.execute(
            "CREATE TRIGGER logged AFTER INSERT ON item BEGIN INSERT INTO log (what) VALUES (new.name); END"
        )

    @update(raises=[SoldOut])
    def place(self, name: str, count: int) -> str:
        """Write first, take then: all of it, or nothing."""
        number = self.new_id()
        self.db.execute("INSERT INTO item VALUES (?, ?, ?)", (number, name, count))
        self.stock.take(name, count)
        return number

    @update
    def take_and_fail(self, name: str) -> None:
        self.stock.take(name, 1)
        self.audit.note("taken")
        self.audit.note("and noted")
        raise ValueError("and then nothing of it")

    @update
    def place_what_there_is(self, name: str, count: int) -> int:
        """Catch what the other raises, and go on."""
        try:
            self.stock.take(name, count)
        except SoldOut:
            count = self.stock.left(name)
            self.stock.take(name, count)
        self.db.execute("INSERT INTO item VALUES (?, ?, ?)", (self.new_id(), name, count))
        return count

    @update
    def noted_wrongly(self, text: str) -> int:
        """The other changes attributes, and raises."""
        self.audit.note(text)
        try:
            self.audit.note_and_fail("lost")
        except ValueError:
            self.audit.note("caught")
        return self.audit.count()

    @update
    def take_only(self, name: str, count: int) -> int:
        return self.stock.take(name, count)

    @update
    def ids(self) -> list[str]:
        return [self.new_id(), self.audit.draw(), self.new_id()]

    @update
    def spoil(self) -> list[str]:
        """Change what the other has returned: that is a value of one's own."""
        self.audit.note("kept")
        notes = self.audit.notes()
        notes.append("never noted")
        return self.audit.notes()

    @update
    def reach(self, what: str) -> Any:
        """Want something of the other that is none of its methods."""
        return getattr(self.stock, what)

    @update
    def write(self, statement: str) -> int:
        return len(self.db.execute(statement))

    @update
    def take_wrongly(self) -> int:
        count: Any = "many"
        return self.stock.take("pear", count)

    @query
    def peek(self, name: str) -> int:
        """Ask a query for what an update does."""
        return self.stock.take(name, 1)

    @query
    def count_of(self, name: str) -> int:
        return int(self.db.execute("SELECT total(count) FROM item WHERE item.name = ?", (name,)).value)

    @query
    def both(self, name: str) -> tuple[int, int]:
        return self.count_of(name), self.stock.left(name)


class Audit(ObjectService):
    """An object among those with tables."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.by_name: dict[str, int] = {}

    @update
    def note(self, text: str) -> int:
        self.entries.append(text)
        self.by_name[text] = self.by_name.get(text, 0) + 1
        return len(self.entries)

    @update
    def note_and_fail(self, text: str) -> None:
        self.entries.append(text)
        self.by_name[text] = 1
        self.by_name.pop("kept", None)
        raise ValueError(text)

    @update
    def draw(self) -> str:
        return self.new_id()

    @query
    def notes(self) -> list[str]:
        return self.entries

    @query
    def count(self) -> int:
        return len(self.entries) + len(self.by_name)


Stock.orders = Uses(Orders)  # Each is further down than the other.
Orders.audit = Uses(lambda: Audit)


def served(home: type[Service], **beside: type[Service]) -> ServedServices:
    """Return these as what one pair serves."""
    return ServedServices(
        described(home), {name: described(kind) for name, kind in beside.items()}, home.__name__.lower()
    )


SHOP: Callable[[], ServedServices] = lambda: served(Stock, orders=Orders, audit=Audit)  # noqa: E731
