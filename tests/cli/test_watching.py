"""`status -w`: its screen and what else it prints, of made-up banks."""

from __future__ import annotations

import copy
import io
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live

from bankrmi import client
from bankrmi.cli import run
from bankrmi.cli.curve import Curve
from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.looks import Change, Look, Looks
from bankrmi.cli.status_table import Changed
from bankrmi.cli.watch_screen import WatchScreen
from bankrmi.config import Configuration, load
from bankrmi.errors import OperationFailed
from bankrmi.replication.view import View
from tests.cli.made_up_status import STATUS
from tests.cli.test_history import VIEWS
from tests.cli.test_status import IMPORTANT, one_copy_of_three

CHANGES = tuple(
    Change(
        history="h1",
        epoch=epoch,
        row=(f"2026-01-31T12:00:0{epoch}.143Z", str(epoch), "s1", "s1, s2", f"cause {epoch}", "s2"),
    )
    for epoch in range(1, 8)
)


def screen(
    columns: int,
    rows: int,
    *,
    status: dict[str, Any] = STATUS,
    changed: Changed = (),
    untold: str = "",
    age_s: float = 0.1,
    colours: bool = False,
    encoding: str = "utf-8",
) -> list[str]:
    """Return the lines that stand on a screen of this size."""
    sink = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    console = Console(
        file=sink,
        width=columns,
        height=rows,
        force_terminal=True,
        color_system="standard" if colours else None,
    )
    curve = Curve()
    for second in range(10):
        curve.take(
            {**status, "servers": [{**status["servers"][0], "action_id": second * second}]}, float(second)
        )
    look = Look(at_s=0.0, status=status, changes=CHANGES, untold=untold)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        live.update(
            WatchScreen(look=look, changed=changed, curve=curve, age_s=age_s, every_s=1.0), refresh=True
        )
        sink.flush()
        text = sink.buffer.getvalue().decode(encoding)
    last = text.rpartition("\x1b[H")[2]
    return (last if colours else re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", last)).splitlines()


def test_the_status_the_curve_and_the_last_five_changes_with_their_causes_are_on_it() -> None:
    lines = screen(100, 30)
    text = "\n".join(lines)
    assert "service account: epoch 7, primary s1" in text
    assert re.search(r"operations/s +▂▂▃▄▅▆▆▇█ 15, most 17", text)
    found = re.findall(r"12:00:0(\d)Z  epoch (\d)  s1  s1, s2  cause \d \(by s2\)", text)
    assert found == [(str(epoch), str(epoch)) for epoch in (3, 4, 5, 6, 7)]
    assert "every 1 s; Ctrl-C ends this" in text


@pytest.mark.parametrize("columns", [1, 2, 5, 10, 19, 30, 40, 77, 78, 80, 200])
@pytest.mark.parametrize("rows", [1, 2, 3, 8, 12, 16, 24, 60])
def test_no_terminal_is_too_small(columns: int, rows: int) -> None:
    lines = screen(columns, rows)
    assert len(lines) <= rows
    assert all(len(line) <= columns for line in lines)


def test_where_there_is_little_room_the_status_stays_and_the_newest_change_before_older_ones() -> None:
    full = len([line for line in screen(80, 60) if line.strip()])
    for fewer in range(1, 7):
        text = "\n".join(screen(80, full - fewer))
        assert "127.0.0.1:9102" in text
        assert ("cause 7" in text) or ("changes of the view" not in text)
        assert "cause 3" not in text
    assert "changes of the view" not in "\n".join(screen(80, 9))


@pytest.mark.parametrize("rows", [24, 20])
def test_what_is_important_is_not_cut_off(rows: int) -> None:
    """40 columns and few rows: the reasons and the broken links, and every server."""
    text = " ".join(" ".join(screen(40, rows, status=one_copy_of_three())).split())
    for whole in (*IMPORTANT, "s1 primary at 127.0.0.1:9101", "s2 joining at", "s3 away at"):
        assert whole in text, whole


def test_whether_all_is_well_is_said_in_colour_and_in_words() -> None:
    other = {**STATUS["servers"][0], "server": "s2", "role": "standby"}
    well = {**STATUS, "copies_min": 1, "servers": [STATUS["servers"][0], other]}
    assert "\x1b[32mwell: s1 leads, 2 copies in sync" in "\n".join(screen(80, 24, status=well, colours=True))
    unseen = {**well, "witness": {"reachable": False}}
    text = "\n".join(screen(80, 24, status=unseen, colours=True))
    assert "\x1b[33mthe witness cannot be reached" in text
    assert text.count("the witness cannot be reached") == 1
    nobody = {**STATUS, "view": None, "servers": [{**other, "reachable": False}]}
    nobody |= {"witness": {"reachable": False}, "nameserver": {"reachable": False}}
    assert "\x1b[1;37;41mnobody answers" in "\n".join(screen(80, 24, status=nobody, colours=True))


def test_roles_and_lag_are_in_colour_and_what_changed_is_lit() -> None:
    status = copy.deepcopy(STATUS)
    status["servers"][0]["lag"] = 3
    text = "\n".join(screen(80, 24, status=status, colours=True))
    assert "\x1b[1;32mprimary" in text
    assert "\x1b[1;31maway" in text
    assert re.search(r"\x1b\[33m +3\x1b", text)
    assert "\x1b[1;7m" not in text
    lit = "\n".join(screen(80, 24, changed={("", "view"), ("s1", "role")}, colours=True))
    assert "\x1b[1;7mepoch 7" in lit
    assert "\x1b[1;7mprimary" in lit
    assert re.search(r"\x1b\[1;7m12:00:07Z", lit)
    assert not re.search(r"\x1b\[1;7m12:00:06Z", lit)


def test_without_a_word_from_the_keeper_it_is_said_why_there_are_few_changes() -> None:
    assert "changes of the view since this began (the witness is away):" in "\n".join(
        screen(100, 30, untold="the witness is away")
    )


def test_what_is_old_says_so() -> None:
    assert "asked 9 s ago: somebody does not answer" in "\n".join(screen(80, 24, age_s=9.0))


def test_where_letters_are_ascii_the_curve_is_too() -> None:
    assert "operations/s" in "\n".join(screen(80, 24, encoding="ascii"))


# -- what is asked -----------------------------------------------------------------------------------


@pytest.fixture
def asked(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What there is to be seen; tests change it."""
    (tmp_path / "config.yaml").write_text(
        "nameserver: 127.0.0.1:9090\nservers: {s1: '127.0.0.1:9101', s2: '127.0.0.1:9102'}\n"
    )
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {"status": copy.deepcopy(STATUS), "views": [], "asked": 0, "script": None}
    found["status"]["view"] |= {"history": "h1", "epoch": 2}

    def overview(_: Configuration) -> dict[str, Any]:
        if found["script"] is not None:
            found["script"](found)
        return copy.deepcopy(found["status"])

    def history(_: Configuration, *, limit: int) -> list[View]:
        found["asked"] += 1
        if isinstance(found["views"], Exception):
            raise found["views"]
        return list(found["views"][-limit:])

    monkeypatch.setattr(client, "overview", overview)
    monkeypatch.setattr(client, "history", history)
    return found


def test_the_history_is_asked_for_when_the_view_is_another_one_and_never_else(asked: dict[str, Any]) -> None:
    asked["views"] = VIEWS[:2]
    looks = Looks(load())
    for _ in range(5):
        assert [one.epoch for one in looks.look().changes] == [1, 2]
    assert asked["asked"] == 1
    asked["status"]["view"] = None
    assert len(looks.look().changes) == 2
    assert asked["asked"] == 1
    asked["views"] = VIEWS
    asked["status"]["view"] = {**STATUS["view"], "history": "h2", "epoch": 1002}
    assert looks.look().changes[-1].row[4] == "restored by me@here: the witness had lost its memory"
    assert asked["asked"] == 2


def test_what_was_seen_stands_for_a_history_that_is_not_told(asked: dict[str, Any]) -> None:
    asked["views"] = OperationFailed("not for clients")
    asked["status"]["view"]["cause"] = {"kind": "joined", "by": "s1", "of": ["s2"]}
    looks = Looks(load())
    look = looks.look()
    assert (look.untold, look.changes[-1].row[3:]) == ("not for clients", ("s1, s2", "s2 joined", "s1"))
    looks.look()
    assert asked["asked"] == 1, "it is not asked for again and again"
    asked["status"]["view"]["epoch"] = 3
    asked["status"]["witness"]["reachable"] = False
    assert [one.epoch for one in looks.look().changes] == [2, 3]
    assert asked["asked"] == 1, "and not at all while its keeper is away"


# -- what is printed ---------------------------------------------------------------------------------


def after(looks: int, then: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """Return a script that lets so many looks pass, then does something, and then ends it with Ctrl-C."""
    count = iter(range(looks + 2))

    def script(found: dict[str, Any]) -> None:
        number = next(count)
        if number == looks:
            then(found)
        if number == looks + 1:
            raise KeyboardInterrupt

    return script


def test_into_a_pipe_there_is_a_table_once_and_then_a_line_each_change(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def take_over(found: dict[str, Any]) -> None:
        found["status"]["view"] |= {"epoch": 3, "primary": "s2", "in_sync": ["s2"]}
        found["status"]["servers"][0] |= {"reachable": False, "reason": "nobody listens"}
        found["views"] = OperationFailed("not today")

    asked["script"] = after(3, take_over)
    asked["views"] = VIEWS[:2]
    assert run(["status", "-w", "0.1"]) == ExitCode.INTERRUPTED
    lines = capsys.readouterr().out.splitlines()
    told = [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", "", line) for line in lines]
    assert sum("service account: epoch" in line for line in lines) == 1
    assert "epoch 3: primary s2, in sync s2: not recorded (by -)" in told
    assert "s1: away: nobody listens" in told
    assert "\x1b" not in "".join(lines)


def test_json_is_one_object_a_look(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    asked["script"] = after(2, lambda _: None)
    assert run(["status", "-w", "0.1", "--json"]) == ExitCode.INTERRUPTED
    assert [json.loads(line)["service"] for line in capsys.readouterr().out.splitlines()] == ["account"] * 3


@pytest.mark.parametrize("option", [["-w"], ["--watch=0.1"]])
def test_what_goes_wrong_with_asking_ends_the_screen_with_a_sentence(
    asked: dict[str, Any],
    option: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: object) -> None:
        raise OperationFailed("the certificate has gone")

    asked["script"] = broken
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["status", *option]) == ExitCode.ERROR
    assert "the certificate has gone" in capsys.readouterr().err
