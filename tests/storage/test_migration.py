"""A database of the version before: everything is there afterwards, the same on every copy, or nothing is."""

from __future__ import annotations

import json
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankrmi.bank.accounts import fingerprint
from bankrmi.bank.forms import Form
from bankrmi.errors import ConfigurationError
from bankrmi.replication.record import entries_of
from bankrmi.storage import migration
from bankrmi.storage.database import open_database
from bankrmi.verifying.server_directory import verify_database
from tests.examples import examples
from tests.storage.journals import LEDGER, adopted, decide, deposit, journal_on, opened, withdraw

FORMAT_1 = """
CREATE TABLE about (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
    action_id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    session TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    place INTEGER NOT NULL,
    operation BLOB NOT NULL,
    status TEXT NOT NULL,
    result ANY,
    time_us INTEGER NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX request ON journal (session, sequence) WHERE place = 0;
CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT;
"""
OPENING = blake2b(b"h\0" + fingerprint(LEDGER), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the old journal; without operations it is cancelled."""

    epoch: int
    session: str
    sequence: int
    operations: Sequence[Form]


def came_of(balances: dict[int, int], operation: Form) -> tuple[str, int | None]:
    """Reckon what an operation comes to; changes the balances."""
    is_deposit, account, amount = operation
    if account not in balances:
        return "no_account", None
    after = balances[account] + (amount if is_deposit else -amount)
    if not 0 <= after < 2**63:
        return "insufficient" if after < 0 else "too_large", balances[account]
    balances[account] = after
    return "done", after


def write_format_1(path: Path, requests: Sequence[Asked]) -> dict[int, int]:
    """Write what the version before would have left of these requests; return the balances."""
    balances, numbers, digest = dict(LEDGER), count(1), OPENING
    database = open_database(path)
    with database:
        database.execute(FORMAT_1)
        for request, number in zip(requests, count(1), strict=False):
            for place, operation in enumerate(request.operations or [None]):
                status, result = came_of(balances, operation) if operation else ("cancelled", None)
                packed = msgpack.packb(operation) if operation else b""
                row = (
                    request.epoch,
                    request.session,
                    request.sequence,
                    place,
                    packed,
                    status,
                    result,
                    number,
                )
                digest = blake2b(digest + msgpack.packb(row), digest_size=16).digest()
                database.execute(
                    "INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?,?)", (next(numbers), *row, digest)
                )
        epoch = requests[-1].epoch if requests else 1
        about = {
            "format": 1,
            "incarnation": "disk of the version before",
            "opening": OPENING,
            "opened_with": fingerprint(LEDGER),
            "adopted": json.dumps({"history": "h", "epoch": epoch, "primary": "s1", "start_id": "s1#1"}),
            "note:name": "what was noted",
        }
        database.executemany("INSERT INTO about VALUES (?,?)", about.items())
        database.executemany("INSERT INTO accounts VALUES (?,?)", balances.items())
    database.close()
    return balances


BATCH = [deposit(1, 5), withdraw(2, 1000), withdraw(1, 105), deposit(77, 1), deposit(4, 1)]
REQUESTS = [
    Asked(1, "a", 1, [withdraw(1, 10)]),
    Asked(1, "b", 1, BATCH),
    Asked(1, "a", 2, []),
    Asked(2, "a", 4, [withdraw(1, 10), deposit(1, 20)]),
    Asked(2, "c", 1, []),
    Asked(2, "c", 2, [deposit(3, 1)] * 300),
]


def test_everything_is_there(tmp_path: Path) -> None:
    balances = write_format_1(tmp_path / "bank.db", REQUESTS)
    journal = journal_on(tmp_path / "bank.db")
    assert journal.adopted == adopted(2)
    assert journal.incarnation == "disk of the version before"
    assert (journal.opened_with, journal.noted("name")) == (fingerprint(LEDGER), "what was noted")
    opening = journal.position(0)
    assert opening is not None
    assert opening.digest == OPENING
    assert dict(journal.export()) == balances
    records = journal.records(0, 1000)
    assert [record.action_id for record in records] == [1, 6, 7, 9, 10, 310]
    assert [(record.epoch, *record.request, record.time_us) for record in records] == [
        (asked.epoch, asked.session, asked.sequence, number) for number, asked in enumerate(REQUESTS, 1)
    ]
    reckoned = dict(LEDGER)
    for asked, record in zip(REQUESTS, records, strict=True):
        came: list[Any] = [(operation, *came_of(reckoned, operation)) for operation in asked.operations]
        assert [(one.operation, one.status, one.result) for one in record.entries()] == (
            came or [(None, "cancelled", None)]
        )
        assert journal.recorded(*record.request) == record
    assert {session: journal.newest(session) for session in "abcd"} == {"a": 4, "b": 1, "c": 2, "d": None}
    assert journal.recorded("a", 3) is None
    left = [row[0] for row in journal.database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    assert sorted(left) == ["about", "accounts", "journal", "requests", "sessions"]


def test_it_is_the_journal_that_this_version_would_have_written_and_goes_on_like_that(tmp_path: Path) -> None:
    """A standby that got the same from a primary of this version holds just the same, digests included."""
    write_format_1(tmp_path / "bank.db", REQUESTS)
    migrated, other = journal_on(tmp_path / "bank.db"), opened()
    for number, asked in enumerate(REQUESTS, 1):
        if asked.operations:
            decide(other, asked.epoch, (asked.session, asked.sequence), list(asked.operations), number)
        else:
            other.cancel(asked.epoch, (asked.session, asked.sequence), number)
    assert migrated.tip == other.tip
    assert migrated.records(0, 1000) == other.records(0, 1000)
    decide(migrated, 2, ("a", 5), [withdraw(1, 1)], 9)
    decide(other, 2, ("a", 5), [withdraw(1, 1)], 9)
    assert (migrated.tip, list(migrated.export())) == (other.tip, list(other.export()))
    migrated.roll_back(1)
    other.roll_back(1)
    assert (migrated.tip, list(migrated.export())) == (other.tip, list(other.export()))


def test_a_migrated_database_is_sound_and_is_not_migrated_again(tmp_path: Path) -> None:
    write_format_1(tmp_path / "bank.db", REQUESTS)
    journal = journal_on(tmp_path / "bank.db")
    tip = journal.tip
    assert journal.database.execute("SELECT value FROM about WHERE name = 'format'").get == 2
    journal.close()
    assert verify_database(tmp_path / "bank.db").faults == ()
    assert journal_on(tmp_path / "bank.db").tip == tip


@settings(max_examples=examples(12))
@given(
    drawn=st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.integers(0, 1),
            st.lists(st.sampled_from([*BATCH, deposit(2, 7)]), max_size=4),
        ),
        max_size=12,
    ),
    longer=st.integers(0, 4),
)
def test_copies_come_out_the_same_as_far_as_both_go(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, int, list[Form]]], longer: int
) -> None:
    """Whichever is migrated first, and however far its journal goes."""
    folder, epoch = tmp_path_factory.mktemp("copies"), 1
    requests = []
    for number, (session, change, operations) in enumerate(drawn, 1):
        epoch += change
        requests.append(Asked(epoch, session, number, operations))
    shorter = requests[: max(0, len(requests) - longer)]
    write_format_1(folder / "one.db", requests)
    write_format_1(folder / "other.db", shorter)
    one, other = journal_on(folder / "one.db"), journal_on(folder / "other.db")
    assert one.records(0, 1000)[: len(shorter)] == other.records(0, 1000)
    assert one.position(other.tip.action_id) == other.tip
    if longer and len(requests) > len(shorter):
        other.append(one.records(other.tip.action_id, 1000))
    assert (one.tip, list(one.export())) == (other.tip, list(other.export()))
    assert entries_of(one.records(0, 1000)) == entries_of(other.records(0, 1000))


def test_an_empty_copy_is_migrated_too(tmp_path: Path) -> None:
    """A server that has never held anything: no opening state, no epoch."""
    database = open_database(tmp_path / "bank.db")
    database.execute(FORMAT_1)
    database.execute("INSERT INTO about VALUES ('format', 1), ('incarnation', 'disk1')")
    database.close()
    journal = journal_on(tmp_path / "bank.db")
    assert (journal.adopted, journal.tip.action_id, journal.position(0)) == (None, 0, None)
    journal.open(adopted())
    journal.commit()
    assert dict(journal.export()) == LEDGER


def content(database: apsw.Connection) -> dict[str, list[Any]]:
    """Return every table."""
    names = database.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'index')").fetchall()
    tables = [name for (name,) in names if name in ("about", "accounts", "journal")]
    rows = {name: database.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
    return {**rows, "schema": sorted(names)}


@pytest.mark.parametrize("records", [0, 1, 3, 6])
def test_a_crash_half_way_leaves_the_old_database_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: int
) -> None:
    """Here: an error, and the process is killed while the transaction is open; the next start does it all."""
    path = tmp_path / "bank.db"
    write_format_1(path, REQUESTS)
    database = open_database(path)
    before = content(database)
    database.close()
    chained, left = migration._chained, {}

    def fails(*args: Any) -> Any:
        for number, record in enumerate(chained(*args)):
            if number == records:
                break
            yield record
        left.update({file.name: file.read_bytes() for file in tmp_path.glob("bank.db*")})
        raise RuntimeError("somebody pulls the plug")

    monkeypatch.setattr(migration, "_chained", fails)
    database = open_database(path)
    with pytest.raises(RuntimeError):
        migration.migrate(database)
    database.close()
    monkeypatch.undo()
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("bank.db", "bank.db-wal"):
        (killed / name).write_bytes(left.get(name, b""))
    for one in (path, killed / "bank.db"):
        database = open_database(one)
        assert content(database) == before
        database.close()
        journal = journal_on(one)
        assert journal.tip.action_id == 310
        journal.close()


def test_a_format_that_nobody_knows_here_is_refused(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db")
    journal.database.execute("UPDATE about SET value = 4 WHERE name = 'format'")
    journal.close()
    with pytest.raises(ConfigurationError, match="is of format 4, this version reads formats 1 to 3: run"):
        journal_on(tmp_path / "bank.db")


def test_what_a_later_step_cannot_do_leaves_what_the_steps_before_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step, one transaction: the next start goes on where this one stopped."""
    path = tmp_path / "bank.db"
    write_format_1(path, REQUESTS)

    def half(database: apsw.Connection) -> None:
        database.execute("DELETE FROM journal")
        raise RuntimeError("somebody pulls the plug")

    monkeypatch.setattr(migration, "FORMAT", 3)
    monkeypatch.setattr(migration, "_STEPS", {**migration._STEPS, 2: half})
    database = open_database(path)
    assert migration.waits_for_migration(database) == 310
    with pytest.raises(RuntimeError):
        migration.migrate(database)
    assert database.execute("SELECT value FROM about WHERE name = 'format'").get == 2
    assert migration.waits_for_migration(database) == 6
    monkeypatch.setattr(migration, "_STEPS", {**migration._STEPS, 2: lambda _: None})
    migration.migrate(database)
    assert database.execute("SELECT value FROM about WHERE name = 'format'").get == 3
    database.close()


def test_a_full_disk_is_told_as_one_and_the_old_database_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    write_format_1(path, REQUESTS)
    database = open_database(path)
    before = content(database)
    database.pragma("max_page_count", database.pragma("page_count"))
    with pytest.raises(apsw.FullError):
        migration.migrate(database)
    assert content(database) == before
    database.close()


def test_a_disk_that_refuses_a_write_is_what_is_told_and_the_old_database_stays_whole(tmp_path: Path) -> None:
    """SQLite takes its transaction back by itself then, so there is none to take back."""
    path = tmp_path / "bank.db"
    write_format_1(path, REQUESTS)
    database = open_database(path)
    before = content(database)
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, usual[1]))  # No file may be longer.
    try:
        with pytest.raises((apsw.IOError, apsw.FullError)):
            migration.migrate(database)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert content(database) == before
    database.close()


def test_how_much_there_is_to_do_is_known_before(tmp_path: Path) -> None:
    write_format_1(tmp_path / "bank.db", REQUESTS)
    database = open_database(tmp_path / "bank.db")
    assert migration.waits_for_migration(database) == 310
    migration.migrate(database)
    assert migration.waits_for_migration(database) == 0
    database.close()
    empty = open_database(tmp_path / "new.db")
    assert migration.waits_for_migration(empty) == 0
    empty.close()
