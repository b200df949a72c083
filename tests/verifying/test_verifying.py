from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from bankrmi.coordination.view_store import ViewStore
from bankrmi.errors import ConfigurationError, InvalidRequest
from bankrmi.replication.entry import Entry, chained
from bankrmi.replication.view import View
from bankrmi.storage.database import own_directory
from bankrmi.storage.journal import SqliteJournal
from bankrmi.verifying.directories import directories_in, verify
from bankrmi.verifying.verdict import Verdict
from bankrmi.verifying.write_ahead_log import read_log
from tests.storage.journals import adopted, deposit, opened, withdraw


def filled(folder: Path, requests: int = 30) -> SqliteJournal:
    folder.mkdir(parents=True, exist_ok=True)
    journal = opened(folder / "bank.db")
    for number in range(1, requests + 1):
        journal.decide(1, ("a", number), [deposit(1, 5), withdraw(2, 4), withdraw(77, 1)], number)
        journal.commit()
    journal.cancel(1, ("b", 1), 1)
    journal.commit()
    return journal


def killed(folder: Path, requests: int = 30) -> Path:
    """Leave the files as a killed server does: with a log."""
    journal = filled(folder / "running", requests)
    for file in (folder / "running").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    journal.close()
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def only(folder: Path) -> Verdict:
    [verdict] = verify(folder)
    return verdict


def test_a_sound_server_is_sound_and_nothing_of_it_is_changed(tmp_path: Path) -> None:
    filled(tmp_path / "s1").close()
    before = content(tmp_path / "s1")
    verdict = only(tmp_path / "s1")
    assert verdict.faults == ()
    assert verdict.holds == "91 entries, epoch 1 of history h"
    assert content(tmp_path / "s1") == before


def test_a_killed_server_is_read_with_its_log_and_nothing_of_it_is_changed(tmp_path: Path) -> None:
    folder = killed(tmp_path)
    before = content(folder)
    assert set(before) == {"bank.db", "bank.db-wal"}
    verdict = only(folder)
    assert verdict.faults == ()
    assert verdict.holds == "91 entries, epoch 1 of history h"
    assert content(folder) == before


def test_a_server_that_never_held_anything_is_sound(tmp_path: Path) -> None:
    (tmp_path / "bank.db").touch()
    verdict = only(tmp_path)
    assert (verdict.faults, verdict.holds) == ((), "nothing yet")


def test_a_running_process_is_not_looked_at(tmp_path: Path) -> None:
    filled(tmp_path / "s1").close()
    lock = own_directory(tmp_path / "s1")
    with pytest.raises(ConfigurationError, match=r"is in use by the running process [0-9]+: stop it first"):
        verify(tmp_path / "s1")
    lock.close()
    assert only(tmp_path / "s1").sound


def test_a_whole_data_directory_is_all_of_its_parts(tmp_path: Path) -> None:
    filled(tmp_path / "s1").close()
    ViewStore(tmp_path / "witness").close()
    (tmp_path / "log").mkdir()
    assert directories_in(tmp_path) == [tmp_path / "s1", tmp_path / "witness"]
    for wrong in (tmp_path / "log", tmp_path / "nowhere"):
        with pytest.raises(InvalidRequest, match=r"holds no|is no directory"):
            directories_in(wrong)


# -- damage, on pages whose checksums are right --------------------------------------------------------


def change(folder: Path, statement: str, *values: object) -> None:
    """As somebody does who has a shell and SQLite at hand; the checksums of pages are kept right."""
    database = apsw.Connection(str(folder / "bank.db"), vfs="cksmvfs")
    database.execute(statement, values)
    database.close()


def rewritten(entries: list[Entry], at: int, **changes: Any) -> list[Entry]:
    """Return entries with one changed, and every digest from there on made to fit."""
    changed = list(entries)
    changed[at] = changed[at]._replace(**changes)
    for place in range(at, len(changed)):
        one = changed[place]
        changed[place] = chained(
            changed[place - 1].position,
            one.epoch,
            (one.session, one.sequence),
            one.place,
            (one.operation, one.status, one.result),
            one.time_us,
        )
    return changed


