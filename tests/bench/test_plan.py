from __future__ import annotations

import pytest

from bankrmi.bench.plan import DEFAULT_ROWS, Plan, checked_rows
from bankrmi.bench.rows.all import ROWS
from bankrmi.bench.shapes import SHAPES, Shape, shape_called
from bankrmi.errors import InvalidRequest


def test_the_usual_rows_are_there() -> None:
    assert set(checked_rows(DEFAULT_ROWS)) == set(DEFAULT_ROWS)
    assert set(checked_rows(["all"])) == {*SHAPES, *ROWS}


def test_a_row_is_done_once_and_in_the_order_asked_for() -> None:
    plan = Plan(rows=checked_rows(["failover", "8x1", "user", "8x1"]))
    assert [shape.name for shape in plan.shapes] == ["8x1", "user"]
    assert plan.other_rows == ["failover"]


def test_any_clients_x_operations_is_a_shape() -> None:
    assert shape_called("16x4") == Shape(name="16x4", clients=16, operations=4)
    assert shape_called("loop-2x1000") == Shape(name="loop-2x1000", clients=2, operations=1000, loop=True)


@pytest.mark.parametrize("name", ["0x1", "1x0", "1x9000", "x", "1x1x1", "", "fail over"])
def test_what_is_no_row_is_refused_with_those_that_there_are(name: str) -> None:
    assert shape_called(name) is None
    with pytest.raises(InvalidRequest, match="there are user, 1x1, "):
        checked_rows([name])
