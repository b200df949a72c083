"""What a leader answers who asks to be let in, and what that changes.  Rules V3, V8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bankrmi.protocol_versions import NEWEST
from bankrmi.replication import view
from bankrmi.replication.admission import JoinDecision, decide
from bankrmi.replication.effects import Refusal
from bankrmi.replication.events import LinkChanged, SwitchoverAsked
from bankrmi.replication.fields import AddedField
from bankrmi.replication.messages import JoinRequest
from bankrmi.replication.peer import JoinChange, PeerState, Standing
from bankrmi.replication.record import Position
from bankrmi.replication.step import Step
from bankrmi.replication.switchover import Switchover, begun
from tests.replication.steps import a_step, connect, view_of


def asks(step: Step, *, number: int = 1, disk: str = "s2-disk", tail: Sequence[Position] = ()) -> JoinRequest:
    """The request of s2's first process; without a tail its journal is ours."""
    return JoinRequest(
        server="s2",
        incarnation=disk,
        start_id="s2#1",
        number=number,
        history="h",
        tail=tail or [step.journal.tip],
    )


def outsider() -> PeerState:
    return PeerState("s2", start_id="s2#1", linked=True)


def member() -> PeerState:
    peer = outsider()
    peer.begin_epoch("s2-disk", 0)
    return peer


def met(*, copies_min: int = 1) -> Step:
    step = a_step(copies_min=copies_min)
    connect(step, "s2")
    return step


def test_who_has_something_in_common_gets_checkpoints_from_there_on() -> None:
    step = met()
    admitted = JoinChange(number=1, incarnation="s2-disk", resumes_at=1)
    assert decide(asks(step), outsider(), view_of("s1"), step) == JoinDecision("checkpoints", admitted)


def test_who_has_nothing_in_common_needs_a_copy() -> None:
    step = met()
    strange = [Position(0, 0, b"another opening!")]
    decided = decide(asks(step, tail=strange), outsider(), view_of("s1"), step)
    assert decided == JoinDecision("copy", JoinChange(number=1, incarnation="s2-disk"))


def test_a_server_that_the_configuration_does_not_name_is_unknown() -> None:
    step = met()
    assert decide(asks(step), None, view_of("s1"), step) == JoinDecision("unknown")


def test_who_cannot_be_spoken_to_waits_and_changes_nothing() -> None:
    step = a_step()
    assert decide(asks(step), outsider(), view_of("s1"), step) == JoinDecision("wait")


def test_who_could_not_read_the_view_waits_until_it_is_upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In sync it would count as one that may take over, and it could not: the bank would stand still."""
    monkeypatch.setitem(view.ADDED, "forced", AddedField(since=NEWEST + 1, before=False))
    step, news = met(), replace(view_of("s1"), forced=True)
    assert decide(asks(step), outsider(), view_of("s1"), step).outcome == "checkpoints"
    assert decide(asks(step), outsider(), news, step) == JoinDecision("wait")
    step.links.up(LinkChanged(server="s2", up=True, start_id="s2#1", protocol=NEWEST + 1), "s2#1")
    assert decide(asks(step), outsider(), news, step).outcome == "checkpoints"


def test_the_lead_goes_to_nobody_who_could_not_read_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by name, nor as the best there is, nor if it comes back as the older version meanwhile."""
    monkeypatch.setitem(view.ADDED, "forced", AddedField(since=NEWEST + 1, before=False))
    step, news, peer = met(), replace(view_of("s1", "s2"), forced=True), member()
    why = f"s2 speaks bankrmi protocol {NEWEST}, this view needs {NEWEST + 1}: upgrade it"
    assert begun(SwitchoverAsked(None, "s2"), [peer], news, step) == Refusal(why)
    assert begun(SwitchoverAsked(None, None), [peer], news, step) == Refusal(
        f"there is no standby that is in sync and can be reached: {why}"
    )
    moving = begun(SwitchoverAsked(None, None), [peer], view_of("s1", "s2"), step)
    assert isinstance(moving, Switchover)
    assert moving.objection(peer, step) == ""
    moving.before = news
    assert moving.objection(peer, step) == why


def test_a_request_that_comes_late_changes_nothing() -> None:
    """It speaks of a disk that may have been replaced since."""
    step, peer = met(), outsider()
    peer.asked_to_join(JoinChange(number=2, incarnation="s2-disk"), tip=0, newest_number=0)
    for number in (1, 2):
        assert decide(asks(step, number=number), peer, view_of("s1"), step) == JoinDecision("wait")


def test_who_gets_checkpoints_already_is_not_admitted_anew() -> None:
    step, peer = met(), outsider()
    first = decide(asks(step), peer, view_of("s1"), step)
    assert first.change is not None
    peer.asked_to_join(first.change, tip=0, newest_number=0)
    second = decide(asks(step, number=2), peer, view_of("s1"), step)
    assert second == JoinDecision("checkpoints", JoinChange(number=2, incarnation="s2-disk"))


def test_a_member_with_another_disk_is_taken_out_first() -> None:
    """V8: where the view can do without it."""
    step, peer = met(), member()
    decided = decide(asks(step, disk="new"), peer, view_of("s1", "s2"), step)
    assert decided == JoinDecision("wait", JoinChange(number=1, incarnation="new", leaves=True))
    assert decided.change is not None
    peer.asked_to_join(decided.change, tip=0, newest_number=0)
    assert (peer.leaving, peer.lost_disk, peer.standing) == (True, False, Standing.MEMBER)


def test_a_member_with_another_disk_is_replaced_where_the_view_cannot_do_without() -> None:
    """V8: nothing is acknowledged before it is."""
    step, peer = met(copies_min=2), member()
    decided = decide(asks(step, disk="new"), peer, view_of("s1", "s2"), step)
    change = JoinChange(number=1, incarnation="new", lost_disk=True, resumes_at=1)
    assert decided == JoinDecision("checkpoints", change)
    peer.asked_to_join(change, tip=0, newest_number=7)
    assert (peer.lost_disk, peer.lost_disk_number, peer.standing) == (True, 7, Standing.CATCHING_UP)


@pytest.mark.parametrize("settled", [False, True])
def test_another_disk_of_a_mandatory_joiner_waits_until_the_let_in_is_settled(settled: bool) -> None:
    """V3: the view may name the one before by now."""
    step, peer = met(), outsider()
    peer.asked_to_join(JoinChange(number=1, incarnation="old", resumes_at=1), tip=0, newest_number=0)
    assert peer.catch_up(0)
    if not settled:
        step.proposals.proposed(view_of("s1", "s2", epoch=4))
    decided = decide(asks(step, number=2, disk="new"), peer, view_of("s1"), step)
    assert decided.outcome == ("checkpoints" if settled else "wait")
