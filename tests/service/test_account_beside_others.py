"""The bank beside a class that calls it in its own updates, with the market of examples/: all, or nothing."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import bankrmi
from bankrmi.errors import AccountExists, InsufficientFunds
from bankrmi.service import ServedServices, described
from bankrmi.testing import simulate
from market import TILL, Market, SoldOut
from tests.service.pairs import Pair

Calls = Generator[Any, Any, None]


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Pair]:
    services = ServedServices(described(bankrmi.Account), {"market": described(Market)}, "account")
    services.check_uses()
    with closing(Pair(tmp_path, services)) as pair:
        yield pair


def test_goods_and_money_change_hands_in_one_record_or_not_at_all(both: Pair) -> None:
    for account, money in ((TILL, 0), (2, 500)):
        both("open_account", account)
        both("deposit", account, money)
    both("market.stock", "mug", 90, 10)
    before = both.first.journal.tip.action_id
    order = both("market.order", 2, "mug", 3)
    assert both.first.journal.tip.action_id == before + 1
    assert (order["cents"], order["balance"]) == (270, 230)
    raised = both.raised("InsufficientFunds", "market.order", 2, "mug", 3)
    assert raised.words == "the amount exceeds the balance of account 2"
    assert raised.values == (raised.words, {"account": 2, "balance": 230, "action_id": 3, "to": TILL})
    assert both.raised("AccountNotFound", "market.order", 7, "mug", 1).words == "there is no account 7"
    assert both.first.ask("market.left", "mug") == 7
    assert both.first.ask("balance", TILL)["balance"] == both.first.ask("market.takings") == 270
    [paid] = both.first.ask("statement", TILL, *[])["entries"][-1:]
    assert (paid["kind"], paid["paid_by"], paid["balance"]) == ("transfer", 2, 270)
    [row] = [row for row in both.first.state() if row[0] == "entry" and row[1:3] == (2, 3)]
    assert row[4] == paid["request_id"]
    sold = [record for record in both.first.journal.records(before, 1) if record.action_id == before + 1]
    assert [f"{one.session}:{one.sequence}" for one in sold] == [row[4]], "the request is that of the order"


def use_market(chance: random.Random, services: Any) -> Calls:
    """Open accounts, fill the shelf, buy."""
    account = chance.choice([2, 3])
    for one in (TILL, account):
        try:
            yield services.account.open_account(one)
        except AccountExists:
            continue
    yield services.account.deposit(account, chance.choice([50, 100, 400]))
    yield services.market.stock("mug", 90, chance.randint(1, 4))
    for _ in range(chance.randint(1, 4)):
        try:
            yield services.market.order(account, "mug", chance.randint(1, 2))
        except (InsufficientFunds, SoldOut):
            yield services.account.statement(account, limit=5)
    yield services.account.total()


def test_whatever_fails_it_comes_out_as_it_does_without_any_server() -> None:
    """Receipts and statements as well: who checks has the request ids, too."""
    done = simulate({"account": bankrmi.Account, "market": Market}, use_market, seeds=range(2), seconds=5.0)
    assert done.methods["market.order"].returned > 3
    assert done.methods["market.order"].raised["InsufficientFunds"] > 0
    assert done.methods["statement"].returned > 0
