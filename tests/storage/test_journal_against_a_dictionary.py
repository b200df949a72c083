from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgpack
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bankrmi.replication.entry import CANCELLED, Entry
from bankrmi.storage.journal import SqliteJournal
from tests.storage.journals import LEDGER, adopted, deposit, journal_on, opened, withdraw

LARGEST = 2**63 - 1
ACCOUNTS = st.sampled_from([1, 2, 3, 4, 99])
AMOUNTS = st.sampled_from([0, 1, 100, 300, 5000, LARGEST])
OPERATIONS = st.builds(withdraw, ACCOUNTS, AMOUNTS) | st.builds(deposit, ACCOUNTS, AMOUNTS)
SESSIONS = st.sampled_from(["a", "b", "c"])

Request = tuple[str, int]
Line = tuple[Request, bytes, str, Any]


def replayed(lines: list[Line]) -> dict[int, int]:
    """Reckon the balances with a dictionary and the words of the issue."""
    balances = dict(LEDGER)
    for _, operation, status, _ in lines:
        if status == "done":
            is_deposit, account, amount = msgpack.unpackb(operation)
            balances[account] += amount if is_deposit else -amount
    return balances


def decided(balances: dict[int, int], operation: bytes) -> tuple[str, Any]:
    """Reckon what an operation comes to; changes the balances."""
    is_deposit, account, amount = msgpack.unpackb(operation)
    if account not in balances:
        return "no_account", None
    after = balances[account] + (amount if is_deposit else -amount)
    if after < 0:
        return "insufficient", balances[account]
    if after > LARGEST:
        return "too_large", balances[account]
    balances[account] = after
    return "done", after


class JournalAgainstADictionary(RuleBasedStateMachine):
    """A file that is written, rolled back, crashed and opened again, beside a list and a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="bankrmi-journal-"))
        self.journal: SqliteJournal = opened(self.folder / "bank.db", self.folder)
        self.lines: list[Line] = []
        self.committed: list[Line] = []
        self.digests: list[bytes] = [self.journal.tip.digest]
        self.committed_digests = list(self.digests)
        self.epoch = self.committed_epoch = 1

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)

    def _next(self, session: str) -> Request:
        return session, 1 + max([number for (name, number), *_ in self.lines if name == session], default=0)

    def _took(self, request: Request, entries: list[Entry]) -> None:
        self.lines += [(request, entry.operation, entry.status, entry.result) for entry in entries]
        self.digests += [entry.digest for entry in entries]

    @rule(session=SESSIONS, operations=st.lists(OPERATIONS, min_size=1, max_size=4))
    def decide(self, session: str, operations: list[bytes]) -> None:
        request = self._next(session)
        balances = replayed(self.lines)
        entries = self.journal.decide(self.epoch, request, operations, 1)
        assert [(entry.status, entry.result) for entry in entries] == [
            decided(balances, operation) for operation in operations
        ]
        assert [entry.place for entry in entries] == list(range(len(operations)))
        self._took(request, entries)

    @rule(session=SESSIONS)
    def cancel(self, session: str) -> None:
        request = self._next(session)
        entries = self.journal.cancel(self.epoch, request, 1)
        assert [(entry.operation, entry.status, entry.result) for entry in entries] == [
            (b"", CANCELLED, None)
        ]
        self._took(request, entries)

    @rule(session=SESSIONS, data=st.data())
    def retry(self, session: str, data: st.DataObject) -> None:
        """A request that is in the journal is found as it was decided, a newer one is not found."""
        newest = self.journal.newest(session) or 0
        number = data.draw(st.integers(1, newest + 1))
        recorded = self.journal.recorded(session, number)
        assert [(entry.operation, entry.status, entry.result) for entry in recorded] == [
            line[1:] for line in self.lines if line[0] == (session, number)
        ]

    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        to = data.draw(st.integers(0, len(self.lines)))
        removed = self.journal.roll_back(to)
        assert [entry.action_id for entry in removed] == list(range(to + 1, len(self.lines) + 1))
        assert [entry.digest for entry in removed] == self.digests[to + 1 :]
        del self.lines[to:], self.digests[to + 1 :]

    @rule()
    def adopt(self) -> None:
        self.epoch += 1
        self.journal.adopt(adopted(self.epoch))

    @rule()
    def append_to_a_second_copy(self) -> None:
        """What was decided here comes out the same elsewhere, from any point on."""
        other = opened()
        other.append(self.journal.entries(0, 1_000_000)) if self.lines else None
        assert (other.tip, list(other.export())) == (self.journal.tip, list(self.journal.export()))

    @rule()
    def commit(self) -> None:
        self.journal.commit()
        self.committed, self.committed_digests = list(self.lines), list(self.digests)
        self.committed_epoch = self.epoch

    @rule(reopen=st.booleans())
    def crash(self, reopen: bool) -> None:
        if reopen:
            self.journal.close()
            self.journal = journal_on(self.folder / "bank.db", self.folder)
        else:
            self.journal.discard()
        self.lines, self.digests = list(self.committed), list(self.committed_digests)
        self.epoch = self.committed_epoch

    @invariant()
    def the_journal_is_the_list(self) -> None:
        entries = self.journal.entries(0, 1_000_000)
        assert [entry.action_id for entry in entries] == list(range(1, len(self.lines) + 1))
        assert [((e.session, e.sequence), e.operation, e.status, e.result) for e in entries] == self.lines
        positions = [self.journal.position(number) for number in range(len(self.lines) + 1)]
        assert [position and position.digest for position in positions] == self.digests
        assert self.journal.tip == positions[-1]
        assert self.journal.position(len(self.lines) + 1) is None
        assert self.journal.adopted == adopted(self.epoch)

    @invariant()
    def the_accounts_are_the_dictionary(self) -> None:
        balances = replayed(self.lines)
        assert {account: self.journal.read(account) for account in balances} == balances
        assert self.journal.read(99) is None

    @invariant()
    def sessions_are_remembered(self) -> None:
        for session in "abc":
            numbers = [number for (name, number), *_ in self.lines if name == session]
            assert self.journal.newest(session) == max(numbers, default=None)

    @invariant()
    def an_export_is_the_dictionary(self) -> None:
        assert dict(self.journal.export()) == replayed(self.lines)


class ExportSeldom(JournalAgainstADictionary):
    """The same without an export at each step: what is only in memory stays there until the commit."""

    @invariant()
    def an_export_is_the_dictionary(self) -> None:
        pass

    @initialize()
    def nothing(self) -> None:
        pass


TestJournal = JournalAgainstADictionary.TestCase
TestJournal.settings = settings(max_examples=40, stateful_step_count=25)
TestJournalWithoutExports = ExportSeldom.TestCase
TestJournalWithoutExports.settings = settings(max_examples=40, stateful_step_count=25)
