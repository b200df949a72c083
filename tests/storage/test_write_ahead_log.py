"""The log is brought into the database by ourselves, with the errors that SQLite swallows."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bankrmi.errors import BrokenInvariant
from bankrmi.storage import write_ahead_log
from bankrmi.storage.journal import SqliteJournal
from tests.robustness.power_loss_recording import need_strace
from tests.storage.journals import decide, deposit, journal_on, opened

ROOT = Path(__file__).parent.parent.parent
PAGE = 4096
DUE_PAGES = 500


@pytest.fixture(autouse=True)
def _a_log_that_is_due_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_ahead_log, "DUE_PAGES", DUE_PAGES)


def work(journal: SqliteJournal, number: int, operations: int = 2000) -> None:
    decide(journal, 1, ("a", number), [deposit(1, 1)] * operations, 1)
    journal.commit()


def log_bytes(path: Path) -> int:
    return path.with_name(f"{path.name}-wal").stat().st_size


def grown_to(pages: int, journal: SqliteJournal, number: int = 0) -> int:
    while journal._log.pages < pages:
        number += 1
        work(journal, number)
    return number


def test_a_log_that_is_due_is_brought_in_between_groups(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db")
    number = grown_to(DUE_PAGES, journal)
    before = (tmp_path / "bank.db").stat().st_size
    journal.tend()
    assert (tmp_path / "bank.db").stat().st_size > before
    work(journal, number + 1, 1)
    assert journal._log.pages < 100, "the next commit begins the log anew"


def test_the_log_is_longer_than_what_commits_write_so_that_a_sync_writes_no_new_length(
    tmp_path: Path,
) -> None:
    """Else each sync takes twice as long; and what is there is read as if the rest were not."""
    journal = opened(tmp_path / "bank.db")
    lengths = []
    for number in range(1, 101):
        work(journal, number, 1)
        lengths.append(log_bytes(tmp_path / "bank.db"))
    assert len(set(lengths)) <= 5
    assert all(length > journal._log.pages * PAGE for length in lengths[-1:])
    copy = tmp_path / "copy.db"
    for end in ("", "-wal"):
        Path(f"{copy}{end}").write_bytes(Path(f"{tmp_path / 'bank.db'}{end}").read_bytes())
    again = journal_on(copy)
    assert again.tip == journal.tip


def test_where_there_is_no_space_the_log_grows_commit_by_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def no_space(*arguments: object) -> int:
        tried.append(arguments)
        raise OSError(errno.ENOSPC, "no space left")

    journal = opened(tmp_path / "bank.db")
    monkeypatch.setattr(os, "pwrite", no_space)
    work(journal, 1, 1)
    grown_to(100, journal, 1)
    assert 0 < len(tried) < 30, "it is not tried at every commit"


def test_a_log_is_not_brought_in_while_a_transaction_is_open(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db")
    number = grown_to(DUE_PAGES, journal)
    decide(journal, 1, ("b", 1), [deposit(1, 1)], 1)
    journal.tend()
    journal.commit()
    assert journal._log.pages >= DUE_PAGES
    journal.tend()
    work(journal, number + 1, 1)
    assert journal._log.pages < 100


def test_a_log_that_nobody_tends_stays_under_its_ceiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_ahead_log, "CEILING_PAGES", 1000)
    journal = opened(tmp_path / "bank.db")
    for number in range(1, 40):
        work(journal, number)
        assert journal._log.pages < 1000
    assert log_bytes(tmp_path / "bank.db") < 2 * 1000 * PAGE


def test_one_great_transaction_does_not_leave_a_great_log_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_ahead_log, "CEILING_PAGES", 500)
    journal = opened(tmp_path / "bank.db")
    work(journal, 1, 400_000)
    assert log_bytes(tmp_path / "bank.db") > 600 * PAGE
    for number in range(2, 4):
        work(journal, number, 1)
    assert log_bytes(tmp_path / "bank.db") <= 502 * PAGE


def test_a_question_that_stays_open_puts_it_off_and_at_the_ceiling_is_a_mistake_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(tmp_path / "bank.db")
    grown_to(DUE_PAGES, journal)
    question = journal.database.execute("SELECT * FROM journal")
    next(question)
    journal.tend()
    assert journal._log.pages >= DUE_PAGES
    monkeypatch.setattr(write_ahead_log, "CEILING_PAGES", DUE_PAGES)
    with pytest.raises(BrokenInvariant, match="keeps a question open"):
        journal.tend()


def test_a_database_closed_in_good_order_has_no_log(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db")
    work(journal, 1)
    decide(journal, 1, ("b", 1), [deposit(1, 1)], 1)
    journal.close()
    assert [file.name for file in tmp_path.iterdir()] == ["bank.db"]
    assert journal_on(tmp_path / "bank.db").newest("b") is None


FAILING = """
import pathlib, sys
from bankrmi.storage import write_ahead_log
from bankrmi.storage.database import DiskFailed
from tests.storage.journals import decide, deposit, opened
write_ahead_log.DUE_PAGES = 200
journal = opened(pathlib.Path(sys.argv[1]) / "bank.db")
committed = 0
try:
    for number in range(1, 1000):
        decide(journal, 1, ("a", number), [deposit(1, 1)] * 50, 1)
        journal.commit()
        committed = number
        journal.tend()
except DiskFailed as failed:
    print(committed)
    print(failed)
try:
    journal.close()
except DiskFailed as failed:
    print(failed)
"""


def test_a_database_that_cannot_be_synced_ends_the_work_and_its_log_stays(tmp_path: Path) -> None:
    """The log's own syncs succeed. SQLite's own checkpoint went on over 51 such failures without a word."""
    need_strace()
    inject = ["-P", str(tmp_path / "bank.db"), "-e", "trace=fsync,fdatasync"]
    inject += ["-e", "inject=fsync,fdatasync:error=EIO:when=3+", "-o", str(tmp_path / "strace")]
    command = ["strace", "-f", *inject, sys.executable, "-c", FAILING, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.stderr == ""
    committed, *sentences = ended.stdout.splitlines()
    assert sentences[0].startswith("the disk refused to bring the log into the database: ")
    trace = (tmp_path / "strace").read_text()
    assert trace.count("INJECTED") == 1, f"it was tried again:\n{trace}"
    assert log_bytes(tmp_path / "bank.db") > 0, "the log is all that holds what the database may have lost"
    journal = journal_on(tmp_path / "bank.db")
    assert journal.newest("a") == int(committed)
    recorded = journal.recorded("a", int(committed))
    assert recorded is not None
    assert len(recorded.entries()) == 50