def rewrite(folder: Path, at: int, **changes: Any) -> None:
    database = apsw.Connection(str(folder / "bank.db"), vfs="cksmvfs")
    entries = [Entry._make(row) for row in database.execute("SELECT * FROM journal ORDER BY action_id")]
    with database:
        database.execute("DELETE FROM journal")
        rows = rewritten(entries, at, **changes)
        database.executemany("INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?,?)", rows)
    database.close()


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a balance": (
        lambda folder: change(folder, "UPDATE accounts SET balance = balance + 1 WHERE id = 1"),
        "account 1 holds 251, and the journal adds up to 250",
    ),
    "a balance that was never used": (
        lambda folder: change(folder, "UPDATE accounts SET balance = balance + 1 WHERE id = 3"),
        "do not lead back to the ledger",
    ),
    "an account more": (
        lambda folder: change(folder, "INSERT INTO accounts VALUES (9, 9)"),
        "do not lead back to the ledger",
    ),
    "an account less": (
        lambda folder: change(folder, "DELETE FROM accounts WHERE id = 1"),
        "action id 1 says ('done', 105), and replay says ('no_account', None)",
    ),
    "a negative balance": (
        lambda folder: change(folder, "UPDATE accounts SET balance = -1 WHERE id = 3"),
        "account 3 holds -1",
    ),
    "an entry": (
        lambda folder: change(folder, "UPDATE journal SET time_us = 0 WHERE action_id = 40"),
        "the digest at action id 40 is not that of the entry and all before it",
    ),
    "a digest": (
        lambda folder: change(folder, "UPDATE journal SET digest = ? WHERE action_id = 91", bytes(16)),
        "the digest at action id 91 is not that of the entry and all before it",
    ),
    "an entry gone": (
        lambda folder: change(folder, "DELETE FROM journal WHERE action_id = 50"),
        "action id 50 is missing from the journal: 51 is there",
    ),
    "the newest entry gone": (
        lambda folder: change(folder, "DELETE FROM journal WHERE action_id >= 88"),
        "the journal adds up to",
    ),
    "the opening state": (
        lambda folder: change(folder, "UPDATE about SET value = ? WHERE name = 'opening'", bytes(16)),
        "the digest at action id 1 is not that of the entry and all before it",
    ),
    "the adopted epoch gone": (
        lambda folder: change(folder, "DELETE FROM about WHERE name = 'adopted'"),
        "no epoch was ever adopted",
    ),
    "the adopted epoch unreadable": (
        lambda folder: change(folder, "UPDATE about SET value = '{' WHERE name = 'adopted'"),
        "the adopted epoch cannot be read",
    ),
    "another format": (
        lambda folder: change(folder, "UPDATE about SET value = 2 WHERE name = 'format'"),
        "it is of format 2",
    ),
    "an old epoch": (
        lambda folder: rewrite(folder, 60, epoch=0),
        "epoch 0 at action id 61 comes after epoch 1",
    ),
    "an epoch that was never adopted": (
        lambda folder: rewrite(folder, 90, epoch=5),
        "the adopted epoch is 1, older than epoch 5",
    ),
    "an outcome": (
        lambda folder: rewrite(folder, 59, status="done", result=1),
        "says ('done', 1), and replay says",
    ),
    "a request twice": (
        lambda folder: rewrite(folder, 60, sequence=1, place=1),
        "operation 2 of request a:1 is at action id 61, apart from the one before it",
    ),
    "a request in pieces": (
        lambda folder: rewrite(folder, 61, sequence=99, place=1),
        "operation 2 of request a:99 is at action id 62, apart from the one before it",
    ),
    "an operation": (lambda folder: rewrite(folder, 60, operation=b"\xff"), "action id 61 cannot be read"),
    "a cancelled request that did something": (
        lambda folder: rewrite(folder, 90, result=3),
        "what is cancelled at action id 91 is not a whole request",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_that_sqlite_cannot_see_is_told(tmp_path: Path, what: str) -> None:
    """Someone, or something, has changed the content, and left the pages right."""
    do, sentence = DAMAGE[what]
    filled(tmp_path).close()
    do(tmp_path)
    verdict = only(tmp_path)
    assert sentence in "; ".join(verdict.faults)


# -- damage to bytes ------------------------------------------------------------------------------------


def test_a_flipped_bit_in_the_database_is_told(tmp_path: Path) -> None:
    filled(tmp_path).close()
    damaged = bytearray((tmp_path / "bank.db").read_bytes())
    damaged[5000] ^= 4
    (tmp_path / "bank.db").write_bytes(damaged)
    assert "bank.db cannot be read" in only(tmp_path).faults[0]


def test_what_is_no_database_and_what_is_missing_are_told(tmp_path: Path) -> None:
    (tmp_path / "bank.db").write_bytes(b"not a database" * 1000)
    assert not only(tmp_path).sound
    (tmp_path / "bank.db").unlink()
    (tmp_path / "bank.db-wal").write_bytes(b"x")
    assert "it is not there, though its log is" in only(tmp_path).faults[0]


def test_a_database_without_page_checksums_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bankrmi.storage.database._CHECKSUM_BYTES", 0)
    filled(tmp_path).close()
    assert "its pages have no checksums: a flipped bit would not be noticed" in only(tmp_path).faults


FRAME_BYTES = 4096 + 24


def test_a_flipped_bit_in_the_log_is_told_wherever_a_later_commit_proves_it(tmp_path: Path) -> None:
    """In the header, in a frame's header, in its page; and a torn end is not taken for one."""
    folder = killed(tmp_path, requests=12)
    log = folder / "bank.db-wal"
    whole = log.read_bytes()
    frames = read_log(log).frames
    assert frames == (len(whole) - 32) // FRAME_BYTES
    assert read_log(log).damaged_at is None
    chance = random.Random(1)
    newest_commit = 32 + (frames - 4) * FRAME_BYTES  # It has not more than four frames.
    for place in (0, 9, 31, 33, 45, 56, *(chance.randrange(newest_commit) for _ in range(30))):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        log.write_bytes(damaged)
        found = read_log(log)
        assert found.damaged_at == (0 if place < 32 else (place - 32) // FRAME_BYTES + 1), place
    assert any("bank.db-wal is damaged at frame" in fault for fault in only(folder).faults)


def test_a_log_that_was_torn_in_its_newest_commit_is_sound(tmp_path: Path) -> None:
    folder = killed(tmp_path, requests=12)
    log = folder / "bank.db-wal"
    whole = log.read_bytes()
    for lost in (1, 100, 4000, FRAME_BYTES):
        log.write_bytes(whole[:-lost])
        assert read_log(log).damaged_at is None
        assert only(folder).sound
    damaged = bytearray(whole)
    damaged[-1] ^= 1
    log.write_bytes(damaged)
    assert read_log(log).damaged_at is None, "it looks like a commit that was torn"


def test_what_an_older_generation_of_the_log_left_behind_is_no_damage(tmp_path: Path) -> None:
    """A log begins anew at its start, over frames that were brought in long ago."""
    (tmp_path / "running").mkdir()
    journal = filled(tmp_path / "running", 20)
    journal.database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    journal.decide(1, ("c", 1), [deposit(1, 1)], 1)
    journal.commit()
    for file in (tmp_path / "running").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    journal.close()
    found = read_log(tmp_path / "bank.db-wal")
    assert 0 < found.frames < 10
    assert found.damaged_at is None
    assert only(tmp_path).holds == "62 entries, epoch 1 of history h"


# -- the witness ----------------------------------------------------------------------------------------


def views(folder: Path) -> None:
    store = ViewStore(folder)
    view = View.first(history="h", server="s1", start_id="s1#1", incarnation="disk1")
    assert store.propose("account", None, view)[0]
    assert store.propose("account", ("h", 1), view.letting_in("s2", "disk2"))[0]
    store.close()


def test_a_sound_witness_is_sound_and_says_who_leads(tmp_path: Path) -> None:
    views(tmp_path)
    before = content(tmp_path)
    verdict = only(tmp_path)
    assert verdict.faults == ()
    assert verdict.holds == "account: epoch 2 of history h, primary s1, in sync s1, s2"
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE views SET view = replace(view, 's2', 's3') WHERE number = 2", "does not match its checksum"),
        ("UPDATE views SET epoch = 7 WHERE number = 2", "view 2 says epoch 2 of h, and stands as another"),
        ("DELETE FROM views WHERE number = 1", "view 2 cannot follow the one before"),
    ],
)
def test_a_changed_view_is_told(tmp_path: Path, statement: str, sentence: str) -> None:
    views(tmp_path)
    database = apsw.Connection(str(tmp_path / "view.db"))
    database.execute(statement)
    database.close()
    assert sentence in only(tmp_path).faults[0]


def test_a_journal_needs_its_adopted_epoch(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    journal.adopt(adopted(9))
    journal.commit()
    journal.close()
    assert only(tmp_path).holds == "91 entries, epoch 9 of history h"
