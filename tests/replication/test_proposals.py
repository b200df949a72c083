from __future__ import annotations

from bankrmi.replication.proposals import RETRY_MS, Proposals
from bankrmi.replication.view import View

FIRST = View.first(history="h", server="s1", start_id="s1#1", incarnation="disk")


def is_settled(proposals: Proposals) -> bool:
    return proposals.settled


def proposed() -> Proposals:
    proposals = Proposals()
    proposals.proposed(FIRST.started_again("s1#1"))
    return proposals


def test_one_proposal_is_on_its_way_at_a_time() -> None:
    proposals = Proposals()
    assert is_settled(proposals)
    assert proposals.may_propose(0)
    proposals.proposed(FIRST)
    assert not is_settled(proposals)
    assert not proposals.may_propose(1_000_000)


def test_an_answer_settles_it() -> None:
    proposals = proposed()
    assert proposals.answered(2)
    assert is_settled(proposals)
    assert proposals.may_propose(0)


def test_a_lost_answer_settles_nothing_until_the_epoch_has_moved() -> None:
    """V6: it may still win."""
    proposals = proposed()
    proposals.unanswered(0)
    assert not is_settled(proposals)
    proposals.epoch_moved(1)
    assert not is_settled(proposals)
    proposals.epoch_moved(2)
    assert is_settled(proposals)


def test_what_was_never_sent_settles_itself_and_nothing_that_was_sent_before() -> None:
    """V6: it can win nothing."""
    proposals = proposed()
    proposals.unanswered(0, sent=False)
    assert is_settled(proposals)
    assert not proposals.may_propose(RETRY_MS[0] - 1)
    proposals.proposed(FIRST.started_again("s1#1"))
    proposals.unanswered(0)
    proposals.proposed(FIRST.started_again("s1#1"))
    proposals.unanswered(0, sent=False)
    assert not is_settled(proposals)


def test_another_proposal_may_follow_a_lost_one_later_and_later() -> None:
    proposals, now_ms = proposed(), 0.0
    for wait_ms in (*RETRY_MS, RETRY_MS[-1]):
        proposals.unanswered(now_ms)
        assert not proposals.may_propose(now_ms + wait_ms - 1)
        assert proposals.may_propose(now_ms + wait_ms)
        now_ms += wait_ms
        proposals.proposed(FIRST.started_again("s1#1"))
    assert not is_settled(proposals)


def test_an_answer_lost_after_the_epoch_has_moved_leaves_nothing_open() -> None:
    """The view was learned from another server first."""
    proposals = proposed()
    proposals.epoch_moved(2)
    assert not is_settled(proposals)
    proposals.unanswered(0)
    assert is_settled(proposals)
    assert proposals.may_propose(0)


def test_a_keeper_that_holds_less_than_was_known_has_lost_its_memory() -> None:
    """V9."""
    assert proposed().answered(1)
    assert not proposed().answered(0)
