"""Rule R5 on the client's side: what it has seen only grows, within one history."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bankrmi.client.seen import Seen


def test_before_the_first_answer_nothing_was_seen() -> None:
    assert Seen().on_wire() is None


@given(st.lists(st.integers(0, 1000), min_size=1))
def test_within_a_history_only_the_newest_counts(action_ids: list[int]) -> None:
    seen = Seen()
    for action_id in action_ids:
        seen.learn("h", action_id)
    assert seen.on_wire() == ("h", max(action_ids))


def test_a_new_history_is_followed_and_the_left_one_is_not_gone_back_to() -> None:
    """A late answer of the deposed primary may arrive after the first of the new one."""
    seen = Seen()
    seen.learn("old", 90)
    seen.learn("new", 70)
    assert seen.on_wire() == ("new", 70)
    seen.learn("old", 95)
    assert seen.on_wire() == ("new", 70)


def test_one_lie_does_not_switch_it_off_for_good() -> None:
    """A call that began after the lie is answered in the history from before: so that one is the true one."""
    seen = Seen()
    seen.learn("true", 5)
    began = seen.turns
    seen.learn("lie", 1, began=began)
    seen.learn("true", 7, began=began)
    assert seen.on_wire() == ("lie", 1), "it may be a late answer of a bank that was restored since"
    seen.learn("true", 3, began=seen.turns)
    assert seen.on_wire() == ("true", 5), "what was seen before counts again"
    seen.learn("lie", 9, began=began)
    assert seen.on_wire() == ("true", 5)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50)), min_size=1, max_size=30))
def test_whoever_lies_now_and_then_what_was_seen_in_a_history_never_shrinks(
    answers: list[tuple[str, int]],
) -> None:
    seen, highest = Seen(), {"a": 0, "b": 0}
    for history, action_id in answers:
        highest[history] = max(highest[history], action_id)
        seen.learn(history, action_id, began=seen.turns)
        assert seen.on_wire() == (history, highest[history])


def test_histories_that_somebody_invents_do_not_pile_up() -> None:
    seen = Seen()
    for number in range(1000):
        seen.learn(f"h{number}", 1)
    assert len(seen._left) <= 8


def test_what_is_forgotten_is_learned_anew() -> None:
    seen = Seen()
    seen.learn("false", 2**62)
    seen.forget()
    assert seen.on_wire() is None
    seen.learn("true", 7)
    assert seen.on_wire() == ("true", 7)
