"""Several services as one state: calls across them, what is undone, what is refused, and who comes later."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bankrmi.errors import BrokenInvariant, ConfigurationError
from bankrmi.replication.code_versions import SeveralVersions, StateVersion
from bankrmi.service import ServedServices, Service, ServiceMachine, Uses, described, guard, query, update
from bankrmi.service.calls import Raised
from bankrmi.service.served_services import HOME
from bankrmi.service.tables import Doing, table_names
from tests.service.classes import Inventory
from tests.service.copies import Copy
from tests.service.several_classes import SHOP, Audit, Orders, Stock, served

Make = Callable[..., Copy]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make copies, by name, and close them in the end."""
    with ExitStack() as copies:

        def make(name: str, kind: Any = None, **how: Any) -> Copy:
            copy = Copy(tmp_path / f"{name}.db", SHOP() if kind is None else kind, **how)
            copies.callback(lambda: copy.journal.close(writes=False))
            return copy

        yield make


@pytest.fixture
def copy(make: Make) -> Copy:
    return make("shop")


def raised_by(copy: Copy, method: str, *args: Any) -> Raised:
    with pytest.raises(Raised) as raised:
        copy.call(method, *args)
    return raised.value


# --- one call, several services ---------------------------------------------------------------------------


def test_a_call_of_one_calls_another_and_both_are_in_one_record(copy: Copy) -> None:
    before = copy.journal.tip.action_id
    assert len(copy.call("orders.place", "pear", 2)) == 32
    assert copy.journal.tip.action_id == before + 1
    assert (copy.ask("left", "pear"), copy.ask("orders.count_of", "pear")) == (3, 2)
    assert copy.ask("orders.both", "pear") == [2, 3], "a query calls a query"
    assert copy.ask("ordered_of", "pear") == 2, "and the other way round"


def test_an_exception_of_the_outer_call_undoes_everything(copy: Copy) -> None:
    copy.call("audit.note", "first")
    before = copy.state()
    assert raised_by(copy, "orders.take_and_fail", "pear").name == "ValueError"
    assert copy.state() == before
    assert copy.ask("audit.notes") == ["first"], "nor is there anything left in memory"
    assert copy.call("audit.note", "second") == 2


def test_an_error_of_the_inner_call_that_nobody_catches_undoes_everything(copy: Copy) -> None:
    before = copy.state()
    raised = raised_by(copy, "orders.place", "pear", 9)
    assert (raised.name, raised.words) == ("SoldOut", "pear")
    assert copy.state() == before


def test_an_error_of_the_inner_call_that_is_caught_undoes_the_inner_call_alone(copy: Copy) -> None:
    assert copy.call("orders.place_what_there_is", "pear", 9) == 5
    assert (copy.ask("left", "pear"), copy.ask("orders.count_of", "pear")) == (0, 5)
    assert copy.ask("logged") == 1, "the first try has left nothing"


def test_attributes_of_the_other_are_undone_as_well(copy: Copy) -> None:
    copy.call("audit.note", "kept")
    assert copy.call("orders.noted_wrongly", "x") == 6
    assert copy.ask("audit.notes") == ["kept", "x", "caught"]
    assert copy.ask("audit.count") == 6, "`kept` is there again, and `lost` is not"
    copy.restart()
    assert copy.ask("audit.notes") == ["kept", "x", "caught"]


def test_chance_and_ids_are_those_of_the_whole_call(copy: Copy) -> None:
    assert len(set(copy.call("orders.ids"))) == 3


def test_what_the_other_returns_is_a_value_of_ones_own(copy: Copy) -> None:
    assert copy.call("orders.spoil") == ["kept"]
    assert copy.ask("audit.notes") == ["kept"]


@pytest.mark.parametrize("what", ["db", "_state", "create", "now", "status", "no_such"])
def test_of_the_other_there_is_nothing_but_its_methods(copy: Copy, what: str) -> None:
    raised = raised_by(copy, "orders.reach", what)
    assert raised.name == "AttributeError"
    assert f"Stock has no method {what!r}" in raised.words


def test_arguments_of_an_inner_call_are_checked(copy: Copy) -> None:
    raised = raised_by(copy, "orders.take_wrongly")
    assert raised.name == "InvalidRequest"
    assert "take takes no such count: 'many'" in raised.words


def test_a_query_calls_no_update(copy: Copy) -> None:
    before = copy.state()
    with pytest.raises(Raised, match=r"a query changes nothing, and Stock\.take is an update"):
        copy.ask("orders.peek", "pear")
    assert copy.state() == before


