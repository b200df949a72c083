"""What is measured of a class: which methods, by how many clients, called how."""

from __future__ import annotations

from typing import Any

import pytest

from bankrmi.bench.class_plan import ClassPlan, class_plan
from bankrmi.errors import InvalidRequest
from bankrmi.service import ServedServices, described
from tests.console.odd_class import Errands, Odd

MORE: dict[str, Any] = {"rounds": 1, "seconds": 1.0, "servers": 2}
PAIR = {"odd": "odd_class:Odd", "errands": "odd_class:Errands"}


def plan(rows: list[str] | None = None, *calls: str) -> ClassPlan:
    odd = ServedServices(described(Odd), home_name="account")
    return class_plan(odd, {"account": "odd_class:Odd"}, "/nowhere", rows=rows, calls=calls, **MORE)


def plan_of_two(rows: list[str] | None = None, *calls: str) -> ClassPlan:
    both = ServedServices(described(Odd), {"errands": described(Errands)}, home_name="odd")
    return class_plan(both, PAIR, "/nowhere", rows=rows, calls=calls, **MORE)


def test_every_method_is_measured_with_made_up_arguments_updates_first() -> None:
    found = plan()
    assert found.rows[:4] == ("everything:1x1", "everything:8x1", "everything:32x1", "fail:1x1")
    assert "get:32x1" in found.rows
    assert not any(row.startswith("rare") for row in found.rows)
    assert "of 200 draws it takes none" in found.skipped["rare"]
    assert found.skipped["rare"].endswith("write them, --call 'rare(...)'")
    assert found.other_rows == {"failover": ("kill",)}


def test_calls_that_are_written_are_measured_alone_unless_rows_are_named() -> None:
    found = plan(None, 'rare("zebra-123456789")')
    assert found.rows == ("rare:1x1", "rare:8x1", "rare:32x1")
    assert {shape.called.call for shape in found.shapes} == {'rare("zebra-123456789")'}
    assert [shape.clients for shape in found.shapes] == [1, 8, 32]
    assert found.other_rows == {}
    assert plan(["put:128x1", "get"], "put('a')").rows == ("put:128x1", "get:1x1", "get:8x1", "get:32x1")
    assert "take:5x1" in plan(["5x1"]).rows


def test_methods_of_several_services_have_its_name_before_theirs_and_other_rows_come_with_them() -> None:
    found = plan_of_two()
    assert found.rows[:1] == ("odd.everything:1x1",)
    assert found.rows[-6:-3] == tuple(f"errands.fetch:{shape}" for shape in ("1x1", "8x1", "32x1"))
    assert found.skipped.keys() == {"odd.rare"}
    assert found.other_rows == {"across": (), "beside": (), "failover": ("kill",)}
    assert "on 2 servers; each row calls one of their methods" in found.job
    assert plan_of_two(["errands"]).rows == plan_of_two(["fetch", "errands.get"]).rows
    written = plan_of_two(["beside:put", "across:fetch", "failover:stop", "failover"], 'put("a")')
    assert written.other_rows == {
        "beside": ("odd.put",),
        "across": ("errands.fetch",),
        "failover": ("stop", "kill"),
    }
    assert written.methods["odd.put"].call == 'put("a")'


def test_what_a_call_was_written_for_stands_for_its_service_else_an_update() -> None:
    named = {name: plan_of_two(None, *calls).usual_method(name) for name in PAIR for calls in [()]}
    assert [one.method for one in named.values() if one] == ["odd.everything", "errands.fetch"]
    written = plan_of_two(["beside"], 'odd.get("a")', 'errands.get("a")')
    assert written.usual_method("odd") == written.methods["odd.get"]
    assert written.usual_method() == written.methods["odd.get"]


@pytest.mark.parametrize(
    ("rows", "call", "said"),
    [
        (["get"], None, "get is a method of more than one service: say odd.get or errands.get"),
        (["nobody.get"], None, "there is no service 'nobody': there are odd, errands; put:8x1"),
        (["errands.put"], None, "Errands has no method 'put': there are errands.fetch, errands.get"),
        (["beside:get"], None, "get is a method of more than one service"),
        (["across:rare"], None, "odd.rare: "),
        (None, "get('a')", "say odd.get or errands.get"),
        (None, "errands.fetch(1)", "fetch takes no such name: 1"),
    ],
)
def test_what_is_not_meant_by_one_name_is_said(rows: list[str] | None, call: str | None, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        plan_of_two(rows, *([] if call is None else [call]))
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("rows", "call", "said"),
    [
        (["nothing"], None, "Odd has no method 'nothing': there are everything, fail, put, take, get"),
        (["put:8x100"], None, "put has no part '8x100': write CLIENTSx1"),
        (["put:loop-8x1"], None, "put has no part"),
        (["failover:cut"], None, "failover has no part 'cut': there are kill, stop, switchover"),
        (["across"], None, "across is of several services in one pair, and Odd is alone"),
        (None, "nothing(1)", "Odd has no method 'nothing'"),
        (None, "put(1)", "put takes no such name: 1"),
        (None, "put(name)", "is no call with values alone"),
    ],
)
def test_what_there_is_not_is_said(rows: list[str] | None, call: str | None, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        plan(rows, *([] if call is None else [call]))
    assert said in refused.value.message
