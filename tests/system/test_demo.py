"""`bankrmi demo`: a bank that wants nothing, shows a takeover, and leaves nothing, however it ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pexpect
import pytest

from bankrmi.cli import run
from bankrmi.client import overview
from bankrmi.config import load
from tests import warm
from tests.pages import compare, page_text
from tests.system.cluster import DEADLINE_S
from tests.system.commands import BANKRMI, bankrmi
from tests.system.supervised import lives

CHOICE = "Your choice: "

BESIDE_PYTHON = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
"""Where `bankrmi` is a command."""
for _screen in ("DISPLAY", "WAYLAND_DISPLAY"):  # No test opens a browser on somebody's desk.
    BESIDE_PYTHON.pop(_screen, None)


class Demo:
    """One demo on a terminal, with a folder for temporary files that nothing else uses."""

    def __init__(self, tmp_path: Path, *options: str, **env: str) -> None:
        self.temporary = tmp_path / "temporary"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.start = tmp_path / "where it is started"
        self.start.mkdir(exist_ok=True)
        self.terminal = warm.terminal(
            ["demo", *options],
            timeout=DEADLINE_S,
            dimensions=(50, 200),
            cwd=self.start,
            env={**BESIDE_PYTHON, "TERM": "xterm", "TMPDIR": str(self.temporary), **env},
        )
        self.pids: list[int] = []
        self.said = ""

    def waits_for(self, text: str) -> str:
        """Wait until it says this (a regular expression); return what it said up to there."""
        self.terminal.expect(text)
        said = f"{self.terminal.before}{self.terminal.after}"
        self.said += said
        self.pids += [int(pid) for pid in re.findall(r"is ready: .*?pid (\d+)", said)]
        return said

    def primary(self) -> int:
        """Return the pid that it said is to be killed."""
        return int(re.findall(r"kill -9 (\d+)", self.said)[-1])

    @property
    def config(self) -> Path:
        [found] = self.temporary.glob("bankrmi-demo-*/config.yaml")
        return found

    def assert_gone(self) -> int | None:
        """It ends; nobody and nothing is left; return its exit code."""
        self.waits_for(r"The clients got \d+ answers, .*; the slowest took \d+ ms")
        self.waits_for("The bank has stopped.")
        self.terminal.expect(pexpect.EOF)
        self.terminal.close()
        assert self.pids
        assert not [pid for pid in self.pids if lives(pid)]
        assert list(self.temporary.iterdir()) == []
        status: int | None = self.terminal.exitstatus
        return status


@contextmanager
def demo(tmp_path: Path, *options: str, **env: str) -> Iterator[Demo]:
    one = Demo(tmp_path, *options, **env)
    try:
        yield one
    finally:
        one.terminal.close(force=True)


@pytest.mark.long
def test_it_says_how_to_kill_the_primary_and_what_came_of_it(tmp_path: Path) -> None:
    with demo(tmp_path) as one:
        one.waits_for(CHOICE)
        first = one.primary()
        status = overview(load(one.config))
        assert first in [server["pid"] for server in status["servers"] if server["role"] == "primary"]
        os.kill(first, signal.SIGKILL)
        one.waits_for(rf"\(pid {first}\) was killed by SIGKILL")
        one.waits_for(r"took over in epoch \d+, \d+ ms after s\d died .*: ONE COPY ONLY")
        one.waits_for(r"is in sync in epoch \d+: 2 copies")
        one.waits_for(
            r"The clients saw no error; their slowest answer took \d+ ms\. s\d leads now: kill -9 \d+"
        )
        assert one.primary() != first
        os.kill(one.primary(), signal.SIGKILL)
        one.waits_for(r"leads now: kill -9 \d+")
        one.terminal.sendline("1")
        one.waits_for("Enter your account ID: ")
        one.terminal.sendline("9")
        one.waits_for(r"Current balance: \d+")
        one.terminal.send("x")
        one.waits_for(CHOICE)
        one.terminal.sendline("4")
        assert one.assert_gone() == 0


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize(
    ("how", "options"),
    [
        ("control-c", ()),
        ("SIGHUP", ("--no-menu",)),
        ("SIGTERM", ()),
        ("SIGHUP", ()),
        ("end of input", ()),
        ("control-c", ("--no-menu",)),
        ("SIGTERM", ("--no-menu",)),
    ],
    ids=str,
)
def test_it_is_gone_with_all_its_files_however_it_is_ended(
    tmp_path: Path, how: str, options: tuple[str, ...]
) -> None:
    with demo(tmp_path, *options) as one:
        one.waits_for("Ctrl-C stops it" if options else CHOICE)
        match how:
            case "control-c":
                one.terminal.sendintr()
            case "end of input":
                one.terminal.sendeof()
            case _:
                one.terminal.kill(signal.Signals[how])
        assert one.assert_gone() == 0


@pytest.mark.long
def test_children_that_stand_still_or_were_killed_are_gone_too(tmp_path: Path) -> None:
    with demo(tmp_path, "--no-menu") as one:
        one.waits_for("Ctrl-C stops it")
        still, killed, *_ = one.pids
        os.kill(still, signal.SIGSTOP)
        os.kill(killed, signal.SIGKILL)
        one.waits_for("was killed by SIGKILL")
        one.terminal.sendintr()
        assert one.assert_gone() == 0


def test_while_it_starts_it_can_be_ended_too(tmp_path: Path) -> None:
    with demo(tmp_path, "--no-menu") as one:
        one.waits_for("name server and witness is ready: pid .*\r\n")
        one.terminal.kill(signal.SIGTERM)
        one.waits_for("The bank has stopped.")
        one.terminal.expect(pexpect.EOF)
        assert list(one.temporary.iterdir()) == []
        assert not [pid for pid in one.pids if lives(pid)]


@pytest.mark.long
def test_two_at_once_and_one_killed_outright_do_not_disturb_each_other(tmp_path: Path) -> None:
    with demo(tmp_path / "a", "--no-menu") as one, demo(tmp_path / "b", "--no-menu") as other:
        one.waits_for("Ctrl-C stops it")
        other.waits_for("Ctrl-C stops it")
        one.terminal.kill(signal.SIGKILL)
        one.terminal.expect(pexpect.EOF)
        left = one.config.parent
        with demo(tmp_path / "a", "--no-menu") as next_one:
            next_one.waits_for(f"cleared {left}, which a demo that was killed has left")
            next_one.waits_for("Ctrl-C stops it")
            next_one.terminal.sendintr()
            next_one.assert_gone()
        other.terminal.sendintr()
        assert other.assert_gone() == 0
        assert "failed" not in other.said.replace("none failed", "")


@pytest.mark.long
def test_nothing_of_where_it_is_started_has_a_say_in_it(tmp_path: Path) -> None:
    """Neither a broken config.yaml there, nor the settings of another bank in the environment."""
    data = tmp_path / "data of another bank"
    settings = {"BANKRMI_DATA_DIR": str(data), "BANKRMI_NAMESERVER": "127.0.0.1:9", "BANKRMI_CONFIG": "/none"}
    (tmp_path / "where it is started").mkdir()
    (tmp_path / "where it is started" / "config.yaml").write_text("nonsense: [")
    with demo(tmp_path, "--no-menu", **settings) as one:
        one.waits_for("Ctrl-C stops it")
        one.terminal.sendintr()
        assert one.assert_gone() == 0
        assert not data.exists()
        assert [file.name for file in one.start.iterdir()] == ["config.yaml"]


@pytest.mark.long
def test_without_a_terminal_there_is_no_menu_and_it_stays(tmp_path: Path) -> None:
    started = warm.Popen(
        [*BANKRMI, "demo"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert started.stdout is not None
    with started.stdout:
        said = ""
        while "Ctrl-C stops it" not in said:
            said += started.stdout.readline()
            assert started.poll() is None
        assert "Welcome" not in said
        started.terminate()
        assert started.wait(DEADLINE_S) == 0
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    """No file may be larger than nothing, which is what it is to a program when all disks are full."""
    full = ["bash", "-c", 'trap "" XFSZ; ulimit -f 0; exec "$@"', "bash"]
    ended = subprocess.run(
        [*full, *BANKRMI, "demo"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=DEADLINE_S,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("no folder can be made for the demo: ")
    assert len(ended.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_little_room_it_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=(32 << 20) - 1))
    assert run(["demo"]) == 1
    assert "has 31 MB left, and the demo wants 32: name another place in TMPDIR" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_it_has_a_configuration_of_its_own(tmp_path: Path) -> None:
    refused = bankrmi(tmp_path / "config.yaml", "demo")
    assert refused.returncode == 2
    assert "leave --config out" in refused.stderr


def test_the_page_shows_what_it_says(tmp_path: Path) -> None:
    [shown] = re.findall(r"```\n(A bank to be broken.*?)```", page_text("docs/how-to/see-it.md"), re.DOTALL)
    with demo(tmp_path, "--no-menu") as one:
        one.waits_for("Ctrl-C stops it")
        os.kill(one.primary(), signal.SIGKILL)
        one.waits_for("leads now: kill -9 .*\r\n")
        one.terminal.kill(signal.SIGTERM)
        assert one.assert_gone() == 0
        compare(_alike(shown), _alike(one.said))


def _alike(text: str) -> list[str]:
    """Return the lines without what is another one every time; servers start, and report, in any order."""
    text = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)
    text = re.sub(r"\S*bankrmi-demo-\w+", "FOLDER", text)
    text = re.sub(r"took \d+ ms|got \d+ answers|\d+ ms after", "SO MUCH", text)
    text = re.sub(r"\bs[12]\b", "ONE", text)
    return [line for line in text.splitlines() if line.strip() and "is ready" not in line]