def test_a_service_is_not_called_again_while_a_call_of_it_goes_on(copy: Copy) -> None:
    before = copy.state()
    raised = raised_by(copy, "order_around", "pear")
    assert raised.words == (
        "Stock.order_around, which calls Orders.take_only, which calls Stock.take: "
        "a service is not called again while a call of it goes on"
    )
    assert copy.state() == before


def test_the_limit_of_time_is_for_the_whole_call(make: Make) -> None:
    class Slow(Service):
        def create(self) -> None:
            self.db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")

        @update
        def spin(self) -> None:
            self.db.execute("INSERT INTO t VALUES (1)")
            while True:
                pass

        @update
        def count(self) -> None:
            endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)"
            self.db.execute(f"{endless} INSERT INTO t SELECT n FROM c")

    class Caller(Service):
        slow = Uses(Slow)

        def create(self) -> None:
            self.db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")

        @update
        def call(self, name: str) -> None:
            self.db.execute("INSERT INTO t VALUES (1)")
            try:
                getattr(self.slow, name)()
            except Exception:
                self.db.execute("INSERT INTO t VALUES (2)")

    copy = make("slow", served(Caller, slow=Slow), limit_ms=50.0)
    for name in ("spin", "count"):
        assert raised_by(copy, "call", name).name == "TimeoutError"
        assert copy.state() == []


class Spins(Service):
    def create(self) -> None:
        self.db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")

    @update
    def put(self) -> None:
        self.db.execute("INSERT INTO t SELECT coalesce(max(n), 0) + 1 FROM t")


class Calls(Service):
    spins = Uses(Spins)

    @update
    def go_on(self) -> None:
        while True:
            self.spins.put()


