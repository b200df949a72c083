"""Whoever answers at an address may say anything: no terminal obeys it, and no command falls over it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bankrmi.cli import run
from bankrmi.cli.invocation import say, tell
from bankrmi.cli.screen import Screen
from bankrmi.errors import OperationFailed
from bankrmi.replication.view import View
from bankrmi.rmi import Call, Exposed
from tests.client.doubles import Running, free_address

HOSTILE = "s1\nFALSE LINE\r\x1b[2J\x1b]0;title\x07\x9b31m\u202egnorw\u2066\u200b" + "x" * 3_000
VIEW = {
    "service": HOSTILE,
    "history": HOSTILE,
    "epoch": 7,
    "primary": "s1",
    "start_id": HOSTILE,
    "in_sync": {HOSTILE: HOSTILE, "s1": HOSTILE},
}
STATUS = {
    **dict.fromkeys(("pid", "address", "history", "digest", "lag", "read_lease_ms", HOSTILE), HOSTILE),
    **dict.fromkeys(("role_for_ms", "action_id", "acknowledged", "why", "connected", "cause"), HOSTILE),
    "written_us": 1 << 200,
    "role": "primary",
    "epoch": 7,
    "in_sync": [HOSTILE, 5, ["s1"]],
    "primary": "s1",
}
LEADS_ELSEWHERE = {"before": STATUS, "after": {**STATUS, "epoch": HOSTILE, "primary": [HOSTILE]}}
HOLDING = {
    **dict.fromkeys(("server", "incarnation", "start_id", "history", "primary"), HOSTILE),
    "epoch": 7,
    "tip": [5, 7, HOSTILE],
    "fenced": True,
    "last_view": None,
    "may_have_moved_on": False,
    "retired_for": None,
}
LEGAL_VIEW = View.first(history="h1", server="s1", start_id="a", incarnation="d").to_wire() | {
    "cause": {"kind": "crash", "by": "s1", "of": ["s1"], "address": HOSTILE, "operator": HOSTILE},
    "written_us": 1 << 62,
}
RIGHT_SHAPES = {
    "history_before": [LEGAL_VIEW],  # Without end.
    "history": [VIEW],
    "status": STATUS,
    "read": VIEW,
    "propose": {"won": False, "view": VIEW},
    "switchover": LEADS_ELSEWHERE,
    "export": {"action_id": HOSTILE, "history": HOSTILE, "balances": [[1, 2]], "next": None},
    "fence": HOLDING,
    "ping": HOSTILE,
    "yplookup": {HOSTILE: HOSTILE},
}
COMMANDS = [
    ["status"],
    ["status", "--json"],
    ["why"],
    ["why", "--json"],
    ["history"],
    ["history", "--json", "--limit", "3"],
    ["switchover", "--yes"],
    ["export"],
    ["export", "--server", "s1"],
    ["balance", "1", "--timeout", "1"],
    ["deposit", "1", "1", "--timeout", "1"],
    ["outcome", "abc:1", "--timeout", "1"],
    ["witness", "restore", "--yes"],
]


class Hostile:
    """Answers every method as told."""

    exposed = Exposed(
        methods=frozenset({*RIGHT_SHAPES, "balance", "deposit", "withdraw", "outcome", "submit"})
    )

    def __init__(self, answer: Callable[[Call], None]) -> None:
        self._answer = answer

    def invoke(self, call: Call) -> None:
        self._answer(call)


def in_the_right_shape(call: Call) -> None:
    call.answer(RIGHT_SHAPES.get(call.method, {"balance": HOSTILE, "action_id": HOSTILE, "history": HOSTILE}))


def no_view(call: Call) -> None:
    if call.method == "read":
        call.answer(None)
    else:
        in_the_right_shape(call)


def in_numbers(call: Call) -> None:
    call.answer(2**64 - 1)


def in_one_text(call: Call) -> None:
    call.answer(HOSTILE)


def in_lists(call: Call) -> None:
    call.answer([[HOSTILE] * 3, {HOSTILE: b"\x1b[2J"}])


def with_an_error(call: Call) -> None:
    call.fail(OperationFailed(HOSTILE, request_id=HOSTILE, **{HOSTILE: HOSTILE}))


def with_an_error_of_its_own(call: Call) -> None:
    call.fail(ValueError(HOSTILE), in_its_own_words=True)


WAYS = [
    in_the_right_shape,
    no_view,
    in_numbers,
    in_one_text,
    in_lists,
    with_an_error,
    with_an_error_of_its_own,
]


def test_whatever_is_printed_is_seen_and_not_obeyed(capfd: pytest.CaptureFixture[str]) -> None:
    """The last line of defence: what was not made fit for a terminal where it came in."""
    say("chatter\x1b[2J\nof two lines\u202e")
    tell("what was asked for\x9b31m\n")
    screen = Screen(io.StringIO(), sink := io.StringIO())
    screen.write("\x1b[2J")
    output, chatter = capfd.readouterr()
    assert chatter == "chatter\\u001b[2J\nof two lines\\u202e\n"
    assert output == "what was asked for\\u009b31m\n\n"
    assert sink.getvalue() == "\\u001b[2J\n"


@pytest.fixture
def false_bank(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    addresses = [free_address() for _ in range(3)]
    hostile = Hostile(request.param)
    objects = [
        {"Pyro.NameServer": hostile, "bankrmi.witness": hostile},
        {"bankrmi.account.s1": hostile, "bankrmi.operator.s1": hostile},
        {"bankrmi.account.s2": hostile, "bankrmi.operator.s2": hostile},
    ]
    config = tmp_path / "config.yaml"
    config.write_text(f"nameserver: {addresses[0]}\nservers:\n  s1: {addresses[1]}\n  s2: {addresses[2]}\n")
    running: list[Any] = [Running(where, what) for where, what in zip(addresses, objects, strict=True)]
    yield config
    for one in running:
        one.stop()


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("false_bank", WAYS, indirect=True, ids=lambda way: way.__name__)
def test_no_terminal_obeys_a_false_server(false_bank: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wrong = []
    for command in COMMANDS:
        run(["--config", str(false_bank), *command])
        output, chatter = capfd.readouterr()
        for line in (output + chatter).split("\n"):
            is_short = len(line) < 10_000 or "--json" in command
            said_ours = line.isprintable() and not line.startswith("FALSE LINE") and is_short
            if not said_ours or "bug in bankrmi" in line or "Traceback" in line:
                wrong.append((command, line[:300]))
    assert not wrong
