"""`status -w` beside a real bank: on a terminal, without one, and whatever happens to the bank meanwhile."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests import warm
from tests.system.cluster import DEADLINE_S, NAMESERVER, Cluster
from tests.system.commands import BANKRMI

ANY = r"[^\x00]*?"


@contextmanager
def watching(cluster: Cluster, *, program: str = "", **env: str) -> Iterator[pexpect.spawn]:
    """Lend a terminal in which the bank is watched, by itself or in a shell."""
    without = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    arguments = ["--config", str(cluster.config), "status", "-w", "0.2"]
    common: dict[str, Any] = {
        "env": without | {"TERM": "xterm-256color", **env},
        "dimensions": (24, 80),
        "timeout": DEADLINE_S,
    }
    if program:
        terminal = pexpect.spawn(program, ["--norc", "-i"], encoding="utf-8", **common)
        terminal.sendline(shlex.join([*BANKRMI, *arguments]))
    else:
        terminal = warm.terminal(arguments, **common)
    try:
        yield terminal
    finally:
        terminal.close(force=True)


def ends(terminal: pexpect.spawn) -> int | None:
    terminal.expect(pexpect.EOF)
    terminal.close()
    status: int | None = terminal.exitstatus
    return status


def test_a_takeover_is_seen_with_its_cause_and_control_c_gives_the_terminal_back(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster, watching(cluster) as terminal:
        cluster.start_all()
        cluster.wait_until_in_sync()
        primary, standby = cluster.primary(), cluster.standby()
        terminal.expect_exact("\x1b[?1049h")
        terminal.expect(rf"\x1b\[32mwell: {primary} leads, 2 copies in sync")
        cluster.client().withdraw(1, 10)
        terminal.expect(rf"operations/s {ANY}[▂▃▄▅▆▇█]")
        cluster.kill(primary)
        terminal.expect(r"\x1b\[1;7mepoch \d+, primary " + standby)
        terminal.expect_exact("ONE COPY ONLY")
        terminal.expect(rf"crash of {primary}: refused at [\d.:]+")
        terminal.setwinsize(10, 40)
        terminal.expect(rf"{standby}{ANY}primary{ANY} at ")
        terminal.setwinsize(30, 120)
        cluster.start(primary)
        terminal.expect(rf"\x1b\[32mwell: {standby} leads, 2 copies in sync")
        terminal.expect(rf"{primary} joined \(by {standby}\)")
        terminal.sendintr()
        terminal.expect_exact("\x1b[?25h\x1b[?1049l")
        terminal.expect_exact(f"primary {standby}")
        assert ends(terminal) == 130


def test_who_stands_still_keeps_neither_the_screen_nor_control_c_waiting(tmp_path: Path) -> None:
    """The whole bank stands still, so that asking takes seconds."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        with watching(cluster) as terminal:
            terminal.expect_exact("well: ")
            for name in (NAMESERVER, *cluster.servers):
                cluster.pause(name)
            terminal.expect_exact("nobody answers: no server, no witness, no name server")
            terminal.expect_exact("asked 4 s ago: somebody does not answer")
            terminal.setwinsize(20, 60)
            terminal.expect(rf"s1{ANY} at ")
            terminal.sendintr()
            assert ends(terminal) == 130
        for name in (NAMESERVER, *cluster.servers):
            cluster.resume(name)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_other_signals_give_the_terminal_back_too(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with Cluster(tmp_path) as cluster, watching(cluster) as terminal:
        terminal.expect_exact("nobody answers")
        terminal.kill(number)
        terminal.expect_exact("\x1b[?1049l")
        assert ends(terminal) == code


def test_while_it_is_stopped_the_shell_has_its_screen(tmp_path: Path) -> None:
    """Ctrl-Z, and `fg`: only a process that a shell looks after can be stopped."""
    with Cluster(tmp_path) as cluster, watching(cluster, program="bash") as shell:
        shell.expect_exact("nobody answers")
        shell.sendcontrol("z")
        shell.expect_exact("\x1b[?25h\x1b[?1049l")
        shell.expect_exact("Stopped")
        shell.sendline("fg")
        shell.expect_exact("\x1b[?1049h")
        shell.expect_exact("nobody answers")
        shell.sendintr()
        shell.expect_exact("\x1b[?1049l")
        shell.sendline("echo it ended with $?")
        shell.expect_exact("it ended with 130")


def test_where_colours_are_not_wanted_there_are_none(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster, watching(cluster, NO_COLOR="1") as terminal:
        terminal.expect_exact("Ctrl-C ends this")
        terminal.sendintr()
        assert ends(terminal) == 130
        said = str(terminal.before)
        assert not re.search(r"\x1b\[[\d;]*[34]\d[\d;]*m", said)


def test_a_terminal_that_obeys_nothing_gets_a_line_each_change(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster, watching(cluster, TERM="dumb") as terminal:
        terminal.expect_exact("nobody answers")
        said = str(terminal.before)
        cluster.start_all()
        terminal.expect(r"s1: primary, pid \d+|s2: primary, pid \d+")
        said += str(terminal.before)
        terminal.expect(r"Z well: s\d leads, 2 copies in sync")
        said += str(terminal.before)
        terminal.sendintr()
        assert ends(terminal) == 130
        assert "\x1b" not in said


def test_into_a_pipe_it_says_what_changes_and_ends_when_nobody_reads(tmp_path: Path) -> None:
    """`| head -1`: nothing more is written, and it ends all the same, quietly."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        watch = warm.Popen(
            [*BANKRMI, "--config", str(cluster.config), "status", "-w", "3600"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert watch.stdout is not None
        assert watch.stderr is not None
        with watch.stderr:
            assert watch.stdout.readline().startswith("service account: epoch")
            while not re.search(r"Z well: s\d leads, 2 copies in sync$", watch.stdout.readline().rstrip()):
                assert watch.poll() is None
            watch.stdout.close()
            assert watch.wait(DEADLINE_S) == 1
            assert watch.stderr.read() == ""
