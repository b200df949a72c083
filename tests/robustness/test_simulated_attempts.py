"""What a second delivery of a message comes to, nobody hears as if it were the first: TCP delivers once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bankrmi.errors import Busy
from bankrmi.replication.effects import IsBusy, IsStale, NotLeading, Reply
from bankrmi.robustness.simulator.asked import SimulatedCall
from bankrmi.robustness.simulator.client import Attempt

REFUSALS = [IsBusy(), NotLeading(None, undecided=True)]


def attempt() -> tuple[Attempt, list[Reply]]:
    heard: list[Reply] = []
    cluster = SimpleNamespace(answered=lambda _server, _attempt, reply: heard.append(reply))
    owner = cast("Any", SimpleNamespace(name="c1", cluster=cluster))
    return Attempt(owner, SimulatedCall("c1", 0.0, 0, 0, ("c1.0", 1)), 1, "s1", 1), heard


@pytest.mark.parametrize("refusal", REFUSALS)
def test_who_is_refused_hears_it_and_is_not_delivered_again(refusal: Reply) -> None:
    one, heard = attempt()
    one.answer(refusal)
    assert heard == [refusal]
    assert one.is_refused


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_after_an_answer_is_of_a_second_delivery(refusal: Reply) -> None:
    """The answer may be lost; to hear then that nothing was done would not be true (seed 636001015)."""
    one, heard = attempt()
    one.answer(IsStale(1))
    one.answer(refusal)
    assert heard == [IsStale(1)]
    assert not one.is_refused


def test_busy_at_the_door_is_of_a_second_delivery_if_one_is_in() -> None:
    one, heard = attempt()
    one.begin_waiting(1)
    one.tell(Busy("too much to do", request_id="c1.0:1", retry_ms=100))
    assert heard == []
    assert not one.is_refused
