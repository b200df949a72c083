"""A stopped server's directory with the state of a class: sound, and with every kind of fault."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bankrmi.service import Service
from bankrmi.storage.about import SERVES
from bankrmi.storage.database import open_database
from bankrmi.verifying.comparing import compare
from bankrmi.verifying.directories import verify
from bankrmi.verifying.verdict import DatabaseVerdict
from tests.service.changed_classes import Stock1, Stock2
from tests.service.copies import Copy


def stopped(
    folder: Path,
    kind: type[Service] = Stock2,
    *,
    migrates: bool = True,
    calls: Callable[[Copy], None] = lambda _: None,
) -> Path:
    """Return the directory of a server that was stopped after some calls."""
    copy = Copy(folder / "bank.db", Stock1)
    copy.journal.note(SERVES, "Stock1")
    copy.call("put", "pear", 3)
    copy.call("put", "apple", 20)
    copy.call("drop", "pear")
    copy.journal.cancel(1, ("cancelled", 1), 5)
    copy.journal.commit()
    copy.change(kind)
    if migrates:
        copy.migrate(2)
        copy.migrate(2)  # Which fails: it is migrated already.
        copy.call("put", "pear", 1)
        copy.call("put", "apple", 1)
    calls(copy)
    copy.journal.commit()
    copy.journal.close()
    return folder


def _migrates(copy: Copy) -> None:
    copy.migrate(2)


def judged(folder: Path) -> DatabaseVerdict:
    [verdict] = verify(folder)
    return verdict


@pytest.mark.parametrize(
    ("migrates", "holds"),
    [(False, "4 calls of Stock1, at version 1"), (True, "8 calls of Stock1, at version 2")],
)
def test_what_is_sound_is_said_to_be(tmp_path: Path, migrates: bool, holds: str) -> None:
    verdict = judged(stopped(tmp_path / "s1", migrates=migrates))
    assert verdict.faults == ()
    assert verdict.holds == f"{holds}, epoch 1 of history h"


def test_one_whose_migration_is_its_newest_record_is_sound(tmp_path: Path) -> None:
    verdict = judged(stopped(tmp_path / "s1", migrates=False, calls=_migrates))
    assert verdict.faults == ()


_ANOTHERS = (
    "UPDATE service_undo SET changes = (SELECT changes FROM service_undo WHERE action_id = 7) "
    "WHERE action_id = 8"
)
FAULTS = [
    (
        "UPDATE item SET count = 5 WHERE name = 'pear'",
        "the tables do not hold what the call at action id 7 left",
    ),
    ("DELETE FROM item WHERE name = 'pear'", "the tables do not hold what the call at action id 7 left"),
    ("INSERT INTO item VALUES ('fig', 1, 1)", r"what the migration at action id 5 left \(table item, seen\)"),
    ("DELETE FROM seen WHERE item = 'apple'", r"what the migration at action id 5 left \(table seen\)"),
    ("CREATE TABLE other (x INTEGER PRIMARY KEY)", r"what the migration at action id 5 left \(table other\)"),
    ("DROP TRIGGER sees", r"what the migration at action id 5 left \(table \*\)"),
    ("DELETE FROM service_undo WHERE action_id = 8", "what takes back the call at action id 8 is missing"),
    (
        _ANOTHERS,
        "what takes back the call at action id 8 is not what that call changed",
    ),
    (
        "UPDATE service_versions SET version = 3 WHERE action_id = 5",
        "the migration at action id 5 is not what it says",
    ),
    (
        "DELETE FROM service_versions WHERE action_id = 6",
        "the migration at action id 6 is not what it says beside",
    ),
    ("DELETE FROM service_versions WHERE action_id = 0", "of which version its opening state is"),
    (
        "INSERT INTO service_versions VALUES (9, 3, NULL)",
        "noted at action id 9, and the journal has none there",
    ),
    ("DELETE FROM requests WHERE session = 's1'", "the index of requests names"),
    (
        "UPDATE journal SET time_us = 1 WHERE action_id = 2",
        "the digest at action id 2 is not that of the record",
    ),
    ("DELETE FROM journal WHERE action_id = 3", "action id 3 is missing from the journal"),
    ("DELETE FROM about WHERE name = 'adopted'", "no epoch was ever adopted"),
]


@pytest.mark.parametrize(("by_hand", "why"), FAULTS)
def test_what_was_changed_by_hand_is_found(tmp_path: Path, by_hand: str, why: str) -> None:
    folder = stopped(tmp_path / "s1")
    database = open_database(folder / "bank.db")
    database.execute(by_hand)
    database.close()
    verdict = judged(folder)
    assert len(verdict.faults) == 1
    assert re.search(why, verdict.faults[0]), verdict.faults


def test_without_a_migration_it_leads_back_to_the_opening_state(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "s1", migrates=False)
    database = open_database(folder / "bank.db")
    database.execute("INSERT INTO word VALUES ('by hand', 1)")
    database.close()
    assert judged(folder).faults == ("tables and journal do not lead back to the opening state",)


def test_two_copies_are_compared(tmp_path: Path) -> None:
    one = stopped(tmp_path / "s1")
    other = stopped(tmp_path / "s2", calls=lambda copy: copy.call("put", "fig", 1))
    same = compare(one / "bank.db", other / "bank.db")
    assert same.agree
    assert "hold the same up to action id 8" in same.sentence
    third = stopped(tmp_path / "s3", calls=lambda copy: copy.call("put", "plum", 1))
    unlike = compare(other / "bank.db", third / "bank.db")
    assert not unlike.agree
    assert "differ from action id 9 on: put('fig', 1, 7), done" in unlike.sentence
