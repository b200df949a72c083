"""Rows that no ORDER BY puts in order, and keys that SQLite numbers, come alike on every copy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bankrmi.errors import ConfigurationError
from bankrmi.replication.record import unpacked
from bankrmi.service import (
    ObjectService,
    ServedServices,
    Service,
    ServiceMachine,
    Uses,
    described,
    query,
    update,
)
from bankrmi.service.calls import Raised, result_of, shown
from tests.service.copies import Copy


class Dues(Service):
    """What is due first, of names that are often due at the same time."""

    def create(self) -> None:
        self.db.execute(f"CREATE TABLE due (name TEXT PRIMARY KEY, at INTEGER NOT NULL){self.options}")
        self.db.execute("CREATE INDEX due_at ON due (at)")

    options = ""

    @update
    def put(self, name: str) -> None:
        self.db.execute("INSERT INTO due VALUES (?, 1)", (name,))

    @update
    def drop(self, name: str) -> None:
        self.db.execute("DELETE FROM due WHERE name = ?", (name,))

    @update
    def drop_two(self) -> list[str]:
        rows = self.db.execute("SELECT name FROM due ORDER BY at LIMIT 2").fetchall()
        self.db.executemany("DELETE FROM due WHERE name = ?", rows)
        return [name for (name,) in rows]

    @query
    def names(self) -> list[str]:
        return [name for (name,) in self.db.execute("SELECT name FROM due")]

    @query
    def in_order(self) -> list[str]:
        return [name for (name,) in self.db.execute("SELECT name FROM due ORDER BY at")]


class StrictDues(Dues):
    options = " STRICT"


class DuesWithout(Dues):
    options = " WITHOUT ROWID"


@pytest.fixture(params=[Dues, StrictDues, DuesWithout])
def copies(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Copy, Copy]]:
    with ExitStack() as opened:
        made = tuple(Copy(tmp_path / f"{name}.db", request.param) for name in "ab")
        for copy in made:
            opened.callback(copy.journal.close, writes=False)
        yield made[0], made[1]


def test_a_row_that_came_back_is_where_it_was(copies: tuple[Copy, Copy]) -> None:
    leads, follows = copies
    records = [leads.decide("put", name) for name in ("d", "a", "c", "b")]
    follows.follow(*records)
    leads.call("drop", "d")
    leads.journal.roll_back(len(records))
    for asked in ("names", "in_order"):
        assert leads.ask(asked) == follows.ask(asked) == ["a", "b", "c", "d"]
    record = leads.decide("drop_two")
    follows.follow(record)
    assert result_of(unpacked(record.outcomes)[0]) == ["a", "b"]


def test_a_table_that_is_there_already_stays_as_it_is(tmp_path: Path) -> None:
    class Twice(Dues):
        def create(self) -> None:
            super().create()
            self.db.execute("INSERT INTO due VALUES ('a', 1)")
            self.db.execute("CREATE TABLE IF NOT EXISTS due (name TEXT PRIMARY KEY, at INTEGER)")
            self.db.execute('CREATE TABLE "with ""quotes""" (a, b, PRIMARY KEY (b, a)) -- and a remark')
            self.db.execute("CREATE TABLE numbered (id INTEGER PRIMARY KEY, name TEXT)")
            self.db.execute("INSERT INTO numbered (name) VALUES ('x')")

    copy = Copy(tmp_path / "a.db", Twice)
    try:
        assert copy.ask("names") == ["a"]
        tables: Any = copy.journal.database.execute(
            "SELECT name, wr FROM pragma_table_list WHERE name IN ('due', 'with \"quotes\"', 'numbered')"
        )
        assert dict(tables) == {"due": 1, 'with "quotes"': 1, "numbered": 0}
    finally:
        copy.journal.close(writes=False)


@pytest.mark.parametrize("then", ["INSERT INTO more VALUES ('a')", "CREATE INDEX more_names ON more (name)"])
def test_what_comes_after_a_table_is_a_statement_of_its_own(then: str) -> None:
    class Together(Dues):
        def create(self) -> None:
            super().create()
            self.db.execute(f"CREATE TABLE more (name TEXT PRIMARY KEY); {then}")

    with pytest.raises(ConfigurationError, match="one statement at a time: execute CREATE TABLE more, then"):
        ServiceMachine(described(Together)).try_class()


def test_a_hidden_number_of_rows_is_not_there() -> None:
    class Hidden(Dues):
        def create(self) -> None:
            super().create()
            self.db.execute("INSERT INTO due (rowid, name, at) VALUES (1, 'a', 1)")

    with pytest.raises(ConfigurationError, match="no column named rowid"):
        ServiceMachine(described(Hidden)).try_class()


class Numbered(Service):
    """Rows that are numbered, by whoever calls or by SQLite."""

    def create(self) -> None:
        self.db.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, word TEXT)")

    @update
    def put(self, number: int) -> int:
        self.db.execute("INSERT INTO row VALUES (?, '')", (number,))
        return number

    @update
    def add(self) -> int:
        return int(self.db.execute("INSERT INTO row (word) VALUES ('x') RETURNING id").value)

    @update
    def move(self, number: int, to: int) -> int:
        return int(self.db.execute("UPDATE row SET id = ? WHERE id = ? RETURNING id", (to, number)).value)


def test_no_key_is_so_large_that_the_next_one_would_be_drawn_by_chance(tmp_path: Path) -> None:
    largest = (1 << 63) - 1
    first, second = (Copy(tmp_path / f"{name}.db", Numbered) for name in "ab")
    calls: list[tuple[Any, ...]] = [("put", largest), ("put", largest - 2), ("move", largest - 2, largest)]
    records = [first.decide(*call) for call in [*calls, ("add",), ("add",)]]
    second.follow(*records)
    outcomes = [unpacked(record.outcomes)[0] for record in records]
    assert [type(outcome) for outcome in outcomes] == [tuple, bytes, tuple, bytes, tuple]
    assert shown(outcomes[0][1]).startswith("OverflowError: a key of row would be the largest number")
    assert result_of(outcomes[3]) == largest - 1
    assert first.state() == second.state()
    for copy in (first, second):
        copy.journal.close(writes=False)


class Counts(ObjectService):
    """Its attributes are in memory, and have to go back with what another one is refused."""

    rows = Uses(Numbered)
    count: int

    def __init__(self) -> None:
        self.count = 0

    @update
    def put(self, number: int) -> int:
        self.count += 1
        return self.rows.put(number)

    @query
    def counted(self) -> int:
        return self.count


def test_what_an_object_holds_goes_back_with_a_key_that_is_too_large(tmp_path: Path) -> None:
    copy = Copy(tmp_path / "a.db", ServedServices(described(Counts), {"rows": described(Numbered)}))
    copy.decide("put", 1)
    with pytest.raises(Raised, match="none could follow it"):
        copy.call("put", (1 << 63) - 1)
    assert copy.ask("counted") == 1
    copy.call("put", 2)
    assert copy.ask("counted") == 2
    copy.journal.close(writes=False)
