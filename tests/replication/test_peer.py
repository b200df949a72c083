from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.peer import TRANSITIONS, PeerState, Standing, Transition


def member(tip: int = 0) -> PeerState:
    peer = PeerState("s2", linked=True)
    peer.begin_epoch("disk", tip)
    return peer


@given(answers=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 100)), max_size=30))
def test_matched_only_grows_within_an_epoch(answers: list[tuple[int, int]]) -> None:
    peer = member()
    for number in range(1, 31):
        peer.sent(number, 4 * number, number)
    known = 0
    for number, matched in answers:
        peer.acknowledged(number, matched)
        known = max(known, matched)
        assert peer.matched == known
        assert peer.next_id > peer.matched


def test_what_was_confirmed_in_one_epoch_counts_for_nothing_in_the_next() -> None:
    peer = member()
    peer.sent(1, 3, 5.0)
    peer.acknowledged(1, 3)
    peer.begin_epoch("disk", 3)
    assert (peer.matched, peer.confirmed_number, peer.confirmed_at_ms) == (0, 0, float("-inf"))
    assert peer.next_id == 4, "but what it had is not sent again"


@given(tip=st.integers(0, 5000), common=st.integers(0, 5000))
def test_the_search_for_what_both_have_takes_a_logarithm_of_steps(tip: int, common: int) -> None:
    """Each mismatch goes back twice as far."""
    common = min(common, tip)
    peer = member(tip)
    steps = 0
    while peer.next_id - 1 > common:
        steps += 1
        peer.sent(steps, peer.next_id - 1, steps)
        peer.mismatched(steps, tip)
    assert steps <= (tip - common).bit_length() + 1


@given(tip=st.integers(0, 5000), theirs=st.integers(0, 5000))
def test_a_short_journal_is_met_at_its_end_at_once(tip: int, theirs: int) -> None:
    peer = member(max(tip, theirs))
    peer.sent(1, max(tip, theirs), 1.0)
    peer.mismatched(1, theirs)
    assert peer.next_id <= theirs + 1


def test_a_search_never_goes_below_what_is_known_to_match() -> None:
    peer = member(100)
    peer.sent(1, 100, 1.0)
    peer.acknowledged(1, 100)
    for number in range(2, 20):
        peer.sent(number, 100, number)
        peer.mismatched(number, 100)
    assert peer.next_id == 101


def test_what_was_on_its_way_over_a_lost_link_is_sent_again() -> None:
    peer = member()
    peer.sent(1, 3, 10.0)
    peer.acknowledged(1, 3)
    peer.sent(2, 5, 20.0)
    peer.sent(3, 6, 30.0)
    assert peer.next_id == 7
    peer.lost(40.0)
    assert (peer.next_id, peer.linked, peer.unanswered) == (4, False, {})


def test_a_lost_link_makes_nobody_wait_longer() -> None:
    """The oldest question counts, whether or not it can still be answered."""
    peer = member()
    peer.sent(1, 1, 10.0)
    peer.lost(300.0)
    assert not peer.is_silent(509.0, 500.0)
    assert peer.is_silent(510.0, 500.0)


def test_who_owes_nothing_is_not_silent() -> None:
    peer = member()
    assert not peer.is_silent(1e9, 500.0)
    peer.sent(1, 0, 0.0)
    peer.acknowledged(1, 0)
    assert not peer.is_silent(1e9, 500.0)


def test_who_refuses_connections_or_wants_to_leave_is_worth_no_waiting() -> None:
    gone, leaving = member(), member()
    gone.linked, gone.gone = False, True
    leaving.leaving = True
    assert gone.is_silent(0.0, 500.0)
    assert leaving.is_silent(0.0, 500.0)


def test_what_is_not_answered_in_time_is_sent_again() -> None:
    peer = member()
    peer.sent(1, 5, 0.0)
    peer.give_up_waiting(499.0, 500.0)
    assert peer.next_id == 6
    peer.give_up_waiting(500.0, 500.0)
    assert peer.next_id == 1


def test_only_members_and_mandatory_joiners_count() -> None:
    counting = [standing for standing in Standing if PeerState("s2", standing=standing).counts]
    assert counting == [Standing.MANDATORY, Standing.MEMBER]


def test_an_answer_that_comes_after_the_connection_was_lost_does_not_end_the_waiting() -> None:
    """V2: else a member that died a moment later would be waited for without end."""
    peer = member()
    peer.sent(1, 3, 5.0)
    peer.lost(7.0)
    peer.gone = True
    peer.acknowledged(1, 3)
    assert (peer.waiting_since_ms, peer.gone) == (5.0, True)
    assert peer.is_silent(7.0, 500)


@pytest.mark.parametrize(
    ("standing", "transition"), [pair for pair in product(Standing, Transition) if pair not in TRANSITIONS]
)
def test_what_the_table_does_not_have_changes_no_standing(standing: Standing, transition: Transition) -> None:
    """F3: it says who it was, what happened, and what the copy was."""
    peer = PeerState("s2", standing=standing)
    with pytest.raises(
        BrokenInvariant, match=re.escape(f"s2 {transition.value}, and its copy is {standing.value}")
    ):
        peer._change(transition)
    assert peer.standing is standing


def test_a_joiner_that_is_given_up_counts_no_more() -> None:
    """V3."""
    peer = PeerState("s2", standing=Standing.MANDATORY)
    peer.give_up_joining(None, tip=3, newest_number=1)
    assert (peer.standing, peer.counts) == (Standing.OUTSIDE, False)


def test_when_a_joiner_is_given_up_the_disk_is_waited_for_that_it_was_to_replace() -> None:
    """V8."""
    peer = PeerState("s2", standing=Standing.CATCHING_UP, incarnation="new", matched=2, lost_disk=True)
    peer.give_up_joining("old", tip=3, newest_number=9)
    assert (peer.standing, peer.incarnation, peer.matched) == (Standing.MEMBER, "old", 0)
    assert (peer.lost_disk, peer.lost_disk_number) == (True, 9)
