"""Where do two copies part?  The first action id at which they do, and in what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bankrmi.cli.main import main
from bankrmi.storage.database import own_directory
from bankrmi.verifying.comparing import compare
from tests.backup.sources import Source
from tests.storage.journals import decide, deposit, opened, withdraw
from tests.verifying.test_verifying import change, filled, killed, rewrite


def copies(tmp_path: Path, requests: int = 30) -> tuple[Path, Path]:
    for name in ("s1", "s2"):
        filled(tmp_path / name, requests).close()
    return tmp_path / "s1" / "bank.db", tmp_path / "s2" / "bank.db"


def test_equal_copies_are_the_same_up_to_their_end(tmp_path: Path) -> None:
    one, other = copies(tmp_path)
    comparison = compare(one, other)
    assert comparison.agree
    assert comparison.sentence == f"{one} and {other} hold the same up to action id 91"
    assert compare(one, one).agree


def test_a_copy_that_ends_earlier_does_not_differ(tmp_path: Path) -> None:
    one = killed(tmp_path / "s1", 10) / "bank.db"
    other = tmp_path / "s2" / "bank.db"
    journal = filled(tmp_path / "s2", 10)
    journal.roll_back(18)
    journal.commit()
    journal.close()
    for first, second in ((one, other), (other, one)):
        comparison = compare(first, second)
        assert comparison.agree
        assert (
            f"hold the same up to action id 18, where {other} ends; {one} goes on to 31"
            in comparison.sentence
        )


@pytest.mark.parametrize(
    ("at", "changes", "sentence"),
    [
        (0, {"time_us": 7}, "differ from action id 1 on: the record of request a:1 has another time, or dig"),
        (19, {"epoch": 2}, "from action id 58 on: request a:20 of epoch 1, and request a:20 of epoch 2"),
        (19, {"session": "z"}, "from action id 58 on: request a:20 of epoch 1, and request z:20 of epoch 1"),
        (
            19,
            {"operations": lambda one, _, last: [one, withdraw(2, 9), last]},
            "from action id 59 on: withdraw 4, account 2, done: 220, and withdraw 9, account 2, done: 220",
        ),
        (
            19,
            {"outcomes": lambda one, other, _: [one, other, 1]},
            "from action id 60 on: withdraw 1, account 77, no_account: None, and withdraw 1, account 77,",
        ),
        (19, {"outcomes": b"\xc1"}, "from action id 58 on: what is recorded cannot be read in one of them"),
        (30, {"time_us": 7}, "from action id 91 on: the record of request b:1 has another time, or digest"),
    ],
)
def test_the_first_action_id_that_differs_is_told(
    tmp_path: Path, at: int, changes: dict[str, Any], sentence: str
) -> None:
    one, other = copies(tmp_path)
    rewrite(tmp_path / "s2", at, **changes)
    comparison = compare(one, other)
    assert not comparison.agree
    assert sentence in comparison.sentence


def test_a_record_that_was_changed_under_its_digest_differs(tmp_path: Path) -> None:
    one, other = copies(tmp_path)
    change(tmp_path / "s2", "UPDATE journal SET time_us = 7 WHERE action_id = 60")
    assert "from action id 58 on: the record of request a:20 has another time" in compare(one, other).sentence


def test_one_that_has_fewer_operations_in_a_request_differs_where_it_ends(tmp_path: Path) -> None:
    for name, operations in (("s1", [deposit(1, 5), deposit(1, 6)]), ("s2", [deposit(1, 5)])):
        (tmp_path / name).mkdir()
        journal = opened(tmp_path / name / "bank.db")
        decide(journal, 1, ("a", 1), operations, 1)
        journal.commit()
        journal.close()
    comparison = compare(tmp_path / "s1" / "bank.db", tmp_path / "s2" / "bank.db")
    assert "differ from action id 2 on: deposit 6, account 1, done: 111, and nothing" in comparison.sentence


def test_banks_that_opened_differently_differ_from_the_beginning(tmp_path: Path) -> None:
    one, other = copies(tmp_path, 1)
    with_another = other.with_name("another.db")
    journal = opened(with_another)
    journal.database.execute("UPDATE about SET value = zeroblob(16) WHERE name = 'opening'")
    journal.close()
    comparison = compare(one, with_another)
    assert "differ from action id 0 on: they opened with different ledgers, or as" in comparison.sentence
    assert not comparison.agree


def test_a_directory_and_a_backup_are_compared_and_so_are_increments(tmp_path: Path) -> None:
    source = Source(tmp_path / "s1")
    for _ in range(4):
        source.do(deposit(1, 1), withdraw(2, 1))
    source.back_up(tmp_path / "whole")
    source.do(deposit(1, 1))
    source.back_up(tmp_path / "increment", since=4)
    source.back_up(tmp_path / "later", since=9)
    source.journal.close()
    directory, whole = tmp_path / "s1" / "bank.db", tmp_path / "whole"
    assert (
        f"up to action id 8, where {whole} ends; {directory} goes on to 9"
        in compare(directory, whole).sentence
    )
    for other in (directory, tmp_path / "later", whole):
        assert compare(tmp_path / "increment", other).agree
    missing = compare(whole, tmp_path / "later")
    assert not missing.agree
    assert "continues action id 9" in missing.sentence
    assert f"{whole} ends at 8: what is between is missing" in missing.sentence
    another = Source()
    for _ in range(9):
        another.do(deposit(1, 2))
    another.back_up(tmp_path / "another", since=4)
    comparison = compare(directory, tmp_path / "another")
    assert "differ from action id 4 on: what one of them continues is not what" in comparison.sentence


def test_what_holds_nothing_or_cannot_be_read_cannot_be_compared(tmp_path: Path) -> None:
    one, other = copies(tmp_path, 1)
    damaged = bytearray(other.read_bytes())
    damaged[2 * 4096 + 900] ^= 1
    other.write_bytes(damaged)
    assert "cannot be compared: " in compare(one, other).sentence
    other.unlink()
    assert not compare(one, other).agree
    other.touch()
    assert f"{other} holds nothing yet" in compare(one, other).sentence


# -- the command ----------------------------------------------------------------------------------------


def test_the_command_compares_and_says_so_by_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Source(tmp_path / "s1")
    source.do(deposit(1, 1))
    source.back_up(tmp_path / "whole")
    source.journal.close()
    assert main(["verify", str(tmp_path / "s1"), str(tmp_path / "whole")]) == 0
    sound, backup, same = capsys.readouterr().out.splitlines()
    assert sound == f"{tmp_path}/s1/bank.db: sound, holds 1 operation, epoch 1 of history h"
    assert backup.startswith(
        f"{tmp_path}/whole: sound, holds 1 operation, up to action id 1, epoch 1 of hist"
    )
    assert same == f"{tmp_path}/s1/bank.db and {tmp_path}/whole hold the same up to action id 1"
    another = Source()
    another.do(deposit(1, 2))
    another.back_up(tmp_path / "another")
    assert main(["verify", str(tmp_path / "s1"), str(tmp_path / "another")]) == 1
    assert "differ from action id 1 on: deposit 1, account 1, done: 101" in capsys.readouterr().out


def test_a_damaged_backup_is_exit_code_1_and_what_is_none_is_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Source().back_up(tmp_path / "whole")
    damaged = bytearray((tmp_path / "whole").read_bytes())
    damaged[9000] ^= 1
    (tmp_path / "whole").write_bytes(damaged)
    assert main(["verify", str(tmp_path / "whole")]) == 1
    assert "damaged" in capsys.readouterr().out
    filled(tmp_path / "s1").close()
    assert main(["verify", str(tmp_path / "s1" / "bank.db")]) == 2
    assert "is no backup: `bankrmi backup` makes one" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "nowhere")]) == 2
    assert "is neither a directory nor a backup" in capsys.readouterr().err


def test_a_directory_that_is_used_is_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copies(tmp_path)
    lock = own_directory(tmp_path / "s2")
    assert main(["verify", str(tmp_path / "s1"), str(tmp_path / "s2")]) == 2
    assert "is in use by the running process" in capsys.readouterr().err
    lock.close()
