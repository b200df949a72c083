"""Facts in, the wanted view out.  Rules V2, V3, V6."""

from __future__ import annotations

from bankrmi.replication.copies import CopySet
from bankrmi.replication.membership import wanted_view
from bankrmi.replication.peer import JoinChange, Standing
from bankrmi.replication.step import Step
from bankrmi.replication.view import View
from tests.replication.steps import a_step, connect, view_of


def led(step: Step, view: View) -> CopySet:
    """What s1 knows when it begins to lead this view, connected to the others."""
    connect(step, "s2", "s3")
    copies = CopySet(step.settings.others, step.links)
    copies.begin_epoch(view, step.server, step.tip)
    return copies


def wanted(view: View, copies: CopySet, step: Step, *, switching_over: bool = False) -> View | None:
    return wanted_view(view, copies, step, enough=0, switching_over=switching_over)


def let_in(copies: CopySet, step: Step) -> None:
    """s3 is admitted, catches up, and confirms all."""
    joiner = copies.peers["s3"]
    change = JoinChange(number=1, incarnation="s3-disk", resumes_at=1)
    joiner.asked_to_join(change, tip=step.tip, newest_number=0)
    joiner.sent(1, 0, step.now_ms)
    joiner.acknowledged(1, 0)
    assert joiner.catch_up(step.tip)


def test_where_all_is_well_nothing_is_wanted() -> None:
    step, view = a_step(), view_of("s1", "s2", "s3")
    assert wanted(view, led(step, view), step) is None


def test_who_is_silent_is_left_behind() -> None:
    """V2."""
    step, view = a_step(now_ms=500.0, checkpoint_timeout_ms=500), view_of("s1", "s2", "s3")
    copies = led(step, view)
    copies.peers["s3"].sent(1, 0, 0.0)
    assert wanted(view, copies, step) == view.without(frozenset({"s3"}))


def test_nobody_is_left_behind_below_copies_min() -> None:
    """V2: of two silent ones, one; then none."""
    step = a_step(now_ms=500.0, checkpoint_timeout_ms=500, copies_min=2)
    for members, left in ((("s1", "s2", "s3"), {"s2"}), (("s1", "s2"), None)):
        view = view_of(*members)
        copies = led(step, view)
        for peer in copies.members:
            peer.sent(1, 0, 0.0)
        assert wanted(view, copies, step) == (view.without(frozenset(left)) if left else None)


def test_who_has_caught_up_is_let_in() -> None:
    """V3."""
    step, view = a_step(), view_of("s1", "s2")
    copies = led(step, view)
    assert wanted(view, copies, step) is None
    let_in(copies, step)
    assert copies.peers["s3"].standing is Standing.MANDATORY
    assert wanted(view, copies, step) == view.letting_in("s3", "s3-disk")


def test_nobody_is_let_in_while_the_lead_is_given_away() -> None:
    """V5."""
    step, view = a_step(), view_of("s1", "s2")
    copies = led(step, view)
    let_in(copies, step)
    assert wanted(view, copies, step, switching_over=True) is None


def test_what_may_still_win_and_is_wanted_no_more_is_settled_by_another_proposal() -> None:
    """V6."""
    step, view = a_step(), view_of("s1", "s2")
    step.proposals.proposed(view.without(frozenset({"s2"})))
    step.proposals.unanswered(0.0)
    assert wanted(view, led(step, view), step) == view.started_again("s1#1")
