"""A class that was changed: its state is migrated once, on every copy, at one action id; or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bankrmi.errors import BrokenInvariant, ConfigurationError
from bankrmi.replication.admission import newest_common
from bankrmi.replication.code_versions import CodeVersions
from bankrmi.replication.joining import tail_of
from bankrmi.replication.record import unpacked
from bankrmi.service import Service, described, update
from bankrmi.service.calls import Raised, result_of
from bankrmi.service.machine import ServiceMachine
from tests.service.changed_classes import Broken, Hasty, Stock, Stock1, Stock2, Unlike
from tests.service.copies import Copy

Make = Callable[..., Copy]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make copies of version 1 in which there are things, and close them in the end."""
    with ExitStack() as copies:

        def make(name: str, kind: type[Service] = Stock2, *, like: Copy | None = None) -> Copy:
            copy = Copy(tmp_path / name / "bank.db", Stock1)
            copies.callback(lambda: copy.journal.close(writes=False))
            if like is None:
                copy.call("put", "pear", 3)
                copy.call("put", "apple", 20)
            else:
                copy.follow(*like.journal.records(0, 1000))
            copy.change(kind)
            return copy

        yield make


def everything(copy: Copy) -> list[Any]:
    """Return all that the service has made, row ids as well."""
    database = copy.journal.database
    schema: list[Any] = database.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
    ).fetchall()
    made = [row for row in schema if not row[1].startswith("service_before")]
    rows = [database.execute("SELECT * FROM word").fetchall()] if ("word" in {row[1] for row in made}) else []
    return [made, copy.state(), *rows]


def test_until_it_is_migrated_it_is_what_it_was(make: Make) -> None:
    copy = make("a", Stock)
    assert copy.journal.version == 1
    assert copy.call("put", "pear", 1) == 4
    with pytest.raises(Raised, match="there is no query 'price'"):
        copy.ask("price", "pear")
    copy.call("drop", "apple")
    copy.migrate(2)
    assert (copy.journal.version, copy.ask("price", "pear"), copy.ask("get", "apple")) == (2, 40, 0)
    copy.migrate(3)
    assert (copy.journal.version, copy.ask("price", "pear")) == (3, 40)
    assert copy.call("put", "pear", 2, price=9) == 2
    copy.restart()
    assert (copy.journal.version, copy.ask("price", "pear")) == (3, 9)
    assert [copy.journal.version_at(at) for at in (0, 4, 5, 6, 7)] == [1, 1, 2, 3, 3]


def test_every_copy_does_it_once_and_comes_to_the_same(make: Make) -> None:
    first = make("a")
    second = make("b", like=first)
    record = first.migrate(2)
    second.follow(record)
    assert first.state() == second.state()
    for copy in (first, second):
        assert copy.journal.version == 2
        with pytest.raises(Raised, match="the state is of version 2"):
            result_of(unpacked(copy.migrate(2).outcomes)[0])
        assert copy.ask("price", "pear") == 30, "it is not done twice"
        assert not copy.machine.failures, "nothing failed that is still to be done"
    first.restart()
    assert first.ask("price", "pear") == 30


def test_a_copy_that_comes_to_something_else_stops_and_says_in_which_table(make: Make) -> None:
    first = make("a")
    second = make("b", Unlike, like=first)
    with pytest.raises(
        BrokenInvariant,
        match=r"Unlike\.migrate_1_to_2 at action id 3 comes out differently here \(table item\)",
    ):
        second.follow(first.migrate(2))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # In Hypothesis' callback.
@pytest.mark.parametrize(
    ("kind", "thing", "why"),
    [
        (Broken, "pear", "KeyError: 'pear'"),
        (
            Hasty,
            "fig",
            "TimeoutError: migrate_1_to_2 took more than 60 ms: while automatic takeover is paused",
        ),
    ],
)
def test_one_that_fails_changes_nothing_and_everything_goes_on(
    make: Make, kind: type[Service], thing: str, why: str
) -> None:
    first = make("a", kind)
    first.call("put", thing, 1)
    second = make("b", kind, like=first)
    before = everything(first)
    record = first.migrate(2, limit_ms=60)
    second.follow(record)
    for copy in (first, second):
        assert everything(copy) == before
        assert copy.journal.version == 1
        assert copy.machine.failures[""].words.startswith(why)
    second.follow(first.decide("drop", thing))
    second.restart()
    assert second.machine.failures, "whoever starts knows it, too"
    second.follow(first.migrate(2))
    assert first.journal.version == second.journal.version == 2
    assert not first.machine.failures
    assert first.state() == second.state()


