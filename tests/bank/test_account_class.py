"""`bankrmi.Account` on tables, held against our own bank: the same decisions, in the same words."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import bankrmi
from bankrmi.bank import outcomes
from bankrmi.bank.account import ENTRIES_AT_MOST
from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import TRANSFER, form_of
from bankrmi.bank.operations import (
    LARGEST,
    CloseAccount,
    Deposit,
    OpenAccount,
    Operation,
    Transfer,
    Withdraw,
)
from bankrmi.bank.statements import TOTAL
from bankrmi.client.account_client import AccountClient
from bankrmi.client.async_account_client import AsyncAccountClient
from bankrmi.errors import ConfigurationError, InvalidRequest
from bankrmi.service import ServedServices, Service, ServiceMachine, described, update
from bankrmi.service.calls import Raised
from bankrmi.service.served_alone import load_part
from bankrmi.storage.database import open_in_memory
from tests.service.pairs import Pair

Entry = tuple[str, int | None, int | None, int | None, int]


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Pair]:
    with closing(Pair(tmp_path, bankrmi.Account)) as pair:
        yield pair


def an_operation(chance: random.Random, own: Accounts) -> Operation:
    """One of few accounts, so that there is none, or none yet; amounts at both ends, and at all there is."""
    payer, payee = chance.sample(range(4), 2)
    held = own.read(payer) or 0
    amount = chance.choice([0, 1, 1, 2, 3, held, min(held + 1, LARGEST), LARGEST - held, LARGEST])
    operations: list[Operation] = [
        OpenAccount(payer),
        CloseAccount(payer),
        Deposit(payer, amount),
        Withdraw(payer, amount),
        Transfer(payer, payee, amount),
    ]
    return chance.choice(operations)


def test_it_decides_what_our_own_bank_does_in_its_words(bank: Pair) -> None:
    chance, own = random.Random(1), Accounts({})
    own.attach(open_in_memory())
    own.open()
    seen: set[tuple[str, str]] = set()
    entries: dict[int, list[Entry]] = {account: [] for account in range(4)}
    for action_id in range(1, 301):
        operation = an_operation(chance, own)
        form = form_of(operation)
        [outcome] = own.apply([form], action_id)
        method, *args = operation.to_wire()
        if outcomes.is_done(outcome):
            seen.add((method, "done"))
            receipt = bank(method, *args)
            assert receipt["balance"] == (outcome if type(outcome) is int else outcome[1]), operation
            note(entries, operation, outcome)
            ours = entries[operation.account]
            assert (receipt["account"], receipt["action_id"]) == (operation.account, len(ours))
        else:
            seen.add((method, outcome[0]))
            error = outcomes.declined_form(form, outcome, 0)
            raised = bank.raised(type(error).__name__, method, *args)
            assert raised.words == error.message
            assert raised.values is not None
            assert {**raised.values[1], "action_id": 0} == error.details, operation
    assert len(seen) == 15  # Each operation is done, and declined for each reason that it can have.
    assert {row[1]: row[2] for row in bank.first.state() if row[0] == "account"} == dict(own.export())
    assert own.read(TOTAL) >= 1 << 64, "more than can be told"
    with pytest.raises(Raised, match="hold over 2"):
        bank.first.ask("total")
    for account in (0, 1):
        receipt = bank.first.ask("balance", account)
        bank("withdraw", account, receipt["balance"])
        entries[account].append(("withdraw", receipt["balance"], None, None, 0))
        own.apply([form_of(Withdraw(account, receipt["balance"]))], 1000)
    assert bank.first.ask("total")["total"] == own.read(TOTAL) > 0
    for account, expected in entries.items():
        statement = bank.first.ask("statement", account)
        told = statement["entries"]
        assert [
            (one["kind"], one["amount"], one["paid_by"], one["paid_to"], one["balance"]) for one in told
        ] == expected[-100:]
        assert [one["action_id"] for one in told] == list(
            range(max(1, len(expected) - 99), len(expected) + 1)
        )
        assert statement["balance"] == own.read(account)


def note(entries: dict[int, list[Entry]], operation: Operation, outcome: Any) -> None:
    """Write down by hand what a statement is to say."""
    if isinstance(operation, Transfer):
        _, _, left, there = outcome
        entries[operation.account].append(("transfer", operation.amount, None, operation.to, left))
        entries[operation.to].append(("transfer", operation.amount, operation.account, None, there))
        assert form_of(operation)[0] == TRANSFER
    else:
        kind, *_ = operation.to_wire()
        amount = getattr(operation, "amount", None)
        entries[operation.account].append((kind, amount, None, None, outcome))


@pytest.mark.parametrize(
    ("method", "args", "why"),
    [
        ("withdraw", ("2", 1), "not an account id: '2' (a whole number from 0 to 9223372036854775807)"),
        ("deposit", (2, -1), "not an amount: -1 (a whole number from 0 to 9223372036854775807)"),
        ("deposit", (2, True), "not an amount: True"),
        ("open_account", (1 << 63,), "not an account id: 9223372036854775808"),
    ],
)
def test_what_has_the_wrong_form_is_refused_in_the_banks_words_before_it_is_recorded(
    bank: Pair, method: str, args: tuple[Any, ...], why: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        bank(method, *args)
    assert refused.value.message.startswith(why)
    assert bank.first.journal.tip.action_id == 0


def test_the_largest_account_id_is_one_as_well(bank: Pair) -> None:
    for account in (LARGEST, LARGEST - 1):
        assert bank("open_account", account)["account"] == account
    bank("deposit", LARGEST, LARGEST)
    assert bank("transfer", LARGEST, LARGEST - 1, LARGEST)["balance"] == 0
    assert bank.first.ask("balance", LARGEST - 1)["balance"] == LARGEST
    bank("close_account", LARGEST)
    bank("open_account", LARGEST)


def test_nobody_transfers_to_himself_and_a_statement_is_of_a_length_that_can_be_told(bank: Pair) -> None:
    bank("open_account", 1)
    raised = bank.raised("InvalidRequest", "transfer", 1, 1, 5)
    assert raised.words == "account 1 cannot transfer to itself: name two accounts"
    for _ in range(ENTRIES_AT_MOST):
        bank.first.call("deposit", 1, 1 << 40)
    longest = bank.first.ask("statement", 1, *[])
    assert len(longest["entries"]) == 100
    assert (longest["since"], longest["through"]) == (101, 201)


def test_what_clients_of_a_bank_can_call_is_what_the_class_has_and_with_the_same_arguments() -> None:
    """So a program that is typed as using an Account can be given either."""
    methods = described(bankrmi.Account).methods
    for client in (AccountClient, AsyncAccountClient):
        for name, method in methods.items():
            parameters = inspect.signature(getattr(client, name)).parameters
            own = [
                (one.name, one.kind) for one in parameters.values() if one.name not in ("self", "request_id")
            ]
            assert own == [(one.name, one.kind) for one in method.signature.parameters.values()], name
            assert ("request_id" in parameters) is method.is_update
    public = {name for name in vars(bankrmi.BankClient) if not name.startswith("_")}
    assert public - methods.keys() == {"submit", "outcome", "status"}
    alone = bankrmi.Account.served_alone
    assert alone is not None
    assert load_part(alone.client) is AccountClient
    assert load_part(alone.async_client) is AsyncAccountClient
    assert load_part(alone.state_machine) is Accounts


class CreditUnion(bankrmi.Account):
    """With a method of its own, which our own bank knows nothing of."""

    @update
    def give_to_all(self, amount: int) -> int:
        """Put money on every account; return on how many."""
        accounts = self.db.execute("SELECT id FROM account ORDER BY id").fetchall()
        for (account,) in accounts:
            self.deposit(account, amount)
        return len(accounts)


def test_who_inherits_from_it_is_served_as_any_class(tmp_path: Path) -> None:
    assert ServedServices(described(bankrmi.Account)).served_alone is not None
    assert ServedServices(described(CreditUnion)).served_alone is None
    beside = ServedServices(described(CreditUnion), {"account": described(bankrmi.Account)})
    assert beside.served_alone is None, "it is not alone"
    with closing(Pair(tmp_path, CreditUnion)) as union:
        for account in (1, 2):
            union("open_account", account)
        assert union("give_to_all", 5) == 2
        assert union.first.ask("balance", 2)["balance"] == 5


class Wrong(Service):
    """Says that it is served alone by a text."""

    served_alone = "bankrmi.bank.accounts:Accounts"  # type: ignore[assignment]

    @update
    def do(self) -> None:
        """Nothing."""


class OfVersion2(CreditUnion):
    """Would be migrated, by a state machine that knows nothing of that."""

    served_alone = bankrmi.Account.served_alone
    version = 2

    def migrate_1_to_2(self) -> None:
        """Change nothing."""


@pytest.mark.parametrize(
    ("kind", "why"), [(Wrong, "it is a bankrmi.service.ServedAlone"), (OfVersion2, "of version 1")]
)
def test_what_a_class_brings_to_be_served_alone_is_looked_at_when_it_is_loaded(kind: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        described(kind)


def test_a_part_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigurationError, match="nowhere:Machine, a part of a class served alone"):
        load_part("nowhere:Machine")


def test_the_ledger_is_what_it_opens_with_and_no_other_opening_is_the_same() -> None:
    def opened(ledger: dict[int, int] | None) -> bytes:
        machine = ServiceMachine(described(bankrmi.Account), ledger=ledger)
        machine.attach(open_in_memory())
        return machine.open()

    assert opened({1: 5, 2: 7}) == opened({2: 7, 1: 5}) != opened({1: 5, 2: 8})
    assert opened({}) == opened(None)
