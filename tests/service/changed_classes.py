"""One class in three versions, and how it may go wrong, in tests."""

from __future__ import annotations

from bankrmi.service import Service, query, update

__all__ = ["Broken", "Hasty", "Stock", "Stock1", "Stock2", "Unlike"]


class Stock1(Service):
    """Things, and how many of each."""

    def create(self) -> None:
        self.db.execute("CREATE TABLE item (name TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL)")
        self.db.execute(
            "CREATE TABLE word (box TEXT NOT NULL, number REAL NOT NULL, PRIMARY KEY (box, number))"
        )
        self.db.execute("CREATE INDEX by_count ON item (count)")
        self.db.execute(
            "CREATE TABLE seen (item TEXT PRIMARY KEY REFERENCES item ON DELETE CASCADE) WITHOUT ROWID"
        )
        self.db.execute(
            "CREATE TRIGGER sees AFTER INSERT ON item BEGIN INSERT INTO seen VALUES (new.name); END"
        )
        self.db.execute("CREATE VIEW many AS SELECT name FROM item WHERE count > 10")

    @update
    def put(self, name: str, count: int) -> int:
        self.db.execute(
            "INSERT INTO item VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET count = count + excluded.count",
            (name, count),
        )
        self.db.execute("INSERT OR IGNORE INTO word VALUES (?, ?)", (name, count / 2))
        return self._count(name)

    @update
    def drop(self, name: str) -> None:
        self.db.execute("DELETE FROM item WHERE name = ?", (name,))
        self.db.execute("DELETE FROM word WHERE box = ?", (name,))

    @query
    def get(self, name: str) -> int:
        return self._count(name)

    def _count(self, name: str) -> int:
        return int(self.db.execute("SELECT count FROM item WHERE name = ?", (name,)).value or 0)


class Stock2(Stock1):
    """What things cost is known, too; words are forgotten."""

    version = 2
    previous = Stock1

    def create(self) -> None:
        super().create()
        self.migrate_1_to_2()

    def migrate_1_to_2(self) -> None:
        self.db.execute("ALTER TABLE item ADD COLUMN price INTEGER NOT NULL DEFAULT 0")
        self.db.execute("UPDATE item SET price = 10 * count")
        self.db.execute("DROP TABLE word")
        self.db.execute("DROP VIEW many")
        self.db.execute("CREATE TABLE moved (id TEXT PRIMARY KEY NOT NULL, at TEXT NOT NULL)")
        if self._moment is not None:
            self.db.execute("INSERT INTO moved VALUES (?, ?)", (self.new_id(), self.now.isoformat()))

    @update
    def put(self, name: str, count: int, price: int = 7) -> int:
        self.db.execute(
            "INSERT INTO item VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET count = count + excluded.count, price = excluded.price",
            (name, count, price),
        )
        return self._count(name)

    @update
    def drop(self, name: str) -> None:
        self.db.execute("DELETE FROM item WHERE name = ?", (name,))

    @query
    def price(self, name: str) -> int:
        return int(self.db.execute("SELECT price FROM item WHERE name = ?", (name,)).value or 0)


class Stock(Stock2):
    """Nothing is dropped any more."""

    version = 3
    previous = Stock2
    drop = None  # type: ignore[assignment]

    def create(self) -> None:
        super().create()
        self.migrate_2_to_3()

    def migrate_2_to_3(self) -> None:
        self.db.execute("ALTER TABLE item RENAME COLUMN price TO cents")

    @update
    def put(self, name: str, count: int, price: int = 7) -> int:
        self.db.execute("INSERT OR REPLACE INTO item VALUES (?, ?, ?)", (name, count, price))
        return count

    @query
    def price(self, name: str) -> int:
        return int(self.db.execute("SELECT cents FROM item WHERE name = ?", (name,)).value or 0)


class Broken(Stock2):
    """Its migration fails where there is a pear, after it has changed everything."""

    previous = Stock1

    def migrate_1_to_2(self) -> None:
        super().migrate_1_to_2()
        if self._count("pear"):
            raise KeyError("pear")


class Unlike(Stock2):
    """Its migration leaves something else."""

    previous = Stock1

    def migrate_1_to_2(self) -> None:
        super().migrate_1_to_2()
        self.db.execute("UPDATE item SET price = price + 1")


class Hasty(Stock2):
    """Its migration writes for ever where there is a fig."""

    previous = Stock1

    def migrate_1_to_2(self) -> None:
        super().migrate_1_to_2()
        if self._count("fig"):
            self.db.execute(
                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
                "INSERT INTO item SELECT 'x' || x, x, x FROM n"
            )
