"""What is written and what is durable are two things: we sync the log, once for all that is in it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bankrmi.storage.database import open_database
from bankrmi.storage.disk_failure import DiskFailed
from bankrmi.storage.journal import SqliteJournal
from tests.storage.forgetful_disk import ForgetfulDisk
from tests.storage.journals import decide, deposit, journal_on, opened


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of the files that we sync, as we do it; SQLite's own calls are not among them."""
    files: list[str] = []
    fdatasync = os.fdatasync

    def noting(descriptor: int) -> None:
        files.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fdatasync(descriptor)

    monkeypatch.setattr(os, "fdatasync", noting)
    return files


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let every sync fail; return a list of them."""
    tried: list[int] = []

    def failing(descriptor: int) -> None:
        tried.append(descriptor)
        raise OSError(errno.EIO, "the disk is on fire")

    monkeypatch.setattr(os, "fdatasync", failing)
    return tried


def write(journal: SqliteJournal, number: int) -> None:
    decide(journal, 1, ("a", number), [deposit(1, 1)], 1)
    journal.write()


def test_one_sync_makes_durable_all_that_was_written(tmp_path: Path, synced: list[str]) -> None:
    journal = opened(tmp_path / "bank.db")
    synced.clear()
    for number in range(1, 6):
        write(journal, number)
    assert synced == []
    journal.sync()
    assert synced == ["bank.db-wal"]


def test_what_was_written_is_there_for_the_next_process_though_it_was_not_synced(tmp_path: Path) -> None:
    """A kill is not a power loss."""
    journal = opened(tmp_path / "bank.db")
    write(journal, 1)
    for end in ("", "-wal"):
        (tmp_path / f"copy.db{end}").write_bytes((tmp_path / f"bank.db{end}").read_bytes())
    assert journal_on(tmp_path / "copy.db").newest("a") == 1


def test_a_new_process_syncs_what_the_one_before_may_have_left(tmp_path: Path, synced: list[str]) -> None:
    """Else it would tell what only the kernel holds."""
    opened(tmp_path / "bank.db").close()
    synced.clear()
    journal_on(tmp_path / "bank.db")
    assert synced == ["bank.db-wal"]


def test_a_sync_that_failed_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F1: the second one would have nothing to do, and say that all is well."""
    journal = opened(tmp_path / "bank.db")
    write(journal, 1)
    tried: list[int] = []

    def failing(descriptor: int) -> None:
        tried.append(descriptor)
        raise OSError(errno.EIO, "the disk is on fire")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", failing)
        with pytest.raises(DiskFailed, match="the disk refused a commit: the disk is on fire"):
            journal.sync()
    with pytest.raises(DiskFailed, match="has failed before"):
        journal.sync()
    decide(journal, 1, ("a", 2), [deposit(1, 1)], 1)
    with pytest.raises(DiskFailed, match="has failed before"):
        journal.write()
    assert len(tried) == 1
    journal.close()
    assert (tmp_path / "bank.db-wal").stat().st_size, "the log is left for the next process"


def test_a_database_whose_log_cannot_be_synced_is_not_opened(tmp_path: Path, broken: list[int]) -> None:
    with pytest.raises(DiskFailed):
        journal_on(tmp_path / "bank.db")
    assert len(broken) == 1


def test_what_a_failed_sync_left_in_the_kernel_is_durable_before_the_next_process_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes it for written; the next sync has nothing to do, and says that all is well."""
    path = tmp_path / "bank.db"
    journal = opened(path)
    write(journal, 1)
    journal.sync()
    disk = ForgetfulDisk(tmp_path / "bank.db-wal", monkeypatch)
    write(journal, 2)
    disk.fails_next = True
    with pytest.raises(DiskFailed):
        journal.sync()
    journal.close()
    again = journal_on(path)
    assert again.newest("a") == 2, "the next process tells it"
    again._log.close()
    again.database.close()
    disk.lose_power()
    assert journal_on(path).newest("a") == 2


def test_what_has_no_log_needs_no_sync(tmp_path: Path, broken: list[int]) -> None:
    """A copy is synced as a whole, and what is in memory never."""
    opened().commit()
    copy = SqliteJournal(
        open_database(tmp_path / "copy.db", as_copy=True),
        journal_on(None).machine,
        new_incarnation=lambda: "disk",
    )
    copy.commit()
    assert broken == []


def test_a_copy_that_was_made_of_a_database_with_a_log_needs_no_sync_of_it(
    tmp_path: Path, synced: list[str]
) -> None:
    """It brings along that it has a log, and is not durable by itself all the same."""
    source = opened(tmp_path / "bank.db")
    place = tmp_path / "copy.db"
    with (
        open_database(place, as_copy=True) as target,
        target.backup("main", source.database, "main") as backup,
    ):
        backup.step()
    before = len(synced)
    copy = SqliteJournal(
        open_database(place, as_copy=True), journal_on(None).machine, new_incarnation=lambda: "disk"
    )
    write(copy, 1)
    copy.commit()
    assert len(synced) == before


def test_a_log_that_is_begun_anew_is_still_the_one_that_is_synced(tmp_path: Path, synced: list[str]) -> None:
    journal = opened(tmp_path / "bank.db")
    inode = (tmp_path / "bank.db-wal").stat().st_ino
    for number in range(1, 4):
        write(journal, number)
        journal._log.bring_in()
    journal.sync()
    assert (tmp_path / "bank.db-wal").stat().st_ino == inode
    assert synced[-1] == "bank.db-wal"


def test_a_closed_journal_keeps_no_descriptor(tmp_path: Path) -> None:
    """Of its folder; others may come and go meanwhile."""
    journal = journal_on(tmp_path / "bank.db")
    assert "bank.db-wal" in _open_in(tmp_path)
    journal.close()
    assert _open_in(tmp_path) == []


def _open_in(folder: Path) -> list[str]:
    links = list(Path("/proc/self/fd").iterdir())
    open_files = [link.readlink() for link in links if link.is_symlink()]
    return [file.name for file in open_files if file.parent == folder]
