from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bankrmi.bank.forms import Form
from bankrmi.replication.record import CANCELLED, Record, entries_of
from bankrmi.storage.journal import SqliteJournal, WriteBehind
from tests.examples import examples
from tests.storage.journals import LEDGER, adopted, decide, deposit, journal_on, opened, withdraw

LARGEST = 2**63 - 1
ACCOUNTS = st.sampled_from([1, 2, 3, 4, 99])
AMOUNTS = st.sampled_from([0, 1, 100, 300, 5000, LARGEST])
OPERATIONS = st.builds(withdraw, ACCOUNTS, AMOUNTS) | st.builds(deposit, ACCOUNTS, AMOUNTS)
SESSIONS = st.sampled_from(["a", "b", "c"])

Request = tuple[str, int]
Line = tuple[Request, Any, str, Any]

BEHIND = st.sampled_from(
    [
        WriteBehind(),
        WriteBehind(records=3),
        WriteBehind(records=1),
        WriteBehind(records=0),
        WriteBehind(operations=3),
        WriteBehind(records=3, operations=5),
    ]
)
"""Written only where something asks for it, now and then, at the second record, or at every commit."""


def replayed(lines: list[Line]) -> dict[int, int]:
    """Reckon the balances with a dictionary and the words of the issue."""
    balances = dict(LEDGER)
    for _, operation, status, _ in lines:
        if status == "done":
            is_deposit, account, amount = operation
            balances[account] += amount if is_deposit else -amount
    return balances


def decided(balances: dict[int, int], operation: Form) -> tuple[str, Any]:
    """Reckon what an operation comes to; changes the balances."""
    is_deposit, account, amount = operation
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
        self.behind = WriteBehind()
        self.journal: SqliteJournal = opened(self.folder / "bank.db", self.folder)
        self.lines: list[Line] = []
        self.committed: list[Line] = []
        self.digests: dict[int, bytes] = {0: self.journal.tip.digest}  # Where a record ends.
        self.committed_digests = dict(self.digests)
        self.epoch = self.committed_epoch = 1

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)

    def _next(self, session: str) -> Request:
        return session, 1 + max([number for (name, number), *_ in self.lines if name == session], default=0)

    def _took(self, request: Request, record: Record) -> None:
        self.lines += [(request, one.operation, one.status, one.result) for one in record.entries()]
        self.digests[len(self.lines)] = record.digest

    @initialize(behind=BEHIND)
    def write_behind(self, behind: WriteBehind) -> None:
        self.behind = behind
        self.journal.close()
        self._open_again()

    def _open_again(self) -> None:
        self.journal = journal_on(self.folder / "bank.db", self.folder, behind=self.behind)

    @rule(session=SESSIONS, operations=st.lists(OPERATIONS, min_size=1, max_size=4))
    def decide(self, session: str, operations: list[Form]) -> None:
        request = self._next(session)
        balances = replayed(self.lines)
        record = decide(self.journal, self.epoch, request, operations, 1)
        entries = record.entries()
        assert [(entry.status, entry.result) for entry in entries] == [
            decided(balances, operation) for operation in operations
        ]
        assert [entry.place for entry in entries] == list(range(len(operations)))
        self._took(request, record)

    @rule(requests=st.lists(st.tuples(SESSIONS, OPERATIONS), min_size=1, max_size=5))
    def decide_and_commit_one_by_one(self, requests: list[tuple[str, Form]]) -> None:
        """Most that a bank does: what follows falls behind."""
        for session, operation in requests:
            self.decide(session, [operation])
            self.commit()

    @rule(session=SESSIONS)
    def cancel(self, session: str) -> None:
        request = self._next(session)
        record = self.journal.cancel(self.epoch, request, 1)
        assert [(entry.operation, entry.status, entry.result) for entry in record.entries()] == [
            (None, CANCELLED, None)
        ]
        self._took(request, record)

    @rule(session=SESSIONS, data=st.data())
    def retry(self, session: str, data: st.DataObject) -> None:
        """A request that is in the journal is found as it was decided, a newer one is not found."""
        newest = self.journal.newest(session) or 0
        number = data.draw(st.integers(1, newest + 1))
        recorded = self.journal.recorded(session, number)
        entries = recorded.entries() if recorded is not None else []
        assert [(entry.operation, entry.status, entry.result) for entry in entries] == [
            line[1:] for line in self.lines if line[0] == (session, number)
        ]

    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        to = max(0, len(self.lines) - data.draw(st.integers(0, 7)))
        """A record that ends above goes as a whole: what stays ends where one of them ends."""
        removed = self.journal.roll_back(to)
        stays = max(end for end in self.digests if end <= to)
        assert [entry.action_id for entry in entries_of(removed)] == list(
            range(stays + 1, len(self.lines) + 1)
        )
        gone = [end for end in self.digests if end > stays]
        assert [record.digest for record in removed] == [self.digests.pop(end) for end in gone]
        del self.lines[stays:]

    @rule()
    def adopt(self) -> None:
        self.epoch += 1
        self.journal.adopt(adopted(self.epoch))

    @rule()
    def append_to_a_second_copy(self) -> None:
        """What was decided here comes out the same elsewhere, from any point on."""
        other = opened()
        other.append(self.journal.records(0, 1_000_000)) if self.lines else None
        assert (other.tip, list(other.export())) == (self.journal.tip, list(self.journal.export()))

    @rule()
    def commit(self) -> None:
        self.journal.commit()
        self.committed, self.committed_digests = list(self.lines), dict(self.digests)
        self.committed_epoch = self.epoch

    @rule(how=st.sampled_from(["discard", "close", "kill"]))
    def crash(self, how: str) -> None:
        """What was committed is there; a process that is killed leaves what follows from it unwritten."""
        if how == "discard":
            self.journal.discard()
        elif how == "close":
            self.journal.close()
            self._open_again()
        else:
            left = {file: file.read_bytes() for file in self.folder.glob("bank.db*")}
            self.journal.close()
            for file, content in left.items():
                file.write_bytes(content)
            (self.folder / "bank.db-shm").unlink(missing_ok=True)
            self._open_again()
        self.lines, self.digests = list(self.committed), dict(self.committed_digests)
        self.epoch = self.committed_epoch

    @invariant()
    def the_journal_is_the_list(self) -> None:
        entries = entries_of(self.journal.records(0, 1_000_000))
        assert [entry.action_id for entry in entries] == list(range(1, len(self.lines) + 1))
        assert [((e.session, e.sequence), e.operation, e.status, e.result) for e in entries] == self.lines
        positions = [self.journal.position(number) for number in range(len(self.lines) + 1)]
        found = {number: position.digest for number, position in enumerate(positions) if position}
        assert found == self.digests
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
TestJournal.settings = settings(max_examples=examples(20), stateful_step_count=25)
TestJournalWithoutExports = ExportSeldom.TestCase
TestJournalWithoutExports.settings = settings(max_examples=examples(20), stateful_step_count=25)
