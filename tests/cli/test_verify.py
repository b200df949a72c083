from __future__ import annotations

from pathlib import Path

import pytest

from bankrmi.cli.main import main
from bankrmi.storage.database import own_directory
from tests.verifying.test_verifying import change, filled, views


def test_sound_directories_are_listed_with_what_they_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(tmp_path / "s1").close()
    views(tmp_path / "witness")
    assert main(["verify", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/s1/bank.db: sound, holds 91 operations, epoch 1 of history h",
        f"{tmp_path}/witness/view.db: sound, holds account: epoch 2 of history h, primary s1, in sync s1, s2",
    ]


def test_a_damaged_directory_is_exit_code_1_and_the_others_are_looked_at_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(tmp_path / "s1").close()
    filled(tmp_path / "s2").close()
    change(tmp_path / "s1", "UPDATE accounts SET balance = 7 WHERE id = 1")
    assert main(["verify", str(tmp_path / "s1"), str(tmp_path / "s2")]) == 1
    damaged, fault, sound, same = capsys.readouterr().out.splitlines()
    assert damaged.startswith(f"{tmp_path}/s1/bank.db: damaged")
    assert fault == "  account 1 holds 7, and the journal adds up to 250 at action id 91"
    assert sound.startswith(f"{tmp_path}/s2/bank.db: sound")
    assert same == f"{tmp_path}/s1/bank.db and {tmp_path}/s2/bank.db hold the same up to action id 91"


def test_a_wrong_or_used_directory_is_exit_code_2_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert "holds no bank.db and no view.db" in capsys.readouterr().err
    assert main(["verify"]) == 2
    assert "Missing argument" in capsys.readouterr().err
    filled(tmp_path / "s1").close()
    lock = own_directory(tmp_path / "s1")
    assert main(["verify", str(tmp_path / "s1")]) == 2
    assert "is in use by the running process" in capsys.readouterr().err
    lock.close()
