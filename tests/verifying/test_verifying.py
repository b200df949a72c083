from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from bankrmi.coordination.view_store import ViewStore
from bankrmi.errors import ConfigurationError, InvalidRequest
from bankrmi.replication.record import Record, chained, packed, unpacked
from bankrmi.replication.view import View
from bankrmi.storage.database import own_directory
from bankrmi.storage.journal import SqliteJournal, WriteBehind
from bankrmi.verifying.directories import places_in, verify
from bankrmi.verifying.server_directory import verify_database
from bankrmi.verifying.verdict import DatabaseVerdict
from bankrmi.verifying.write_ahead_log import read_log
from tests.storage.journals import adopted, decide, deposit, opened, withdraw


def filled(folder: Path, requests: int = 30) -> SqliteJournal:
    folder.mkdir(parents=True, exist_ok=True)
    journal = opened(folder / "bank.db")
    for number in range(1, requests + 1):
        decide(journal, 1, ("a", number), [deposit(1, 5), withdraw(2, 4), withdraw(77, 1)], number)
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


def only(folder: Path) -> DatabaseVerdict:
    [verdict] = verify(folder)
    return verdict


def test_a_sound_server_is_sound_and_nothing_of_it_is_changed(tmp_path: Path) -> None:
    filled(tmp_path / "s1").close()
    before = content(tmp_path / "s1")
    verdict = only(tmp_path / "s1")
    assert verdict.faults == ()
    assert verdict.holds == "91 operations, epoch 1 of history h"
    assert content(tmp_path / "s1") == before


def test_a_killed_server_is_read_with_its_log_and_nothing_of_it_is_changed(tmp_path: Path) -> None:
    folder = killed(tmp_path)
    before = content(folder)
    assert set(before) == {"bank.db", "bank.db-wal"}
    verdict = only(folder)
    assert verdict.faults == ()
    assert verdict.holds == "91 operations, epoch 1 of history h"
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
    assert places_in(tmp_path) == [tmp_path / "s1", tmp_path / "witness"]
    for wrong in (tmp_path / "log", tmp_path / "nowhere"):
        with pytest.raises(InvalidRequest, match=r"holds no|is neither a directory"):
            places_in(wrong)


# -- damage, on pages whose checksums are right --------------------------------------------------------


def change(folder: Path, statement: str, *values: object) -> None:
    """As somebody does who has a shell and SQLite at hand; the checksums of pages are kept right."""
    database = apsw.Connection(str(folder / "bank.db"), vfs="cksmvfs")
    database.execute(statement, values)
    database.close()


def rewritten(records: list[Record], at: int, **changes: Any) -> list[Record]:
    """Return records with one changed, and every action id and digest from there on made to fit."""
    changed = list(records)
    changed[at] = changed[at]._replace(**changes)
    for place in range(at, len(changed)):
        one = changed[place]
        decided = (one.operation_count, one.operations, one.outcomes)
        changed[place] = chained(changed[place - 1].position, one.epoch, one.request, decided, one.time_us)
    return changed


