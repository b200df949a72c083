"""Statements and totals of both clients: pages put together, and what is believed of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import bankrmi
import bankrmi.aio
from bankrmi.bank.operations import LARGEST
from bankrmi.bank.statements import ENTRIES_AT_MOST
from bankrmi.client.answers import Unbelievable, read_statement, read_total
from bankrmi.client.requests import asked_statement
from bankrmi.errors import InvalidRequest
from bankrmi.rmi import Call
from tests.client.both_clients import Perform, asynchronous, blocking
from tests.client.doubles import DoubleBank


@pytest.fixture(params=[blocking, asynchronous])
def perform(request: pytest.FixtureRequest) -> Perform:
    return request.param  # type: ignore[no-any-return]


def entry(action_id: int, **more: Any) -> dict[str, Any]:
    return {
        "action_id": action_id,
        "time_us": 1,
        "request_id": f"a:{action_id}",
        "kind": "deposit",
        "amount": 5,
        "status": "done",
        "balance": 5 * action_id,
        "digest": "0f",
        **more,
    }


def page(*entries: dict[str, Any], through: int, newest: int = 30, **more: Any) -> dict[str, Any]:
    return {
        "account": 2,
        "balance": 7,
        "entries": list(entries),
        "through": through,
        "begins_after": 0,
        "action_id": newest,
        "history": "h",
        **more,
    }


class Pages:
    """A server with an entry of account 2 at every third action id, that goes on while it is asked."""

    def __init__(self) -> None:
        self.newest = 30

    def __call__(self, call: Call) -> None:
        account, since, limit, _ = call.args
        assert (account, limit) == (2, ENTRIES_AT_MOST)
        through = min(since + 7, self.newest)
        entries = [entry(number) for number in range(since + 1, through + 1) if number % 3 == 0]
        call.answer(page(*entries, through=through, newest=self.newest))
        self.newest += 1


@pytest.mark.parametrize("client", [blocking, asynchronous])
@pytest.mark.parametrize(
    ("since", "limit", "ids", "begins"),
    [
        (0, 100, [3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33], 0),
        (0, 3, [27, 30, 33], 24),  # All above 24 are there.
        (20, 100, [21, 24, 27, 30], 20),
        (29, 100, [30], 29),
        (30, 100, [], 30),
    ],
)
def test_pages_are_put_together_up_to_what_was_the_newest_entry_at_the_beginning(
    bank: DoubleBank, client: Perform, since: int, limit: int, ids: list[int], begins: int
) -> None:
    """The bank goes on meanwhile; what is newer when the last page is made is in it, and no more is asked."""
    account = bank.start("s1", Pages())
    statement = performed(client, bank, lambda one: one.statement(2, since=since, limit=limit))
    assert [one.action_id for one in statement.entries] == ids
    assert statement.since == begins
    assert statement.through >= 30
    assert len(account.asked) <= 5


def performed(kind: Perform, bank: DoubleBank, asks: Callable[[Any], Any]) -> Any:
    """Return what a client of this kind gets."""
    if kind is blocking:
        with bankrmi.connect(bank.configuration, timeout=5) as client:
            return asks(client)

    async def work() -> Any:
        async with await bankrmi.aio.connect(bank.configuration, timeout=5) as client:
            return await asks(client)

    return asyncio.run(work())


def test_both_clients_ask_for_the_total(bank: DoubleBank, perform: Perform) -> None:
    bank.start("s1", lambda call: call.answer({"total": str(3 * LARGEST), "action_id": 4, "history": "h"}))
    [total] = perform(bank.configuration, [("total", ())], 5)
    assert (total.total, total.action_id) == (3 * LARGEST, 4)


@pytest.mark.parametrize("digits", [7, -1, "-1", "", "1.5", "9" * 81, None, "١"])
def test_what_is_no_total_is_not_believed(digits: Any) -> None:
    with pytest.raises(Unbelievable):
        read_total({"total": digits, "action_id": 4, "history": "h"})


def test_a_statement_is_read_as_it_is() -> None:
    answer = page(entry(3, kind="transfer", to=9), entry(4, kind="transfer", **{"from": 9}), through=8)
    statement = read_statement(answer, 2, 1, 100)
    first, second = statement.entries
    assert (first.paid_to, first.paid_by, second.paid_to, second.paid_by) == (9, None, None, 9)
    assert (statement.since, statement.through, statement.action_id, statement.balance) == (1, 8, 30, 7)
    newest = read_statement(answer, 2, 1, 1)
    assert [one.action_id for one in newest.entries] == [4]
    assert newest.since == 3  # All above that are there.


@pytest.mark.parametrize(
    "answer",
    [
        page(account=3, through=8),
        page(through=0),
        page(through=1),  # It does not go on, and is not at the end.
        page(through=8, balance=-1),
        page(through=8, begins_after="0"),
        page(entry(1), through=8),
        page(entry(9), through=8),
        page(entry(5), entry(5), through=8),
        page(entry(5), entry(4), through=8),
        page(*[entry(number) for number in range(2, 600)], through=900),
        page(entry(3, amount=-1), through=8),
        page(entry(3, kind=""), through=8),
        page(entry(3, request_id="x" * 301), through=8),
        page(entry(3, status=None), through=8),
        page(entry(3, time_us="now"), through=8),
        page({}, through=8),
        page(through=8, entries=None),
        page(through=8, entries=[None]),
        page(through=8, history=""),
    ],
)
def test_a_statement_with_anything_wrong_is_not_believed(answer: dict[str, Any]) -> None:
    with pytest.raises(Unbelievable):
        read_statement(answer, 2, 1, 100)


@pytest.mark.parametrize(
    "args", [(-1, 0, 1), (2, -1, 1), (2, 0, 0), (2, None, 1), (2, 0, "1"), (2, LARGEST + 1, 1)]
)
def test_what_is_no_question_is_refused_before_it_is_sent(args: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidRequest):
        asked_statement(*args)
