"""Of a flood of log lines the first are written, then a few, and the rest is counted."""

from __future__ import annotations

from bankrmi.line_budget import LineBudget


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_and_then_one_now_and_then() -> None:
    clock = Clock()
    budget = LineBudget(5, 2.0, clock)
    assert [budget.allows("a") for _ in range(7)] == [True] * 5 + [False] * 2
    clock.now += 2.0
    assert [budget.allows("a") for _ in range(3)] == [True, False, False]
    clock.now += 100.0
    assert [budget.allows("a") for _ in range(7)] == [True] * 5 + [False] * 2


def test_one_kind_does_not_use_up_what_another_has() -> None:
    budget = LineBudget(2, 1.0, Clock())
    assert [budget.allows("a") for _ in range(3)] == [True, True, False]
    assert budget.allows("b")


def test_what_was_left_out_is_told_once() -> None:
    budget = LineBudget(1, 1.0, Clock())
    for kind in ("a", "a", "a", "b", "b"):
        budget.allows(kind)
    assert budget.left_out() == "2 times 'a', 1 times 'b'"
    assert budget.left_out() == ""


def test_kinds_without_end_do_not_add_up() -> None:
    clock = Clock()
    budget = LineBudget(3, 1.0, clock)
    assert sum(budget.allows(f"kind {number}") for number in range(10_000)) < 250
    assert budget.left_out().count("times") < 250
    clock.now += 10.0
    assert budget.allows("a new kind")
    assert len(budget._until) == 1
