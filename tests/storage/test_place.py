"""A folder that is taken away under a running process: nothing rests on what is written after that."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bankrmi.bank.accounts import Accounts
from bankrmi.storage.database import DiskFailed, open_database, own_directory
from bankrmi.storage.journal import SqliteJournal
from bankrmi.storage.place import Place, make_private
from tests.storage.journals import LEDGER, adopted, decide, deposit


def placed(folder: Path) -> SqliteJournal:
    """Open a bank as a server does."""
    own_directory(folder).close()
    path = folder / "bank.db"
    database = open_database(path)
    place = Place(folder, path, Path(database.filename_wal))
    journal = SqliteJournal(database, Accounts(LEDGER), new_incarnation=lambda: "disk", place=place)
    journal.open(adopted())
    journal.commit()
    journal.tend()
    return journal


def removed(folder: Path) -> None:
    shutil.rmtree(folder)


def moved_away(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def replaced_by_a_copy_of_itself(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


def with_another_database(folder: Path) -> None:
    shutil.copy(folder / "bank.db", folder / "restored.db")
    (folder / "restored.db").replace(folder / "bank.db")


def without_its_log(folder: Path) -> None:
    (folder / "bank.db-wal").unlink()


TAKEN_AWAY = [removed, moved_away, replaced_by_a_copy_of_itself, with_another_database, without_its_log]


@pytest.mark.parametrize("take_away", TAKEN_AWAY)
def test_what_is_committed_into_a_folder_that_was_taken_away_is_not_durable(
    tmp_path: Path, take_away: Callable[[Path], None]
) -> None:
    journal = placed(tmp_path / "s1")
    take_away(tmp_path / "s1")
    decide(journal, 1, ("a", 1), [deposit(1, 1)], 1)
    with pytest.raises(DiskFailed, match="s1"):
        journal.commit()


def fold(journal: SqliteJournal) -> None:
    journal._apart(lambda: None)


@pytest.mark.parametrize("notice", [SqliteJournal.commit, SqliteJournal.tend, fold])
def test_nothing_is_added_to_a_log_that_was_cut_off(
    tmp_path: Path, notice: Callable[[SqliteJournal], None]
) -> None:
    """It is the same file under the same name; and what is written from then on lies behind a hole."""
    journal = placed(tmp_path / "s1")
    log = tmp_path / "s1" / "bank.db-wal"
    with log.open("r+b") as cut:
        cut.truncate(100)
    decide(journal, 1, ("a", 1), [deposit(1, 1)], 1)
    with pytest.raises(DiskFailed, match=r"bank\.db-wal was cut off while it was written: what this process"):
        notice(journal)
    assert log.stat().st_size == 100


@pytest.mark.parametrize("take_away", TAKEN_AWAY)
def test_a_server_that_writes_nothing_notices_too(tmp_path: Path, take_away: Callable[[Path], None]) -> None:
    """A standby of a bank at rest confirms heartbeats, and would be counted as a copy."""
    journal = placed(tmp_path / "s1")
    take_away(tmp_path / "s1")
    with pytest.raises(DiskFailed) as failed:
        journal.tend()
    assert "may be the only copy" in str(failed.value)
    assert "Remove nothing" in str(failed.value)


def test_a_folder_behind_a_link_is_looked_at_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "big-disk").mkdir()
    (tmp_path / "s1").symlink_to(tmp_path / "big-disk")
    journal = placed(tmp_path / "s1")
    (tmp_path / "s1").unlink()
    (tmp_path / "other").mkdir()
    (tmp_path / "s1").symlink_to(tmp_path / "other")
    with pytest.raises(DiskFailed):
        journal.tend()


def test_everything_is_for_its_owner_only(tmp_path: Path) -> None:
    journal = placed(tmp_path / "data" / "s1")
    decide(journal, 1, ("a", 1), [deposit(1, 1)], 1)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").rglob("*")}
    assert modes == {"s1": 0o700, "lock": 0o600, "bank.db": 0o600, "bank.db-wal": 0o600}


def test_what_others_could_read_is_taken_from_them(tmp_path: Path) -> None:
    """Not what a link leads to: that is somebody else's."""
    folder, outside = tmp_path / "s1", tmp_path / "outside"
    folder.mkdir(mode=0o755)
    outside.write_text("")
    outside.chmod(0o644)
    for name, mode in (("bank.db", 0o644), ("lock", 0o600)):
        (folder / name).write_text("")
        (folder / name).chmod(mode)
    (folder / "link").symlink_to(outside)
    folder.chmod(0o755)
    assert sorted(make_private(folder, folder.iterdir())) == ["bank.db", "s1"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "bank.db").stat().st_mode) == 0o600
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert make_private(folder, folder.iterdir()) == []
