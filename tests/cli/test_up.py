from __future__ import annotations

import os
import re
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests import warm

DEADLINE_S = 20
FAKE_UP = [sys.executable, "-m", "tests.cli.fake_up"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(
        "nameserver: 127.0.0.1:9090\nservers: {s1: '127.0.0.1:9101', s2: '127.0.0.1:9102'}\n"
    )
    return tmp_path


@pytest.fixture
def terminal(folder: Path) -> Iterator[pexpect.spawn]:
    """Return `up` on a terminal of its own, as far as the menu."""
    up = warm.terminal([str(folder)], module="tests.cli.fake_up", timeout=DEADLINE_S)
    yield up
    up.close(force=True)


def fake_up(folder: Path, *, typed: str) -> subprocess.CompletedProcess[str]:
    return warm.run([str(folder)], module="tests.cli.fake_up", typed=typed, timeout=DEADLINE_S)


def pids_until_menu(up: pexpect.spawn) -> list[int]:
    up.expect_exact("Your choice: ")
    return [int(pid) for pid in re.findall(r"is ready: pid (\d+)", up.before)]


def assert_gone(pids: list[int]) -> None:
    """Wait for the end of each process, with a deadline."""
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        ended = poll.poll(DEADLINE_S * 1000)
        os.close(pidfd)
        assert ended, f"process {pid} is still there"


def test_up_shows_each_child_with_its_pid_then_the_status_then_the_menu(
    terminal: pexpect.spawn, folder: Path
) -> None:
    terminal.expect(r"ns is ready: pid \d+")
    terminal.expect(r"s\d is ready: pid \d+")
    terminal.expect_exact("service account: epoch 7, primary s1")
    terminal.expect_exact("Welcome to Distributed Bank!")
    terminal.expect_exact("Your choice: ")
    assert (folder / "data/log/s1.log").read_text().startswith("this is the log of s1\n")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder / "data", *folder.rglob("log"))}
    assert modes == {"data": 0o700, "log": 0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.glob("data/log/*.log")} == {0o600}


def test_4_stops_the_whole_bank(terminal: pexpect.spawn) -> None:
    pids = pids_until_menu(terminal)
    assert len(pids) == 3
    terminal.sendline("4")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert_gone(pids)


@pytest.mark.parametrize("how", ["control-c", "end of input", "SIGTERM", "SIGHUP"])
def test_ctrl_c_and_the_signals_stop_the_whole_bank(terminal: pexpect.spawn, how: str) -> None:
    pids = pids_until_menu(terminal)
    match how:
        case "control-c":
            terminal.sendintr()
        case "end of input":
            terminal.sendeof()
        case _:
            terminal.kill(signal.Signals[how])
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert_gone(pids)


def test_no_process_is_left_behind_when_up_is_killed(terminal: pexpect.spawn) -> None:
    pids = pids_until_menu(terminal)
    terminal.kill(signal.SIGKILL)
    assert_gone(pids)


def test_a_child_that_dies_is_reported_above_the_prompt(terminal: pexpect.spawn) -> None:
    victim = pids_until_menu(terminal)[-1]
    os.kill(victim, signal.SIGKILL)
    terminal.expect_exact(
        f"(pid {victim}) was killed by SIGKILL; it is started again in 0.2 s\r\nYour choice: "
    )
    terminal.expect(r"is ready: pid \d+")


def test_up_reads_its_menu_from_a_pipe_too(folder: Path) -> None:
    ended = fake_up(folder, typed="1\n2\n4\n")
    assert ended.returncode == 0
    assert "Current balance: 300\n" in ended.stdout
    assert ended.stderr.count("is ready: pid") == 3


