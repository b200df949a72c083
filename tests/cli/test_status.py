from __future__ import annotations

import copy
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pexpect
import pytest
from rich.console import Console
from rich.live import Live

from bankrmi import client
from bankrmi.cli import run
from bankrmi.cli.exit_codes import ExitCode, HealthCode
from bankrmi.cli.health import health
from bankrmi.cli.highlights import SEEN_S, Highlights
from bankrmi.cli.status_table import Changed, StatusTable
from bankrmi.config import Configuration
from bankrmi.errors import OperationFailed
from tests import warm
from tests.cli.made_up_status import STATUS


def shown(status: dict[str, Any], changed: Changed = (), *, colours: bool = False, width: int = 80) -> str:
    sink = io.StringIO()
    system: Any = "standard" if colours else None
    console = Console(file=sink, width=width, force_terminal=colours, color_system=system)
    console.print(StatusTable(status, changed))
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


def test_40_columns_are_enough() -> None:
    """A line is a line: no value is folded in the middle of a number or an address."""
    text = shown(STATUS, width=40)
    assert all(len(line) <= 40 for line in text.splitlines())
    for whole in (
        "s1 primary at 127.0.0.1:9101",
        "entry 12",
        "acknowledged 11, lag 0",
        "pid 4711",
        "s2 away",
    ):
        assert whole in text


def test_what_nobody_may_overlook_is_the_second_line_over_the_whole_width() -> None:
    status = {**STATUS, "view": {**STATUS["view"], "in_sync": ["s1"]}}
    lines = shown(status, colours=True).splitlines()
    assert lines[1].startswith("\x1b[1;37;41mONE COPY ONLY: what s1 holds is all there is")
    assert len(re.sub(r"\x1b\[[0-9;]*m", "", lines[1])) == 80


def test_it_is_said_why_a_server_is_not_in_sync_and_which_link_is_broken() -> None:
    status = copy.deepcopy(STATUS)
    status["servers"][0]["connected"] = []
    status["servers"][1] = {
        **status["servers"][0],
        "server": "s2",
        "role": "joining",
        "why": "fetching a copy from s1, 40 %",
        "witness_silent_ms": 700,
        "slow_ms": 1200,
        "connected": ["s1"],
    }
    text = shown(status, width=200)
    assert "s2 is joining: fetching a copy from s1, 40 %" in text
    assert "s1 does not reach s2" in text
    assert "s2 does not reach the witness" in text
    assert "s2 is slow: it took 1200 ms to answer" in text
    status["servers"][1]["connected"] = []
    assert "s1 and s2 do not reach each other" in shown(status, width=200)


def test_who_does_not_answer_and_is_not_refused_is_silent_and_not_away() -> None:
    status = copy.deepcopy(STATUS)
    status["servers"][1]["silent"] = True
    assert "s2 is silent: refused" in shown(status)


def test_with_whom_there_is_no_handshake_is_denied_and_not_said_to_be_away() -> None:
    status = copy.deepcopy(STATUS)
    denied = {"reachable": False, "reason": "x denied the connection: revoked", "denied": "x"}
    status["servers"][1] |= denied
    status["nameserver"] = denied
    status["denials"] = [{"who": ["s2", "nameserver"], "why": "revoked"}]
    table = shown(status)
    assert "there is no handshake with s2, nameserver: revoked" in table
    assert " denied " in table
    assert "the name server cannot be reached" not in table


def test_where_nobody_has_to_prove_who_he_is_is_said() -> None:
    said = shown({**STATUS, "open_to_strangers": ["10.0.0.1:9101", "10.0.0.2:9101"]}, width=200)
    assert "10.0.0.1:9101, 10.0.0.2:9101 can be reached by others, who need not prove who they are" in said
    assert "can be reached by others" not in shown(STATUS, width=200)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (None, ""),
        (30, ""),
        (29, "ends in 29 days"),
        (1, "ends in 1 day:"),
        (0, "ends within a day"),
        (-1, "has ended"),
    ],
)
def test_a_certificate_that_ends_soon_is_said(days: int | None, said: str) -> None:
    status = copy.deepcopy(STATUS)
    status["servers"][0]["certificate_days"] = days
    status["nameserver"]["certificate_days"] = days
    status["witness"] |= {"address": "127.0.0.1:9091", "certificate_days": days}
    status["own_certificate"] = {"holder": "operator anna", "days": days}
    text = shown(status, width=200)
    for whose in ("s1", "the name server", "the witness", "the operator anna, who asks"):
        told = f"the certificate of {whose}, or its authority's, {said}"
        assert (told in text) is bool(said)


