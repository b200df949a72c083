"""What is measured of a class: which methods, by how many clients, called how."""

from __future__ import annotations

from typing import Any

import pytest

from bankrmi.bench.class_plan import ClassPlan, class_plan
from bankrmi.errors import InvalidRequest
from bankrmi.service import described
from tests.console.odd_class import Odd


def plan(rows: list[str] | None = None, *calls: str) -> ClassPlan:
    more: dict[str, Any] = {"rounds": 1, "seconds": 1.0, "servers": 2}
    return class_plan(described(Odd), "odd_class:Odd", "/nowhere", rows=rows, calls=calls, **more)


def test_every_method_is_measured_with_made_up_arguments_updates_first() -> None:
    found = plan()
    assert found.rows[:4] == ("everything:1x1", "everything:8x1", "everything:32x1", "fail:1x1")
    assert "get:32x1" in found.rows
    assert not any(row.startswith("rare") for row in found.rows)
    assert "of 200 draws it takes none" in found.skipped["rare"]
    assert found.skipped["rare"].endswith("write them, --call 'rare(...)'")


def test_calls_that_are_written_are_measured_alone_unless_rows_are_named() -> None:
    found = plan(None, 'rare("zebra-123456789")')
    assert found.rows == ("rare:1x1", "rare:8x1", "rare:32x1")
    assert {shape.call for shape in found.shapes} == {'rare("zebra-123456789")'}
    assert [shape.clients for shape in found.shapes] == [1, 8, 32]
    assert plan(["put:128x1", "get"], "put('a')").rows == ("put:128x1", "get:1x1", "get:8x1", "get:32x1")
    assert "take:5x1" in plan(["5x1"]).rows


@pytest.mark.parametrize(
    ("rows", "call", "said"),
    [
        (["nothing"], None, "Odd has no method 'nothing': there are everything, fail, put, take, get"),
        (["put:8x100"], None, "put has no part '8x100': write CLIENTSx1"),
        (["put:loop-8x1"], None, "put has no part"),
        (["failover"], None, "Odd has no method 'failover'"),
        (None, "nothing(1)", "Odd has no method 'nothing'"),
        (None, "put(1)", "put takes no such name: 1"),
        (None, "put(name)", "is no call with values alone"),
    ],
)
def test_what_there_is_not_is_said(rows: list[str] | None, call: str | None, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        plan(rows, *([] if call is None else [call]))
    assert said in refused.value.message
