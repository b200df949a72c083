"""Forms and values: what goes to the account object, and what is made of its answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.bank.operations import Receipt, Withdraw
from bankrmi.client.requests import (
    Session,
    asked_outcome,
    changed,
    news_of,
    read_receipt,
    read_results,
    submitted,
)
from bankrmi.errors import Cancelled, InDoubt, InsufficientFunds, InvalidRequest, Unsettled

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
)


def test_a_session_never_gives_an_id_twice_and_no_two_are_alike() -> None:
    sessions = [Session() for _ in range(50)]
    request_ids = [session.next_request_id() for session in sessions for _ in range(20)]
    assert len(set(request_ids)) == 1000


def test_a_request_id_of_ones_own_is_checked_before_it_is_sent() -> None:
    for wrong in ("", "a", "a:", "a:0", "a:01", "a b:1", ":1", "a:1:1", "x" * 65 + ":1"):
        with pytest.raises(InvalidRequest):
            changed(Withdraw(2, 10), wrong)
        with pytest.raises(InvalidRequest):
            asked_outcome(wrong)
    assert changed(Withdraw(2, 10), "a-Z_9:12").request_id == "a-Z_9:12"


def test_a_batch_may_be_full_and_not_fuller() -> None:
    assert submitted([Withdraw(2, 1)] * 3, None, at_most=3).changes
    with pytest.raises(InvalidRequest, match="4 operations are too many: at most 3"):
        submitted([Withdraw(2, 1)] * 4, None, at_most=3)


def test_results_are_receipts_and_refusals_with_their_details() -> None:
    forms = [
        {"account": 2, "balance": 290, "action_id": 7},
        {"code": "insufficient_funds", "message": "no", "account": 3, "action_id": 8, "happened": False},
    ]
    done, refused = read_results({"results": forms}, "a:1")
    assert done == Receipt(2, 290, 7, "a:1")
    assert isinstance(refused, InsufficientFunds)
    assert refused.details == {"account": 3, "action_id": 8, "request_id": "a:1"}


def test_every_answer_and_every_refusal_tells_how_new_it_is() -> None:
    assert news_of({"history": "h", "action_id": 7, "balance": 1}) == ("h", 7)
    assert news_of(InsufficientFunds("no", history="h", action_id=7)) == ("h", 7)
    assert news_of(Cancelled("no")) is None
    assert news_of({"history": "h", "action_id": True}) is None


@given(answer=PLAIN)
def test_whatever_is_answered_becomes_a_value_or_an_honest_error(answer: object) -> None:
    for request_id, kind in (("a:1", InDoubt), (None, Unsettled)):
        try:
            read_receipt(answer, request_id)
        except Unsettled as error:
            assert type(error) is kind
    try:
        read_results(answer, "a:1")
    except InDoubt as error:
        assert error.request_id == "a:1"
