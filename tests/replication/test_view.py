from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.replication.view import View

SERVERS = ["s1", "s2", "s3"]
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=5)


@st.composite
def views(draw: st.DrawFn) -> View:
    members = draw(st.sets(st.sampled_from(SERVERS), min_size=1))
    return View(
        history=draw(IDS),
        epoch=draw(st.integers(1, 2**53)),
        primary=draw(st.sampled_from(sorted(members))),
        start_id=draw(IDS),
        in_sync=frozenset(members),
        incarnations={name: draw(IDS) for name in sorted(members)},
        handed_over_by=draw(st.none() | st.sampled_from(SERVERS)),
        forced=draw(st.booleans()),
    )


def three() -> View:
    return View(
        history="h",
        epoch=5,
        primary="s1",
        start_id="s1#1",
        in_sync=frozenset(SERVERS),
        incarnations={name: f"{name}-disk" for name in SERVERS},
        handed_over_by="s2",
    )


@given(view=views())
def test_a_view_crosses_the_wire_unchanged(view: View) -> None:
    assert View.from_wire(msgpack.unpackb(msgpack.packb(view.to_wire()))) == view


def members(view: View) -> set[str]:
    return set(view.in_sync)


def test_the_first_view_is_of_one_server() -> None:
    view = View.first(history="h", server="s1", start_id="s1#1", incarnation="disk")
    assert (view.epoch, view.primary, members(view)) == (1, "s1", {"s1"})
    assert view.names("s1", "disk")


def test_taking_over_leaves_the_old_primary_out() -> None:
    view = three().taken_over_by("s2", "s2#4")
    assert (view.epoch, view.primary, view.start_id, members(view)) == (6, "s2", "s2#4", {"s2", "s3"})


def test_going_on_without_the_silent_keeps_the_primary() -> None:
    view = three().without(frozenset({"s2", "s3"}))
    assert (view.epoch, view.primary, view.start_id, members(view)) == (6, "s1", "s1#1", {"s1"})


def test_a_primary_cannot_be_taken_out_of_its_own_view() -> None:
    with pytest.raises(ValueError, match="the primary s1 is not in sync"):
        three().without(frozenset({"s1"}))


def test_letting_in_names_the_disk() -> None:
    view = three().without(frozenset({"s2"})).letting_in("s2", "new disk")
    assert (view.epoch, members(view)) == (7, set(SERVERS))
    assert view.names("s2", "new disk")
    assert not view.names("s2", "s2-disk")


def test_handing_over_says_who_did() -> None:
    view = three().handed_over_to("s3", "s3#2")
    assert (view.epoch, view.primary, view.start_id) == (6, "s3", "s3#2")
    assert (view.handed_over_by, members(view)) == ("s1", set(SERVERS))


def test_starting_again_changes_the_epoch_and_the_process_only() -> None:
    view = three().started_again("s1#2")
    assert (view.epoch, view.primary, view.start_id, members(view)) == (6, "s1", "s1#2", set(SERVERS))
    assert view.handed_over_by is None


@given(view=views(), data=st.data())
def test_every_change_adds_one_to_the_epoch_within_the_history(view: View, data: st.DataObject) -> None:
    others = sorted(view.in_sync - {view.primary})
    changes = [view.started_again("x"), view.letting_in("s3", "disk")]
    if others:
        one = data.draw(st.sampled_from(others))
        changes += [
            view.taken_over_by(one, "x"),
            view.handed_over_to(one, "x"),
            view.without(frozenset({one})),
        ]
    for change in changes:
        assert (change.history, change.epoch) == (view.history, view.epoch + 1)
        assert change.primary in change.in_sync
        assert set(change.incarnations) == change.in_sync


@pytest.mark.parametrize(
    "wrong", [{"primary": "s4"}, {"in_sync": frozenset({"s1"})}, {"incarnations": {"s1": "disk"}}]
)
def test_a_view_that_contradicts_itself_cannot_be_made(wrong: dict[str, object]) -> None:
    view = three()
    fields = {name: getattr(view, name) for name in ("history", "epoch", "primary", "start_id", "in_sync")}
    with pytest.raises(ValueError):
        View(**{**fields, "incarnations": view.incarnations, **wrong})


PLAIN = three().to_wire()


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"history": "h"},
        None,
        [],
        b"view",
        {**PLAIN, "in_sync": 5},
        {**PLAIN, "in_sync": "s1"},
        {**PLAIN, "in_sync": [["s1"]]},
        {**PLAIN, "in_sync": ["s2", "s3"]},
        {**PLAIN, "incarnations": [1]},
        {**PLAIN, "incarnations": {"s1": 1, "s2": 2, "s3": 3}},
        {**PLAIN, "epoch": 2**63},
        {**PLAIN, "epoch": 0},
        {**PLAIN, "epoch": True},
        {**PLAIN, "epoch": "5"},
        {**PLAIN, "epoch": float("nan")},
        {**PLAIN, "history": None},
        {**PLAIN, "history": "h\n"},
        {**PLAIN, "start_id": b"s1#1"},
        {**PLAIN, "primary": ["s1"]},
        {**PLAIN, "handed_over_by": []},
        {**PLAIN, "forced": 1},
    ],
)
def test_what_is_no_view_is_refused(form: object) -> None:
    with pytest.raises(ValueError, match=r"^is not a view"):
        View.from_wire(form)
