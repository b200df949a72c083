from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.replication.entry import Entry, Position
from bankrmi.replication.messages import CheckpointAnswer, Holdings, JoinAnswer, Message
from bankrmi.replication.view import View
from bankrmi.server.wire import (
    METHODS,
    answer_from_wire,
    answer_to_wire,
    message_from_wire,
    message_to_wire,
)
from tests.replication.test_view import views

NAMES = st.text(max_size=8)
NUMBERS = st.integers(0, 2**63 - 1)
DIGESTS = st.binary(max_size=16)
POSITIONS = st.builds(Position, NUMBERS, NUMBERS, DIGESTS)
RESULTS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5) | st.binary(max_size=5)
ENTRIES = st.builds(
    Entry, NUMBERS, NUMBERS, NAMES, NUMBERS, NUMBERS, st.binary(max_size=9), NAMES, RESULTS, NUMBERS, DIGESTS
)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: NAMES,
    int: NUMBERS,
    bool: st.booleans(),
    bytes: DIGESTS,
    str | None: st.none() | NAMES,
    View: views(),
    View | None: st.none() | views(),
    Position: POSITIONS,
    Sequence[Position]: st.lists(POSITIONS, max_size=4),
    Sequence[Entry]: st.lists(ENTRIES, max_size=4),
}


def every(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Draw every field by its type, also those that are added later."""
    types = get_type_hints(kind)
    return st.builds(kind, **{field.name: BY_TYPE[types[field.name]] for field in fields(kind)})


MESSAGES = st.one_of([every(kind) for kind in get_args(Message)])
ANSWERS = st.one_of([st.none(), *map(every, (*get_args(CheckpointAnswer), JoinAnswer, Holdings))])


def across(form: Any) -> Any:
    """Carry a plain form as our servers do."""
    return msgpack.unpackb(msgpack.packb(form))


@given(message=MESSAGES)
def test_every_message_crosses_the_wire_unchanged(message: Any) -> None:
    method = METHODS.get(type(message), "hold_still")
    assert message_from_wire(method, across(message_to_wire(message))) == message


@given(answer=ANSWERS)
def test_every_answer_crosses_the_wire_unchanged(answer: Any) -> None:
    assert answer_from_wire(across(answer_to_wire(answer))) == answer


@given(
    method=st.sampled_from([*METHODS.values(), "another"]),
    form=st.recursive(
        st.none() | st.integers() | st.text(max_size=3) | st.binary(max_size=3),
        lambda inner: st.lists(inner, max_size=10) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=12,
    ),
)
def test_what_is_no_message_is_refused_and_nothing_else(method: str, form: Any) -> None:
    """Whatever another server sends, it is a message or an error that the object answers with."""
    with suppress(ValueError, TypeError, KeyError, IndexError):
        message_from_wire(method, form if isinstance(form, list) else [form])


@pytest.mark.parametrize("form", [["ok", 1], ["another", 1, 2], {"server": "s1"}])
def test_what_is_no_answer_is_an_error(form: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        answer_from_wire(form)
