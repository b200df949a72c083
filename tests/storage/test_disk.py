from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from bankrmi.coordination.view_store import ViewStore
from bankrmi.errors import BankError, ConfigurationError, OperationFailed
from bankrmi.readiness import AWAITS
from bankrmi.replication.record import entries_of
from bankrmi.storage import copying
from bankrmi.storage import database as database_module
from bankrmi.storage.copying import CopyMaker, put_in_place, verify_copy
from bankrmi.storage.database import open_database, own_directory
from tests import warm
from tests.storage.journals import adopted, decide, deposit, journal_on, opened

ROOT = Path(__file__).parent.parent.parent


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return warm.run_command([sys.executable, "-c", program, *arguments], timeout=60)


def test_a_directory_belongs_to_one_process(tmp_path: Path) -> None:
    lock = own_directory(tmp_path / "s1")
    program = (
        "import sys, pathlib\n"
        "from bankrmi.errors import BankError\n"
        "from bankrmi.storage.database import own_directory\n"
        "try: own_directory(pathlib.Path(sys.argv[1]))\n"
        "except BankError as error: print(error)\n"
    )
    refused = run(program, str(tmp_path / "s1")).stdout
    assert refused == (
        f"the data directory {tmp_path / 's1'} is in use by the running process "
        f"{os.getpid()}: stop it first, or give this server a name and a directory of its own\n"
    )
    lock.close()
    assert run(program, str(tmp_path / "s1")).stdout == ""


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot be written .*: make it writable, or set another"):
        own_directory(tmp_path / "file" / "s1")


@pytest.mark.parametrize(
    ("number", "kind", "remedy"),
    [
        (errno.ENOLCK, OperationFailed, "gives no locks"),
        (errno.EOPNOTSUPP, ConfigurationError, "set data_dir to a folder on a local file system"),
        (errno.ENOSYS, ConfigurationError, "set data_dir to a folder on a local file system"),
    ],
)
def test_a_file_system_without_locks_is_not_taken_for_another_process(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[BankError],
    remedy: str,
) -> None:
    """Whoever had the directory before has left a pid in it, which says nothing now."""
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "lock").write_text("4242\n")

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(kind, match=remedy) as raised:
        own_directory(tmp_path / "s1")
    assert "4242" not in raised.value.message
    assert os.strerror(number) in raised.value.message
    with pytest.raises(kind, match=remedy):
        ViewStore(tmp_path / "s1")


def test_a_second_connection_to_the_same_file_is_refused_for_as_long_as_the_first_one_is_there(
    tmp_path: Path,
) -> None:
    first = opened(tmp_path / "bank.db")
    with pytest.raises(OperationFailed, match=r"bank\.db is locked by another process") as refused:
        open_database(tmp_path / "bank.db")
    assert AWAITS in refused.value.details
    first.close()
    open_database(tmp_path / "bank.db").close()


def test_whoever_looks_into_a_database_is_waited_for(tmp_path: Path) -> None:
    """A backup, or a person with sqlite3: nothing is wrong with the disk, and nobody has to mend anything."""
    opened(tmp_path / "bank.db").close()
    ViewStore(tmp_path / "witness").close()
    for path, again in (
        (tmp_path / "bank.db", lambda: open_database(tmp_path / "bank.db")),
        (tmp_path / "witness" / "view.db", lambda: ViewStore(tmp_path / "witness")),
    ):
        looking = apsw.Connection(str(path))
        looking.execute("BEGIN; SELECT * FROM sqlite_schema")
        with pytest.raises(OperationFailed, match="is locked by another process") as refused:
            again()
        assert AWAITS in refused.value.details
        looking.close()
        again().close()


def test_nobody_who_looks_into_the_witnesss_database_later_can_stop_it(tmp_path: Path) -> None:
    ViewStore(tmp_path / "witness").close()
    store = ViewStore(tmp_path / "witness")
    with pytest.raises(apsw.BusyError):
        apsw.Connection(str(tmp_path / "witness" / "view.db")).execute("SELECT * FROM sqlite_schema")
    store.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_what_a_machine_lacks_for_a_moment_is_no_mistake_in_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(database_module, "private_opener", refuse)
    for attempt in (lambda: own_directory(tmp_path / "s1"), lambda: open_database(tmp_path / "bank.db")):
        with pytest.raises(OperationFailed, match=os.strerror(number)) as refused:
            attempt()
        assert AWAITS in refused.value.details


def test_what_is_not_a_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "bank.db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(ConfigurationError, match="if none leads, this may be the only copy"):
        open_database(tmp_path / "bank.db")


