"""The lines of `status -w` where there is no screen, of made-up looks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from bankrmi.cli.changes import Changes
from bankrmi.cli.looks import Change, Look
from tests.cli.test_health import bank


def change(epoch: int, primary: str, in_sync: str, why: str) -> Change:
    return Change(history="h1", epoch=epoch, row=("-", str(epoch), primary, in_sync, why, "s2"))


FIRST = change(7, "s1", "s1, s2", "s2 joined")
TAKEN_OVER = change(8, "s2", "s2", "crash of s1: refused at 127.0.0.1:9101")
BACK = change(9, "s2", "s1, s2", "s1 joined")


def look(*changes: Change, do: Callable[[dict[str, Any]], object] = lambda _: None) -> Look:
    status = copy.deepcopy(bank())
    do(status)
    return Look(at_s=0.0, status=status, changes=changes, untold="")


def away(status: dict[str, Any]) -> None:
    status["servers"][0] |= {"reachable": False, "silent": False, "reason": "nobody listens\x1b[2J there"}


def test_of_the_first_look_it_is_said_whether_all_is_well() -> None:
    assert Changes().take(look(FIRST)) == ["well: s1 leads, 2 copies in sync"]


def test_a_bank_in_which_nothing_happens_says_nothing() -> None:
    changes = Changes()
    changes.take(look(FIRST))

    def busy(status: dict[str, Any]) -> None:
        status["servers"][0] |= {
            "action_id": 999,
            "read_lease_ms": 5,
            "lag": 3,
            "role_for_ms": 99,
            "why": "x",
        }

    assert changes.take(look(FIRST, do=busy)) == []


def test_every_change_of_the_view_is_a_line_with_its_cause_though_several_came_between_two_looks() -> None:
    changes = Changes()
    changes.take(look(FIRST))
    assert changes.take(look(FIRST, TAKEN_OVER, BACK)) == [
        "epoch 8: primary s2, in sync s2: crash of s1: refused at 127.0.0.1:9101 (by s2)",
        "epoch 9: primary s2, in sync s1, s2: s1 joined (by s2)",
    ]
    assert changes.take(look(TAKEN_OVER, BACK)) == []


def test_where_more_changed_than_is_remembered_all_that_is_known_is_told() -> None:
    changes = Changes()
    changes.take(look(FIRST))
    assert len(changes.take(look(TAKEN_OVER, BACK))) == 2


def test_who_goes_and_who_comes_back_is_a_line_and_obeyed_by_no_terminal() -> None:
    changes = Changes()
    changes.take(look(FIRST))
    gone = changes.take(look(FIRST, do=away))
    assert gone[0] == r"s1: away: nobody listens\u001b[2J there"
    assert gone[1].startswith("nobody leads: s1 does not (nobody listens")
    back = changes.take(look(FIRST, do=lambda status: status["servers"][0].update(pid=99)))
    assert back == ["s1: primary, pid 99", "well: s1 leads, 2 copies in sync"]


def test_the_witness_and_the_name_server_are_told_of_too() -> None:
    changes = Changes()
    changes.take(look(FIRST))

    def alone(status: dict[str, Any]) -> None:
        status["nameserver"] = {"reachable": False, "silent": True, "reason": "no answer"}

    assert changes.take(look(FIRST, do=alone)) == ["the name server: silent: no answer"]
    assert changes.take(look(FIRST)) == ["the name server: it answers"]