def test_it_can_be_taken_back_whole_and_done_again(make: Make) -> None:
    """As whoever was deposed does, who had migrated when nobody else had."""
    copy = make("a")
    copy.call("drop", "pear")
    copy.call("put", "plum", 4)
    before = everything(copy)
    copy.migrate(2)
    copy.crash()
    assert copy.journal.version == 2
    copy.journal.roll_back(4)
    copy.journal.commit()
    assert everything(copy) == before
    assert copy.journal.version == 1
    copy.restart()
    assert (copy.journal.version, copy.call("put", "plum", 1)) == (1, 5)
    copy.migrate(2)
    copy.journal.roll_back(0)
    copy.journal.commit()
    assert copy.ask("get", "plum") == 0, "what was before it is taken back with the tables of before"
    assert copy.journal.version == 1


def test_what_it_found_is_kept_until_something_is_decided_after_it(make: Make) -> None:
    copy = make("a")
    copy.migrate(2)
    kept = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'service_before%'"
    assert copy.journal.database.execute(kept).get > 1
    copy.restart()
    copy.call("put", "pear", 1)
    assert copy.journal.database.execute(kept).get == 0
    with pytest.raises(
        BrokenInvariant, match="is to be rolled back to action id 2: the journal goes back to 3"
    ):
        copy.journal.roll_back(2)
    copy.journal.roll_back(3)
    copy.journal.commit()
    assert copy.ask("get", "pear") == 3


class Near1(Stock1):
    """A table of its own has a name that is nearly one of ours: SQL's LIKE takes any character for `_`."""

    def create(self) -> None:
        super().create()
        self.db.execute('CREATE TABLE "service-before" (name TEXT PRIMARY KEY NOT NULL)')

    @update
    def put(self, name: str, count: int) -> int:
        self.db.execute('INSERT OR IGNORE INTO "service-before" VALUES (?)', (name,))
        return super().put(name, count)


class Near2(Near1):
    version = 2
    previous = Near1

    def migrate_1_to_2(self) -> None:
        """Change nothing."""


def test_a_table_of_the_service_with_nearly_such_a_name_stays(tmp_path: Path) -> None:
    copy = Copy(tmp_path / "bank.db", Near1)
    copy.call("put", "pear", 1)
    copy.change(Near2)
    before = copy.state()
    copy.migrate(2)
    assert copy.state() == before
    copy.call("put", "pear", 1)
    assert ("service-before", "pear") in copy.state()
    copy.journal.close()


def test_who_cannot_take_a_migration_back_offers_nothing_from_before_it(make: Make) -> None:
    """It is acknowledged, and by an operator's word another history may have begun before it (V7): with that
    it has nothing in common, and gets a copy."""
    copy, other = make("a"), make("b")
    other.call("put", "plum", 1)
    copy.migrate(2)
    assert copy.journal.goes_back_to == 0, "what it found is kept"
    assert newest_common(other.journal, tail_of(copy.journal)) == 2
    copy.call("put", "pear", 1)
    for _ in range(2):
        copy.restart()
        assert copy.journal.goes_back_to == 3
        assert [position.action_id for position in tail_of(copy.journal)][-1] == 3
        assert newest_common(other.journal, tail_of(copy.journal)) is None


def test_one_that_failed_is_no_limit(make: Make) -> None:
    copy = make("a", Broken)
    copy.migrate(2)
    copy.call("put", "pear", 1)
    copy.restart()
    assert copy.journal.goes_back_to == 0
    copy.journal.roll_back(0)
    copy.journal.commit()


def test_calls_that_can_be_taken_back_no_more_are_a_limit_as_well(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ServiceMachine, "kept", 3)
    monkeypatch.setattr(ServiceMachine, "forgotten_together", 2)
    copy = make("a")
    for number in range(6):
        copy.call("put", "pear", number)
    for _ in range(2):
        copy.restart()
        assert copy.journal.goes_back_to == 6 - 3, "since they were more than five"
        assert tail_of(copy.journal)[-1] == copy.journal.position(3)
    with pytest.raises(BrokenInvariant, match="the journal goes back to 3"):
        copy.journal.roll_back(2)
    copy.journal.roll_back(3)
    copy.journal.commit()
    assert copy.ask("get", "pear") == 3 + 0


