"""The stock, as it is."""

from __future__ import annotations

import bankrmi
from tests.testing.changed.stock_1 import SoldOut
from tests.testing.changed.stock_1 import Stock as Stock1

__all__ = ["SoldOut", "Stock"]


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
