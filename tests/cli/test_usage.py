"""Mistakes that a newcomer makes on the command line, and what is said to that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bankrmi.cli import run
from tests import warm


@pytest.mark.parametrize("option", ["--insecure", "--log-json"])
def test_an_option_of_all_commands_comes_before_the_command(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", option]) == 2
    assert capsys.readouterr().err == f"Write {option} before the command: bankrmi {option} ... status\n"


def test_any_other_unknown_option_is_told_with_the_way_to_the_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["status", "--wach"]) == 2
    assert "(see bankrmi status --help)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["simulate --minutes nan", "simulate --minutes inf", "chaos --minutes nan", "menu --timeout nan"]
)
def test_what_is_no_number_of_minutes_or_seconds_is_refused(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`nan` lies in every range; a run of that many minutes would never end, or find nothing in no seeds."""
    assert run(line.split()) == 2
    assert "is not a finite number" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["up --no-menu", "server s1", "nameserver"])
def test_a_configuration_that_can_be_read_only_once_runs_no_process(command: str) -> None:
    """Whoever is started again would find nothing in it."""
    configuration = "nameserver: 127.0.0.1:9090\nservers: {s1: '127.0.0.1:9101', s2: '127.0.0.1:9102'}\n"
    started = [sys.executable, "-m", "bankrmi", "--config", "/dev/stdin", *command.split()]
    with warm.Popen(started, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        _, said = process.communicate(configuration, timeout=20)
    assert process.returncode == 2
    assert said.startswith("/dev/stdin is not a plain file, and ")


def test_without_a_command_there_is_the_help_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Usage: bankrmi")
    assert said.rstrip(".\n").endswith("NO_COLOR=1 turns colours off")


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("line", ["menu <&- >&- 2>&-", "--version >&-", "--version 2>&-", "menu <&-"])
def test_a_closed_standard_stream_is_no_mistake(tmp_path: Path, line: str) -> None:
    (tmp_path / "config.yaml").write_text("nameserver: 127.0.0.1:1\nservers: {s1: 127.0.0.1:2}\n")
    shell = f'exec "{sys.executable}" -m bankrmi {line}'
    done = subprocess.run(["sh", "-c", shell], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
