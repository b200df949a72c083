from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any, get_args, get_type_hints

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.protocol_versions import NEWEST
from bankrmi.replication.fields import EPOCHS_AT_MOST, LONGEST_MS
from bankrmi.replication.forms import FIELDS, holdings_of, listed, read
from bankrmi.replication.messages import (
    JOIN_OUTCOMES,
    Acknowledged,
    Census,
    Checkpoint,
    CheckpointAnswer,
    Fence,
    Holdings,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    Message,
    Mismatch,
    Superseded,
    ViewNews,
)
from bankrmi.replication.record import DIGEST_BYTES, Position, Record
from bankrmi.replication.view import View
from bankrmi.server.wire import (
    METHODS,
    answer_from_wire,
    answer_to_wire,
    message_from_wire,
    message_to_wire,
)
from tests.replication.test_view import views

IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
NUMBERS = st.integers(0, 2**63 - 2)
EPOCHS = st.integers(1, EPOCHS_AT_MOST)
DIGESTS = st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES)
LENGTHS_MS = st.integers(0, LONGEST_MS)
POSITIONS = st.builds(Position, NUMBERS, st.integers(0, EPOCHS_AT_MOST), DIGESTS)
PACKED = st.binary(min_size=1, max_size=9)
DECIDED = st.just((1, b"", b"")) | st.tuples(st.integers(1, 9), PACKED, PACKED)
"""How many operations, which, and what came of them; the first one is a cancelled request."""
BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "epoch": EPOCHS,
    "lease_ms": LENGTHS_MS,
    "drift_ms": LENGTHS_MS,
    "outcome": st.sampled_from(JOIN_OUTCOMES),
    "needs_protocol": st.integers(1, 10_000),
}
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: IDS,
    int: NUMBERS,
    bool: st.booleans(),
    bytes: DIGESTS,
    str | None: st.none() | IDS,
    View: views(),
    View | None: st.none() | views(),
    Position: POSITIONS,
    Sequence[Position]: st.lists(POSITIONS, max_size=4),
}


@st.composite
def checkpoints(draw: st.DrawFn) -> Checkpoint:
    """Records follow what precedes them, and nothing is of a later epoch than the checkpoint."""
    epochs = sorted(draw(st.lists(EPOCHS, min_size=2, max_size=6)))
    previous = Position(draw(st.integers(0, 2**62)), epochs[0], draw(DIGESTS))
    records, through = [], previous.action_id
    for epoch in epochs[1:-1]:
        count, operations, outcomes = draw(DECIDED)
        through += count
        records.append(
            Record(
                through,
                epoch,
                draw(IDS),
                draw(st.integers(1, 2**63 - 2)),
                count,
                operations,
                outcomes,
                draw(NUMBERS),
                draw(DIGESTS),
            )
        )
    plain: Checkpoint = draw(every(Checkpoint, epoch=st.just(epochs[-1]), records=st.just(records)))
    base = plain.base._replace(epoch=min(plain.base.epoch, epochs[-1]))
    whole: Checkpoint = replace(plain, previous=previous, base=base)
    return whole


