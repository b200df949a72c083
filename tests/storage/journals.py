"""Journals of accounts for the tests of this room."""

from __future__ import annotations

import itertools
from pathlib import Path

from bankrmi.bank.accounts import Accounts, packed
from bankrmi.bank.operations import Deposit, Withdraw
from bankrmi.replication.journal import Adopted
from bankrmi.storage.database import open_database, open_in_memory
from bankrmi.storage.journal import SqliteJournal

LEDGER = {1: 100, 2: 300, 3: 450, 4: 2**63 - 1}


def adopted(epoch: int = 1, *, history: str = "h", primary: str = "s1") -> Adopted:
    return Adopted(history=history, epoch=epoch, primary=primary, start_id=f"{primary}#1")


def withdraw(account: int, amount: int) -> bytes:
    return packed(Withdraw(account, amount))


def deposit(account: int, amount: int) -> bytes:
    return packed(Deposit(account, amount))


def journal_on(path: Path | None, rolled_back_to: Path | None = None) -> SqliteJournal:
    numbers = itertools.count(1)
    database = open_in_memory() if path is None else open_database(path)
    return SqliteJournal(
        database,
        Accounts(LEDGER),
        new_incarnation=lambda: f"disk{next(numbers)}",
        rolled_back_to=rolled_back_to,
    )


def opened(path: Path | None = None, rolled_back_to: Path | None = None) -> SqliteJournal:
    journal = journal_on(path, rolled_back_to)
    journal.open(adopted())
    journal.commit()
    return journal
