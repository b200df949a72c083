"""A commit writes the journal; accounts and index follow behind, and nobody can tell the difference.

Whoever looks at the tables sees what is on the disk: the tests ask the database, past the journal's memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from bankrmi.bank import accounts
from bankrmi.bank.accounts import Accounts
from bankrmi.bank.snapshot import Snapshot
from bankrmi.errors import BrokenInvariant, ConfigurationError
from bankrmi.replication.record import chained, packed
from bankrmi.storage.database import DiskFailed, open_database, open_in_memory
from bankrmi.storage.journal import SqliteJournal, WriteBehind
from tests.storage.journals import LEDGER, adopted, decide, deposit, journal_on, opened, withdraw

NEVER = WriteBehind(records=1_000_000, operations=1_000_000)
FOLLOWS = ("about", "accounts", "requests")


def tables(journal: SqliteJournal) -> dict[str, list[Any]]:
    """Return what is in each table of what follows from the journal."""
    return {name: journal.database.execute(f"SELECT * FROM {name}").fetchall() for name in FOLLOWS}


def written_to(journal: SqliteJournal) -> int:
    """Return up to where accounts and index are written."""
    place = dict(tables(journal)["about"])["written_to"]
    assert type(place) is int
    return place


def commit(journal: SqliteJournal, number: int, operations: int = 2) -> None:
    """Decide and commit one request: deposits of 1 on account 1, each second time on account 2."""
    decide(journal, 1, ("a", number), [deposit(1 + number % 2, 1)] * operations, number)
    journal.commit()


def everything(journal: SqliteJournal) -> dict[str, Any]:
    """Return all that a caller, a standby or an operator can find out."""
    snapshot = Snapshot()
    journal.read(snapshot)
    assert isinstance(journal.machine, Accounts)
    pages: list[tuple[int, int]] = []
    while page := journal.machine.page(snapshot, 2):
        pages += page
    return {
        "tip": journal.tip,
        "adopted": journal.adopted,
        "records": journal.records(0, 1_000_000),
        "balances": {account: journal.read(account) for account in (*LEDGER, 99)},
        "export": list(journal.export()),
        "snapshot": pages,
        "newest": {session: journal.newest(session) for session in "abc"},
        "requests": {
            (session, number): journal.recorded(session, number)
            for session in "abc"
            for number in range(1, 30)
        },
    }


def killed(journal: SqliteJournal, folder: Path, behind: WriteBehind | None = None) -> SqliteJournal:
    """Open what would be left if the process were killed now: the files as they are."""
    [(_, _, path)] = journal.database.execute("PRAGMA database_list").fetchall()
    folder.mkdir()
    for end in ("", "-wal"):
        (folder / f"bank.db{end}").write_bytes(Path(f"{path}{end}").read_bytes())
    return journal_on(folder / "bank.db", folder, behind=behind)


def test_a_commit_writes_the_journal_alone(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db", behind=NEVER)
    before = tables(journal)
    for number in range(1, 10):
        commit(journal, number)
        assert tables(journal) == before
        assert journal.database.execute("SELECT count(*) FROM journal").get == number
    journal.cancel(1, ("b", 1), 1)
    journal.commit()
    assert tables(journal) == before
    assert journal.read(1) == 100 + 2 * 4
    assert journal.newest("a") == 9


def test_what_a_killed_process_leaves_is_the_same_to_everybody(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db", behind=NEVER)
    for number in range(1, 6):
        commit(journal, number)
    journal.cancel(1, ("b", 7), 1)
    decide(journal, 1, ("c", 3), [withdraw(1, 50), withdraw(1, 5000), deposit(9, 1)], 1)
    journal.commit()
    before = everything(journal)
    decide(journal, 1, ("c", 4), [withdraw(1, 1)], 1)  # Not committed.
    again = killed(journal, tmp_path / "killed")
    assert written_to(again) == 0
    assert everything(again) == before
    for one in (journal, again):
        one.discard()
        commit(one, 6)
    assert everything(again) == everything(journal)


def test_a_snapshot_taken_before_what_follows_is_written_stays_what_it_was(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db", behind=WriteBehind(records=2))
    commit(journal, 1)
    snapshot, expected = Snapshot(), dict(journal.export())
    journal.read(snapshot)
    assert isinstance(journal.machine, Accounts)
    found = dict(journal.machine.page(snapshot, 1))
    for number in range(2, 8):
        commit(journal, number)
    while page := journal.machine.page(snapshot, 1):
        found.update(page)
    assert written_to(journal) > 0
    assert found == expected


def test_so_many_records_make_it_write(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db", behind=WriteBehind(records=3, operations=1000))
    seen = []
    for number in range(1, 10):
        commit(journal, number)
        seen.append(written_to(journal))
    assert seen == [0, 0, 0, 8, 8, 8, 8, 16, 16]
    assert tables(journal)["accounts"] == [(1, 108), (2, 308), (3, 450), (4, 2**63 - 1)]
    assert tables(journal)["requests"] == [("a", number, 2 * number) for number in range(1, 9)]


def test_so_many_operations_make_it_write(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db", behind=WriteBehind(records=1000, operations=5))
    seen = []
    for number in range(1, 8):
        commit(journal, number)
        seen.append(written_to(journal))
    assert seen == [0, 0, 6, 6, 6, 12, 12]
    assert tables(journal)["requests"] == [("a", number, 2 * number) for number in range(1, 7)]


def test_what_a_start_applies_again_counts_for_the_bounds(tmp_path: Path) -> None:
    """Else a process that is killed again and again would have more to apply each time."""
    journal = opened(tmp_path / "bank.db", behind=WriteBehind(records=3))
    for number in range(1, 4):
        commit(journal, number)
    again = killed(journal, tmp_path / "killed", WriteBehind(records=3))
    assert written_to(again) == 0
    commit(again, 4)
    assert written_to(again) == 8


@pytest.mark.parametrize("behind", [WriteBehind(records=0), WriteBehind(operations=0)])
def test_a_bound_of_nothing_writes_at_every_commit(tmp_path: Path, behind: WriteBehind) -> None:
    journal = opened(tmp_path / "bank.db", behind=behind)
    for number in range(1, 6):
        commit(journal, number)
        assert written_to(journal) == journal.tip.action_id
        assert tables(journal)["accounts"] == list(journal.export())
        assert len(tables(journal)["requests"]) == number


@pytest.mark.parametrize("to", [2, 4, 6, 8, 10, 12, 14])
def test_a_roll_back_is_written_wherever_it_ends(tmp_path: Path, to: int) -> None:
    """Below what was written as above it: what is written is never of records that are gone."""
    journal = opened(tmp_path / "bank.db", tmp_path, behind=WriteBehind(records=3))
    for number in range(1, 8):
        commit(journal, number)
    assert written_to(journal) == 8
    other = opened()
    other.append(journal.records(0, to))
    if to < 14:
        assert journal.roll_back(to)
    journal.commit()
    assert written_to(journal) == (to if to < 14 else 8)
    again = killed(journal, tmp_path / "killed")
    for one in (journal, again):
        assert everything(one) == {**everything(other), "adopted": one.adopted}
        commit(one, to // 2 + 1, 5)
    assert everything(again) == everything(journal)


@pytest.mark.parametrize("to", [2, 10])
def test_a_roll_back_that_is_not_committed_has_not_happened(tmp_path: Path, to: int) -> None:
    journal = opened(tmp_path / "bank.db", tmp_path, behind=WriteBehind(records=3))
    for number in range(1, 8):
        commit(journal, number)
    before = everything(journal)
    journal.roll_back(to)
    decide(journal, 1, ("b", 1), [withdraw(2, 7)], 1)
    again = killed(journal, tmp_path / "killed")
    assert everything(again) == before
    journal.discard()
    assert everything(journal) == before
    commit(journal, 8)
    assert (written_to(journal), journal.newest("a")) == (16, 8)


def test_what_is_rolled_back_and_decided_anew_in_one_commit_is_all_written(tmp_path: Path) -> None:
    """A standby does just that; and a request may come again under the same id, with another outcome."""
    journal = opened(tmp_path / "bank.db", tmp_path, behind=WriteBehind(records=3))
    for number in range(1, 8):
        commit(journal, number)
    journal.roll_back(4)
    decide(journal, 2, ("a", 3), [withdraw(1, 1000)], 1)
    decide(journal, 2, ("b", 1), [deposit(1, 30), deposit(3, 1)], 1)
    journal.commit()
    assert written_to(journal) == 7
    assert tables(journal)["accounts"] == list(journal.export())
    assert tables(journal)["requests"] == [("a", 1, 2), ("a", 2, 4), ("a", 3, 5), ("b", 1, 7)]
    assert everything(killed(journal, tmp_path / "killed")) == everything(journal)


def test_a_database_closed_in_good_order_has_nothing_to_apply_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(tmp_path / "bank.db", behind=NEVER)
    for number in range(1, 6):
        commit(journal, number)
    before = everything(journal)
    decide(journal, 1, ("a", 6), [deposit(1, 1)], 1)  # Not committed.
    journal.close()
    monkeypatch.setattr(Accounts, "apply", None)
    again = journal_on(tmp_path / "bank.db")
    assert written_to(again) == 10
    assert everything(again) == before


def test_an_epoch_and_the_opening_are_written_at_once(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db", behind=NEVER)
    assert tables(journal)["accounts"] == sorted(LEDGER.items())
    commit(journal, 1)
    journal.adopt(adopted(5))
    journal.commit()
    again = killed(journal, tmp_path / "killed")
    assert (again.adopted, again.tip) == (adopted(5), journal.tip)
    assert written_to(again) == 0


def test_accounts_that_do_not_fit_the_journal_above_them_are_told_in_a_sentence(tmp_path: Path) -> None:
    """The balances were changed, or are of another time: nothing is done with them."""
    journal = opened(tmp_path / "bank.db", behind=NEVER)
    commit(journal, 1)
    journal.database.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 2")
    with pytest.raises(ConfigurationError, match="the state after action id 0 does not fit the journal at 2"):
        killed(journal, tmp_path / "killed")


def test_another_database_of_the_same_process_is_read_anew(tmp_path: Path) -> None:
    """A copy is put in place: what was unwritten of the old one is not of the new one."""
    source = opened(tmp_path / "bank.db", behind=NEVER)
    for number in range(1, 4):
        commit(source, number)
    target: apsw.Connection = open_database(tmp_path / "copy.db", as_copy=True)
    source.copied_to(target).close()
    copy = journal_on(tmp_path / "copy.db", behind=NEVER)
    assert written_to(copy) == 0
    assert everything(copy) == everything(source)


@pytest.mark.parametrize(
    "form",
    [
        (0, 1, 0.5),
        (0, 1, float("nan")),
        (0, 1, -1),
        (1, 1, -500),
        (1, "1", 5),
        (1, True, 5),
        (None, 1, 5),
        (2, 1, 5),
        (1, 1, 2**63),
        (1, 1),
        5,
    ],
)
def test_what_no_client_could_ask_for_is_not_taken_from_another_server(form: object) -> None:
    """SQLite would refuse it much later, when it is long acknowledged, and at every start again."""
    journal = opened(behind=NEVER)
    operations = packed([form])
    forged = chained(journal.tip, 1, ("a", 1), (1, operations, packed([5])), 1)
    with pytest.raises(BrokenInvariant, match="the operations at action id 1 cannot be read"):
        journal.append([forged])


def test_a_request_that_only_the_disk_remembers_is_not_taken_again(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db")
    commit(journal, 1)
    commit(journal, 2)
    journal.close()
    again = journal_on(tmp_path / "bank.db", behind=NEVER)
    for number in (1, 2):
        operations = packed([deposit(1, 1)])
        [outcome] = again.machine.apply([deposit(1, 1)], 1, (1, ("a", 1)))
        again.machine.undo([deposit(1, 1)], [outcome], 0)
        twice = chained(again.tip, 1, ("a", number), (1, operations, packed([outcome])), 1)
        with pytest.raises(BrokenInvariant, match=f"request a:{number} is decided twice, or after number 2"):
            again.append([twice])
        again.discard()


def test_a_full_disk_at_the_end_is_told_as_one(tmp_path: Path) -> None:
    """What follows is written then; and the journal is whole all the same."""
    journal = opened(tmp_path / "bank.db", behind=NEVER)
    for number in range(1, 201):
        decide(journal, 1, (f"{number:060}", 1), [deposit(1, 1)], number)
    journal.commit()
    journal.database.pragma("max_page_count", journal.database.pragma("page_count"))
    with pytest.raises(DiskFailed, match="the disk refused a commit: database or disk is full"):
        journal.close()
    assert killed(journal, tmp_path / "killed").read(1) == LEDGER[1] + 200


def test_a_disk_that_is_full_before_there_is_a_commit_is_not_tried_again_at_the_end(tmp_path: Path) -> None:
    """SQLite has rolled back by itself: to do so again is an error, which would hide the one that counts."""
    journal = opened(tmp_path / "bank.db", behind=WriteBehind(records=0, operations=0))
    for number in range(1, 100):
        decide(journal, 1, (f"session {number}", 1), [deposit(1, 1)] * 20, 1)
    journal.commit()
    journal.database.pragma("max_page_count", journal.database.pragma("page_count"))
    with pytest.raises(apsw.FullError):  # noqa: PT012  (some statement of some record meets it)
        for number in range(1, 1000):
            decide(journal, 2, (f"another {number}", 1), [deposit(1, 1)] * 400, 1)
            journal.position(journal.tip.action_id - 1)  # To ask anything, what was inserted is written.
    journal.close()
    assert (tmp_path / "bank.db-wal").stat().st_size, "the log is left for the next process"
    assert journal_on(tmp_path / "bank.db").newest("another 1") is None


def test_what_is_read_only_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_MOST_BALANCES", 2)
    machine = Accounts(dict.fromkeys(range(1, 50), 100))
    machine.attach(open_in_memory())
    machine.open()
    machine.apply([deposit(7, 1), deposit(8, 1)], 1)
    for number in range(1, 50):
        assert machine.read(number) == (101 if number in (7, 8) else 100)
        assert len(machine._balances) <= 2 + 2
    assert machine.apply([deposit(number, 1) for number in (9, 7, 10, 7, 11, 9)], 1) == [
        101,
        102,
        101,
        103,
        101,
        102,
    ]


def changes(journal: SqliteJournal) -> list[int]:
    """Since when three accounts, and all of them, are what they are."""
    return [journal.changed_at(query) for query in (1, 2, 3, Snapshot())]


def test_a_read_is_told_since_when_its_answer_stands_as_closely_as_memory_knows(tmp_path: Path) -> None:
    """R4."""
    journal = opened(tmp_path / "bank.db", behind=NEVER)
    decide(journal, 1, ("a", 1), [deposit(1, 1), deposit(2, 1)], 1)
    decide(journal, 1, ("a", 2), [deposit(2, 1)], 1)
    journal.commit()
    assert changes(journal) == [2, 3, 0, 3]
    journal.roll_back(2)
    assert changes(journal) == [2, 2, 0, 2]
    journal.commit()
    assert changes(journal) == [2, 2, 0, 2]
    journal.close()
    again = journal_on(tmp_path / "bank.db", behind=NEVER)
    assert changes(again) == [2, 2, 2, 2]
    decide(again, 1, ("a", 3), [deposit(3, 1)], 1)
    again.commit()
    for journal in (again, killed(again, tmp_path / "killed")):
        assert changes(journal) == [2, 2, 3, 3]


def test_what_is_written_behind_makes_no_read_wait_for_the_newest_group(tmp_path: Path) -> None:
    """R4: a group of many requests is written in its own commit, and is not acknowledged by then."""
    journal = opened(tmp_path / "bank.db", behind=WriteBehind(records=0))
    for number in (1, 2, 3):
        decide(journal, 1, ("a", number), [deposit(number, 1)], 1)
        journal.commit()
    assert changes(journal) == [2, 2, 3, 3], "of the first only that it is not of the last time"
    journal.roll_back(1)
    assert changes(journal) == [1, 1, 1, 1]
