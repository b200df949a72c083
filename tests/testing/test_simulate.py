"""`simulate`: a sound class passes, and each mistake of a class is told so that a person understands it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

import bankrmi
from bankrmi.errors import ConfigurationError
from bankrmi.testing import SeedFailed, simulate
from tests.service import changed_classes
from tests.testing.stock import (
    ByAGlobal,
    ForgetsSome,
    Leases,
    OutOfStock,
    PlainStock,
    ReadsOnly,
    Refused,
    Stock,
    workload,
)

SECONDS = 3.0
"""Of a world: short, and long enough for a failover or two."""


@pytest.mark.parametrize("model", [None, PlainStock], ids=["itself", "plain"])
def test_a_sound_class_passes(model: Callable[[], object] | None) -> None:
    """Whatever its workload goes by; an undeclared error needs only to be one in a plain class."""
    done = simulate(Stock, workload, model=model, seeds=range(4), seconds=SECONDS)
    assert done.seeds == 4
    assert done.updates > 50
    assert done.methods["put"].returned > 20
    assert done.methods["take"].raised["OutOfStock"] > 0
    assert done.methods["fail"].raised["RuntimeError"] > 0
    assert done.methods["get"].returned > 20
    assert "4 seeds, no violation in" in str(done)
    assert "raised OutOfStock" in str(done)


def test_without_a_workload_everything_is_called() -> None:
    done = simulate(Stock, seeds=range(2, 4), servers=3, seconds=SECONDS)
    assert done.methods.keys() == {"put", "take", "note", "fail", "get", "items"}


def test_a_query_may_go_by_the_time() -> None:
    def holds(chance: random.Random, leases: Leases) -> Any:
        if chance.random() < 0.5:
            return leases.grant(chance.choice("abc"), chance.choice([10, 100, 1000]))
        return leases.held()

    done = simulate(Leases, holds, seeds=range(2), seconds=SECONDS)
    assert done.methods["held"].returned > 10


def test_what_an_update_takes_from_a_global_is_found_with_its_table() -> None:
    """By the copy that comes to something else, or by the class alone: whichever is first."""
    with pytest.raises(SeedFailed) as failed:
        simulate(ByAGlobal, workload, seeds=range(20), seconds=SECONDS)
    words = str(failed.value)
    assert "table log" in words
    assert failed.value.kind == "safety"


def test_what_an_update_may_not_ask_for_is_named_with_its_line() -> None:
    with pytest.raises(SeedFailed, match=r"stock\.py, line \d+: random\.random differs from one copy"):
        simulate(Refused, workload, seeds=range(20), seconds=SECONDS)


def test_a_difference_from_the_model_is_told_with_what_led_to_it() -> None:
    """The seed, what was called, what differs, and the call that shows it again."""
    with pytest.raises(SeedFailed) as failed:
        simulate(ForgetsSome, workload, model=PlainStock, seeds=range(3, 20), seconds=SECONDS)
    words = str(failed.value)
    assert f"ForgetsSome went wrong in the world of seed {failed.value.seed} (safety):" in words
    assert re.search(
        r"put\('\w+', 3\) at action id \d+ returned \d+; PlainStock by itself returns \d+", words
    )
    assert "the last calls that were acknowledged, in their order:" in words
    again = f"simulate(ForgetsSome, workload, model=PlainStock, seeds=[{failed.value.seed}], seconds=3)"
    assert words.endswith(f"once more: {again}")
    with pytest.raises(SeedFailed) as repeated:
        simulate(ForgetsSome, workload, model=PlainStock, seeds=[failed.value.seed], seconds=SECONDS)
    assert str(repeated.value) == words


def test_a_seed_is_the_same_world_every_time_and_on_several_processes() -> None:
    worlds = [
        str(simulate(Stock, workload, seeds=range(2), seconds=SECONDS, jobs=jobs)) for jobs in (1, 1, 2)
    ]
    assert len(set(worlds)) == 1


def test_where_nothing_is_acknowledged_nothing_was_tested() -> None:
    with pytest.raises(SeedFailed, match="nothing was tested: in 2 seeds no update was done"):
        simulate(ReadsOnly, seeds=range(2), seconds=1)


# -- a class that is changed ---------------------------------------------------------------------------------


class PlainStock1:
    """The first version of the class of three versions, with dicts."""

    def __init__(self) -> None:
        self.items: dict[str, int] = {}

    def put(self, name: str, count: int) -> int:
        self.items[name] = self.items.get(name, 0) + count
        return self.items[name]

    def drop(self, name: str) -> None:
        self.items.pop(name, None)

    def get(self, name: str) -> int:
        return self.items.get(name, 0)


class PlainStock2(PlainStock1):
    previous = PlainStock1

    def migrate_1_to_2(self) -> None:
        self.prices = {name: 10 * count for name, count in self.items.items()}

    def put(self, name: str, count: int, price: int = 7) -> int:
        self.prices[name] = price
        return super().put(name, count)

    def drop(self, name: str) -> None:
        super().drop(name)
        self.prices.pop(name, None)

    def price(self, name: str) -> int:
        return self.prices.get(name, 0)


class PlainStock3(PlainStock2):
    previous = PlainStock2

    def migrate_2_to_3(self) -> None:
        pass

    def put(self, name: str, count: int, price: int = 7) -> int:
        self.items[name], self.prices[name] = count, price
        return count


class Dearer(PlainStock3):
    """It has other prices after the migration than the class."""

    previous = PlainStock2

    def migrate_2_to_3(self) -> None:
        self.prices = {name: price + 1 for name, price in self.prices.items()}


def prices(chance: random.Random, stock: Any) -> Iterator[Any]:
    name = chance.choice(["fig", "pear"])
    yield stock.get(name)
    yield stock.put(name, chance.randint(1, 3))
    yield stock.price(name)


@pytest.mark.parametrize("model", [None, PlainStock3], ids=["itself", "plain"])
def test_a_class_that_names_the_ones_before_is_migrated(model: Callable[[], object] | None) -> None:
    """From the oldest on, once each; what is called by its newest methods before is refused."""
    done = simulate(changed_classes.Stock, prices, model=model, seeds=range(4, 7))
    assert 0 < done.methods["migrate_2_to_3"].returned <= done.methods["migrate_1_to_2"].returned <= 3
    assert done.methods["put"].returned > 5
    assert "migrate_1_to_2: 3 returned" in str(done)


def test_a_model_that_names_none_before_stands_for_the_newest_version_alone() -> None:
    class Alone(PlainStock3):
        previous = None  # type: ignore[assignment]

        def __init__(self) -> None:
            super().__init__()
            self.prices = {}

    done = simulate(changed_classes.Stock, prices, model=Alone, seeds=range(1))
    assert "put" in done.methods
    assert "migrate_2_to_3" not in done.methods


def test_what_a_migration_leaves_is_held_against_the_model() -> None:
    with pytest.raises(SeedFailed, match="Dearer by itself"):
        simulate(changed_classes.Stock, prices, model=Dearer, seeds=range(4, 30))


def test_a_migration_that_always_fails_changes_nothing() -> None:
    """The class stays what it was, and is called."""

    class Never(changed_classes.Stock2):
        previous = changed_classes.Stock1

        def migrate_1_to_2(self) -> None:
            super().migrate_1_to_2()
            if self._moment is not None and self._moment.now.year > 1:
                raise KeyError("never")

    def old_calls(chance: random.Random, stock: Any) -> Any:
        return stock.put("pear", 1) if chance.random() < 0.5 else stock.get("pear")

    with pytest.raises(ConfigurationError, match=r"Never\.migrate_1_to_2 failed on an opening state"):
        simulate(Never, old_calls, seeds=range(1))
    done = simulate(changed_classes.Broken, old_calls, seeds=range(3))
    assert done.methods["migrate_1_to_2"].raised["KeyError"] > 0


# -- the order of rows ---------------------------------------------------------------------------------------


class Unordered(bankrmi.Service):
    """It takes what SQLite gives first."""

    def create(self) -> None:
        self.db.execute("CREATE TABLE item (name TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL)")

    @bankrmi.update
    def put(self, name: str) -> None:
        self.db.execute("INSERT OR IGNORE INTO item VALUES (?, 1)", (name,))

    @bankrmi.update
    def take_one(self) -> str | None:
        found: str | None = self.db.execute(f"SELECT name FROM item{self.order} LIMIT 1").value
        self.db.execute("DELETE FROM item WHERE name = ?", (found,))
        return found

    order = ""


class Ordered(Unordered):
    """It says what is first."""

    order = " ORDER BY name"


def test_an_update_that_goes_by_the_order_of_rows_without_one_is_found() -> None:
    sentence = r"take_one\(\) at action id \d+ goes by the order of rows of a SELECT without ORDER BY"
    with pytest.raises(SeedFailed, match=sentence):
        simulate(Unordered, seeds=range(4))
    simulate(Ordered, seeds=range(1))


# -- mistakes of whoever tests --------------------------------------------------------------------------


def breaks(chance: random.Random, stock: Stock) -> Iterator[Any]:
    yield stock.put("apple", 1)
    raise KeyError("mine")


def makes_no_call(chance: random.Random, stock: Stock) -> None:
    pass


def calls_nothing_that_is_there(chance: random.Random, stock: Any) -> Any:
    return stock.sell("apple")


def gives_what_it_does_not_take(chance: random.Random, stock: Any) -> Any:
    return stock.put("apple", "many")


def yields_no_call(chance: random.Random, stock: Stock) -> Iterator[Any]:
    yield "put"


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (breaks, "the workload breaks broke: KeyError: 'mine'"),
        (makes_no_call, "the workload makes_no_call made no call in 1000 runs"),
        (calls_nothing_that_is_there, "Stock has no method 'sell' that is marked update or query"),
        (gives_what_it_does_not_take, "put takes no such count: 'many'"),
        (yields_no_call, "the workload yields_no_call yielded 'put': a call is wanted"),
    ],
)
def test_a_mistake_in_the_workload_is_no_failure_of_the_class(
    script: Callable[[random.Random, Any], Any], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as mistake:
        simulate(Stock, script, seeds=range(1), seconds=SECONDS)
    assert sentence in mistake.value.message


class Half:
    """A model that lacks something."""

    def put(self, name: str, count: int) -> int:
        return count


def test_a_mistake_in_the_model_is_said_before_anything_is_run() -> None:
    with pytest.raises(ConfigurationError, match="Half has no method fail, and Stock has"):
        simulate(Stock, workload, model=Half)
    with pytest.raises(ConfigurationError, match="servers is 2 or 3, and not 5"):
        simulate(Stock, workload, servers=5)


class TakesStrange(bankrmi.Service):
    def create(self) -> None:
        pass

    @bankrmi.update
    def take(self, what: Decimal) -> None:
        pass


def test_where_annotations_do_not_say_what_to_give_a_workload_is_asked_for() -> None:
    with pytest.raises(ConfigurationError, match=r"TakesStrange\.take: what to give for what is not known"):
        simulate(TakesStrange)


def test_what_was_raised_is_raised_in_the_workload() -> None:
    """As itself if it is declared, and as ServiceError if it is not."""
    seen: set[str] = set()

    def asks(chance: random.Random, stock: Stock) -> Iterator[Any]:
        yield stock.put("plum", 0)
        try:
            yield stock.take("plum", 1)
        except OutOfStock as error:
            seen.add(str(error))
        try:
            yield stock.fail("plum")
        except bankrmi.errors.ServiceError as error:
            seen.add(str(error.error))

    simulate(Stock, asks, seeds=range(3), seconds=2)
    assert seen == {"plum", "RuntimeError"}