def test_a_crash_before_it_is_written_leaves_nothing_of_it(make: Make) -> None:
    copy = make("a")
    before = everything(copy)
    copy.migrate(2, commits=False)
    copy.crash()
    assert everything(copy) == before
    assert copy.journal.version == 1


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE journal",
        "ALTER TABLE journal ADD COLUMN x",
        "ALTER TABLE item RENAME TO service_before_9",
        "CREATE TABLE service_before_9 (x INTEGER PRIMARY KEY)",
        "DELETE FROM service_versions",
        "UPDATE service_undo SET changes = x''",
        "DROP INDEX sqlite_autoindex_item_1",
        "PRAGMA writable_schema = 1",
        "UPDATE sqlite_schema SET sql = ''",
        "CREATE TABLE without (x TEXT)",
        "INSERT INTO moved VALUES (random(), '')",
        "COMMIT",
        "VACUUM",
    ],
)
def test_a_migration_may_not_touch_what_is_ours(make: Make, statement: str) -> None:
    class Greedy(Stock2):
        previous = Stock1

        def migrate_1_to_2(self) -> None:
            super().migrate_1_to_2()
            if self._count("pear"):
                self.db.execute(statement)

    copy = make("a", Greedy)
    before = everything(copy)
    with pytest.raises(Raised):
        result_of(unpacked(copy.migrate(2).outcomes)[0])
    assert everything(copy)[1:] == before[1:]
    assert copy.journal.version == 1


# -- what is refused when the class is looked at ---------------------------------------------------------


def test_what_a_class_knows_is_known() -> None:
    assert described(Stock1).code[:3] == CodeVersions()[:3]
    assert described(Stock2).code[:3] == (1, 2, 1)
    assert described(Stock).code[:3] == (1, 3, 1)

    class Alone(Stock2):
        previous = None  # type: ignore[assignment]

    assert described(Alone).code[:3] == (2, 2, 1)
    assert described(Alone).code.digest


def changed(**names: Any) -> type[Service]:
    return type("Changed", (Stock1,), {"__module__": __name__, **names})


def nothing(self: Service) -> None:
    """Change nothing."""


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ({"version": 0}, r"Changed\.version is 0: it is a whole number from 1 on"),
        ({"version": True}, r"Changed\.version is True"),
        ({"version": "2"}, r"Changed\.version is '2'"),
        (
            {"version": 3, "previous": Stock1},
            "of version 3, and `previous` of version 1: name the class as it was",
        ),
        ({"version": 2, "previous": int}, "int is not a service"),
        ({"version": 3, "migrate_1_to_3": nothing}, "migrate_1_to_3 is none of this class's migrations"),
        ({"migrate_1_to_2": nothing}, "migrate_1_to_2 is none of this class's migrations: it has version 1"),
        ({"version": 2, "migrate_1_to_2": update(lambda _: None)}, "is called by the servers alone"),
        ({"version": 2, "migrate_1_to_2": lambda _, _more: None}, "is called by the servers alone"),
    ],
)
def test_a_class_that_cannot_have_been_changed_so_is_refused(names: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        described(changed(**names))


@pytest.mark.parametrize(
    ("migration", "why"),
    [
        (
            "SELECT * FROM missing",
            "migrate_1_to_2 failed on an opening state: SQLError: no such table: missing",
        ),
        ("ALTER TABLE item DROP COLUMN price", "the table item has other columns, or in another order"),
        (
            "CREATE TABLE more (x INTEGER PRIMARY KEY)",
            "the table more is there, and `create` does not make it",
        ),
        ("DROP TABLE seen; SELECT 1", "the table seen is not there, and `create` makes it"),
    ],
)
def test_a_migration_that_cannot_be_right_is_refused(migration: str, why: str) -> None:
    class Careless(Stock2):
        previous = Stock1

        def migrate_1_to_2(self) -> None:
            super().migrate_1_to_2()
            if self._moment is not None:
                self.db.execute(migration)

    with pytest.raises(ConfigurationError, match=why):
        ServiceMachine(described(Careless)).try_class()


def test_a_class_and_its_migrations_are_tried_when_it_is_loaded() -> None:
    for kind in (Stock1, Stock2, Stock, Broken):
        ServiceMachine(described(kind)).try_class()
