from __future__ import annotations

import copy
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bankrmi import client
from bankrmi.cli import run
from bankrmi.cli.status_table import status_table
from bankrmi.config import Configuration
from bankrmi.errors import OperationFailed

STATUS: dict[str, Any] = {
    "service": "account",
    "view": {"history": "h1", "epoch": 7, "primary": "s1", "in_sync": ["s1", "s2"]},
    "servers": [
        {
            "server": "s1",
            "reachable": True,
            "role": "primary",
            "pid": 4711,
            "address": "127.0.0.1:9101",
            "epoch": 7,
            "action_id": 12,
            "acknowledged": 11,
            "digest": "d",
            "in_sync": True,
            "lag": 0,
            "read_lease_ms": 812,
            "role_for_ms": 3_725_000,
        },
        {"server": "s2", "reachable": False, "address": "127.0.0.1:9102", "reason": "refused"},
    ],
    "witness": {"reachable": True},
    "nameserver": {"reachable": True},
}


def shown(status: dict[str, Any], before: dict[str, Any] | None = None, *, colours: bool = False) -> str:
    sink = io.StringIO()
    system: Any = "standard" if colours else None
    console = Console(file=sink, width=80, force_terminal=colours, color_system=system)
    console.print(status_table(status, before))
    return sink.getvalue()


@pytest.fixture
def overview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what the commands will find; tests change it."""
    (tmp_path / "config.yaml").write_text(
        "nameserver: 127.0.0.1:9090\nservers: {s1: '127.0.0.1:9101', s2: '127.0.0.1:9102'}\n"
    )
    monkeypatch.chdir(tmp_path)
    status = copy.deepcopy(STATUS)
    monkeypatch.setattr(client, "overview", lambda _: status, raising=False)
    return status


def test_there_is_a_line_for_each_server() -> None:
    lines = shown(STATUS).splitlines()
    assert lines[0].rstrip() == "service account: epoch 7, primary s1, in sync s1, s2, history h1"
    assert lines[3].split()[:7] == ["s1", "primary", "4711", "127.0.0.1:9101", "7", "12", "11"]
    assert lines[3].split()[7:] == ["0", "yes", "812", "62", "min"]
    assert lines[4].split() == ["s2", "away", "-", "127.0.0.1:9102", *["-"] * 7]
    assert lines[5].rstrip() == "2 copies hold every acknowledged entry"
    assert lines[6].rstrip() == "s2 is away: refused"


def test_a_bank_on_one_copy_says_so() -> None:
    status = {**STATUS, "view": {**STATUS["view"], "in_sync": ["s1"]}}
    assert "ONE COPY ONLY: what s1 holds is all there is" in shown(status)


def test_what_cannot_be_reached_is_said() -> None:
    down = {"reachable": False}
    text = shown({**STATUS, "view": None, "witness": down, "nameserver": down})
    assert "service account: no view is known" in text
    assert "the witness cannot be reached" in text
    assert "the name server cannot be reached" in text


def test_what_changed_stands_out_and_nothing_else_does() -> None:
    """Neither the read lease nor the time in a role, which change all the time."""
    now = copy.deepcopy(STATUS)
    now["servers"][0] |= {"action_id": 99, "read_lease_ms": 1, "role_for_ms": 1}
    text = shown(now, STATUS, colours=True)
    assert text.count("\x1b[1;7m") == 1
    assert re.search(r"\x1b\[1;7m *99\x1b\[0m", text)


def test_the_status_is_printed_as_a_table_or_as_json(
    capsys: pytest.CaptureFixture[str], overview: dict[str, Any]
) -> None:
    assert run(["status"]) == 0
    assert "away" in capsys.readouterr().out
    assert run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == overview


def test_a_bank_of_which_nobody_answers_is_exit_code_5(
    capsys: pytest.CaptureFixture[str], overview: dict[str, Any]
) -> None:
    for part in (*overview["servers"], overview["witness"], overview["nameserver"]):
        part["reachable"] = False
    assert run(["status"]) == 5
    assert "away" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["-w"], ["-w", "0.1"], ["--watch=0.1"], ["-w", "0.1", "--json"]])
def test_watching_goes_on_until_control_c(
    monkeypatch: pytest.MonkeyPatch, overview: dict[str, Any], option: list[str]
) -> None:
    asked = iter(range(3))

    def ask(_: Configuration) -> dict[str, Any]:
        if next(asked) == 2:
            raise KeyboardInterrupt
        return overview

    monkeypatch.setattr(client, "overview", ask)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["status", *option]) == 130
    assert next(asked, None) is None


def test_watching_into_a_pipe_prints_a_table_each_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, overview: dict[str, Any]
) -> None:
    answers = iter([overview, overview])

    def ask(_: Configuration) -> dict[str, Any]:
        if (answer := next(answers, None)) is None:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(client, "overview", ask)
    assert run(["status", "-w", "0.1"]) == 130
    assert capsys.readouterr().out.count("service account: epoch 7") == 2


def test_a_switchover_shows_before_and_after(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, overview: dict[str, Any]
) -> None:
    def switchover(_: Configuration, target: str | None) -> dict[str, Any]:
        if target == "s1":
            raise OperationFailed("s1 leads already")
        return {"before": overview["view"], "after": {**overview["view"], "epoch": 8, "primary": "s2"}}

    monkeypatch.setattr(client, "switchover", switchover, raising=False)
    assert run(["switchover", "--to", "s2", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "before: epoch 7, primary s1, in sync s1, s2",
        "after:  epoch 8, primary s2, in sync s1, s2",
    ]
    assert run(["switchover", "--to", "s1", "--yes"]) == 1
    assert capsys.readouterr().err == "s1 leads already\n"
    assert run(["switchover", "--to", "s9", "--yes"]) == 2
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run(["switchover"]) == 2
    assert "say --yes" in capsys.readouterr().err
