"""Disks by what is on them: production's SQLite, one live database for each content that ever occurs.

Rule 1: a step of the rules works on the live database of the content that it begins with; what it wrote is
        read off, and the transaction is taken back, so that the database can serve that content again.
Rule 2: a new content is written anew by production's `append` and must come out the same, balances
        included: what a roll-back left behind would show here.
Rule 3: each content is checked once: no request twice, and replay by plain words gives every result.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any, NamedTuple

from bankrmi.bank.accounts import Accounts
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import Record
from bankrmi.robustness.checker.verdict import unsound
from bankrmi.robustness.simulator.history import copy_of
from bankrmi.storage.database import open_in_memory
from bankrmi.storage.journal import SqliteJournal, WriteBehind
from bankrmi.verifying.model import BankModel

__all__ = ["LEDGER", "Content", "Disks"]

LEDGER = {1: 100}

_EVERYTHING = 1_000_000


class Content(NamedTuple):
    """What is on a disk."""

    incarnation: str
    adopted: Adopted
    records: tuple[Record, ...]


class Disks:
    """Every content of a disk that has occurred; a number stands for it."""

    def __init__(self) -> None:
        self._contents: list[Content] = []
        self._live: list[SqliteJournal] = []
        self._number_of: dict[Any, int] = {}
        self.broken: dict[int, str] = {}
        """What is wrong with a content, by its number."""

    def __getitem__(self, number: int) -> Content:
        return self._contents[number]

    def __len__(self) -> int:
        return len(self._contents)

    def journal(self, number: int) -> SqliteJournal:
        """Return the live database of a content, without anything uncommitted."""
        return self._live[number]

    def number(self, content: Content) -> int:
        """Return the number of a content; write it to a database of its own if it is new."""
        key = (content.incarnation, astuple(content.adopted))
        number = self._number_of.get((key, content.records))
        if number is None:
            number = self._number_of[key, content.records] = len(self._contents)
            self._contents.append(content)
            self._live.append(self._written(content))
            model = BankModel(LEDGER)
            for sentence in unsound(copy_of("it", self._live[number], model), model):
                self.broken.setdefault(number, sentence)
        return number

    def _written(self, content: Content) -> SqliteJournal:
        journal = SqliteJournal(
            open_in_memory(),
            Accounts(LEDGER),
            new_incarnation=lambda: content.incarnation,
            behind=WriteBehind(records=0),  # Nothing is to be applied again when a step is taken back.
        )
        journal.open(content.adopted)
        if content.records:
            journal.append(content.records)
        journal.commit()
        return journal

    def after_step(self, number: int) -> int:
        """Return what would be on the disk if what was just written to it were committed; take it back."""
        journal = self._live[number]
        if not journal.database.in_transaction:
            return number
        adopted = journal.adopted
        assert adopted is not None
        written = Content(journal.incarnation, adopted, tuple(journal.records(0, _EVERYTHING)))
        state = list(journal.export())
        journal.discard()
        after = self.number(written)
        if state != list(self._live[after].export()):
            self.broken.setdefault(after, "the accounts are not what the journal adds up to")
        return after
