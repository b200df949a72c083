"""A program that is none of ours: whatever happens to whoever started it, nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bankrmi.patroni.descent import descendants
from bankrmi.patroni.kept import kept_command
from bankrmi.patroni.programs import check_installed, missing_packages, program

DEADLINE_S = 30.0
LEAVES_A_CHILD = "echo $$ > program; setsid sh -c 'echo $$ > child; exec sleep 1000' & wait"
"""A program with a child in a session of its own, as Patroni has PostgreSQL; both say who they are."""
ADOPTED = "setsid sh -c 'echo $$ > child; exec sleep 1000' & echo $$ > program; exec sleep 1000"


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, f"it did not come about that {what}"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}/exe").exists()


class Kept:
    def __init__(self, folder: Path, script: str) -> None:
        self.hold = folder / "held"
        words = kept_command(
            ["sh", "-c", script],
            parent_pid=str(os.getpid()),
            name="it",
            address="127.0.0.1:1",
            folder=folder,
            hold=self.hold,
        )
        self._folder = folder
        self.front = subprocess.Popen(words)

    def pid(self, name: str) -> int:
        file = self._folder / name
        until(lambda: file.exists() and file.read_text().strip(), f"{name} has begun")
        return int(file.read_text())

    @property
    def keeper(self) -> int:
        return descendants(self.front.pid)[0].pid


@contextmanager
def kept(folder: Path, script: str) -> Iterator[Kept]:
    one = Kept(folder, script)
    try:
        yield one
    finally:
        left = [found.pid for found in descendants(one.front.pid)]
        one.front.kill()
        one.front.wait()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL])
def test_however_it_ends_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    with kept(tmp_path, LEAVES_A_CHILD) as one:
        program_pid, child = one.pid("program"), one.pid("child")
        one.front.send_signal(number)
        code = one.front.wait(DEADLINE_S)
        assert code == (-signal.SIGKILL if number is signal.SIGKILL else 0)
        until(lambda: not lives(program_pid) and not lives(child), "both are gone")


def test_if_the_keeper_is_killed_the_front_ends_what_it_kept(tmp_path: Path) -> None:
    with kept(tmp_path, LEAVES_A_CHILD) as one:
        program_pid, child = one.pid("program"), one.pid("child")
        os.kill(one.keeper, signal.SIGKILL)
        assert one.front.wait(DEADLINE_S) == 128 + signal.SIGKILL
        assert not lives(program_pid)
        assert not lives(child)


def test_whoever_stands_still_is_ended_in_good_order_too(tmp_path: Path) -> None:
    with kept(tmp_path, LEAVES_A_CHILD) as one:
        program_pid, _ = one.pid("program"), one.pid("child")
        os.kill(program_pid, signal.SIGSTOP)
        one.front.send_signal(signal.SIGTERM)
        assert one.front.wait(DEADLINE_S) == 0
        assert not lives(program_pid)


def test_it_ends_with_whoever_started_it_though_that_is_killed(tmp_path: Path) -> None:
    words = kept_command(
        ["sh", "-c", LEAVES_A_CHILD], parent_pid="{pid}", name="it", address="127.0.0.1:1", folder=tmp_path
    )
    starts = (
        "import os, subprocess, sys, time\n"
        "subprocess.Popen([word.replace('{pid}', str(os.getpid())) for word in sys.argv[1:]])\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", starts, *words]) as starter:
        try:
            until(lambda: (tmp_path / "child").exists(), "it runs")
            program_pid = int((tmp_path / "program").read_text())
            until((tmp_path / "child").read_text, "its child runs")
            child = int((tmp_path / "child").read_text())
        finally:
            starter.kill()
    until(lambda: not lives(program_pid) and not lives(child), "both are gone")


def test_a_program_that_ends_takes_all_with_it_and_its_exit_code_is_told(tmp_path: Path) -> None:
    script = "setsid sh -c 'echo $$ > child; exec sleep 1000' & while ! [ -s child ]; do :; done; exit 7"
    with kept(tmp_path, script) as one:
        assert one.front.wait(DEADLINE_S) == 7
        assert not lives(one.pid("child"))


def test_while_it_is_held_down_its_children_live_on_and_then_it_is_started_again(tmp_path: Path) -> None:
    with kept(tmp_path, ADOPTED) as one:
        program_pid, child = one.pid("program"), one.pid("child")
        one.hold.touch()
        (tmp_path / "program").unlink()
        os.kill(program_pid, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{program_pid}").exists(), "it is gone, and waited for")
        assert lives(child)
        assert not (tmp_path / "program").exists()
        one.hold.unlink()
        assert one.pid("program") != program_pid
        assert lives(child)


def test_whoever_is_killed_is_started_again_though_nobody_held_it(tmp_path: Path) -> None:
    with kept(tmp_path, ADOPTED) as one:
        program_pid, child = one.pid("program"), one.pid("child")
        (tmp_path / "program").unlink()
        os.kill(program_pid, signal.SIGKILL)
        assert one.pid("program") != program_pid
        assert lives(child)


def test_sighup_ends_nothing_since_it_is_for_logs(tmp_path: Path) -> None:
    with kept(tmp_path, LEAVES_A_CHILD) as one:
        program_pid = one.pid("program")
        one.front.send_signal(signal.SIGHUP)
        one.front.send_signal(signal.SIGHUP)
        until(lambda: one.pid("child"), "it goes on")
        assert lives(program_pid)
        assert one.front.poll() is None


def test_what_is_not_installed_is_said_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bankrmi.patroni.programs.shutil.which", lambda *_, **__: None)
    assert missing_packages() == ["etcd-server", "patroni", "postgresql"]
    assert program("patroni") is None
    with pytest.raises(Exception, match="not installed here: apt-get install etcd-server patroni postgresql"):
        check_installed()