def test_wherever_the_time_ends_among_calls_of_others_all_is_taken_back(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of that time is ours: what surrounds an inner call, and takes it back."""
    copy = make("calls", served(Calls, spins=Spins))
    for number in range(150):
        monkeypatch.setattr(copy.machine._runner, "_limit_s", 0.002 + 0.00005 * number)
        assert raised_by(copy, "go_on").name == "TimeoutError"
        gc.collect()
        assert guard._inside == [], "nobody is watched any more"
        assert copy.machine._runner.tables.doing is Doing.OURS
        assert copy.machine._runner.tables.service == HOME
    assert copy.state() == []
    monkeypatch.setattr(copy.machine._runner, "_limit_s", 10.0)
    copy.call("spins.put")
    assert len(copy.state()) == 1


@contextmanager
def a_collector_that_takes_its_time() -> Iterator[None]:
    """Some library has the garbage collector's work measured, as hypothesis does."""

    def spend(_phase: str, _info: dict[str, int]) -> None:
        for _ in range(500):
            pass

    threshold = gc.get_threshold()
    gc.callbacks.append(spend)
    gc.set_threshold(10)
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(spend)


def test_the_end_of_the_time_is_not_lost_in_what_python_calls_by_itself(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be printed, and go no further."""
    copy = make("calls", served(Calls, spins=Spins))
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    with a_collector_that_takes_its_time():
        for number in range(20):
            monkeypatch.setattr(copy.machine._runner, "_limit_s", 0.002 + 0.0003 * number)
            assert raised_by(copy, "go_on").name == "TimeoutError"
    assert lost == []


def test_what_differs_is_refused_in_the_other_with_its_line(make: Make) -> None:
    class Clock(Service):
        @update
        def read(self) -> float:
            return time.time()

    class Asks(Service):
        clock = Uses(Clock)

        @update
        def read(self) -> float:
            return self.clock.read()

        @update
        def read_itself(self) -> float:
            try:
                self.clock.read()
            except Exception:
                return time.time()
            return 0.0

    copy = make("clock", served(Asks, clock=Clock))
    for method in ("read", "read_itself"):
        raised = raised_by(copy, method)
        assert raised.name == "Undetermined"
        assert "time.time differs from one copy to another" in raised.words
        assert raised.words.startswith("test_several.py, line ")


# --- two copies -------------------------------------------------------------------------------------------


def test_every_copy_comes_to_the_same_and_can_take_it_back(make: Make) -> None:
    first, second = make("first"), make("second")
    opening = first.state()
    first.call("orders.place", "pear", 1)
    for method in ("orders.place", "orders.take_and_fail"):
        with pytest.raises(Raised):
            first.call(method, *(["pear", 90] if method == "orders.place" else ["pear"]))
    first.call("orders.noted_wrongly", "x")
    first.call("orders.place_what_there_is", "pear", 9)
    second.follow(*first.journal.records(0, 100))
    assert second.state() == first.state()
    for at in (4, 3, 0):
        second.journal.roll_back(at)
        second.journal.commit()
    assert second.state() == opening
    assert second.ask("audit.notes") == []
    second.follow(*first.journal.records(0, 100))
    assert second.state() == first.state()


def test_a_copy_where_the_other_service_does_otherwise_stops(make: Make) -> None:
    class OtherStock(Stock):
        @update
        def take(self, name: str, count: int) -> int:
            self.db.execute("UPDATE item SET count = 0 WHERE name = ?", (name,))
            return self.left(name) + 3

    first, second = make("first"), make("second", served(OtherStock, orders=Orders, audit=Audit))
    record = first.decide("orders.place", "pear", 2)
    with pytest.raises(
        BrokenInvariant, match=r"Orders\.place at action id 1 .* table item, orders.item, orders.log"
    ):
        second.follow(record)


# --- as it was where it is alone --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Inventory, Audit])
def test_a_class_does_beside_another_what_it_does_alone(make: Make, kind: type[Service]) -> None:
    alone, beside = make("alone", kind), make("beside", served(Stock, its=kind))
    calls: list[tuple[str, tuple[Any, ...]]] = (
        [
            ("put", ("apple", 3)),
            ("put", ("pear", 1)),
            ("take", ("pear", 9)),
            ("take", ("pear", 2)),
            ("note", ("x",)),
        ]
        if kind is Inventory
        else [("note", ("a",)), ("note", ("b",)), ("note_and_fail", ("c",)), ("draw", ())]
    )
    for method, args in calls:
        came = []
        for copy, name in ((alone, method), (beside, f"its.{method}")):
            try:
                came.append(copy.call(name, *args))
            except Raised as raised:
                came.append((raised.name, raised.words))
        assert came[0] == came[1]
    its = [(row[0].removeprefix("its."), *row[1:]) for row in beside.state() if row[0].startswith("its.")]
    assert its == alone.state()


def test_one_service_leaves_nothing_behind_that_is_for_several(make: Make) -> None:
    copy = make("alone", Inventory)
    copy.call("put", "apple", 1)
    names = [name for (name,) in copy.journal.database.execute("SELECT name FROM sqlite_schema")]
    assert "service_versions_beside" not in names
    assert (copy.journal.version, table_names(copy.journal.database)) == (1, ["item", "log"])


# --- one that comes later ---------------------------------------------------------------------------------


def test_a_service_that_comes_later_is_created_once_by_a_record(make: Make) -> None:
    first, second = make("first", Stock), make("second", Stock)
    first.call("put", "apple", 2)
    for copy in (first, second):
        copy.change(SHOP())
        assert copy.journal.version == 1, "it is not there yet"
    first.call("put", "apple", 1)
    before = first.state()
    with pytest.raises(Raised, match=r"there is no update 'orders\.place' in version 0"):
        first.call_unchecked("orders.place", "apple", 1)
    assert raised_by(first, "order_some", "apple").name == "LookupError"
    record = first.migrate(1, "orders", creates=True)
    again = first.migrate(1, "orders", creates=True)
    assert first.journal.version == SeveralVersions(1, (("orders", 1),))
    assert [row for row in first.state() if not row[0].startswith("orders.")] == before
    assert not first.machine.failures, "the second time it did nothing, and failed at nothing"
    assert first.call("orders.take_only", "apple", 1) == 2
    second.follow(*first.journal.records(0, 100))
    assert second.state() == first.state()
    for copy in (first, second):
        copy.restart()
        assert copy.journal.version == SeveralVersions(1, (("orders", 1),))
        assert copy.journal.version_at(record.action_id - 1) == 1
    assert again.action_id == record.action_id + 1


def test_that_it_came_can_be_taken_back(make: Make) -> None:
    copy = make("first", Stock)
    copy.call("put", "apple", 2)
    before = copy.state()
    copy.change(SHOP())
    record = copy.migrate(1, "audit", creates=True)
    assert str(copy.journal.version) == "1, of audit 1"
    copy.journal.roll_back(record.action_id - 1)
    copy.journal.commit()
    assert copy.state() == before
    version: StateVersion = copy.journal.version
    assert version == 1
    copy.migrate(1, "audit", creates=True)
    assert copy.call("audit.note", "x") == 1


def test_a_migration_gives_nothing_a_name_that_is_another_services(make: Make) -> None:
    """It would be the other one's from then on, and stay when the migration is taken back."""

    class Stock2(Stock):
        version = 2
        previous = Stock

        def migrate_1_to_2(self) -> None:
            self.db.execute("CREATE TABLE old (number INTEGER PRIMARY KEY)")
            self.db.execute('ALTER TABLE old RENAME TO "orders.old"')

    copy = make("first")
    copy.change(served(Stock2, orders=Orders, audit=Audit))
    before = copy.state()
    copy.migrate(2)
    assert (
        "PermissionError: a migration makes no tables with names that are" in copy.machine.failures[""].words
    )
    assert copy.state() == before


def test_one_service_is_migrated_and_the_others_stay(make: Make) -> None:
    class Orders2(Orders):
        version = 2
        previous = Orders

        def create(self) -> None:
            Orders.create(self)
            self.migrate_1_to_2()

        def migrate_1_to_2(self) -> None:
            self.db.execute("ALTER TABLE item ADD COLUMN cents INTEGER NOT NULL DEFAULT 0")
            self.db.execute("CREATE TABLE code (item TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE)")

        @query
        def cents(self) -> int:
            return int(self.db.execute("SELECT total(cents) FROM item").value)

    first, second = make("first"), make("second", clients="t")
    first.call("orders.place", "pear", 2)
    second.follow(*first.journal.records(0, 100))
    for copy in (first, second):
        copy.change(served(Stock, orders=Orders2, audit=Audit))
        copy.call("orders.place", "pear", 1) if copy is first else None
    before = [row for row in first.state() if not row[0].startswith("orders.")]
    record = first.migrate(2, "orders")
    assert first.journal.version == SeveralVersions(1, (("audit", 1), ("orders", 2)))
    assert first.ask("orders.cents") == 0
    assert [row for row in first.state() if not row[0].startswith("orders.")] == before
    second.follow(*first.journal.records(1, 100))
    assert second.state() == first.state()
    second.journal.roll_back(record.action_id - 1)
    second.journal.commit()
    assert second.journal.version == SeveralVersions(1, (("audit", 1), ("orders", 1)))
    assert second.call("orders.place", "pear", 1)


# --- what cannot be served --------------------------------------------------------------------------------


def test_what_a_service_uses_is_served_with_it() -> None:
    class Alone(Service):
        stock = Uses(Stock)

        @update
        def call(self) -> None:
            self.stock.put("x", 1)

    with pytest.raises(ConfigurationError, match="Alone uses Stock, and that is not served with it"):
        ServiceMachine(described(Alone)).try_class()
    with pytest.raises(
        ConfigurationError, match="Alone uses Stock, which is served as north, south: say which"
    ):
        ServiceMachine(served(Alone, north=Stock, south=Stock)).try_class()
    Alone.stock = Uses(Stock, service="south")
    with pytest.raises(ConfigurationError, match="Stock uses Orders, and that is not served"):
        ServiceMachine(served(Alone, north=Stock, south=Stock)).try_class()
    Alone.stock = Uses(Stock, service="west")
    with pytest.raises(ConfigurationError, match="Alone uses Stock as west, and that is not served"):
        ServiceMachine(served(Alone, north=Stock)).try_class()


def test_a_service_does_not_use_itself() -> None:
    class Self(Service):
        me: Uses[Self]

        @update
        def call(self) -> None:
            self.me.call()

    Self.me = Uses(lambda: Self)
    with pytest.raises(ConfigurationError, match=r"Self\.me is the service itself"):
        ServiceMachine(described(Self)).try_class()


def test_what_is_used_is_a_service() -> None:
    class Wrong(Service):
        other: Any = Uses(lambda: int)

        @update
        def call(self) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Wrong\.other uses int, which is no service"):
        described(Wrong)


def test_others_are_called_in_updates_and_queries_only(make: Make) -> None:
    class Early(Service):
        stock = Uses(Inventory)

        def create(self) -> None:
            self.stock.put("x", 1)

        @update
        def call(self) -> None: ...

    with pytest.raises(ConfigurationError, match="while an update or a query of it runs, and not else"):
        ServiceMachine(served(Early, inventory=Inventory)).try_class()
    with pytest.raises(RuntimeError, match="there to be called while a method of Orders runs on a server"):
        _ = Orders().stock


def test_one_class_is_served_under_two_names(make: Make) -> None:
    class Towns(Service):
        north = Uses(Inventory, service="north")
        south = Uses(Inventory, service="south")

        @update
        def move(self, name: str, count: int) -> list[int]:
            return [self.north.take(name, count), self.south.put(name, count)]

    copy = make(
        "towns",
        ServedServices(described(Towns), {"north": described(Inventory), "south": described(Inventory)}),
    )
    assert copy.call("move", "pear", 2) == [3, 7]
    assert (copy.ask("north.get", "pear"), copy.ask("south.get", "pear")) == (3, 7)