def rewrite(folder: Path, at: int, **changes: Any) -> None:
    """Change a record; `outcomes` and `operations` may be functions of the ones that are there, unpacked."""
    database = apsw.Connection(str(folder / "bank.db"), vfs="cksmvfs")
    records = [Record._make(row) for row in database.execute("SELECT * FROM journal ORDER BY action_id")]
    for name, change in changes.items():
        if callable(change):
            changes[name] = packed(change(*unpacked(getattr(records[at], name))))
    with database:
        database.execute("DELETE FROM journal")
        rows = rewritten(records, at, **changes)
        database.executemany("INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?)", rows)
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
        "account 1 holds None, and the journal adds up to",
    ),
    "a negative balance": (
        lambda folder: change(folder, "UPDATE accounts SET balance = -1 WHERE id = 3"),
        "account 3 holds -1",
    ),
    "a record": (
        lambda folder: change(folder, "UPDATE journal SET time_us = 0 WHERE action_id = 42"),
        "the digest at action id 42 is not that of the record and all before it",
    ),
    "a digest": (
        lambda folder: change(folder, "UPDATE journal SET digest = ? WHERE action_id = 91", bytes(16)),
        "the digest at action id 91 is not that of the record and all before it",
    ),
    "a record gone": (
        lambda folder: change(folder, "DELETE FROM journal WHERE action_id = 51"),
        "action id 49 is missing from the journal: 52 is there",
    ),
    "the newest records gone": (
        lambda folder: change(folder, "DELETE FROM journal WHERE action_id >= 88"),
        "the accounts are those after action id 91, and no record ends there",
    ),
    "fewer operations than a record says": (
        lambda folder: change(folder, "UPDATE journal SET operation_count = 2 WHERE action_id = 51"),
        "action id 49 is missing from the journal: 50 is there",
    ),
    "more operations than a record says": (
        lambda folder: rewrite(folder, 16, operation_count=2),
        "the record at action id 49 cannot be read",
    ),
    "the opening state": (
        lambda folder: change(folder, "UPDATE about SET value = ? WHERE name = 'opening'", bytes(16)),
        "the digest at action id 3 is not that of the record and all before it",
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
        lambda folder: change(folder, "UPDATE about SET value = 4 WHERE name = 'format'"),
        "it is of format 4",
    ),
    "a database of the version before": (
        lambda folder: change(folder, "UPDATE about SET value = 1 WHERE name = 'format'"),
        "it is of format 1, and this version verifies formats 2 and 3: a start brings it up to date",
    ),
    "nobody knows which accounts these are": (
        lambda folder: change(folder, "DELETE FROM about WHERE name = 'written_to'"),
        "it does not say up to where the accounts are written",
    ),
    "accounts as they were within a request": (
        lambda folder: change(folder, "UPDATE about SET value = 50 WHERE name = 'written_to'"),
        "the accounts are those after action id 50, and no record ends there",
    ),
    "accounts as they were at another time": (
        lambda folder: change(folder, "UPDATE about SET value = 51 WHERE name = 'written_to'"),
        "account 1 holds 250, and the journal adds up to 185 at action id 51",
    ),
    "the index says that a request is another record": (
        lambda folder: change(folder, "UPDATE requests SET action_id = 54 WHERE sequence = 17"),
        "the index of requests names 31, 30 of them rightly, and the journal has 31",
    ),
    "the index forgets a request": (
        lambda folder: change(folder, "DELETE FROM requests WHERE sequence = 17"),
        "the index of requests names 30, 30 of them rightly, and the journal has 31",
    ),
    "the index knows a request that is in no journal": (
        lambda folder: change(folder, "INSERT INTO requests VALUES ('z', 1, 51)"),
        "the index of requests names 32, 31 of them rightly, and the journal has 31",
    ),
    "an old epoch": (
        lambda folder: rewrite(folder, 20, epoch=0),
        "epoch 0 at action id 61 comes after epoch 1",
    ),
    "an epoch that was never adopted": (
        lambda folder: rewrite(folder, 30, epoch=5),
        "the adopted epoch is 1, older than the newest record's 5",
    ),
    "an outcome": (
        lambda folder: rewrite(folder, 19, outcomes=lambda one, other, _: [one, other, 1]),
        "action id 60 says ('done', 1), and replay says ('no_account', None)",
    ),
    "an outcome less": (
        lambda folder: rewrite(folder, 19, outcomes=lambda one, other, _: [one, other]),
        "the record at action id 58 cannot be read",
    ),
    "outcomes that are none": (
        lambda folder: rewrite(folder, 19, outcomes=b"\xc1"),
        "the record at action id 58 cannot be read",
    ),
    "a request twice": (
        lambda folder: rewrite(folder, 20, sequence=20),
        "request a:20 is in the journal twice, the second time at action id 61",
    ),
    "a request after a newer one": (
        lambda folder: rewrite(folder, 20, sequence=1),
        "request a:1 is at action id 61, after number 20 of its session",
    ),
    "operations that are none": (
        lambda folder: rewrite(folder, 20, operations=b"\xff"),
        "the record at action id 61 cannot be read",
    ),
    "an operation": (
        lambda folder: rewrite(folder, 20, operations=lambda one, _, last: [one, 5, last]),
        "the operation at action id 62 cannot be read",
    ),
    "a cancelled request that did something": (
        lambda folder: rewrite(folder, 30, outcomes=packed([3])),
        "what is cancelled at action id 91 is not a whole request",
    ),
    "a cancelled request of two operations": (
        lambda folder: rewrite(folder, 30, operation_count=2),
        "what is cancelled at action id 92 is not a whole request",
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
    damaged[2 * 4096 + 900] ^= 4
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
    assert frames == -(-(len(whole.rstrip(b"\0")) - 32) // FRAME_BYTES)  # Zeros follow.
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
    whole, end = log.read_bytes(), 32 + read_log(log).frames * FRAME_BYTES
    for lost in (1, 100, 4000, FRAME_BYTES):
        log.write_bytes(whole[: end - lost])
        assert read_log(log).damaged_at is None
        assert only(folder).sound
    damaged = bytearray(whole)
    damaged[end - 1] ^= 1
    log.write_bytes(damaged)
    assert read_log(log).damaged_at is None, "it looks like a commit that was torn"


def test_zeros_by_which_a_log_is_longer_than_its_content_are_no_damage(tmp_path: Path) -> None:
    """A power loss may leave nothing else of a log that was just begun."""
    folder = killed(tmp_path, requests=12)
    log = folder / "bank.db-wal"
    whole = log.read_bytes()
    assert whole.endswith(bytes(FRAME_BYTES))
    log.write_bytes(bytes(len(whole)))
    found = read_log(log)
    assert (found.frames, found.damaged_at) == (0, None)


def test_what_an_older_generation_of_the_log_left_behind_is_no_damage(tmp_path: Path) -> None:
    """A log begins anew at its start, over frames that were brought in long ago."""
    (tmp_path / "running").mkdir()
    journal = filled(tmp_path / "running", 20)
    journal.database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    decide(journal, 1, ("c", 1), [deposit(1, 1)], 1)
    journal.commit()
    for file in (tmp_path / "running").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    journal.close()
    found = read_log(tmp_path / "bank.db-wal")
    assert 0 < found.frames < 10
    assert found.damaged_at is None
    assert only(tmp_path).holds == "62 operations, epoch 1 of history h"


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
    assert only(tmp_path).holds == "91 operations, epoch 9 of history h"


def test_a_balance_is_compared_though_nothing_of_its_journal_is_written_yet(tmp_path: Path) -> None:
    """Its first operation is above what was written: before that it was what the account opened with."""
    journal = opened(tmp_path / "bank.db", behind=WriteBehind(records=1000))
    decide(journal, 1, ("a", 1), [deposit(1, 5)], 1)
    journal.commit()
    journal.database.execute("UPDATE accounts SET balance = 7777 WHERE id = 1")
    (tmp_path / "killed").mkdir()
    for file in ("bank.db", "bank.db-wal"):
        (tmp_path / "killed" / file).write_bytes((tmp_path / file).read_bytes())
    [fault] = verify_database(tmp_path / "killed" / "bank.db").faults
    assert fault == "account 1 holds 7777, and held 100 before action id 1"