def every(kind: type[Any], **drawn: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw every field by its name or type, also those that are added later."""
    types = get_type_hints(kind)
    for field in fields(kind):
        if field.name not in drawn:
            known = BY_NAME.get(field.name)
            drawn[field.name] = BY_TYPE[types[field.name]] if known is None else known
    return st.builds(kind, **drawn)


MESSAGES = st.one_of([checkpoints() if kind is Checkpoint else every(kind) for kind in get_args(Message)])
ANSWERS = st.one_of([st.none(), *map(every, (*get_args(CheckpointAnswer), JoinAnswer, Holdings))])


def across(form: Any) -> Any:
    """Carry a plain form as our servers do."""
    return msgpack.unpackb(msgpack.packb(form))


@given(message=MESSAGES)
def test_every_message_crosses_the_wire_unchanged(message: Any) -> None:
    method = METHODS.get(type(message), "fence")
    assert message_from_wire(method, across(message_to_wire(message, NEWEST)), NEWEST) == message


@given(answer=ANSWERS)
def test_every_answer_crosses_the_wire_unchanged(answer: Any) -> None:
    assert answer_from_wire(across(answer_to_wire(answer, NEWEST)), NEWEST) == answer


JUNK = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.binary(max_size=3) | st.floats() | st.booleans(),
    lambda inner: st.lists(inner, max_size=11) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(method=st.sampled_from([*METHODS.values(), "fence", "another"]), form=JUNK)
def test_what_is_no_message_is_refused_and_nothing_else(method: str, form: Any) -> None:
    """Whatever another server sends, it is a message or an error that the object answers with."""
    with suppress(ValueError):
        message_from_wire(method, form if isinstance(form, list) else [form], NEWEST)


@given(form=JUNK)
def test_what_is_no_answer_is_an_error_and_nothing_else(form: Any) -> None:
    with suppress(ValueError):
        answer_from_wire(form, NEWEST)


@pytest.mark.parametrize("form", [["ok", 1], ["another", 1, 2], [], [[]], [None], 1, "ok", {"server": "s1"}])
def test_what_is_no_answer_is_an_error(form: Any) -> None:
    with pytest.raises(ValueError):
        answer_from_wire(form, NEWEST)


def test_the_table_has_every_field_of_every_message_in_its_order() -> None:
    kinds = {*get_args(Message), *get_args(CheckpointAnswer), JoinAnswer, Holdings}
    assert kinds == set(FIELDS)
    for kind in kinds:
        assert list(FIELDS[kind]) == [field.name for field in fields(kind)]


ODD: list[Any] = [
    *(None, True, -1, 2**63, 2**200, -(2**63), 0.5, float("nan"), float("inf")),
    *("", "a b", "x" * 201, "\x1b[2J", "\u202e", "\ud800", b"", b"s1", b"\xff" * 17),
    *([], ["s1"], [[]], {}, {"s1": "s1"}, {1}, (), [1, 2, 3, 4], [-1, 0, b""], [1, True, b"d" * 16]),
    *([2**63, 1, b"d" * 16], [1, 2**60, b"d" * 16], [1, 1, "d" * 16], [[1, 1, b"d"]]),
]
"""One of each kind that a field is not, for every field there is (some fit one or the other)."""


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_an_odd_value_in_any_field_is_refused_or_can_be_sent_on_as_it_is(kind: type[Any]) -> None:
    """What passes is of the field's type: it comes out as it went in, and the rules can use it as a key."""
    example = EXAMPLES[kind]
    assert FORMS[kind](_form(example)) == example
    for place, field in enumerate(fields(kind)):
        refused = 0
        for odd in ODD:
            form = _form(example)
            form[place] = odd
            try:
                message = FORMS[kind](form)
            except ValueError as error:
                refused += 1
                assert len(str(error)) < 200
                assert str(error).isprintable()
                continue
            value = getattr(message, field.name)
            assert not isinstance(odd, float)
            assert isinstance(value, list | View | frozenset) or hash(value) is not None
            assert type(value) is type(getattr(example, field.name)) or value is None or odd in ([], ())
        assert refused >= len(ODD) // 2, field.name


VIEW = View.first(history="h", server="s1", start_id="s1#1", incarnation="d1")
PLACE = Position(4, 2, b"d" * 16)
RECORD = Record(6, 2, "c", 1, 2, b"ww", b"90", 7, b"e" * 16)
CANCELLED = Record(5, 2, "c", 1, 1, b"", b"", 7, b"e" * 16)
EXAMPLES: dict[type, Any] = {
    Checkpoint: Checkpoint(
        history="h", epoch=2, primary="s1", start_id="s1#1", number=1, previous=PLACE, base=PLACE,
        acknowledged=4, lease_ms=1000, drift_ms=20, records=[RECORD], needs_protocol=2,
    ),
    JoinRequest: JoinRequest(
        server="s2", incarnation="d2", start_id="s2#1", number=1, history="h", tail=[PLACE]
    ),
    LeaveRequest: LeaveRequest(server="s2", start_id="s2#1"),
    ViewNews: ViewNews(view=VIEW),
    Census: Census(server="s2"),
    Fence: Fence(),
    Acknowledged: Acknowledged(
        server="s2", history="h", epoch=2, incarnation="d2", start_id="s2#1", number=1, matched=5,
        digest=b"e" * 16,
    ),
    Mismatch: Mismatch(server="s2", epoch=2, number=1, tip=3),
    Superseded: Superseded(server="s2", history="h", epoch=3, number=1),
    JoinAnswer: JoinAnswer(server="s1", number=1, outcome="copy", epoch=2),
    Holdings: Holdings(
        server="s2", incarnation="d2", start_id="s2#1", history="h", epoch=2, primary="s1", tip=PLACE,
        fenced=False, last_view=VIEW, may_have_moved_on=False, retired_for="a bank",
    ),
}  # fmt: skip
ANSWER_KINDS = {*get_args(CheckpointAnswer), JoinAnswer, Holdings}
FORMS: dict[type, Any] = {
    **{kind: lambda form, kind=kind: read(kind, form, NEWEST) for kind in FIELDS},
    Holdings: lambda form: holdings_of(dict(zip(FIELDS[Holdings], form, strict=True)), NEWEST),
}


def _form(message: Any) -> list[Any]:
    form = listed(message, NEWEST)
    return across(form) if form else []


@pytest.mark.parametrize(
    "records",
    [
        [RECORD._replace(action_id=5)],
        [RECORD._replace(action_id=7)],
        [RECORD._replace(operation_count=1)],
        [RECORD._replace(operation_count=3)],
        [RECORD._replace(action_id=4, operation_count=0)],
        [RECORD._replace(action_id=3, operation_count=-1)],
        [RECORD, RECORD],
        [RECORD._replace(epoch=3)],
        [RECORD._replace(epoch=1)],
        [RECORD._replace(sequence=-1)],
        [RECORD._replace(sequence=True)],
        [RECORD._replace(session="x" * 201)],
        [RECORD._replace(session="")],
        [RECORD._replace(action_id=2**63, operation_count=2**63 - 4)],
        [RECORD._replace(time_us=2**63)],
        [RECORD._replace(digest=b"short")],
        [RECORD._replace(operations="text")],  # type: ignore[arg-type]
        [RECORD._replace(outcomes=None)],  # type: ignore[arg-type]
        [RECORD._replace(operations=b"")],
        [RECORD._replace(outcomes=b"")],
        [RECORD._replace(operations=b"", outcomes=b"")],
        [CANCELLED._replace(outcomes=b"90")],
        [RECORD[:-1]],
        [None],
        5,
    ],
)
def test_records_that_cannot_follow_are_refused(records: Any) -> None:
    form = _form(EXAMPLES[Checkpoint])
    form[list(FIELDS[Checkpoint]).index("records")] = records
    with pytest.raises(ValueError, match=r"^records "):
        message_from_wire("checkpoint", form, NEWEST)


def test_what_is_cancelled_may_follow() -> None:
    form = _form(EXAMPLES[Checkpoint])
    form[list(FIELDS[Checkpoint]).index("records")] = [CANCELLED, RECORD._replace(action_id=7)]
    message = message_from_wire("checkpoint", form, NEWEST)
    assert isinstance(message, Checkpoint)
    assert [record.first_id for record in message.records] == [5, 6]


def test_an_answer_in_another_servers_name_is_none() -> None:
    form = across(answer_to_wire(EXAMPLES[Acknowledged], NEWEST))
    assert answer_from_wire(form, NEWEST, "s2") == EXAMPLES[Acknowledged]
    with pytest.raises(ValueError, match="in another server's name"):
        answer_from_wire(form, NEWEST, "s3")
