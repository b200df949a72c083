"""Clients at work on a bank whose accounts are in a database, and what has to be true of both in the end.

What a client was told is held against what is in the database, account by account: that is where action ids
count, so that is what is linearizable.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import bankrmi.aio
from bankrmi.bank.forms import DEPOSIT, TRANSFER, Form, accounts_of
from bankrmi.bank.operations import Deposit, Operation, Receipt, Transfer, Withdraw
from bankrmi.bank.outcomes import INSUFFICIENT, is_done
from bankrmi.errors import InDoubt, InsufficientFunds, Refused
from bankrmi.replication.record import DONE, unpacked
from tests.engine.postgresql import PostgreSql
from tests.system.cluster import LEDGER

__all__ = ["Told", "Work", "at_work", "check"]

ACCOUNTS = [*LEDGER][:4]


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one operation, and when it was asked for and answered; of a read, there is no request."""

    account: int
    action_id: int
    balance: int
    asked_s: float
    answered_s: float
    request_id: str | None
    place: int = 0
    declined: bool = False


class Work:
    """What clients have been told so far."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.doubtful: set[str] = set()
        self.over = asyncio.Event()

    @property
    def count(self) -> int:
        """How many answers there were."""
        return len(self.told)

    async def until(self, more: int) -> None:
        """Wait until `more` operations are answered from now on."""
        wanted, deadline = self.count + more, time.monotonic() + 60
        while self.count < wanted:
            assert time.monotonic() < deadline, f"{self.count} of {wanted} answers"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def at_work(config: Path, *, clients: int, timeout: float = 30.0) -> AsyncIterator[Work]:
    """Have clients deposit, withdraw, look up and send batches, as long as the context lasts."""
    work = Work()
    async with await bankrmi.aio.connect(config, timeout=timeout) as bank:
        tasks = [asyncio.create_task(_client(bank, work, number)) for number in range(clients)]
        try:
            yield work
        finally:
            work.over.set()
            await asyncio.gather(*tasks)


async def _client(bank: bankrmi.aio.AsyncBankClient, work: Work, number: int) -> None:
    draw, sequence = random.Random(number), 0
    while not work.over.is_set():
        sequence += 1
        request_id, account, asked_s = f"client-{number}:{sequence}", draw.choice(ACCOUNTS), time.monotonic()
        kind = draw.choice(["withdraw", "deposit", "transfer", "balance", "submit"])
        payer, payee = draw.sample(ACCOUNTS, 2)
        operations: list[Operation] = [draw.choice(_kinds(draw, payer, payee)) for _ in range(5)]
        try:
            match kind:
                case "balance":
                    answers: list[Receipt | Refused] = [await bank.balance(account)]
                case "submit":
                    answers = [*await bank.submit(operations, request_id=request_id)]
                case "transfer":
                    amount = draw.randrange(1, 50)
                    answers = [await bank.transfer(payer, payee, amount, request_id=request_id)]
                case _:
                    change = bank.withdraw if kind == "withdraw" else bank.deposit
                    answers = [await change(account, draw.randrange(1, 50), request_id=request_id)]
        except InsufficientFunds as declined:
            answers = [declined]
        except InDoubt:
            work.doubtful.add(request_id)
            continue
        answered_s = time.monotonic()
        for place, answer in enumerate(answers):
            said = answer.details if isinstance(answer, Refused) else None
            receipt = _as_receipt(said) if said else answer
            assert isinstance(receipt, Receipt)
            work.told.append(
                Told(
                    account=receipt.account,
                    action_id=receipt.action_id,
                    balance=receipt.balance,
                    asked_s=asked_s,
                    answered_s=answered_s,
                    request_id=None if kind == "balance" else request_id,
                    place=place,
                    declined=said is not None,
                )
            )


def _kinds(draw: random.Random, payer: int, payee: int) -> list[Operation]:
    amount = draw.randrange(1, 50)
    return [Withdraw(payer, amount), Deposit(payee, amount), Transfer(payer, payee, amount)]


def _as_receipt(said: Mapping[str, Any]) -> Receipt:
    """Return what a declined operation says: it is one of its account all the same."""
    return Receipt(said["account"], said["balance"], said["action_id"])


def check(work: Work, database: PostgreSql, *, of: str = "primary") -> None:
    """Raise AssertionError unless the database holds all that was told, once, in an order that fits."""
    journal = _journal(database, of)
    recorded = {
        f"{session}:{sequence}"
        for session, sequence in database.ask("SELECT session, sequence FROM bankrmi_account.request", of=of)
    }
    for told in work.told:
        known = journal[told.account][told.action_id]
        if told.request_id is None:
            assert told.balance == known[2], f"a read that no state has: {told}, {known}"
        else:
            assert (told.request_id, told.place, told.balance, told.declined) == known, (told, known)
            assert told.request_id in recorded
    for account in ACCOUNTS:
        _check_order(sorted((told for told in work.told if told.account == account), key=_answered_s))


def _answered_s(told: Told) -> float:
    return told.answered_s


def _check_order(answers: list[Told]) -> None:
    """What was asked for after an answer sees at least what that answer saw; a change comes after it."""
    newest, pending = 0, sorted(answers, key=lambda told: told.asked_s)
    done = iter(answers)
    next_done = next(done, None)
    for told in pending:
        while next_done is not None and next_done.answered_s < told.asked_s:
            newest = max(newest, next_done.action_id)
            next_done = next(done, None)
        least = newest if told.request_id is None else newest + 1
        assert told.action_id >= least, f"{told} comes after {newest} was answered"


Known = tuple[str, int, int, bool]
"""Request id, place in it, balance after it, and whether it was declined."""


def _journal(database: PostgreSql, of: str) -> dict[int, dict[int, Known]]:
    """Return the operations of each account, by their action ids, with the balance after it."""
    rows = database.ask(
        "SELECT e.account, e.action_id, e.session, e.sequence, e.place, r.operations, r.outcomes"
        " FROM bankrmi_account.entry e JOIN bankrmi_account.request r USING (session, sequence)"
        " ORDER BY account, action_id",
        of=of,
    )
    balances, journal = dict(LEDGER), {account: {0: ("", 0, LEDGER[account], False)} for account in LEDGER}
    money = sum(LEDGER.values())
    for account, action_id, session, sequence, place, operations, outcomes in rows:
        form, outcome = unpacked(bytes(operations))[place], unpacked(bytes(outcomes))[place]
        assert account in accounts_of(form)
        balances[account] = after = _after(form, outcome, account, balances[account])
        journal[account][action_id] = (f"{session}:{sequence}", place, after, not is_done(outcome))
        if form[0] != TRANSFER and is_done(outcome):
            money += form[2] if form[0] == DEPOSIT else -form[2]
    for account, known in journal.items():
        assert all(later == one + 1 for one, later in pairwise(known)), f"a gap in the journal of {account}"
    held = dict(database.ask("SELECT id, balance FROM bankrmi_account.account", of=of))
    assert held == balances, "the balances are not what the journal adds up to"
    assert sum(held.values()) == money, "a transfer was half done"
    return journal


def _after(form: Form, outcome: Any, account: int, before: int) -> int:
    """Return the balance of one account after an operation, which has to be what came of it."""
    kind, payer, more = form
    if kind == TRANSFER:
        status, _, *afters = outcome
        gained = -more[1] if account == payer else more[1]
        after = before + gained if status == DONE else before
        assert afters[account != payer] == after, "another outcome is recorded"
        assert status == DONE or account != payer or more[1] > before
        return after
    is_enough = kind == DEPOSIT or more <= before
    after = before if not is_enough else before + more if kind == DEPOSIT else before - more
    assert outcome == (after if is_enough else (INSUFFICIENT, before)), "another outcome is recorded"
    return after
