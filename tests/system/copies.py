"""What a stopped server has on its disk, and whether it is what its clients were told.

Rule 1: a test never opens a server's own database: it reads a copy of the files, so that the server, once it
        goes on, finds what it left.
Rule 2: what the balances should be is found out here with a dictionary, not with the bank's own code.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import Form, described
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import CANCELLED, Entry, entries_of
from bankrmi.storage.database import open_database
from bankrmi.storage.journal import SqliteJournal

__all__ = ["Copy", "check_agreement", "check_copy", "read_copy"]

LARGEST_BALANCE = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A server's disk: its whole journal, the balances beside it, the epoch adopted."""

    server: str
    incarnation: str
    adopted: Adopted | None
    entries: list[Entry]
    balances: dict[int, int]

    @property
    def tip(self) -> int:
        """The newest action id."""
        return len(self.entries)

    def request(self, request_id: str) -> list[Entry]:
        """Return all entries of a request, in the order of the journal."""
        session, _, sequence = request_id.rpartition(":")
        return [
            entry for entry in self.entries if (entry.session, entry.sequence) == (session, int(sequence))
        ]


def read_copy(directory: Path, server: str) -> Copy:
    """Read the data directory of a server that does not run, or is stopped by SIGSTOP."""
    with tempfile.TemporaryDirectory() as scratch:
        for file in directory.glob("bank.db*"):
            shutil.copy(file, scratch)
        journal = SqliteJournal(
            open_database(Path(scratch) / "bank.db"), Accounts({}), new_incarnation=lambda: "made by a test"
        )
        try:
            return Copy(
                server=server,
                incarnation=journal.incarnation,
                adopted=journal.adopted,
                entries=entries_of(journal.records(0, 1 << 62)),
                balances=dict(journal.export()),
            )
        finally:
            journal.close()


def check_copy(copy: Copy, ledger: Mapping[int, int]) -> None:
    """The journal has no gap and no request twice, and the balances are what it adds up to."""
    assert [entry.action_id for entry in copy.entries] == list(range(1, len(copy.entries) + 1))
    for one, other in pairwise(copy.entries):
        assert one.epoch <= other.epoch
    _check_requests(copy)
    assert _replayed(copy, ledger) == copy.balances


def _check_requests(copy: Copy) -> None:
    """Each request is there once, and its operations stand side by side."""
    newest: dict[str, int] = {}
    before: Entry | None = None
    for entry in copy.entries:
        follows = before is not None and (before.session, before.sequence) == (entry.session, entry.sequence)
        if follows:
            assert before is not None
            assert entry.place == before.place + 1, f"{copy.server}: {entry} was done twice"
        else:
            assert entry.place == 0, f"{copy.server}: {entry} was split"
            known = newest.get(entry.session, 0)
            assert entry.sequence > known, f"{copy.server}: {entry} was done twice, or came after {known}"
            newest[entry.session] = entry.sequence
        before = entry


def _replayed(copy: Copy, ledger: Mapping[int, int]) -> dict[int, int]:
    balances = dict(ledger)
    for entry in copy.entries:
        status, result = _done(balances, entry.operation)
        assert (entry.status, entry.result) == (status, result), f"{copy.server}: {entry}"
    return balances


def _done(balances: dict[int, int], operation: Form | None) -> tuple[str, int | None]:
    if operation is None:
        return CANCELLED, None
    what = described(operation)
    account, amount = what["account"], what["amount"]
    balance = balances.get(account)
    if balance is None:
        return "no_account", None
    after = balance - amount if what["kind"] == "withdraw" else balance + amount
    if after < 0:
        return "insufficient", balance
    if after > LARGEST_BALANCE:
        return "too_large", balance
    balances[account] = after
    return "done", after


def check_agreement(*copies: Copy) -> None:
    """All copies are the same up to the end of the shorter one, digests included."""
    for one, other in pairwise(copies):
        for ours, theirs in zip(one.entries, other.entries, strict=False):
            assert ours == theirs, f"{one.server} and {other.server} differ: {ours}, {theirs}"
