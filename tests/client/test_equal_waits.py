"""Waits that are equally long: each ends when it is due, and one timer is enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.client.equal_waits import EqualWaits

WAIT_MS = 100


class Timer:
    def __init__(self, when: float, ring: Callable[[], None]) -> None:
        self.when, self.ring, self.cancelled = when, ring, False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """An event loop's clock and timers, without the loop."""

    def __init__(self) -> None:
        self.now = 5.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, ring: Callable[[], None]) -> Timer:
        timer = Timer(when, ring)
        self.timers.append(timer)
        return timer

    def go_on_until(self, then: float) -> None:
        while due := [one for one in self.timers if one.when <= then and not one.cancelled]:
            first = min(due, key=lambda one: one.when)
            self.timers.remove(first)
            self.now = max(self.now, first.when)
            first.ring()
        self.now = then


class Waiter:
    def __init__(self, loop: Loop) -> None:
        self.loop, self.ended_at = loop, 0.0

    def done(self) -> bool:
        return self.ended_at > 0

    def set_result(self, _: None) -> None:
        assert not self.done()
        self.ended_at = self.loop.now


def waits_of(loop: Loop) -> tuple[EqualWaits, Callable[[], Any]]:
    return EqualWaits(cast("asyncio.AbstractEventLoop", loop), WAIT_MS), lambda: cast("Any", Waiter(loop))


@given(st.lists(st.tuples(st.integers(0, 150), st.none() | st.integers(0, 99)), min_size=1, max_size=30))
def test_each_wait_ends_when_it_is_due_unless_it_has_ended_before(
    calls: list[tuple[int, int | None]],
) -> None:
    """Each call begins some time after the one before it, and is answered some time later, or never."""
    loop = Loop()
    waits, new = waits_of(loop)
    begun: dict[Any, float] = {}
    answered: list[tuple[float, Any]] = []
    for pause_ms, answered_ms in calls:
        then = loop.now + pause_ms / 1000
        for at, waiter in sorted(answered, key=lambda one: one[0]):
            if at <= then:
                loop.go_on_until(at)
                answered.remove((at, waiter))
                waits.end(waiter)
                del begun[waiter]
        loop.go_on_until(then)
        waiter = new()
        waits.begin(waiter)
        begun[waiter] = loop.now
        if answered_ms is not None:
            answered.append((loop.now + answered_ms / 1000, waiter))
        assert len(loop.timers) == 1
    for _, waiter in answered:
        waits.end(waiter)
        del begun[waiter]
    loop.go_on_until(loop.now + 1)
    assert [waiter.ended_at for waiter in begun] == pytest.approx(
        [at + WAIT_MS / 1000 for at in begun.values()]
    )
    assert not loop.timers


def test_when_it_is_closed_a_timer_is_left_only_for_those_who_wait() -> None:
    loop = Loop()
    waits, new = waits_of(loop)
    waiter = new()
    waits.begin(waiter)
    waits.close()
    assert not loop.timers[0].cancelled
    waits.end(waiter)
    waits.close()
    assert loop.timers[0].cancelled


def test_a_wait_that_was_overtaken_by_news_is_not_ended_twice() -> None:
    loop = Loop()
    waits, new = waits_of(loop)
    waiter = new()
    waits.begin(waiter)
    waiter.set_result(None)
    loop.go_on_until(6.0)
    assert waiter.ended_at == 5.0
