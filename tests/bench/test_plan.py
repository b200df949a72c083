from __future__ import annotations

import re
from pathlib import Path

import pytest

from bankrmi.bench.plan import DEFAULT_ROWS, Plan, checked_rows
from bankrmi.bench.rows.all import ROWS
from bankrmi.bench.rows.of_classes import CLASS_ROWS
from bankrmi.bench.shapes import SHAPES, Shape, shape_called
from bankrmi.errors import InvalidRequest


def test_the_usual_rows_are_there() -> None:
    assert set(checked_rows(DEFAULT_ROWS)) == set(DEFAULT_ROWS)
    assert set(checked_rows(["all"])) == {*SHAPES, *ROWS}


def test_a_row_is_done_once_and_in_the_order_asked_for() -> None:
    plan = Plan(rows=checked_rows(["failover", "8x1", "user", "8x1"]))
    assert [shape.name for shape in plan.shapes] == ["8x1", "user"]
    assert plan.other_rows == {"failover": ("kill", "stop", "cut", "switchover")}


def test_a_part_of_a_row_is_measured_alone() -> None:
    plan = Plan(rows=checked_rows(["crowds:idle", "catching-up:100x100", "crowds:few", "slow-disk"]))
    assert plan.shapes == []
    assert plan.other_rows == {"crowds": ("idle", "few"), "catching-up": ("100x100",), "slow-disk": ()}
    both = Plan(rows=checked_rows(["failover:cut", "failover"]))
    assert both.other_rows == {"failover": ("cut", "kill", "stop", "switchover")}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("crowds:angry", "crowds has no part 'angry': there are idle, silent, "),
        ("own-clients:many", "own-clients has no part 'many': there are 32x1, 800x1, 16x1000, and CLIENTSx"),
        ("slow-disk:slower", "slow-disk has no part 'slower': there are none"),
        ("failover:", "failover has no part ''"),
    ],
)
def test_what_is_no_part_of_a_row_is_refused_with_those_that_there_are(name: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        checked_rows([name])
    assert said in refused.value.message


def test_any_clients_x_operations_is_a_shape() -> None:
    assert shape_called("16x4") == Shape(name="16x4", clients=16, operations=4)
    assert shape_called("loop-2x1000") == Shape(name="loop-2x1000", clients=2, operations=1000, loop=True)


@pytest.mark.parametrize("name", ["0x1", "1x0", "1x9000", "x", "1x1x1", "", "fail over"])
def test_what_is_no_row_is_refused_with_those_that_there_are(name: str) -> None:
    assert shape_called(name) is None
    with pytest.raises(InvalidRequest, match="there are user, 1x1, "):
        checked_rows([name])


def test_the_page_about_performance_names_every_row_with_every_part() -> None:
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
    told = dict(re.findall(r"(?m)^\| `([\w-]+)` \|.*\| ([^|]*)\|$", page))
    for name, row in ROWS.items():
        assert set(row.parts) <= set(re.findall(r"`([^`]+)`", told[name])), name


OF_THE_TUTORIAL = ("put", "stock", "orders")
"""A method, and services."""


def test_every_row_that_a_document_names_is_there() -> None:
    root = Path(__file__).parents[2]
    pages = [root / "README.md", *root.glob("docs/**/*.md")]
    named = {rows for page in pages for rows in re.findall(r"--rows ([a-z\d][\w:,.-]*\w)", page.read_text())}
    assert "failover:kill,growth:records" in named
    of_classes = {rows for rows in named if re.split("[:,.]", rows)[0] in OF_THE_TUTORIAL}
    assert of_classes
    for rows in named - of_classes:
        checked_rows(rows.split(","))
    for row in (row for rows in of_classes for row in rows.split(",")):
        assert re.split("[:.]", row)[0] in {*OF_THE_TUTORIAL, *CLASS_ROWS}, row
