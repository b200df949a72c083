"""Names of tables of one service among several, in SQL: which are written anew, and that SQLite agrees."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bankrmi.service import table_names
from bankrmi.service.table_names import as_written, its, renamed
from bankrmi.service.tables import Doing, ServiceTables
from bankrmi.storage.database import open_in_memory

_CREATED = """
CREATE TABLE item (name TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL, item TEXT,
    CHECK (item.count >= 0));
CREATE TABLE IF NOT EXISTS [line of] (id INTEGER PRIMARY KEY, count INTEGER DEFAULT 0,
    name TEXT REFERENCES item(name) ON DELETE CASCADE ON UPDATE SET NULL);
CREATE UNIQUE INDEX by_count ON item (count, item) WHERE count > 100;
CREATE VIEW `many` AS SELECT item.name, count FROM item WHERE item.count > 3;
CREATE TRIGGER noted AFTER INSERT ON item WHEN new.count > 8
    BEGIN INSERT INTO [line of] (name) VALUES (new.name);
    UPDATE item SET count = 8 WHERE item.name = new.name; END;
"""
_DONE = """
INSERT INTO item VALUES ('apple', 3, 'x'), ('pear', 5, 'FROM item'), ('fig', 9, NULL);
INSERT INTO main.item (name, count) VALUES ('pear', 1)
    ON CONFLICT (name) DO UPDATE SET count = item.count + excluded.count RETURNING item.count, count;
INSERT OR IGNORE INTO item (name, count) SELECT i.name, 1 FROM item AS i -- FROM item
    WHERE i.count > 1;
REPLACE INTO "line of" (id, name, count) VALUES (7, 'apple', 2);
UPDATE OR IGNORE item SET count = item.count + l.count FROM "line of" l WHERE item.name = l.name;
WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 4), big AS (SELECT * FROM item)
    SELECT n, big.name FROM up, big
    LEFT JOIN (item JOIN "line of" AS l USING (name)) AS item ON item.id = n ORDER BY 1, 2;
SELECT item, item.item, count(*) FROM item, json_each('[1,2]') j WHERE name IN (SELECT name FROM many)
    AND 'apple' IN (SELECT name FROM item) GROUP BY item.name HAVING count(*) > 0 ORDER BY item.name;
SELECT name FROM many WHERE count IS NOT DISTINCT FROM 6
    UNION SELECT main.item.name FROM main.item ORDER BY 1;
SELECT item.name FROM (SELECT * FROM item) AS item ORDER BY item.name;
DELETE FROM item WHERE item.name = 'apple' AND EXISTS (SELECT 1 FROM item x WHERE x.name = item.name);
SELECT * FROM "line of" ORDER BY id;
SELECT (SELECT max(count) FROM item), CASE WHEN count > 1 THEN count ELSE 0 END FROM item ORDER BY name;
"""


def _statements(text: str) -> list[str]:
    return [one for one in re.split(r";\n(?! )", text.strip() + "\n") if one.strip()]


def _run(service: str) -> list[Any]:
    """Return all that comes of it, and what is in the database then."""
    database = open_in_memory()
    tables = ServiceTables(database, ["orders"])
    found: list[Any] = []
    with tables.of(service):
        tables.doing = Doing.CREATE
        for statement in _statements(_CREATED):
            tables.execute(statement)
        tables.doing = Doing.OURS
        database.execute("BEGIN")
        tables.doing = Doing.UPDATE
        found += [tables.execute(statement).fetchall() for statement in _statements(_DONE)]
        tables.doing = Doing.MIGRATION
        tables.execute("ALTER TABLE item RENAME COLUMN count TO number")
        tables.execute("ALTER TABLE `line of` RENAME TO lines")
        tables.execute("ALTER TABLE lines ADD COLUMN other TEXT REFERENCES item(name)")
        found.append(tables.execute("SELECT name, number FROM item ORDER BY name").fetchall())
        tables.execute("DROP TRIGGER noted")
        tables.execute("DROP VIEW IF EXISTS many")
        tables.execute("DROP TABLE lines")
        tables.doing = Doing.OURS
    names = database.execute("SELECT name FROM sqlite_schema ORDER BY name").fetchall()
    found.append(names)
    return found


def test_a_statement_of_a_service_beside_the_first_does_what_it_does_alone() -> None:
    *alone, names = _run("")
    *beside, its_names = _run("orders")
    assert beside == alone
    assert any(alone), "something came of it"
    assert [name for (name,) in names] == ["by_count", "item"]
    assert sorted(name for (name,) in its_names) == ["orders.by_count", "orders.item"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM 'item'",  # A text in the place of a name is not read as one.
        'SELECT * FROM "audit.item"',
        "SELECT * FROM journal",
        "SELECT * FROM item, other",
        "SELECT * FROM /* ( */ item",
    ],
)
@pytest.mark.parametrize("service", ["", "orders"])
def test_nobody_comes_to_the_tables_of_another(statement: str, service: str) -> None:
    database = open_in_memory()
    database.execute('CREATE TABLE "audit.item" (id INTEGER PRIMARY KEY)')
    database.execute("CREATE TABLE journal (id INTEGER PRIMARY KEY)")
    if service:
        database.execute("CREATE TABLE item (id INTEGER PRIMARY KEY)")
    tables = ServiceTables(database, ["orders", "audit"])
    with tables.of(service):
        tables.doing = Doing.QUERY
        with pytest.raises(Exception, match=r"no such table|another service's|bankrmi's own"):
            tables.execute(statement)
    tables.doing = Doing.OURS


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "(",
        ")",
        "FROM",
        "FROM (",
        "' FROM item",
        '"',
        "[item",
        "/* FROM",
        "WITH x AS",
        "a.b.c.d FROM",
        "IN",
        ";;",
        ".",
    ],
)
def test_what_is_no_statement_stays_what_it_is_or_is_refused_by_sqlite(odd: str) -> None:
    assert as_written("o", renamed(odd, "o")).replace('"', "") == odd.replace('"', "")


def test_capitals_are_the_same_to_sql() -> None:
    assert renamed("select Item.Name from ITEM", "o") == 'select "o.Item".Name from "o.ITEM"'
    assert its("orders", ["orders"])("Orders.item")
    assert not its("", ["orders"])("ORDERS.item")


def test_how_much_is_remembered_of_statements_has_a_bound() -> None:
    """A class may put what a caller says into its statement."""
    long = "SELECT * FROM item WHERE name IN (" + ", ".join(["'x'"] * 1000) + ")"
    before = table_names._remembered.cache_info().currsize
    assert renamed(long, "o").startswith('SELECT * FROM "o.item"')
    assert table_names._remembered.cache_info().currsize == before
    assert (table_names._remembered.cache_info().maxsize or 0) * table_names._REMEMBERED_AT_MOST < 1 << 22