def test_the_certificate_of_one_process_is_told_once() -> None:
    both = {"reachable": True, "address": "127.0.0.1:9090", "certificate_days": 3}
    text = shown({**STATUS, "witness": both, "nameserver": both}, width=200)
    assert text.count("ends in 3 days") == 1


WELL = {
    **STATUS,
    "copies_min": 1,
    "servers": [STATUS["servers"][0], {**STATUS["servers"][0], "server": "s2", "role": "standby"}],
}
AWAY = {"reachable": False, "reason": "it is frozen", "role": None}


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        ({}, ExitCode.DONE, "well: s1 leads, 2 copies in sync"),
        ({"s1": AWAY}, HealthCode.NOBODY_LEADS, "nobody leads: s1 does not (it is frozen)"),
        ({"s1": AWAY, "s2": AWAY}, HealthCode.NOBODY_LEADS, "nobody leads: s1 does not (it is frozen)"),
        (
            {"s1": {"role": "starting", "why": "asking the witness who leads"}},
            HealthCode.NOBODY_LEADS,
            "nobody leads: s1 does not (asking the witness who leads)",
        ),
        ({"view": None, "s1": AWAY}, HealthCode.NOBODY_LEADS, "nobody leads: no view is known"),
        ({"s2": AWAY}, HealthCode.NOTHING_ACKNOWLEDGED, "nothing is acknowledged without s2, until"),
        ({"copies_min": 3}, HealthCode.NOTHING_ACKNOWLEDGED, "nothing is acknowledged on 2 of 3 copies"),
        ({"alone": True}, HealthCode.ONE_COPY, "ONE COPY ONLY: what s1 holds is all there is"),
        (
            {"alone": True, "s1": AWAY},
            HealthCode.NOBODY_LEADS,
            "nobody leads: s1 does not (it is frozen); nobody else may, for only s1 is known to hold",
        ),
        ({"witness": AWAY}, HealthCode.NOBODY_COULD_TAKE_OVER, "the witness cannot be reached"),
        ({"view": None}, HealthCode.NOBODY_COULD_TAKE_OVER, "the witness has lost its memory"),
        ({"s1": AWAY, "s2": AWAY, "witness": AWAY, "nameserver": AWAY}, ExitCode.UNREACHED, "nobody answers"),
    ],
    ids=str,
)
def test_the_check_finds_what_is_wrong(changes: dict[str, Any], code: int, sentence: str) -> None:
    status = copy.deepcopy(WELL)
    for server in status["servers"]:
        server |= changes.get(server["server"], {})
        server["in_sync"] = server["server"] == "s1" or "alone" not in changes
    if "alone" in changes:
        status["view"]["in_sync"] = ["s1"]
    status |= {key: value for key, value in changes.items() if key in status}
    found, said = health(status)
    assert (found, said[: len(sentence)]) == (code, sentence)


def test_the_check_is_one_sentence_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], overview: dict[str, Any]
) -> None:
    overview["servers"][1]["in_sync"] = True
    assert run(["status"]) == 0
    capsys.readouterr()
    assert run(["status", "--check"]) == HealthCode.NOTHING_ACKNOWLEDGED
    assert capsys.readouterr().out == "nothing is acknowledged without s2, until the view changes\n"
    assert run(["status", "--check", "--json"]) == HealthCode.NOTHING_ACKNOWLEDGED
    assert json.loads(capsys.readouterr().out) == overview
    assert run(["status", "--check", "-w"]) == ExitCode.USAGE


