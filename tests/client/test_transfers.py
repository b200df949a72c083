"""Transfers of both clients: what is believed of an answer, and who is too old to be asked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bankrmi import protocol_versions
from bankrmi.bank.operations import LARGEST, Deposit, Receipt, Transfer, Withdraw
from bankrmi.client.answers import Unbelievable, check_error, read_outcomes
from bankrmi.client.requests import submitted, transferred
from bankrmi.errors import (
    AccountNotFound,
    BalanceTooLarge,
    InDoubt,
    InsufficientFunds,
    InvalidRequest,
    NotPrimary,
)
from bankrmi.replication.record import packed
from bankrmi.rmi import Call
from tests.client.both_clients import Perform, asynchronous, blocking
from tests.client.doubles import Account, DoubleBank, double_bank

TRANSFER = ("transfer", (2, 3, 10))
TOO_OLD = "speaks bankrmi protocol 1, this needs 2: upgrade it first"


@pytest.fixture(params=[blocking, asynchronous])
def perform(request: pytest.FixtureRequest) -> Perform:
    return request.param  # type: ignore[no-any-return]


def moves(call: Call) -> None:
    """Answer a transfer, or a withdrawal."""
    request_id = call.args[3 if call.method == "transfer" else 2]
    told = {"account": 2, "balance": 290, "action_id": 1, "request_id": request_id, "history": "h1"}
    call.answer(told)


def test_a_request_for_a_transfer_is_checked_before_it_is_sent() -> None:
    request = transferred(2, 3, 10, "a:1")
    assert (request.method, request.args, request.accounts) == ("transfer", (2, 3, 10), (2, 3))
    assert request.needs_protocol == 2
    wrong: list[Any] = [(2, 2, 10), (2, 3, -1), (-1, 3, 1), (2, LARGEST + 1, 1), (2, 3, "1")]
    for payer, payee, amount in wrong:
        with pytest.raises(InvalidRequest):
            transferred(payer, payee, amount, None)
    assert submitted([Withdraw(2, 1), Transfer(2, 3, 1)], None, at_most=9).needs_protocol == 2
    assert submitted([Withdraw(2, 1), Deposit(2, 3)], None, at_most=9).needs_protocol == 1
    with pytest.raises(InvalidRequest, match="make a Withdraw, a Deposit, a Transfer"):
        submitted([Withdraw(2, 1), ("transfer", 2, 3, 1)], None, at_most=9)  # type: ignore[list-item]


def test_of_a_batch_each_transfer_says_which_account_it_was_declined_for() -> None:
    answer = {
        "request_id": "a:1",
        "history": "h",
        "action_id": 5,
        "outcomes": packed([7, ("insufficient", 7), 6, ("no_account", None, 9), ("too_large", None, 3)]),
    }
    first, second, third, fourth, fifth = read_outcomes(answer, "a:1", [2, 2, 2, 2, 2], [None, None, 3, 9, 3])
    assert first == Receipt(2, 7, 1, "a:1")
    assert isinstance(second, InsufficientFunds)
    assert "to" not in second.details
    assert third == Receipt(2, 6, 3, "a:1")
    assert isinstance(fourth, AccountNotFound)
    assert (fourth.account, fourth.to, fourth.action_id) == (9, 9, 4)
    assert isinstance(fifth, BalanceTooLarge)
    assert (fifth.account, fifth.balance, fifth.to) == (3, None, 3)


@pytest.mark.parametrize(
    "outcome",
    [("too_large", None), ("too_large", None, 4), ("too_large", None, 3, 1), ("done", 1, 3), (1, 2, 3), "x"],
)
def test_an_outcome_of_a_transfer_that_cannot_be_is_not_believed(outcome: Any) -> None:
    answer = {"request_id": "a:1", "history": "h", "action_id": 1, "outcomes": packed([outcome])}
    with pytest.raises(Unbelievable):
        read_outcomes(answer, "a:1", [2], [3])
    with pytest.raises(Unbelievable):  # Nor what says of an operation on one account which one it was.
        read_outcomes(answer | {"outcomes": packed([("insufficient", 1, 2)])}, "a:1", [2], [None])


def test_an_error_may_speak_of_either_account_and_of_no_other() -> None:
    request = transferred(2, 3, 10, "a:1")
    for account in (2, 3):
        check_error(AccountNotFound("no", account=account), request.accounts, "a:1")
    with pytest.raises(Unbelievable):
        check_error(AccountNotFound("no", account=4), request.accounts, "a:1")


def test_both_clients_transfer(bank: DoubleBank, perform: Perform) -> None:
    account = bank.start("s1", moves)
    [receipt] = perform(bank.configuration, [TRANSFER], 5)
    assert (receipt.account, receipt.balance, receipt.action_id) == (2, 290, 1)
    assert [method for method, _ in account.asked] == ["transfer"]


# -- who is older ----------------------------------------------------------------------------------


Older = Callable[[DoubleBank, str, Callable[[Call], None]], Account]


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> Older:
    """Return what starts a server that greets as one of bankrmi 1.0."""
    threads: set[threading.Thread] = set()
    stated = protocol_versions.stated

    def is_old(bank: DoubleBank, server: str, answering: Callable[[Call], None]) -> Account:
        account = bank.start(server, answering)
        threads.add(bank.thread_of(server))
        return account

    monkeypatch.setattr(
        protocol_versions, "stated", lambda: [1, 1] if threading.current_thread() in threads else stated()
    )
    return is_old


def test_who_is_older_is_not_asked_and_the_other_one_is(
    bank: DoubleBank, perform: Perform, older: Older
) -> None:
    old = older(bank, "s1", moves)
    bank.start("s2", moves)
    [receipt] = perform(bank.configuration, [TRANSFER], 5)
    assert receipt.balance == 290
    assert old.asked == []


def test_where_all_are_older_it_is_refused_at_once_and_nothing_was_sent(
    bank: DoubleBank, perform: Perform, older: Older
) -> None:
    accounts = [older(bank, server, moves) for server in ("s1", "s2")]
    withdraw = ("withdraw", (2, 10))
    error, receipt, again = perform(bank.configuration, [TRANSFER, withdraw, TRANSFER], 5)
    for one in (error, again):  # The second time there is a connection to who leads.
        assert isinstance(one, InvalidRequest)
        assert TOO_OLD in one.message
        assert one.message.startswith("nothing was sent: s")
        assert one.happened is False
    assert receipt.balance == 290
    assert [method for one in accounts for method, _ in one.asked] == ["withdraw"]


def test_what_another_one_may_have_taken_is_in_doubt(tmp_path: Path, perform: Perform, older: Older) -> None:
    """The one that had it ended under it; the older one was not asked, and knows nothing of it."""
    with double_bank(tmp_path, timeout_ms=1500) as bank:
        bank.start("s1", lambda call: threading.Thread(target=bank.stop, args=["s1"]).start())
        older(bank, "s2", lambda call: call.fail(NotPrimary("nobody leads", primary=None)))
        [error] = perform(bank.configuration, [TRANSFER], 1.5)
        assert isinstance(error, InDoubt)
        assert TOO_OLD in error.message
