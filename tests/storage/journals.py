"""Journals of accounts for the tests of this room."""

from __future__ import annotations

import itertools
from pathlib import Path

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import Form, form_of
from bankrmi.bank.operations import Deposit, Withdraw
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import Record, packed
from bankrmi.storage.database import open_database, open_in_memory
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import SqliteJournal, WriteBehind

LEDGER = {1: 100, 2: 300, 3: 450, 4: 2**63 - 1}


def adopted(epoch: int = 1, *, history: str = "h", primary: str = "s1") -> Adopted:
    return Adopted(history=history, epoch=epoch, primary=primary, start_id=f"{primary}#1")


def withdraw(account: int, amount: int) -> Form:
    return form_of(Withdraw(account, amount))


def deposit(account: int, amount: int) -> Form:
    return form_of(Deposit(account, amount))


def journal_on(
    path: Path | None,
    rolled_back_to: Path | None = None,
    *,
    behind: WriteBehind | None = None,
    keeping: Keeping | None = None,
) -> SqliteJournal:
    numbers = itertools.count(1)
    database = open_in_memory() if path is None else open_database(path)
    return SqliteJournal(
        database,
        Accounts(LEDGER),
        new_incarnation=lambda: f"disk{next(numbers)}",
        rolled_back_to=rolled_back_to,
        behind=behind,
        keeping=keeping,
    )


def opened(
    path: Path | None = None,
    rolled_back_to: Path | None = None,
    *,
    behind: WriteBehind | None = None,
    keeping: Keeping | None = None,
) -> SqliteJournal:
    journal = journal_on(path, rolled_back_to, behind=behind, keeping=keeping)
    journal.open(adopted())
    journal.commit()
    return journal


def decide(
    journal: SqliteJournal, epoch: int, request: tuple[str, int], operations: list[Form], time_us: int
) -> Record:
    return journal.decide(epoch, request, len(operations), packed(operations), time_us)