def read_everything(path: Path) -> None:
    journal = journal_on(path)
    entries_of(journal.records(0, 1000))
    journal.recorded("a", 1)
    list(journal.export())
    for damaged in journal.database.execute("PRAGMA integrity_check"):
        assert damaged == ("ok",)


POINTERS = 1
"""The page in which SQLite notes where each page belongs."""


@pytest.mark.parametrize("page", range(1, 9))
def test_a_flipped_bit_is_an_error_and_not_a_wrong_balance(tmp_path: Path, page: int) -> None:
    """Whatever page it hits, whoever reads it gets an error."""
    path = tmp_path / "bank.db"
    journal = opened(path)
    for number in range(1, 400):
        decide(journal, 1, ("a", number), [deposit(1, 1)], 1)
    journal.commit()
    journal.close()
    content = bytearray(path.read_bytes())
    assert len(content) >= 9 * 4096
    content[page * 4096 + 2000] ^= 0x10
    path.write_bytes(content)
    assert verify_copy(path) != ""
    if page == POINTERS:
        return  # SQLite reads it when space is given back, and nobody reads from it what an account holds.
    with pytest.raises((apsw.Error, ConfigurationError), match=r"(?i)i/o|checksum|malformed"):
        read_everything(path)


def test_a_copy_made_while_the_bank_goes_on_is_the_same_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PAGES_AT_ONCE", 8)
    source = opened(tmp_path / "bank.db")
    number = 0

    def work(operations: int) -> None:
        nonlocal number
        number += 1
        decide(source, 1, ("a", number), [deposit(1 + number % 3, 1)] * operations, 1)
        source.commit()

    for _ in range(10):
        work(8000)
    maker = CopyMaker(source.database, tmp_path / "copy.db")
    steps = 0
    while not maker.step():
        steps += 1
        work(3)
    assert steps > 5, "it was not made a few pages at a time"
    assert verify_copy(tmp_path / "copy.db") == ""
    copy = journal_on(tmp_path / "copy.db")
    assert copy.tip == source.tip
    assert entries_of(copy.records(0, 100_000)) == entries_of(source.records(0, 100_000))
    assert list(copy.export()) == list(source.export())


def test_a_copy_larger_than_its_cache_is_sound_though_the_bank_went_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found with a million entries: pages were written with checksums from before the last change."""
    monkeypatch.setattr(copying, "PAGES_AT_ONCE", 128)
    source = opened(tmp_path / "bank.db")
    for number in range(1, 61):
        decide(source, 1, ("a", number), [deposit(1, 1 << 40)] * 8000, 1)
        source.commit()
    maker = CopyMaker(source.database, tmp_path / "copy.db")
    number = 100
    while not maker.step():
        number += 1
        decide(source, 1, ("a", number), [deposit(1 + number % 3, 1)] * 3, 1)
        source.commit()
    assert number > 105, "it was made in one go"
    assert verify_copy(tmp_path / "copy.db") == ""


def test_a_copy_that_is_given_up_leaves_nothing_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PAGES_AT_ONCE", 8)
    source = opened(tmp_path / "bank.db")
    decide(source, 1, ("a", 1), [deposit(1, 1)] * 8000, 1)
    source.commit()
    maker = CopyMaker(source.database, tmp_path / "copy.db")
    assert not maker.step()
    maker.abandon()
    assert not (tmp_path / "copy.db").exists()
    decide(source, 1, ("a", 2), [deposit(1, 1)], 1)
    source.commit()


def test_half_a_copy_is_found_out(tmp_path: Path) -> None:
    source = opened(tmp_path / "bank.db")
    decide(source, 1, ("a", 1), [deposit(1, 1)] * 2000, 1)
    source.commit()
    source.close()
    content = (tmp_path / "bank.db").read_bytes()
    (tmp_path / "half.db").write_bytes(content[: len(content) // 2])
    assert verify_copy(tmp_path / "half.db") != ""
    (tmp_path / "none.db").write_bytes(b"")
    assert verify_copy(tmp_path / "none.db") != ""


def test_a_copy_that_nobody_wants_any_more_is_not_looked_through_to_its_end(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db")
    for number in range(1, 5000):
        decide(journal, 1, ("a", number), [deposit(1, 1)], 1)
    journal.commit()
    journal.close()
    asked: list[bool] = []

    def is_unwanted() -> bool:
        asked.append(True)
        return len(asked) == 2

    assert "interrupted" in verify_copy(tmp_path / "bank.db", is_unwanted)
    assert len(asked) == 2
    assert verify_copy(tmp_path / "bank.db") == ""


def test_a_copy_of_a_database_that_was_never_opened_is_found_out(tmp_path: Path) -> None:
    """The primary lost its disk after it had offered a copy: nobody takes its new, empty one for a bank."""
    source = journal_on(tmp_path / "bank.db")
    maker = CopyMaker(source.database, tmp_path / "copy.db")
    while not maker.step():
        pass
    assert verify_copy(tmp_path / "copy.db") == "it is empty: its source has lost its disk"


def test_a_copy_takes_the_place_of_the_old_database(tmp_path: Path) -> None:
    source = opened(tmp_path / "bank.db")
    decide(source, 1, ("a", 1), [deposit(1, 11)], 1)
    source.commit()
    maker = CopyMaker(source.database, tmp_path / "copy.db")
    while not maker.step():
        pass
    mine = tmp_path / "mine"
    mine.mkdir()
    old = opened(mine / "bank.db")
    decide(old, 1, ("other", 1), [deposit(2, 22)], 1)
    old.commit()
    (mine / "bank.db-wal").touch()
    copy = journal_on(tmp_path / "copy.db")
    copy.make_own("mine", adopted(9))
    copy.commit()
    copy.close()
    old.close()
    put_in_place(tmp_path / "copy.db", mine / "bank.db")
    assert not (tmp_path / "copy.db").exists()
    journal = journal_on(mine / "bank.db")
    assert (journal.incarnation, journal.adopted, journal.tip) == ("mine", adopted(9), source.tip)
    assert dict(journal.export()) == dict(source.export())


FULL = """
import pathlib, resource, signal, sys
from bankrmi.storage.database import DiskFailed
from tests.storage.journals import decide, deposit, opened
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = opened(pathlib.Path(sys.argv[1]) / "bank.db")
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
committed = 0
try:
    for number in range(1, 10_000):
        decide(journal, 1, ("a", number), [deposit(1, 1)] * 50, 1)
        journal.commit()
        committed = number
