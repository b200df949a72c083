"""What is said of the machine and of our code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import bankrmi
from bankrmi.bench.machine import caution, commit

QUIET: dict[str, str | int | float] = {"cores": 2, "file_system": "ext4", "load_average": 0.3}


def test_a_quiet_machine_with_a_disk_is_not_warned_of() -> None:
    assert caution(QUIET) == {}


def test_a_folder_in_memory_is_warned_of_with_what_names_another() -> None:
    said = caution(QUIET | {"file_system": "tmpfs"})["disk"]
    assert "an fsync costs nothing: name a folder on a disk in BANKRMI_BENCH_DIR" in said


def test_a_busy_machine_is_warned_of() -> None:
    assert "load average 7.7, 2 cores" in caution(QUIET | {"load_average": 7.7})["load"]


def test_the_commit_of_somebody_elses_repository_is_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if bankrmi were installed in a virtual environment there."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=somebody", "-c", "user.email=somebody@localhost"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "theirs"], check=True)
    installed = tmp_path / "bankrmi" / "__init__.py"
    installed.parent.mkdir()
    installed.touch()
    monkeypatch.setattr(bankrmi, "__file__", str(installed))
    assert commit() == ""
    subprocess.run([*git, "add", "bankrmi"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "ours"], check=True)
    assert commit() != ""
