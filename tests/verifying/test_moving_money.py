"""Journals with transfers, and accounts that come and go: sound ones are sound, and half of one is found."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import CloseAccount, OpenAccount, Operation, Transfer
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import WriteBehind
from bankrmi.verifying.comparing import Comparison, compare
from tests.backup.test_moving_money import drawn
from tests.storage.journals import decide, deposit, opened
from tests.verifying.test_verifying import change, only, rewrite


def filled(folder: Path) -> None:
    """Accounts 1 to 3 open with 100, 300 and 450."""
    folder.mkdir()
    journal = opened(folder / "bank.db")
    done: list[Operation] = [
        Transfer(1, 2, 30),
        Transfer(3, 1, 500),
        OpenAccount(9),
        Transfer(2, 9, 5),
        Transfer(9, 3, 5),
    ]
    for number, operation in enumerate(done, 1):
        decide(journal, 1, ("a", number), [form_of(operation)], number)
    decide(journal, 1, ("a", 6), [form_of(CloseAccount(9))], 6)
    journal.commit()
    journal.close()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("folds", [False, True])
def test_whatever_moves_comes_and_goes_a_sound_copy_is_sound(tmp_path: Path, seed: int, folds: bool) -> None:
    """With its state written some way behind, and its older records folded."""
    chance = random.Random(seed)
    (tmp_path / "s1").mkdir()
    journal = opened(
        tmp_path / "s1" / "bank.db",
        keeping=Keeping(operations=20) if folds else None,
        behind=WriteBehind(records=chance.choice([0, 3, 1000]), operations=10_000),
    )
    for number in range(1, 60):
        decide(journal, 1, ("a", number), [drawn(chance) for _ in range(chance.randint(1, 3))], number)
        if chance.random() < 0.1:
            journal.roll_back(chance.choice([journal.tip.action_id, journal.tip.action_id - 1, 10**9]))
        journal.commit()
        journal.fold(journal.tip.action_id, number)
    for file in list((tmp_path / "s1").iterdir()):
        (tmp_path / file.name).write_bytes(file.read_bytes())  # As a killed server leaves it.
    expected = dict(journal.export())
    journal.close()
    assert only(tmp_path / "s1").faults == ()
    for file in (tmp_path / "s1").iterdir():
        file.unlink()
    (tmp_path / "s1").rmdir()
    verdict = only(tmp_path)
    assert verdict.faults == ()
    assert expected


@pytest.mark.parametrize(
    ("at", "outcome"),
    [
        (0, ("done", 70, 70, 300)),  # It never arrives.
        (0, ("done", 100, 100, 330)),  # It is never taken.
        (0, ("done", 70, 70, 331)),
        (0, ("done", 71, 70, 330)),  # Its caller was told something else.
        (0, ("insufficient", 100, 100, 300)),
        (0, ("done", 70, 70)),
        (0, ("done", 70, 70, None)),
        (1, ("no_account", None, 450, None)),
        (1, ("insufficient", 450, 450, 71)),
        (2, ("exists", 0)),
        (2, 5),
        (4, ("done", 0, 0, 450)),
        (5, ("not_empty", 0)),
        (5, ("no_account", None)),
    ],
)
def test_a_record_that_is_half_of_the_truth_is_told(tmp_path: Path, at: int, outcome: Any) -> None:
    filled(tmp_path / "s1")
    assert only(tmp_path / "s1").faults == ()
    changed: Callable[..., Any] = lambda *_: (outcome,)  # noqa: E731
    rewrite(tmp_path / "s1", at, outcomes=changed)
    assert not only(tmp_path / "s1").sound


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts SET balance = balance - 30 WHERE id = 2",
        "UPDATE accounts SET balance = balance + 30 WHERE id = 1",
        "INSERT INTO accounts VALUES (9, 0)",
        "INSERT INTO accounts VALUES (10, 0)",
        "DELETE FROM accounts WHERE id = 3",
    ],
)
def test_accounts_that_are_not_what_the_journal_leads_to_are_told(tmp_path: Path, statement: str) -> None:
    filled(tmp_path / "s1")
    change(tmp_path / "s1", statement)
    assert not only(tmp_path / "s1").sound


def test_an_account_that_nobody_opened_and_that_has_entries_is_told(tmp_path: Path) -> None:
    (tmp_path / "s1").mkdir()
    journal = opened(tmp_path / "s1" / "bank.db")
    decide(journal, 1, ("a", 1), [form_of(OpenAccount(9))], 1)
    decide(journal, 1, ("a", 2), [deposit(9, 5)], 2)
    journal.commit()
    journal.close()
    rewrite(tmp_path / "s1", 0, operations=lambda *_: (form_of(OpenAccount(8)),))
    assert not only(tmp_path / "s1").sound


def compared(folder: Path, *names: str) -> Comparison:
    one, other = (folder / name / "bank.db" for name in names)
    return compare(one, other)


def test_two_copies_that_differ_in_one_half_are_told_by_it(tmp_path: Path) -> None:
    for name in ("s1", "s2"):
        filled(tmp_path / name)
    assert compared(tmp_path, "s1", "s2").agree
    changed: Callable[..., Any] = lambda *_: (("done", 70, 70, 331),)  # noqa: E731
    rewrite(tmp_path / "s2", 0, outcomes=changed)
    said = compared(tmp_path, "s1", "s2").sentence
    assert "transfer 30, account 1 to 2, done: (70, 70, 330)" in said
    assert "(70, 70, 331)" in said
    (tmp_path / "s3").mkdir()
    filled_so = opened(tmp_path / "s3" / "bank.db")
    decide(filled_so, 1, ("a", 1), [form_of(OpenAccount(8))], 1)
    filled_so.commit()
    filled_so.close()
    assert "open_account, account 8, done: 0" in compared(tmp_path, "s1", "s3").sentence
