"""Of several services that call each other, the judge sees a call of another one that is lost, done twice, or
half done; whoever was asked, and whether the state is in tables or in attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bankrmi.robustness.mutants import MUTANTS
from bankrmi.robustness.mutants.mutant import in_place
from bankrmi.robustness.services import together
from bankrmi.robustness.services.outcomes import CallOutcome
from bankrmi.robustness.services.wanted import CallMaker
from bankrmi.service import described
from tests.service.copies import Copy
from tests.service.several_classes import SHOP, Audit, SoldOut
from tests.testing.judged_world import World

SERVICES = SHOP()
CALLS: Any = CallMaker(SERVICES)


class _Log:
    def __init__(self) -> None:
        self.entries: list[str] = []
        self.by_name: dict[str, int] = {}

    def note(self, text: str) -> int:
        self.entries.append(text)
        self.by_name[text] = self.by_name.get(text, 0) + 1
        return len(self.entries)

    def note_and_fail(self, text: str) -> None:
        raise ValueError(text)

    def notes(self) -> list[str]:
        return list(self.entries)

    def count(self) -> int:
        return len(self.entries) + len(self.by_name)


class _Shelf:
    def __init__(self) -> None:
        self.items = {"pear": 5}

    def put(self, name: str, count: int) -> int:
        self.items[name] = self.left(name) + count
        return self.items[name]

    def take(self, name: str, count: int) -> int:
        if self.left(name) < count:
            raise SoldOut(name)
        return self.put(name, -count)

    def left(self, name: str) -> int:
        return self.items.get(name, 0)

    def __getattr__(self, name: str) -> Any:
        return _Unused(name)


class _Book:
    new_id: Callable[[], str]

    def __init__(self, stock: _Shelf, audit: _Log) -> None:
        self.stock, self.audit = stock, audit
        self.placed: list[tuple[str, int]] = []

    def place(self, name: str, count: int) -> str:
        number = self.new_id()
        self.stock.take(name, count)
        self.placed.append((name, count))
        return number

    def place_what_there_is(self, name: str, count: int) -> int:
        taken = min(count, self.stock.left(name))
        self.stock.take(name, taken)
        self.placed.append((name, taken))
        return taken

    def noted_wrongly(self, text: str) -> int:
        self.audit.note(text)
        self.audit.note("caught")
        return self.audit.count()

    def take_and_fail(self, name: str) -> None:
        raise ValueError

    def both(self, name: str) -> tuple[int, int]:
        return sum(count for one, count in self.placed if one == name), self.stock.left(name)

    def __getattr__(self, name: str) -> Any:
        return _Unused(name)


class _Unused:
    """A method that these tests do not call."""

    def __init__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)

    def __call__(self) -> None:
        raise AssertionError


class PlainShop:
    """All three in plain Python."""

    def __init__(self) -> None:
        self.stock, self.audit = _Shelf(), _Log()
        self.audit.draw = _Unused("draw")  # type: ignore[attr-defined]
        self.orders = _Book(self.stock, self.audit)


def _opened(folder: Path) -> World:
    queries = [CALLS.orders.both("pear"), CALLS.left("pear")]
    return World(Copy(folder / "s1" / "db", SERVICES), SERVICES, queries)


def _call_all(world: World) -> None:
    for wanted in (
        CALLS.stock.put("pear", 4),
        CALLS.orders.place("pear", 2),
        CALLS.orders.place("pear", 100),
        CALLS.orders.place_what_there_is("pear", 100),
        CALLS.put("pear", 7),
        CALLS.orders.take_and_fail("pear"),
        CALLS.orders.noted_wrongly("x"),
        CALLS.orders.both("pear"),
        CALLS.audit.notes(),
    ):
        world.call(wanted)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = _opened(tmp_path)
    _call_all(world)
    yield world
    world.copy.journal.close()


@pytest.mark.parametrize("model", [None, PlainShop])
def test_what_is_right_is_not_called_wrong(world: World, model: Callable[[], object] | None) -> None:
    assert world.violations(model) == ()


def test_what_one_was_told_of_two_is_held_against_both(world: World) -> None:
    """A query of one service that asks the other, and one after a call of the other has changed it."""
    world.tell(7, value=CallOutcome.returned([7, 7]))
    [sentence] = world.violations()
    was = "it was [9, 7] in a plain run of Stock and Orders and Audit"
    assert f"query orders.both('pear'): read [7, 7] at action id 7; {was}" in sentence
    world.tell(8, value=CallOutcome.returned(["x"]))
    assert len(world.violations()) == 2


LOST, TWICE, HALF = "inner-call-is-lost", "inner-call-is-done-twice", "half-of-a-call-stays"


@pytest.mark.parametrize("name", [LOST, TWICE, HALF, "inner-exception-changes-the-state"])
@pytest.mark.parametrize("model", [None, PlainShop])
def test_a_call_of_another_one_that_goes_wrong_is_found(
    name: str, model: Callable[[], object] | None, tmp_path: Path
) -> None:
    with in_place(MUTANTS[name].patches):
        world = _opened(tmp_path)
        _call_all(world)
    assert world.violations(model) != ()
    world.copy.journal.close()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            LOST,
            "s1 holds ('pear', 5) in table item, which a plain run of Stock and Orders and Audit does not",
        ),
        (TWICE, "s1 lacks ('pear', 3) in table item, which a plain run of Stock and Orders and Audit holds"),
        (HALF, "s1 lacks (1, 'pear') in table orders.log, which a plain run of"),
    ],
)
def test_what_no_query_shows_the_tables_show(name: str, words: str, tmp_path: Path) -> None:
    """One call, of which its caller was told what is right: nothing but the rows of the other is wrong."""
    with in_place(MUTANTS[name].patches):
        world = _opened(tmp_path)
        world.queries.clear()
        world.call(CALLS.orders.place("pear", 2))
    [sentence] = world.violations()
    assert words in sentence
    world.copy.journal.close()


@pytest.mark.parametrize(("name", "held"), [(LOST, "lacks"), (TWICE, "holds")])
def test_what_no_query_shows_the_attributes_show(name: str, held: str, tmp_path: Path) -> None:
    with in_place(MUTANTS[name].patches):
        world = _opened(tmp_path)
        world.queries.clear()
        world.call(CALLS.orders.spoil())
    sentences = world.violations()
    assert any(
        f"s1 {held} self.by_name['kept'] = " in one and " in audit, which " in one for one in sentences
    )
    world.copy.journal.close()


def test_a_copy_that_was_changed_by_hand_is_found(world: World) -> None:
    database = world.copy.journal.database
    database.execute("UPDATE \"orders.item\" SET count = 3 WHERE name = 'pear' AND count = 2")
    [sentence] = world.violations()
    assert "'pear', 3) in table orders.item, which a plain run of " in sentence
    assert world.violations(PlainShop) == (
        "at the end orders.both('pear') returns [10, 7] on s1; PlainShop by itself returns [9, 7]",
    )
    database.execute("UPDATE \"orders.item\" SET count = 2 WHERE name = 'pear' AND count = 3")
    assert world.violations() == ()
    database.execute(
        "UPDATE \"audit.object_state\" SET position = 3 - position WHERE attribute = 'by_name' AND key != x''"
    )
    [sentence] = world.violations()
    assert "self.by_name['" in sentence  # Its keys are in another order.


def test_attributes_of_a_class_alone_are_compared_too(tmp_path: Path) -> None:
    description = described(Audit)
    calls: Any = CallMaker(description)
    world = World(Copy(tmp_path / "s1" / "db", Audit), description, [])
    world.call(calls.note("x"))
    world.call(calls.note("y"))
    world.call(calls.note_and_fail("z"))
    assert world.violations() == ()
    world.copy.journal.database.execute("DELETE FROM object_state WHERE attribute = 'entries'")
    assert world.violations() == ("s1 lacks self.entries = ['x', 'y'], which Audit by itself holds",)
    world.copy.journal.close()


def test_the_plain_run_does_not_share_what_it_judges() -> None:
    source = Path(together.__file__).read_text()
    for module in ("machine", "running", "changes", "inner_calls"):
        assert f"bankrmi.service.{module}" not in source
