"""Which view is safe after the loss of the witness, by example."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bankrmi.coordination.restore import EPOCHS_UNHEARD, NoSafeView, SafeView, decide, unchanged
from bankrmi.replication.cause import OPERATOR, Cause, CauseKind
from bankrmi.replication.messages import Holdings
from bankrmi.replication.view import View
from tests.coordination.holdings import holding


def empty(server: str) -> Holdings:
    return replace(holding(server, epoch=0, primary=None, tip=(0, 0)), history=None)


def decided(*holdings: Holdings | tuple[str, str], given_up: tuple[str, ...] = ()) -> SafeView | NoSafeView:
    answers: dict[str, Holdings | str] = {}
    for one in holdings:
        if isinstance(one, Holdings):
            answers[one.server] = one
        else:
            answers[one[0]] = one[1]
    return decide(list(answers), answers, new_history="h2", given_up=given_up)


VIEW = View(
    history="h1",
    epoch=3,
    primary="s1",
    start_id="start-s1",
    in_sync=frozenset({"s1", "s2"}),
    incarnations={"s1": "disk-s1", "s2": "disk-s2"},
)


ALONE = View(
    history="h1",
    epoch=4,
    primary="s2",
    start_id="start-s2",
    in_sync=frozenset({"s2"}),
    incarnations={"s2": "disk-s2"},
)


def remembering(server: str, **changes: object) -> Holdings:
    one = replace(holding(server), last_view=VIEW, may_have_moved_on=False)
    return replace(one, **changes)  # type: ignore[arg-type]


def test_the_view_that_was_is_certain_if_all_its_members_know_of_none_after_it() -> None:
    members = {name: remembering(name) for name in ("s1", "s2")}
    assert unchanged({**members, "s3": "it is away"}) == replace(VIEW, forced=True)
    assert unchanged({**members, "s3": remembering("s3", last_view=None, epoch=2)}) is not None


def test_a_view_that_is_restored_says_so_and_who_was_given_up() -> None:
    kept = decided(remembering("s1"), remembering("s2"))
    lost = decided(remembering("s1"), ("s2", "it is away"), given_up=("s2",))
    assert isinstance(kept, SafeView)
    assert isinstance(lost, SafeView)
    assert kept.view.cause == Cause(kind=CauseKind.RESTORED, by=OPERATOR)
    assert lost.view.cause == Cause(kind=CauseKind.FORCED, by=OPERATOR, of=("s2",))
    same = unchanged({name: remembering(name) for name in ("s1", "s2")})
    assert same is not None
    assert same.cause == Cause(kind=CauseKind.RESTORED, by=OPERATOR)


@pytest.mark.parametrize(
    "changes",
    [
        {"fenced": False},
        {"may_have_moved_on": True},
        {"last_view": None},
        {"last_view": replace(VIEW, epoch=2)},
        {"incarnation": "another disk"},
        {"epoch": 4, "primary": "s2"},
        {"history": "h0"},
        {"last_view": ALONE},
    ],
    ids=lambda changes: " and ".join(changes),  # Not the values: a set has no order of its own.
)
def test_the_view_that_was_is_not_certain_if_one_member_is_not(changes: dict[str, object]) -> None:
    answers: dict[str, Holdings | str] = {"s1": remembering("s1"), "s2": remembering("s2", **changes)}
    found = unchanged(answers)
    # A newer view that its only member is sure of is the view that was.
    assert found is None or found.epoch == 4
    assert unchanged({"s1": remembering("s1"), "s2": "it is away"}) is None
    assert unchanged({}) is None


def test_what_would_be_safe_is_foreseen_while_nobody_is_fenced() -> None:
    answers: dict[str, Holdings | str] = {name: remembering(name, fenced=False) for name in ("s1", "s2")}
    names = list(answers)
    assert isinstance(decide(names, answers, new_history="h2"), NoSafeView)
    assert isinstance(decide(names, answers, new_history="h2", foreseen=True), SafeView)


def test_who_is_given_up_and_answers_has_to_be_fenced_too() -> None:
    moving = replace(holding("s2"), fenced=False)
    assert isinstance(decided(holding("s1"), moving, given_up=("s2",)), NoSafeView)
    assert isinstance(decided(holding("s1"), replace(moving, fenced=True), given_up=("s2",)), SafeView)


def test_the_primary_of_the_newest_epoch_alone_begins_a_new_history() -> None:
    safe = decided(holding("s1"), holding("s2"))
    assert isinstance(safe, SafeView)
    assert safe.view == View(
        history="h2",
        epoch=3 + EPOCHS_UNHEARD,
        primary="s1",
        start_id="start-s1",
        in_sync=frozenset({"s1"}),
        incarnations={"s1": "disk-s1"},
        forced=True,
    )
    assert "led epoch 3" in safe.why


def test_a_longer_journal_of_an_older_epoch_does_not_count() -> None:
    safe = decided(holding("s1", epoch=2, tip=(90, 2)), holding("s2", primary="s2", tip=(80, 3)))
    assert isinstance(safe, SafeView)
    assert safe.view.primary == "s2"


def test_neither_does_the_newest_entry() -> None:
    """The history told in the module: y of epoch 2 was never acknowledged, the inherited x of epoch 1 was."""
    kept_y = holding("s1", epoch=2, primary="s1", tip=(5, 2))
    acknowledged_x = holding("s2", epoch=3, primary="s2", tip=(5, 1))
    safe = decided(kept_y, acknowledged_x)
    assert isinstance(safe, SafeView)
    assert safe.view.primary == "s2"


def test_a_member_that_is_remembered_serves_where_the_primary_is_lost() -> None:
    view = View(
        history="h1",
        epoch=3,
        primary="s1",
        start_id="a",
        in_sync=frozenset({"s1", "s2"}),
        incarnations={"s1": "disk-s1", "s2": "disk-s2"},
    )
    remembering = replace(holding("s2"), last_view=view)
    safe = decided(("s1", "gone"), remembering, given_up=("s1",))
    assert isinstance(safe, SafeView)
    assert safe.view.primary == "s2"
    other_disk = replace(remembering, incarnation="another disk")
    assert isinstance(decided(("s1", "gone"), other_disk, given_up=("s1",)), NoSafeView)


@pytest.mark.parametrize(
    ("holdings", "words"),
    [
        ((holding("s1"), ("s2", "connection refused")), "s2 cannot be asked (connection refused), and"),
        ((holding("s1"), replace(holding("s2"), fenced=False)), "s2 has not seen yet"),
        ((holding("s1"), empty("s2")), "s2 holds nothing; if it lost its disk"),
        ((empty("s1"), empty("s2")), "makes its first view"),
        ((holding("s1"), replace(holding("s2"), history="h0")), "different histories (h0, h1)"),
        ((holding("s1", primary="s1"), holding("s2", primary="s2")), "disagree on who led epoch 3"),
        ((holding("s1", epoch=2), holding("s2", epoch=3, primary="s1")), "nobody else is known to hold"),
    ],
)
def test_where_no_view_is_safe_a_sentence_says_why(holdings: tuple[Holdings, ...], words: str) -> None:
    verdict = decided(*holdings)
    assert isinstance(verdict, NoSafeView)
    assert words in verdict.why


def test_a_server_that_never_was_a_member_may_be_empty() -> None:
    alone = View.first(history="h1", server="s1", start_id="a", incarnation="disk-s1")
    remembering = replace(holding("s1", epoch=1), last_view=alone, may_have_moved_on=False)
    assert isinstance(decided(remembering, empty("s2")), SafeView)
    assert isinstance(decided(replace(remembering, may_have_moved_on=True), empty("s2")), NoSafeView)


def test_one_that_a_server_given_up_may_have_let_in_may_not() -> None:
    view = View(
        history="h1",
        epoch=3,
        primary="s3",
        start_id="a",
        in_sync=frozenset({"s1", "s3"}),
        incarnations={"s1": "disk-s1", "s3": "disk-s3"},
    )
    remembering = replace(holding("s1", primary="s3"), last_view=view, may_have_moved_on=False)
    assert isinstance(decided(remembering, empty("s2"), ("s3", "gone"), given_up=("s3",)), NoSafeView)


def test_servers_that_were_retired_stay_so_though_nobody_remembers_the_view() -> None:
    """The primary of that epoch has it on its disk: else both would keep the bank (V14)."""
    led = replace(holding("s1", epoch=3, primary="s1"), retired_for="bank at db1:5432")
    verdict = decided(led, holding("s2", epoch=3, primary="s1"))
    assert isinstance(verdict, SafeView)
    assert verdict.view.retired_for == "bank at db1:5432"


def test_the_newest_view_that_is_remembered_says_whether_they_are() -> None:
    view = replace(VIEW, epoch=4, retired_for=None)
    led = replace(holding("s1", epoch=3, primary="s1"), retired_for="bank at db1:5432", last_view=view)
    verdict = decided(led, holding("s2", epoch=3, primary="s1"))
    assert isinstance(verdict, SafeView)
    assert verdict.view.retired_for is None
