"""Forms and values: what goes to the account object, and what is made of its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.bank.operations import LARGEST, Receipt, Withdraw
from bankrmi.client.answers import (
    Unbelievable,
    check_error,
    news_of,
    read_outcomes,
    read_receipt,
    read_results,
)
from bankrmi.client.requests import Session, asked_outcome, submitted, withdrawn
from bankrmi.errors import AccountNotFound, Cancelled, InsufficientFunds, InvalidRequest
from bankrmi.replication.record import packed

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
            withdrawn(2, 10, wrong)
        with pytest.raises(InvalidRequest):
            asked_outcome(wrong)
    assert withdrawn(2, 10, "a-Z_9:12").request_id == "a-Z_9:12"


def test_a_batch_may_be_full_and_not_fuller() -> None:
    assert submitted([Withdraw(2, 1)] * 3, None, at_most=3).changes
    with pytest.raises(InvalidRequest, match="4 operations are too many: at most 3"):
        submitted([Withdraw(2, 1)] * 4, None, at_most=3)


def test_results_are_receipts_and_refusals_with_their_details() -> None:
    forms = [
        {"account": 2, "balance": 290, "action_id": 7},
        {"code": "insufficient_funds", "message": "no", "account": 3, "action_id": 8, "happened": False},
    ]
    answer = {"results": forms, "request_id": "a:1", "history": "h", "action_id": 8}
    done, refused = read_results(answer, "a:1")
    assert done == Receipt(2, 290, 7, "a:1")
    assert isinstance(refused, InsufficientFunds)
    assert refused.details == {"account": 3, "action_id": 8, "request_id": "a:1"}


def test_every_answer_and_every_refusal_tells_how_new_it_is() -> None:
    assert news_of({"history": "h", "action_id": 7, "balance": 1}) == ("h", 7)
    assert news_of(InsufficientFunds("no", history="h", action_id=7)) == ("h", 7)
    assert news_of(Cancelled("no")) is None
    assert news_of({"history": "h", "action_id": True}) is None


@given(answer=PLAIN)
def test_whatever_is_answered_becomes_a_value_or_is_not_believed(answer: object) -> None:
    readers: tuple[Callable[[], object], ...] = (
        lambda: read_receipt(answer, "a:1", 2),
        lambda: read_receipt(answer, None, 2),
        lambda: read_results(answer, "a:1"),
        lambda: read_outcomes(answer, "a:1", [2]),
    )
    for read in readers:
        with pytest.raises(Unbelievable):
            read()


RECEIPT: dict[str, Any] = {"account": 2, "balance": 290, "action_id": 7, "request_id": "a:1", "history": "h"}
RESULTS: dict[str, Any] = {
    "request_id": "a:1",
    "history": "h",
    "action_id": 8,
    "results": [
        {"account": 2, "balance": 290, "action_id": 7},
        {"account": 3, "balance": 0, "action_id": 8, "code": "insufficient_funds", "message": "no"},
    ],
}
WRONG: dict[str, list[Any]] = {
    "account": [3, -1, True, "2", None],
    "balance": [-1, 2**63, 2.0, "290", None, True],
    "action_id": [0, -1, 2**63, 7.0, None, True],
    "request_id": ["a:2", None, 1],
    "history": ["", None, 5, "h" * 201],
}


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name in WRONG for wrong in WRONG[name]])
def test_a_receipt_with_anything_wrong_is_not_believed(name: str, wrong: object) -> None:
    assert read_receipt(RECEIPT, "a:1", 2) == Receipt(2, 290, 7, "a:1")
    with pytest.raises(Unbelievable):
        read_receipt(RECEIPT | {name: wrong}, "a:1", 2)


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name in WRONG for wrong in WRONG[name]])
def test_results_with_anything_wrong_are_not_believed(name: str, wrong: object) -> None:
    assert len(read_results(RESULTS, "a:1")) == 2
    first, second = RESULTS["results"]
    if name in ("request_id", "history"):
        answers = [RESULTS | {name: wrong}]
    else:
        if (name, wrong) == ("account", 3):
            return  # Nobody knows which accounts it was about.
        answers = [RESULTS | {"results": [first | {name: wrong}, second]}]
        if (name, wrong) != ("balance", None):
            answers.append(RESULTS | {"results": [first, second | {name: wrong}]})
    for answer in answers:
        with pytest.raises(Unbelievable):
            read_results(answer, "a:1")


@pytest.mark.parametrize("results", [[], RESULTS["results"][:1], RESULTS["results"][::-1], "ab", None])
def test_too_few_results_or_in_another_order_are_not_believed(results: object) -> None:
    with pytest.raises(Unbelievable):
        read_results(RESULTS | {"results": results}, "a:1")


@pytest.mark.parametrize(
    "details",
    [
        {"account": 3},
        {"request_id": "a:2"},
        {"action_id": 2**63},
        {"action_id": "8"},
        {"balance": -1},
        {"history": ""},
        {"history": "h" * 201},
    ],
)
def test_an_error_that_speaks_of_something_else_is_not_believed(details: dict[str, Any]) -> None:
    accounts = withdrawn(2, 10, "a:1").accounts
    check_error(
        InsufficientFunds("no", account=2, request_id="a:1", action_id=8, history="h"), accounts, "a:1"
    )
    with pytest.raises(Unbelievable):
        check_error(InsufficientFunds("no", **details), accounts, "a:1")


def test_what_is_not_a_list_of_operations_is_refused_in_a_sentence() -> None:
    for wrong in (5, None, object()):
        with pytest.raises(InvalidRequest, match="not a list of operations"):
            submitted(wrong, None, at_most=3)  # type: ignore[arg-type]


def packed_answer(outcomes: list[Any], action_id: int = 9) -> dict[str, Any]:
    return {"outcomes": packed(outcomes), "request_id": "a:1", "history": "h", "action_id": action_id}


def test_packed_outcomes_are_receipts_and_refusals_with_their_details() -> None:
    done, short, missing = read_outcomes(
        packed_answer([290, ("insufficient", 5), ("no_account", None)]), "a:1", [2, 3, 4]
    )
    assert done == Receipt(2, 290, 7, "a:1")
    assert isinstance(short, InsufficientFunds)
    assert short.details == {"account": 3, "balance": 5, "action_id": 8, "request_id": "a:1"}
    assert isinstance(missing, AccountNotFound)
    assert missing.details == {"account": 4, "balance": None, "action_id": 9, "request_id": "a:1"}


@given(
    rows=st.lists(st.tuples(st.integers(0, LARGEST), st.integers(0, LARGEST)), min_size=1, max_size=20),
    first=st.integers(1, 1000),
)
def test_receipts_made_together_are_those_made_one_by_one(rows: list[tuple[int, int]], first: int) -> None:
    answer = packed_answer([balance for _, balance in rows], first + len(rows) - 1)
    expected = [
        Receipt(account, balance, action_id, "a:1")
        for action_id, (account, balance) in enumerate(rows, first)
    ]
    read = read_outcomes(answer, "a:1", [account for account, _ in rows])
    assert read == expected
    assert [hash(one) for one in read] == [hash(one) for one in expected]
    with pytest.raises(FrozenInstanceError):
        read[0].balance = 1  # type: ignore[misc, union-attr]


@pytest.mark.parametrize(
    "outcomes",
    [
        [],
        [1, 2],
        [1, 2, 3, 4],
        *([1, wrong, 3] for wrong in (-1, 2**63, 2.0, "2", None, True, [], ["insufficient"], ["because", 1])),
        *([1, ("insufficient", wrong), 3] for wrong in (-1, 2**63, "2", 1.5)),
        [1, (["insufficient"], 1), 3],
    ],
)
def test_outcomes_that_cannot_be_are_not_believed(outcomes: list[Any]) -> None:
    with pytest.raises(Unbelievable):
        read_outcomes(packed_answer(outcomes), "a:1", [2, 2, 2])


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: wrong} for name in ("request_id", "history", "action_id") for wrong in WRONG[name]),
        {"action_id": 2},
        *(
            {"outcomes": wrong}
            for wrong in (None, [1, 2, 3], b"", b"\x93\x01\x02", b"\xdd\xff\xff\xff\xff", b"\x01")
        ),
    ],
)
def test_a_packed_answer_with_anything_wrong_is_not_believed(wrong: dict[str, Any]) -> None:
    assert len(read_outcomes(packed_answer([1, 2, 3]), "a:1", [2, 2, 2])) == 3
    with pytest.raises(Unbelievable):
        read_outcomes(packed_answer([1, 2, 3]) | wrong, "a:1", [2, 2, 2])