def test_a_change_stands_out_for_some_seconds_however_often_the_screen_is_drawn() -> None:
    highlights, now = Highlights(), copy.deepcopy(STATUS)
    assert highlights.take(STATUS, 0.0) == set()
    now["servers"][0] |= {"action_id": 99, "read_lease_ms": 1, "role_for_ms": 1}
    for seconds in (0.2, 0.4, SEEN_S):
        assert highlights.take(now, seconds) == {("s1", "action_id")}
    assert highlights.take(now, 0.2 + SEEN_S) == set()


@pytest.mark.parametrize("every_s", [SEEN_S, 30.0, 3600.0])
def test_a_change_stands_out_on_more_than_one_screen_however_seldom_they_are_drawn(every_s: float) -> None:
    highlights, now = Highlights(), copy.deepcopy(STATUS)
    now["servers"][0]["action_id"] = 99
    highlights.take(STATUS, 0.0)
    seen = [highlights.take(now, number * every_s) for number in range(1, 6)]
    assert seen[:2] == [{("s1", "action_id")}] * 2
    assert seen[-1] == set()


def one_copy_of_three() -> dict[str, Any]:
    """Return what takes the most lines: one copy, and everything else is wrong, too."""
    s1 = {**STATUS["servers"][0], "connected": [], "witness_silent_ms": 900, "slow_ms": 700}
    s2 = {**s1, "server": "s2", "role": "joining", "why": "fetching a copy from s1, 40 %", "in_sync": False}
    s3 = {"server": "s3", "reachable": False, "address": "127.0.0.1:9103", "reason": "nobody listens there"}
    view = {"history": "3a7c98bec5495238", "epoch": 7, "primary": "s1", "in_sync": ["s1"]}
    return {**STATUS, "view": view, "servers": [s1, s2, s3]}


IMPORTANT = (
    "ONE COPY ONLY",
    "s2 is joining: fetching a copy from",
    "s3 is away: nobody listens there",
    "s1 and s2 do not reach each other",
)


@pytest.mark.parametrize("rows", [24, 20])
def test_what_is_important_is_not_cut_off_where_there_is_little_room(rows: int) -> None:
    """40 columns and few rows, watched: the reasons and the broken links, and every server."""
    sink = io.StringIO()
    console = Console(file=sink, width=40, height=rows, force_terminal=True, color_system=None)
    with Live(console=console, auto_refresh=False) as live:
        live.update(StatusTable(one_copy_of_three(), watched=True), refresh=True)
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", sink.getvalue())
    lines = text.splitlines()
    assert len(lines) <= rows
    for whole in (*IMPORTANT, "s1 primary at 127.0.0.1:9101", "s2 joining at", "s3 away at"):
        assert whole in " ".join(text.split()), whole


def test_watched_the_reasons_come_before_the_servers() -> None:
    sink = io.StringIO()
    Console(file=sink, width=80).print(StatusTable(one_copy_of_three(), watched=True))
    text = sink.getvalue()
    assert all(text.index(one) < text.index("127.0.0.1:9101") for one in IMPORTANT)


@pytest.mark.parametrize("columns", [40, 60, 100])
@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_a_terminal_is_as_wide_as_it_is(tmp_path: Path, term: str, columns: int) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("nameserver: 127.0.0.1:9\nservers: {s1: '127.0.0.1:7', s2: '127.0.0.1:8'}\n")
    program = warm.terminal(
        ["--config", str(config), "status"],
        # xdist tells its workers how wide they are.
        env={key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        | {"TERM": term},
        dimensions=(24, columns),
        timeout=30,
    )
    program.expect(pexpect.EOF)
    program.close()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(program.before)).splitlines()
    assert max(map(len, lines)) <= columns
    assert ("server role" in " ".join(lines)) == (columns >= 78)
    if term == "dumb":
        assert "\x1b" not in str(program.before)


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
    text = shown(STATUS, {("s1", "action_id")}, colours=True)
    assert text.count("\x1b[1;7m") == 1
    assert re.search(r"\x1b\[1;7m *12\x1b\[0m", text)
    assert "\x1b[1;7mepoch 7" in shown(STATUS, {("", "view")}, colours=True)


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