except DiskFailed as failed:
    print(committed)
    print(failed)
"""


def test_a_commit_that_fails_says_so_and_takes_nothing_back(tmp_path: Path) -> None:
    """The disk is full (here: the file may not grow); what was committed before is all there (F1)."""
    ended = run(FULL, str(tmp_path))
    assert ended.stderr == ""
    committed, sentence = ended.stdout.splitlines()
    assert sentence.startswith("the disk refused a commit: ")
    journal = journal_on(tmp_path / "bank.db")
    assert int(committed) > 0
    assert journal.newest("a") in (int(committed), int(committed) + 1)
    recorded = journal.recorded("a", int(committed))
    assert recorded is not None
    assert len(recorded.entries()) == 50


def test_a_power_loss_does_not_take_a_new_directory_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every directory is synced in the one above it: a process may have made it, and died before it could."""
    synced: list[Path] = []
    monkeypatch.setattr(database_module, "sync_directory", synced.append)
    own_directory(tmp_path / "data" / "s1").close()
    assert {tmp_path, tmp_path / "data"} <= set(synced)
    synced.clear()
    own_directory(tmp_path / "data" / "s1").close()
    assert {tmp_path, tmp_path / "data"} <= set(synced), "made by a process that was killed before it synced"


def test_a_file_system_that_syncs_no_directories_will_do() -> None:
    """Linux's /proc is one."""
    descriptor = os.open("/proc", os.O_RDONLY)
    with pytest.raises(OSError, match="Invalid argument"):
        os.fsync(descriptor)
    os.close(descriptor)
    database_module.sync_directory(Path("/proc"))


def test_an_empty_file_that_a_crash_left_becomes_a_database_with_checksums(tmp_path: Path) -> None:
    (tmp_path / "bank.db").write_bytes(b"")
    journal = opened(tmp_path / "bank.db")
    assert journal.database.pragma("checksum_verification") == "1"
    journal.close()
    content = bytearray((tmp_path / "bank.db").read_bytes())
    content[-100] ^= 1
    (tmp_path / "bank.db").write_bytes(content)
    assert verify_copy(tmp_path / "bank.db") != ""


def test_a_copy_takes_its_name_only_when_the_old_log_is_gone_for_certain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power loss could keep the change of names, and bring the old log back into the copy."""
    moments: list[dict[str, bytes]] = []
    monkeypatch.setattr(
        copying,
        "sync_directory",
        lambda folder: moments.append({file.name: file.read_bytes() for file in folder.iterdir()}),
    )
    (tmp_path / "bank.db").write_bytes(b"old")
    (tmp_path / "bank.db-wal").write_bytes(b"log of old")
    (tmp_path / "copy.db").write_bytes(b"new")
    put_in_place(tmp_path / "copy.db", tmp_path / "bank.db", keep_as=tmp_path / "replaced.db")
    assert moments == [
        {"copy.db": b"new", "replaced.db": b"old"},
        {"bank.db": b"new", "replaced.db": b"old"},
    ]
