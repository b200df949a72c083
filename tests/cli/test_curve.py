"""The curve of operations a second, from what was seen of a made-up bank."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.cli.curve import BLOCKS, IN_ASCII, SPAN_S, Curve, drawn
from tests.cli.made_up_status import STATUS


def at(action_id: int, **changes: Any) -> dict[str, Any]:
    status = copy.deepcopy(STATUS)
    status["servers"][0] |= {"action_id": action_id, "history": "h1"}
    status["view"] |= changes
    return status


def seen(*looks: tuple[float, int]) -> Curve:
    curve = Curve()
    for at_s, action_id in looks:
        curve.take(at(action_id), at_s)
    return curve


def test_each_second_shows_what_was_decided_in_it() -> None:
    curve = seen((100, 10), (101, 10), (102, 40), (103, 50))
    assert curve.rates(60)[-3:] == [0, 30, 10]
    assert curve.rates(60)[:-3] == [None] * 57
    assert curve.now() == pytest.approx(40 / 3)


def test_what_came_between_two_looks_is_spread_over_the_time_between_them() -> None:
    assert seen((100, 0), (110, 50)).rates(60)[-10:] == [5.0] * 10


@given(
    steps=st.lists(st.tuples(st.floats(0.05, 30), st.integers(0, 1000)), min_size=1),
    columns=st.integers(1, 80),
)
def test_the_parts_add_up_to_all_that_was_decided(steps: list[tuple[float, int]], columns: int) -> None:
    curve, at_s, action_id = Curve(), 0.0, 0
    curve.take(at(0), 0.0)
    for passed_s, decided in steps:
        at_s, action_id = at_s + passed_s, action_id + decided
        curve.take(at(action_id), at_s)
    rates = curve.rates(columns)
    assert len(rates) == columns
    told = sum(rate * SPAN_S / columns for rate in rates if rate is not None)
    assert told <= action_id + 1e-6
    if columns == 60 and at_s == SPAN_S:
        assert told == pytest.approx(action_id)


def test_nothing_is_taken_back_by_a_copy_that_knows_of_less() -> None:
    assert seen((100, 50), (101, 45), (102, 50), (103, 52)).rates(60)[-3:] == [0, 0, 2]


def test_another_history_begins_anew() -> None:
    curve = seen((100, 5000), (101, 5010))
    restored = at(10, history="h2")
    restored["servers"][0]["history"] = "h2"
    curve.take(restored, 102)
    assert curve.now() is None
    assert curve.rates(60) == [None] * 60


def test_a_bank_of_which_nothing_is_known_has_no_curve() -> None:
    curve = Curve()
    curve.take({**STATUS, "view": None}, 1.0)
    false = at(1)
    false["servers"][0]["action_id"] = "many"
    curve.take(false, 2.0)
    assert curve.now() is None
    assert curve.rates(3) == [None] * 3


def test_while_nobody_leads_the_newest_copy_counts() -> None:
    curve = seen((100, 50))
    leaderless = at(50)
    leaderless["servers"][0] |= {"role": "standby", "action_id": 53}
    curve.take(leaderless, 101)
    assert curve.rates(60)[-1] == 3


@pytest.mark.parametrize("levels", [BLOCKS, IN_ASCII])
def test_it_is_drawn_in_levels_of_the_highest(levels: str) -> None:
    low, high = levels[0], levels[-1]
    assert drawn([None, 0, 100], levels) == f" {low}{high}"
    assert drawn([0.001, 100], levels)[0] == levels[1], "a little is not nothing"
    assert drawn([0, 0], levels) == low * 2
    assert drawn([], levels) == ""
