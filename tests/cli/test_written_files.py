"""Where `export` writes: half a ledger never looks like one, and only a plain file is ever replaced."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TextIO

import pytest

from bankrmi.cli.written_files import write_file


def write(stream: TextIO) -> None:
    stream.write("1,10\n")


def fail(stream: TextIO) -> None:
    stream.write("1,")
    raise OSError(28, "No space left on device", "something else")


def test_a_plain_file_is_replaced_as_a_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "ledger.csv"
    file.write_text("old")
    file.chmod(0o604)
    before = file.stat().st_ino
    write_file(file, write)
    assert file.read_text() == "1,10\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o604
    assert file.stat().st_ino != before
    with pytest.raises(OSError, match="No space left") as raised:
        write_file(file, fail)
    assert raised.value.filename == str(file)
    assert file.read_text() == "1,10\n"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", ["ledger.csv", "link", "x" * 255])
def test_a_new_file_is_for_its_owner_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("ledger.csv")
    write_file(tmp_path / name, write)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_name_as_long_as_names_can_be_is_written_too(tmp_path: Path) -> None:
    write_file(tmp_path / ("x" * 255), write)
    assert (tmp_path / ("x" * 255)).read_text() == "1,10\n"


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(tmp_path: Path, there: bool) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    if there:
        target.write_text("a longer text than before")
    link.symlink_to(target)
    write_file(link, write)
    assert link.is_symlink()
    assert target.read_text() == "1,10\n"


def test_a_file_with_another_name_stays_one_file(tmp_path: Path) -> None:
    file, other = tmp_path / "ledger.csv", tmp_path / "other.csv"
    file.write_text("old")
    other.hardlink_to(file)
    write_file(file, write)
    assert other.read_text() == "1,10\n"


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=write_file, args=(pipe, write))
    writing.start()
    assert pipe.read_text() == "1,10\n"
    writing.join()
    assert pipe.is_fifo()


def test_what_a_killed_process_left_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor are the names that chance gives twice."""
    left = tmp_path / ".00000000.tmp"
    left.write_text("1,")
    (tmp_path / f".{os.getpid()}.tmp").write_text("1,")
    names = iter(["00000000", "00000001"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(names))
    write_file(tmp_path / "ledger.csv", write)
    assert (tmp_path / "ledger.csv").read_text() == "1,10\n"
    assert left.read_text() == "1,"
    assert not (tmp_path / ".00000001.tmp").exists()


MOUNTED = """
import sys
from pathlib import Path
from bankrmi.cli.written_files import write_file
balances = iter(["1,10\\n", "2,20\\n"])  # They come once.
write_file(Path(sys.argv[1]), lambda stream: stream.writelines(balances))
"""
OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")


def test_a_file_that_is_mounted_is_written_into(tmp_path: Path) -> None:
    """As containers have them."""
    if shutil.which("unshare") is None or subprocess.run([*OWN_MOUNTS, "true"], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    folder, outside = tmp_path / "folder", tmp_path / "outside.csv"
    folder.mkdir()
    (folder / "ledger.csv").touch()
    outside.write_text("longer than what comes, and has to go")
    script = 'mount --bind "$1" "$2" && exec "$3" -c "$4" "$2"'
    arguments = [str(outside), str(folder / "ledger.csv"), sys.executable, MOUNTED]
    subprocess.run([*OWN_MOUNTS, "sh", "-c", script, "sh", *arguments], check=True)
    assert outside.read_text() == "1,10\n2,20\n"
    assert list(folder.iterdir()) == [folder / "ledger.csv"]


def test_a_device_is_written_into_and_stays_one() -> None:
    before = Path("/dev/null").stat()
    write_file(Path("/dev/null"), write)
    after = Path("/dev/null").stat()
    assert stat.S_ISCHR(after.st_mode)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    with pytest.raises(OSError, match="No space left") as raised:
        write_file(Path("/dev/full"), write)
    assert raised.value.filename == "/dev/full"
    assert Path("/dev/full").is_char_device()
