"""A disk is filled only if it is a small file system of its own; and it has room again afterwards."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bankrmi.console import disks
from bankrmi.errors import OperationFailed


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "small"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a small file system, and not everywhere")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


def test_a_small_disk_is_filled_to_the_last_byte_and_freed(small: Path) -> None:
    (small / "bank.db").write_bytes(b"x")
    assert disks.is_small(small)
    disks.fill(small)
    assert disks.is_filled(small)
    with pytest.raises(OSError, match="No space left"):
        (small / "more").write_bytes(bytes(4096))
    disks.free(small)
    assert not disks.is_filled(small)
    (small / "more").write_bytes(bytes(4096))
    disks.free(small)


def test_a_disk_that_others_use_too_is_not_filled(tmp_path: Path) -> None:
    directory = tmp_path / "s1"
    directory.mkdir()
    for folder in (directory, tmp_path / "not there", Path("/")):
        assert not disks.is_small(folder)
        with pytest.raises(OperationFailed, match="no small file system"):
            disks.fill(folder)
    assert list(directory.iterdir()) == []
