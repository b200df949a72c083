"""What demos that were killed have left is deleted by the next one, and nothing else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bankrmi.cli import run
from bankrmi.cli.demo_folder import clear_left_folders, own_folder
from bankrmi.cli.small_disks import small_disks
from bankrmi.storage.database import LOCK
from tests import warm


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def left(folder: Path) -> Path:
    """Make what a demo has left that was killed; its pid may be anybody's by now."""
    folder.mkdir(mode=0o700)
    (folder / LOCK).write_text(f"{os.getpid()}\n")
    (folder / "data").mkdir()
    (folder / "data" / "bank.db").write_text("balances")
    return folder


def test_what_was_left_is_deleted_and_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything else: where there is no room for a demo, it makes some."""
    folder = left(place / "bankrmi-demo-abcdefgh")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert run(["demo"]) == 1
    assert f"cleared {folder}, which a demo that was killed has left\n" in capsys.readouterr().err
    assert list(place.iterdir()) == []


def test_one_that_lives_keeps_its_folder(place: Path) -> None:
    """Whatever its pid is here: it may be of another container, that shares the folder."""
    program = (
        "import sys; from pathlib import Path; from bankrmi.storage.database import own_directory; "
        "lock = own_directory(Path(sys.argv[1])); print('taken', flush=True); sys.stdin.read()"
    )
    folder = place / "bankrmi-demo-12345678"
    command = [sys.executable, "-c", program, str(folder)]
    with warm.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, uses_ours=True) as living:
        assert living.stdout is not None
        assert living.stdout.readline() == b"taken\n"
        (folder / LOCK).write_text("4194304\n")  # Nobody has this one.
        assert clear_left_folders() == []
        living.kill()
        living.wait()
    assert clear_left_folders() == [folder]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_small_disks_that_were_left_are_unmounted(place: Path) -> None:
    folder = left(place / "bankrmi-demo-abcdefgh")
    disk = folder / "data" / "s1"
    with small_disks([disk]):
        if not disk.is_mount():
            pytest.skip("no file system can be mounted here")
        (disk / "bank.db").write_text("balances")
        assert clear_left_folders() == [folder]
    assert not folder.exists()


def test_our_own_is_ours_until_it_goes(place: Path) -> None:
    with own_folder() as folder:
        assert clear_left_folders() == []
        assert folder.parent == place
    assert list(place.iterdir()) == []


def another_name(place: Path) -> None:
    left(place / "bankrmi-demo-abcdefgh-mine")
    left(place / "bankrmi-chaos-abcdefgh")


def a_link(place: Path) -> None:
    (place / "bankrmi-demo-abcdefgh").symlink_to(left(place / "elsewhere"))


def a_link_for_a_lock(place: Path) -> None:
    (place / "pid").write_text("4194304\n")
    (place / "bankrmi-demo-abcdefgh").mkdir()
    (place / "bankrmi-demo-abcdefgh" / LOCK).symlink_to(place / "pid")


def a_pipe_for_a_lock(place: Path) -> None:
    (place / "bankrmi-demo-abcdefgh").mkdir()
    os.mkfifo(place / "bankrmi-demo-abcdefgh" / LOCK)


def without_a_lock(place: Path) -> None:
    (place / "bankrmi-demo-abcdefgh").mkdir()


def just_being_taken(place: Path) -> None:
    (left(place / "bankrmi-demo-abcdefgh") / LOCK).write_text("")


def a_file(place: Path) -> None:
    (place / "bankrmi-demo-abcdefgh").write_text("mine")


def anothers(place: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(left(place / "bankrmi-demo-abcdefgh"), 12345, 12345)


@pytest.mark.parametrize(
    "make",
    [
        another_name,
        a_link,
        a_link_for_a_lock,
        a_pipe_for_a_lock,
        without_a_lock,
        just_being_taken,
        a_file,
        anothers,
    ],
)
def test_what_no_demo_has_left_stays(place: Path, make: Callable[[Path], None]) -> None:
    make(place)
    before = sorted(place.rglob("*"))
    assert clear_left_folders() == []
    assert sorted(place.rglob("*")) == before


def test_links_within_are_not_followed(place: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("kept")
    folder = left(place / "bankrmi-demo-abcdefgh")
    (folder / "link").symlink_to(tmp_path / "kept")
    assert clear_left_folders() == [folder]
    assert (tmp_path / "kept" / "file").read_text() == "kept"
