"""Every combination of who reaches whom: the check says "well" if the bank is, and the worst if it is not."""

from __future__ import annotations

import copy
from itertools import product
from typing import Any

import pytest

from bankrmi.cli.exit_codes import ExitCode, HealthCode
from bankrmi.cli.explanation import explain
from bankrmi.cli.health import health

REACHED: dict[str, Any] = {"reachable": True}
AWAY: dict[str, Any] = {"reachable": False, "reason": "cut off from us"}
VIEW: dict[str, Any] = {"history": "h", "epoch": 2, "primary": "s1", "in_sync": ["s1", "s2"]}


def server(name: str, role: str) -> dict[str, Any]:
    return {
        "server": name,
        "reachable": True,
        "role": role,
        "history": "h",
        "epoch": 2,
        "in_sync": True,
        "copies": 2,
        "acknowledges": True if role == "primary" else None,
        "connected": [other for other in ("s1", "s2") if other != name],
        "witness_silent_ms": 0,
    }


def bank(
    s1: dict[str, Any] | None = None,
    s2: dict[str, Any] | None = None,
    view: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return the status of a bank that is well, but for what is changed."""
    shown: dict[str, Any] = {
        "service": "account",
        "view": {**VIEW, **(view or {})},
        "view_from": "witness",
        "copies_min": 1,
        "servers": [server("s1", "primary") | (s1 or {}), server("s2", "standby") | (s2 or {})],
        "witness": REACHED,
        "nameserver": REACHED,
    }
    for one in shown["servers"]:
        one["in_sync"] = one["server"] in shown["view"]["in_sync"]
    return copy.deepcopy(shown | more)


def test_who_is_there_and_lets_nobody_in_is_told_and_why() -> None:
    """Others may be away."""
    denied = AWAY | {"denied": "it denied the connection: revoked"}
    status = bank(s1=denied, s2=denied, view_from=None, witness=denied, nameserver=denied) | {"view": None}
    status["denials"] = [{"who": ["s1", "s2", "witness", "nameserver"], "why": denied["denied"]}]
    told = "nobody tells anything, and some are there: it denied the connection: revoked"
    told += " (s1, s2, witness, nameserver)"
    assert health(status) == (ExitCode.UNREACHED, told)
    assert explain(status).now[0] == f"{told[0].upper()}{told[1:]}."
    some = status | {
        "witness": AWAY,
        "nameserver": AWAY,
        "denials": [{"who": ["s1", "s2"], "why": "revoked"}],
    }
    told = "nobody tells anything, and some are there: revoked (s1, s2); nobody else answers"
    assert health(some) == (ExitCode.UNREACHED, told)


APART = {"connected": [], "witness_silent_ms": 4000}
STUCK = {**APART, "acknowledges": False}


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (bank(), ExitCode.DONE, "well: s1 leads, 2 copies in sync"),
        # Both cut off from each other and from the witness; whoever asks reaches everybody.
        (bank(s1=STUCK, s2=APART), HealthCode.NOTHING_ACKNOWLEDGED, "nothing is acknowledged without s2"),
        (bank(s1=APART, s2=APART), HealthCode.NOTHING_ACKNOWLEDGED, "nothing is acknowledged without s2"),
        # The same, with the witness down.
        (
            bank(s1=STUCK, s2=APART, witness=AWAY, view_from="s1"),
            HealthCode.NOTHING_ACKNOWLEDGED,
            "nothing is acknowledged without s2, until the view changes; s1 does not reach the witness",
        ),
        # A connection that is up yet, and no answer on it.
        (
            bank(s1={"acknowledges": False}),
            HealthCode.NOTHING_ACKNOWLEDGED,
            "nothing is acknowledged by s1, until the view changes",
        ),
        # The primary of an epoch that is over, and the next one not there yet.
        (
            bank(s2={"role": "starting"}, view={"epoch": 3, "primary": "s2", "in_sync": ["s2"]}),
            HealthCode.NOBODY_LEADS,
            "nobody leads: s2 does not (is starting); s1 does, but its epoch is over",
        ),
        (
            bank(s2=AWAY, view={"epoch": 3, "primary": "s2", "in_sync": ["s2"]}),
            HealthCode.NOBODY_LEADS,
            "nobody leads: s2 does not (cut off from us); s1 does, but its epoch is over; nobody else may",
        ),
        (
            bank(s1={"acknowledges": False}, view={"epoch": 3, "in_sync": ["s1"]}),
            HealthCode.NOTHING_ACKNOWLEDGED,
            "nothing is acknowledged until s1, which leads epoch 2, knows of epoch 3",
        ),
        # The old primary does not know that it was deposed; the new one leads.
        (
            bank(s2={"role": "primary", "epoch": 3}, view={"epoch": 3, "primary": "s2", "in_sync": ["s2"]}),
            HealthCode.ONE_COPY,
            "ONE COPY ONLY: what s2 holds is all there is",
        ),
        # A witness that holds an older view than what is led.
        (
            bank(s1={"epoch": 5}),
            HealthCode.NOBODY_COULD_TAKE_OVER,
            "the witness holds epoch 2, and s1 leads epoch 5",
        ),
        (bank(s1={"history": "h2"}), HealthCode.NOBODY_LEADS, "nobody leads: s1 does not (it leads in anoth"),
        # We do not reach the standby; the primary does.
        (
            bank(s2=AWAY),
            ExitCode.DONE,
            "well: s1 leads, 2 copies in sync; s2 answers s1, and not us",
        ),
        (
            bank(s1={"connected": []}, s2=AWAY),
            HealthCode.NOTHING_ACKNOWLEDGED,
            "nothing is acknowledged without s2, until the view changes",
        ),
        # Who is needed for a change of the view does not reach the witness.
        (
            bank(s2={"witness_silent_ms": 900}),
            HealthCode.NOBODY_COULD_TAKE_OVER,
            "nobody could take over: s2 does not reach the witness",
        ),
        (
            bank(s1={"witness_silent_ms": 900}),
            HealthCode.NOBODY_COULD_TAKE_OVER,
            "s1 does not reach the witness: if a copy fails, nothing will be acknowledged",
        ),
        (
            bank(s2={"role": "starting", "why": "asking the witness who leads"}),
            HealthCode.NOBODY_COULD_TAKE_OVER,
            "nobody could take over: s2 is starting (asking the witness who leads)",
        ),
        # Nobody else's word is better than the witness's, nor is its loss.
        (
            bank(s1={"acknowledges": False}, view_from="witness") | {"view": None},
            HealthCode.NOTHING_ACKNOWLEDGED,
            "nothing is acknowledged by s1",
        ),
        (bank(s1={"copies": 1}) | {"view": None}, HealthCode.ONE_COPY, "ONE COPY ONLY: what s1 holds"),
        (bank() | {"view": None}, HealthCode.NOBODY_COULD_TAKE_OVER, "the witness has lost its memory"),
        (
            bank(s1={"role": "starting"}) | {"view": None},
            HealthCode.NOBODY_LEADS,
            "nobody leads: no view is known; the witness has lost its memory: run `bankrmi witness restore`",
        ),
    ],
)
def test_the_worst_is_said(status: dict[str, Any], code: int, sentence: str) -> None:
    found, said = health(status)
    assert (found, said[: len(sentence)]) == (code, sentence)


def test_it_is_well_only_if_somebody_leads_can_acknowledge_and_could_be_replaced() -> None:
    both = (True, False)
    for reach1, reach2, linked, witness1, witness2, witness, current, alone in product(both, repeat=8):
        s1 = REACHED if reach1 else AWAY
        s1 = {**s1, "connected": ["s2"] if linked else [], "witness_silent_ms": 0 if witness1 else 700}
        s2 = {**(REACHED if reach2 else AWAY), "witness_silent_ms": 0 if witness2 else 700}
        view = {"epoch": 2 if current else 3, "in_sync": ["s1"] if alone else ["s1", "s2"]}
        s1["acknowledges"] = current and (linked or alone)
        status = bank(s1, s2, view, witness=REACHED if witness else AWAY)
        if not reach1:
            expected = HealthCode.NOBODY_LEADS
        elif not current or (not linked and not alone):
            expected = HealthCode.NOTHING_ACKNOWLEDGED
        elif alone:
            expected = HealthCode.ONE_COPY
        elif not witness or not witness1 or (reach2 and not witness2):
            expected = HealthCode.NOBODY_COULD_TAKE_OVER
        else:
            expected = None
        assert health(status)[0] == (ExitCode.DONE if expected is None else expected), (
            status,
            health(status),
        )
