"""The checker of calls sees each kind of lie, in what clients were told and in what is on the disks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bankrmi
from bankrmi.replication.record import CANCELLED
from bankrmi.robustness.checker.history import (
    AnsweredOutcome,
    OperationResult,
    RefusedOutcome,
    UnknownOutcome,
)
from bankrmi.robustness.services import by_itself
from bankrmi.robustness.services.by_itself import ServiceByItself
from bankrmi.robustness.services.outcomes import CallOutcome
from bankrmi.robustness.services.wanted import CallMaker
from bankrmi.service import described
from bankrmi.service.calls import Called
from tests.service.copies import Copy
from tests.testing.judged_world import World
from tests.testing.stock import Leases, PlainStock, Stock

DESCRIPTION = described(Stock)
CALLS: Any = CallMaker(DESCRIPTION)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(Copy(tmp_path / "s1" / "db", Stock), DESCRIPTION, [CALLS.get("apple"), CALLS.items()])
    world.call(CALLS.put("apple", 3))
    world.call(CALLS.get("apple"))
    world.call(CALLS.take("apple", 5))
    world.call(CALLS.take("apple", 1))
    world.call(CALLS.fail("apple"))
    world.call(CALLS.note())
    world.call(CALLS.items())
    yield world
    world.copy.journal.close()


@pytest.mark.parametrize("model", [None, Stock, PlainStock])
def test_what_is_right_is_not_called_wrong(world: World, model: Callable[[], object] | None) -> None:
    assert world.violations(model) == ()


def test_an_update_that_was_told_otherwise(world: World) -> None:
    world.tell(0, value=CallOutcome.returned(4))
    [sentence] = world.violations()
    assert "put('apple', 3) as s1:1: told done (4) at action id 1, and the journal holds done (3)" in sentence


def test_an_exception_that_was_told_as_a_value(world: World) -> None:
    world.tell(2, value=CallOutcome.returned(0), status="done")
    [sentence] = world.violations()
    assert "told done (0)" in sentence
    assert "the journal holds raised (raised OutOfStock: apple)" in sentence


def test_a_query_that_was_told_something_old_or_new(world: World) -> None:
    world.tell(6, value=CallOutcome.returned({"apple": 3}))
    [sentence] = world.violations()
    assert (
        "query items(): read {'apple': 3} at action id 5; it was {'apple': 2} in Stock by itself" in sentence
    )
    world.tell(6, value=CallOutcome.returned({"apple": 3}), action_id=1)
    [stale] = world.violations()
    assert "read at action id 1; 5 was acknowledged before" in stale


def test_an_update_that_is_lost(world: World) -> None:
    wanted = CALLS.put("fig", 1)
    lost = replace(world.calls[0], number=9, request=("lost", 1), operations=(wanted.operation,))
    world.calls.append(lost)
    [sentence] = world.violations()
    assert "the request is not in the journal" in sentence
    world.calls[-1] = replace(lost, outcome=UnknownOutcome(), completed_ns=None)
    assert world.violations() == ()


def test_an_update_that_was_refused_and_done(world: World) -> None:
    world.change(0, outcome=RefusedOutcome("stale"))
    assert any("refused (stale), and the request is at action id 1" in one for one in world.violations())


def test_an_update_that_nobody_asked_for(world: World) -> None:
    del world.calls[3]
    assert any("was never asked for" in one for one in world.violations())


def test_an_update_that_is_done_twice(world: World) -> None:
    again = [*world.records, world.records[0]]
    assert any("is in the journal twice" in one for one in world.violations(records=again))


def test_an_outcome_that_does_not_follow_from_the_class(world: World) -> None:
    class Generous(PlainStock):
        def take(self, name: str, count: int) -> int:
            return max(0, super().get(name) - count)

    [sentence, *_] = world.violations(Generous)
    assert sentence == (
        "take('apple', 5) at action id 2 raised OutOfStock: apple; "
        "test_an_outcome_that_does_not_follow_from_the_class.<locals>.Generous by itself returns 0"
    )


def test_an_undeclared_error_of_another_class(world: World) -> None:
    """A plain object need only fail, too; another Service has to fail in the same way."""

    class Fails(Stock):
        @bankrmi.update
        def fail(self, name: str) -> None:
            raise LookupError(name)

    assert any("raised RuntimeError: no apple today; " in one for one in world.violations(Fails))


def test_a_row_that_nobody_has_written(world: World) -> None:
    world.copy.journal.database.execute("UPDATE item SET count = 7")
    [sentence] = world.violations()
    assert sentence == (
        "s1 holds ('apple', 7) in table item, which Stock by itself does not; "
        "s1 lacks ('apple', 2) in table item, which Stock by itself holds"
    )
    [told] = world.violations(PlainStock)
    assert told == "at the end get('apple') returns 7 on s1; PlainStock by itself returns 2"


def test_what_is_cancelled_changes_nothing(world: World) -> None:
    record = world.copy.journal.cancel(1, ("never", 1), 5)
    world.copy.journal.commit()
    world.records.append(record)
    told = OperationResult(record.action_id, CANCELLED, None)
    asks = replace(
        world.calls[0],
        number=9,
        kind="outcome",
        invoked_ns=1000,
        completed_ns=1001,
        request=("never", 1),
        operations=(),
        outcome=AnsweredOutcome("h", (told,)),
    )
    world.calls.append(asks)
    assert world.violations() == ()
    world.calls[-1] = replace(asks, outcome=AnsweredOutcome("h", (told._replace(status="done"),)))
    assert len(world.violations()) == 1


def test_a_query_of_the_time_may_be_of_any_time_while_it_was_asked() -> None:
    """A lease that ends at 1 001 000 us: before, it is held, after, it is not, and in between either."""
    alone = ServiceByItself(described(Leases))
    grant = CallMaker(described(Leases)).grant("a", 1)
    alone.update(grant.called, (1_000_000, ("s", 1)), CallOutcome.returned(None))
    held, asked = CallOutcome.returned(["a"]), CallMaker(described(Leases)).held().called
    nothing = CallOutcome.returned([])
    assert alone.contradiction(asked, held) is None
    for told, between, is_right in (
        (held, (1_000_000, 1_000_999), True),
        (nothing, (1_000_000, 1_000_999), False),
        (held, (1_000_999, 1_002_000), True),
        (nothing, (1_000_999, 1_002_000), True),
        (held, (1_001_001, 1_002_000), False),
        (nothing, (1_001_001, 1_002_000), True),
    ):
        assert (alone.contradiction(asked, told, between) is None) is is_right


def test_a_moment_is_looked_for_only_where_the_query_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Called] = []

    def query(self: ServiceByItself, call: Called, now_us: int | None = None) -> CallOutcome:
        asked.append(call)
        return plain_query(self, call, now_us)

    plain_query = ServiceByItself.query
    monkeypatch.setattr(ServiceByItself, "query", query)
    wrong = CallOutcome.returned("a lie")
    assert ServiceByItself(DESCRIPTION).contradiction(CALLS.get("apple").called, wrong, (1, 1000))
    assert len(asked) == 1
    held = CallMaker(described(Leases)).held().called
    assert ServiceByItself(described(Leases)).contradiction(held, wrong, (1, 1000))
    assert len(asked) > 10


def test_an_error_that_nobody_declared_is_none_that_is_declared() -> None:
    """Though of others it is enough that a plain class raises one, too."""
    alone = ServiceByItself(DESCRIPTION, PlainStock)
    refused, broken = CallOutcome(raised="OutOfStock", words="apple"), CallOutcome(raised="RuntimeError")
    assert not alone.agrees(broken, refused)
    assert not alone.agrees(refused, broken)
    assert not alone.agrees(refused, CallOutcome(raised="OutOfStock", words="pear"))
    assert alone.agrees(broken, CallOutcome(raised="LookupError"))


def test_the_model_does_not_share_what_it_judges() -> None:
    """It is a second reader of the class: what runs, undoes and records calls is not in it."""
    source = Path(by_itself.__file__).read_text()
    for module in ("machine", "running", "changes"):
        assert f"bankrmi.service.{module}" not in source
