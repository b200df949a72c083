"""`history` and `why`: what is printed, of made-up banks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bankrmi import client
from bankrmi.cli import run
from bankrmi.cli.exit_codes import ExitCode
from bankrmi.client.earlier_keepers import ViewHistory
from bankrmi.errors import Unreached
from bankrmi.moments import as_logged
from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.keeper_move import KeeperMove
from bankrmi.replication.view import View
from tests.cli.test_health import AWAY, bank

FIRST = View.first(history="h1", server="s1", start_id="a", incarnation="disk-s1")
JOINED = Cause(kind=CauseKind.JOINED, by="s1", of=("s2",))
VIEWS = [
    FIRST,
    View.from_wire(
        FIRST.letting_in("s2", "disk-s2").because(JOINED).to_wire() | {"written_us": 1_700_000_000_123_456}
    ),
    View.from_wire(
        View.first(history="h2", server="s2", start_id="b", incarnation="disk-s2").to_wire()
        | {
            "forced": True,
            "epoch": 1002,
            "cause": {"kind": "restored", "by": "operator", "operator": "me@here"},
            "written_us": 1_700_000_001_000_000,
        }
    ),
]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the commands find; tests change it."""
    (tmp_path / "config.yaml").write_text(
        "nameserver: 127.0.0.1:9090\nservers: {s1: '127.0.0.1:9101', s2: '127.0.0.1:9102'}\n"
    )
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {"views": VIEWS, "elsewhere": [], "status": bank()}

    def history(_: object, *, limit: int, left: object) -> ViewHistory:
        found["left"] = left
        if isinstance(found["views"], Exception):
            raise found["views"]
        views: list[View] = found["views"]
        return ViewHistory(views=views[-limit:], elsewhere=found["elsewhere"])

    monkeypatch.setattr(client, "whole_history", history)
    monkeypatch.setattr(client, "overview", lambda _: found["status"])
    return found


@pytest.mark.usefixtures("found")
def test_each_change_is_a_line_the_newest_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history"]) == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    restored = "restored by me@here: the witness had lost its memory"
    assert [re.split("  +", line) for line in lines] == [
        ["when", "epoch", "primary", "in sync", "why", "by"],
        ["-", "1", "s1", "s1", "not recorded", "-"],
        ["2023-11-14T22:13:20.123Z", "2", "s1", "s1, s2", "s2 joined", "s1"],
        ["history h2 begins:"],
        ["2023-11-14T22:13:21.000Z", "1002", "s2", "s2", restored, "operator"],
    ]
    assert [lines[row].index(word) for row, word in ((0, "why"), (1, "not"), (2, "s2 j"), (4, "rest"))] == [
        lines[0].index("why")
    ] * 4


@pytest.mark.usefixtures("found")
def test_the_same_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", "--json", "--limit", "2"]) == ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    assert told["service"] == "account"
    assert told["changes"][0] == {
        "when": "2023-11-14T22:13:20.123Z",
        "history": "h1",
        "epoch": 2,
        "primary": "s1",
        "in_sync": ["s1", "s2"],
        "why": "s2 joined",
        "by": "s1",
        "cause": {"kind": "joined", "by": "s1", "of": ["s2"]},
        "forced": False,
        "paused": None,
        "moves": [],
    }
    assert told["elsewhere"] == []
    assert [change["epoch"] for change in told["changes"]] == [2, 1002]


def test_a_move_to_another_keeper_is_a_line_and_where_earlier_changes_are_is_told(
    found: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    moved = KeeperMove(keeper="0a", place="h:9090", moved_us=1_700_000_002_000_000, operator="me@here")
    found |= {"views": [VIEWS[-1].moved(moved)], "elsewhere": ["the changes before are elsewhere"]}
    assert run(["history"]) == ExitCode.DONE
    _, _, told, elsewhere = capsys.readouterr().out.splitlines()
    assert told == (
        "moved to another keeper by me@here at 2023-11-14T22:13:22.000Z: it was the witness at h:9090"
    )
    assert elsewhere == "the changes before are elsewhere"
    assert run(["history", "--json"]) == ExitCode.DONE
    answer = json.loads(capsys.readouterr().out)
    assert answer["changes"][0]["moves"][0]["when"] == "2023-11-14T22:13:22.000Z"
    assert answer["elsewhere"] == ["the changes before are elsewhere"]


def test_without_the_witness_there_is_no_history(
    found: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found["views"] = Unreached("the witness at 127.0.0.1:9090 does not answer")
    assert run(["history"]) == ExitCode.UNREACHED
    assert capsys.readouterr() == ("", "the witness at 127.0.0.1:9090 does not answer\n")


def test_a_configuration_that_was_left_is_read_as_any_other(
    found: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("old.yaml").write_text("nameserver: 127.0.0.1:9090\nwitness: 127.0.0.1:9095\n")
    assert run(["history", "--left", "old.yaml"]) == ExitCode.DONE
    assert [one.witness for one in found["left"]] == ["127.0.0.1:9095"]
    capsys.readouterr()
    assert run(["history", "--left", "none.yaml"]) == ExitCode.USAGE
    assert "none.yaml" in capsys.readouterr().err


def test_a_bank_without_a_view_says_so(found: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    found["views"] = []
    assert run(["history"]) == ExitCode.DONE
    assert capsys.readouterr().out == "the witness at 127.0.0.1:9090 holds no view yet\n"
    assert run(["history", "--json"]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["changes"] == []


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize("limit", ["0", "-1", "x", "100001"])
def test_a_limit_that_is_none_is_one_sentence(capsys: pytest.CaptureFixture[str], limit: str) -> None:
    assert run(["history", "--limit", limit]) == ExitCode.USAGE
    output, chatter = capsys.readouterr()
    assert (output, len(chatter.splitlines())) == ("", 1)


@pytest.mark.usefixtures("found")
def test_why_is_told_in_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["why"]) == ExitCode.DONE
    output = capsys.readouterr().out
    assert "s1 leads" in output
    assert "\nWho may take over now:\n  s2 may take over: it is in sync" in output
    assert "\nIf one more process died now:\n  s1: s2 would take over" in output


@pytest.mark.usefixtures("found")
def test_why_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["why", "--json"]) == ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    assert told["leads"] == "s1"
    assert [(one["server"], one["may"]) for one in told["take_over"]] == [("s2", True)]
    assert [one["process"] for one in told["if_it_died"]] == ["s1", "s2", "witness", "nameserver"]


def test_why_of_a_bank_that_does_not_answer_is_a_sentence_and_an_exit_code(
    found: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    away = {"reachable": False, "reason": "cut off"}
    found["status"] = bank(s1=away, s2=away, witness=AWAY, nameserver=AWAY)
    nothing = [
        "Nobody answers: no server, no witness, no name server.",
        "Who leads, who may take over, and what would come of a death is not known.",
    ]
    assert run(["why"]) == ExitCode.UNREACHED
    assert capsys.readouterr().out.splitlines() == nothing
    assert run(["why", "--json"]) == ExitCode.UNREACHED
    told = json.loads(capsys.readouterr().out)
    assert told == {"leads": None, "now": nothing, "take_over": [], "if_it_died": []}


@pytest.mark.parametrize("time_us", [None, "then", 1 << 200, -(1 << 200), 1.5, True, 1 << 62])
def test_a_moment_that_cannot_be_is_none(time_us: object) -> None:
    assert as_logged(time_us) is None