def test_without_a_menu_it_stays_until_it_is_told_to_stop(folder: Path) -> None:
    with warm.Popen(
        [*FAKE_UP, str(folder), "--no-menu"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as up:
        assert up.stderr is not None
        said = ""
        while "The bank is running" not in said:
            said += (line := up.stderr.readline())
            assert line
        up.terminate()
        said += up.communicate(timeout=DEADLINE_S)[1]
    assert up.returncode == 0
    assert "this is the log of s2" not in said
    assert "this is the log of s2" in (folder / "data" / "log" / "s2.log").read_text()
    assert_gone([int(pid) for pid in re.findall(r"is ready: pid (\d+)", said)])


@pytest.mark.parametrize("starter", [[], ["nohup"]], ids=["as it is", "by nohup"])
def test_without_a_menu_sighup_is_passed_on_and_stops_nothing(folder: Path, starter: list[str]) -> None:
    log = folder / "data" / "log" / "s2.log"
    with warm.Popen(
        [*starter, *FAKE_UP, str(folder), "--no-menu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as up:
        assert up.stderr is not None
        while "The bank is running" not in (line := up.stderr.readline()):
            assert line
        for times in (1, 2):
            up.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + DEADLINE_S
            while log.read_text().count("told to open it again") < times:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert up.poll() is None
        up.terminate()
        said = up.communicate(timeout=DEADLINE_S)[1]
    assert up.returncode == 0
    assert "is ready" not in said  # Nobody was started again.


def _pid_in(log: Path, *, other_than: int = 0) -> int:
    """Return the pid that a child has written into its log, once it is another one."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        pids = re.findall(r"^pid (\d+)$", log.read_text() if log.exists() else "", re.MULTILINE)
        if pids and int(pids[-1]) != other_than:
            return int(pids[-1])
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("where", ["a terminal that is closed", "/dev/full"])
def test_a_line_that_nobody_can_read_stops_nothing(folder: Path, where: str) -> None:
    log = folder / "data" / "log" / "s1.log"
    ours, its_own = os.openpty() if where != "/dev/full" else (None, os.open(where, os.O_WRONLY))
    with warm.Popen(
        [*FAKE_UP, str(folder), "--no-menu"], stdin=subprocess.DEVNULL, stdout=its_own, stderr=its_own
    ) as up:
        os.close(its_own)
        first = _pid_in(log)
        if ours is not None:
            said = b""
            while b"The bank is running" not in said:
                said += os.read(ours, 1 << 12)
            os.close(ours)
        os.kill(first, signal.SIGKILL)
        second = _pid_in(log, other_than=first)
        up.terminate()
        assert up.wait(DEADLINE_S) == 0
    assert_gone([first, second])


def test_to_be_told_to_stop_while_a_line_cannot_be_written_is_to_be_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error on the way hides the interruption: nothing more would come of it, and the bank would go on."""
    monkeypatch.setenv("BANKRMI_TEST_FULL", "1")
    ended = warm.run([str(folder), "--no-menu"], module="tests.cli.fake_up", timeout=DEADLINE_S)
    assert ended.returncode == 0
    assert "The bank is running" not in ended.stderr
    assert ended.stderr.endswith("The bank has stopped.\n")


def test_what_nohup_has_it_ignore_it_ignores(folder: Path) -> None:
    with warm.Popen(
        ["nohup", *FAKE_UP, str(folder), "--no-menu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as up:
        assert up.stderr is not None
        while "The bank is running" not in (line := up.stderr.readline()):
            assert line
        up.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            up.wait(0.3)
        up.terminate()
        up.communicate(timeout=DEADLINE_S)
    assert up.returncode == 0


def test_a_bank_that_cannot_run_as_configured_is_not_started_by_half(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANKRMI_TEST_BROKEN", "s2")
    ended = fake_up(folder, typed="4\n")
    assert ended.returncode == 2
    assert "cannot run as configured: port 9101 is taken (" in ended.stderr
    assert "Welcome" not in ended.stdout
    assert_gone([int(pid) for pid in re.findall(r"is ready: pid (\d+)", ended.stderr)])


def test_a_data_directory_that_cannot_be_made_is_one_sentence(folder: Path) -> None:
    (folder / "data").write_text("a file in its place")
    ended = fake_up(folder, typed="4\n")
    assert ended.returncode == 2
    assert ended.stderr == f"the data directory {folder}/data/log cannot be made: Not a directory\n"
