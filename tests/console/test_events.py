"""The one format of events: what is told is read again as it was, and what others wrote is bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bankrmi.console.events import (
    KINDS,
    AnyEvent,
    NoteEvent,
    ShownServer,
    StateEvent,
    UnknownKind,
    event_of,
    fitting,
    read_event,
    text_of,
)
from bankrmi.robustness.chaos.retold import events_of
from tests.robustness.made_up_runs import made_up_run


@pytest.fixture(scope="module")
def told() -> list[AnyEvent]:
    return events_of(made_up_run(seconds=60, calls_per_second=50))


def test_what_is_told_is_read_again_as_it_was(told: list[AnyEvent]) -> None:
    assert {event.kind for event in told} <= KINDS
    for event in told:
        again = read_event(text_of(event))
        assert again == event
        assert text_of(again) == text_of(event)


def test_what_is_not_known_is_left_out_and_not_0(told: list[AnyEvent]) -> None:
    [state, *_] = [json.loads(text_of(event)) for event in told if isinstance(event, StateEvent)]
    assert {"action_id", "digest", "pid"}.isdisjoint(state["servers"][0])


def test_our_own_events_have_no_field_that_is_not_described() -> None:
    with pytest.raises(ValidationError, match="txet"):
        event_of("note", 1, {"txet": "a slip of the pen"})
    assert read_event('{"t":1,"kind":"note","text":"a","added":"by a newer version"}') == NoteEvent(
        t=1, text="a"
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"t":1,"kind":"no', "no JSON object"),
        ("[]", "no JSON object"),
        ("7", "no JSON object"),
        ('{"t":1}', "no JSON object with a kind"),
        ('{"t":NaN,"kind":"note"}', "t: "),
        ('{"t":1e99,"kind":"note"}', "t: "),
        ('{"t":-1,"kind":"note"}', "t: "),
        ('{"t":true,"kind":"note"}', "t: "),
        ('{"kind":"note"}', "t: "),
        ('{"t":1,"kind":"note","text":{"a":1}}', "text: "),
        (json.dumps({"t": 1, "kind": "note", "text": "x" * 5000}), "text: "),
        (json.dumps({"t": 1, "kind": "sample", "from_ms": 0, "ended_ms": [0] * 30_000}), "ended_ms: "),
        ('{"t":1,"kind":"hello","format":2}', "format: "),
        ("[" * 100_000, "no JSON object"),
        ('{"t":' + "9" * 5000 + ',"kind":"note"}', ""),
    ],
)
def test_what_is_no_event_is_said_in_a_few_words(line: str, why: str) -> None:
    with pytest.raises(ValueError) as failed:
        read_event(line)
    assert why in str(failed.value)
    assert len(str(failed.value)) < 200
    assert not isinstance(failed.value, UnknownKind)


def test_a_kind_that_is_not_known_is_not_taken_for_a_mistake() -> None:
    with pytest.raises(UnknownKind):
        read_event('{"t":1,"kind":"of a newer version"}')


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_is_written_is_read_or_refused(line: bytes) -> None:
    try:
        read_event(line)
    except ValueError as error:
        assert not isinstance(error, ValidationError)


@pytest.mark.parametrize("claimed", [7, ["a"], {"a": 1}, "x" * 1000, b"raw"])
def test_who_claims_to_be_a_server_says_nothing_that_a_page_cannot_show(claimed: Any) -> None:
    said = {"name": "s1", "reachable": True, "role": claimed, "epoch": 3, "pid": -1}
    assert fitting(ShownServer, said) == {"name": "s1", "reachable": True, "epoch": 3}
