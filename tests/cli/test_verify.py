from __future__ import annotations

import errno
import os
import shutil
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


def test_what_may_be_a_backup_that_lost_its_beginning_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bad disk is no mistake of whoever named the file."""
    filled(tmp_path / "s1").close()
    pages = (tmp_path / "s1" / "bank.db").read_bytes()
    for name, content in (
        ("zeroed", bytes(4096) + pages[4096:]),
        ("head", pages[:20] + bytes(80) + pages[100:]),
    ):
        (tmp_path / name).write_bytes(content)
        assert main(["verify", str(tmp_path / name)]) == 1
        assert f"{name}: damaged" in capsys.readouterr().out


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EMFILE])
def test_what_could_not_be_looked_at_is_not_said_to_be_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    """Be it that it is not for us to read, or that there is no room for a copy of its log."""
    filled(tmp_path / "s1")  # Not closed: its log stays.

    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "scratch")

    monkeypatch.setattr(shutil, "copy", fails)
    assert main(["verify", str(tmp_path)]) == 2
    output, chatter = capsys.readouterr()
    assert (output, chatter) == ("", f"scratch cannot be looked at: {os.strerror(number)}\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_database_that_is_not_for_us_to_read_is_not_said_to_be_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(tmp_path / "s1").close()
    (tmp_path / "s1" / "bank.db").chmod(0)
    assert main(["verify", str(tmp_path)]) == 2
    assert "bank.db cannot be looked at: Permission denied" in capsys.readouterr().err


def test_a_disk_that_cannot_be_read_is_not_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "s1")

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "bank.db")

    monkeypatch.setattr(shutil, "copy", fails)
    assert main(["verify", str(tmp_path)]) == 1


def test_a_wrong_or_used_directory_is_exit_code_2_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert "holds no bank.db and no view.db" in capsys.readouterr().err
    assert main(["verify"]) == 2
    assert "Missing argument" in capsys.readouterr().err
    for name, content in (("config.yaml", b"servers:\n"), ("ledger.csv", b"1,100\n"), ("bin", b"\0" * 5000)):
        (tmp_path / name).write_bytes(content)
        assert main(["verify", str(tmp_path / name)]) == 2
        assert f"{name} is no backup" in capsys.readouterr().err
    filled(tmp_path / "s1").close()
    lock = own_directory(tmp_path / "s1")
    assert main(["verify", str(tmp_path / "s1")]) == 2
    assert "is in use by the running process" in capsys.readouterr().err
    lock.close()
