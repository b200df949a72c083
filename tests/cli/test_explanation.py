"""What `why` says follows from the status, in every combination of who reaches whom."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from bankrmi.cli.explanation import explain
from bankrmi.cli.health import health, leader_of
from tests.cli.test_health import AWAY, bank, server

CAUSE = {"kind": "crash", "by": "s1", "of": ["s2"], "address": "127.0.0.1:9102"}
GONE = {"reachable": False, "reason": "nobody listens"}
ALONE = {"in_sync": ["s1"], "epoch": 3}


def three(**more: Any) -> dict[str, Any]:
    status = bank(view={"in_sync": ["s1", "s2", "s3"]})
    status["servers"].append(server("s3", "standby") | {"in_sync": True})
    return status | more


def test_who_leads_for_how_long_and_why_the_view_is_what_it_is() -> None:
    status = bank(
        s1={"role_for_ms": 7_400_000},
        view={"cause": CAUSE, "written_us": 1_700_000_000_000_000},
    )
    leads, view = explain(status).now
    assert leads == "s1 leads, and has led for 2 hours."
    assert view == (
        "The view is epoch 2, made at 2023-11-14T22:13:20.000Z: s1 leads, in sync s1, s2. "
        "Its cause: crash of s2: refused at 127.0.0.1:9102 (proposed by s1)."
    )


def test_a_view_of_a_version_before_has_no_cause_and_no_time() -> None:
    assert explain(bank()).now[-1] == (
        "The view is epoch 2: s1 leads, in sync s1, s2. Its cause: not recorded."
    )


def test_a_view_that_a_server_told_says_who() -> None:
    told = explain(bank(witness=AWAY, view_from="s1")).now
    assert ", as s1 says: s1 leads" in told[1]
    assert told[-1] == "The witness cannot be reached: no change of primary until it can."


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (bank(), ""),
        (bank(view=ALONE), "it is not in sync"),
        (bank(view=ALONE, s2={"role": "joining", "why": "catching up with s1"}), "(catching up with s1)"),
        (bank(view=ALONE, s2=GONE), "(nobody listens)"),
        (bank(witness=AWAY), "the witness cannot be reached"),
        (bank(s2={"witness_silent_ms": 3000}), "does not reach the witness"),
        (bank(s2={"role": "joining", "why": "the view names the disk that it lost"}), "is joining (the view"),
        (bank(s1={"connected": []}, s2=GONE), "cannot be reached (nobody listens)"),
        (bank(s2=GONE), ""),  # By us; the primary reaches it.
    ],
)
def test_who_may_take_over_and_who_may_not_and_why_not(status: dict[str, Any], why: str) -> None:
    told = explain(status)
    assert told.may_take_over == {"s2": why == ""}
    assert why in told.successors["s2"]
    assert told.successors["s2"].startswith("s2 may not: " if why else "s2 may take over: ")


@pytest.mark.parametrize(
    ("status", "who", "then"),
    [
        (bank(), "s1", "s2 would take over, at once if the address of s1 refuses connections"),
        (bank(), "s1", "as the only copy."),
        (bank(copies_min=2), "s1", "but nothing would be acknowledged before another copy is in sync"),
        (three(), "s1", "one of s2, s3 would take over"),
        (bank(view=ALONE), "s1", "the bank would stand still until s1 is started again: nobody may"),
        (bank(witness=AWAY), "s1", "the bank would stand still until the witness is back: s1, too, leads"),
        (bank(), "s2", "s1 would go on without it, as the only copy."),
        (three(), "s2", "s1 would go on without it."),
        (bank(copies_min=2), "s2", "nothing would be acknowledged until it is back: copies_min is 2, and 1"),
        (bank(witness=AWAY), "s2", "nothing would be acknowledged until it is back, or the witness can be"),
        (bank(s1={"witness_silent_ms": 900}), "s2", "nothing would be acknowledged until it is back, or"),
        (bank(view=ALONE, s2=GONE), "s2", "it does not answer now; nothing would change: it is not in sync"),
        (bank(), "witness", "clients would notice nothing; but until it is back nobody takes over"),
        (bank(), "witness", "and a copy that fails stops the bank."),
        (bank(witness=AWAY), "witness", "it does not answer now; "),
        (bank(), "nameserver", "clients would use the addresses of their own configuration"),
    ],
)
def test_what_would_come_of_a_death(status: dict[str, Any], who: str, then: str) -> None:
    assert then in explain(status).if_it_died[who]


def test_one_process_that_is_both_is_said_to_be() -> None:
    both = {"reachable": True, "address": "127.0.0.1:9090"}
    told = explain(bank(witness=both, nameserver=both)).if_it_died
    assert "it is one process with the name server" in told["witness"]
    assert "it is one process with the witness" in told["nameserver"]
    apart = explain(bank(witness=both, nameserver={"reachable": True, "address": "127.0.0.1:9091"}))
    assert "one process" not in "".join(apart.if_it_died.values())


CHANGES: list[dict[str, Any]] = [
    {},
    GONE,
    {"role": "joining", "why": "catching up"},
    {"role": "standby"},
    {"role": "primary", "epoch": 9},
    {"connected": [], "witness_silent_ms": 900},
    {"connected": 7, "role_for_ms": float("nan"), "why": {"a": 1}, "reason": 5, "witness_silent_ms": "x"},
]


@pytest.mark.parametrize("view", [{}, ALONE, {"primary": "s2"}, {"in_sync": ["s2"], "primary": "s2"}, None])
def test_whatever_the_status_is_each_process_has_its_sentence_and_nobody_leads_twice(
    view: dict[str, Any] | None,
) -> None:
    """No sentence says that somebody may take over whom the view does not name, or without the witness."""
    for s1, s2, witness, names in product(
        CHANGES, CHANGES, ({"reachable": True}, AWAY), (AWAY, {"reachable": True})
    ):
        status = bank(s1=s1, s2=s2, view=view or {}, witness=witness, nameserver=names)
        if view is None:
            status["view"] = None
            for one in status["servers"]:
                one["in_sync"] = None
        told = explain(status)
        assert list(told.if_it_died) == ["s1", "s2", "witness", "nameserver"]
        leader = leader_of(status)
        assert told.leads == (None if leader is None else leader["server"])
        assert set(told.successors) == {"s1", "s2"} - {told.leads}
        for name, may in told.may_take_over.items():
            assert not may or (witness["reachable"] and name in status["view"]["in_sync"])
        assert all(told.now)
        assert told.leads is not None or told.now
        for sentence in (*told.now, *told.successors.values(), *told.if_it_died.values()):
            assert "None" not in sentence
            assert ".." not in sentence


PAUSE = {"by": "anna", "since_us": 1_700_000_000_000_000, "reason": "new cables"}


def test_while_it_is_paused_nobody_may_take_over_and_that_is_said_with_who_wants_it() -> None:
    told = explain(bank(view={"paused": PAUSE}))
    paused = "automatic takeover is paused by anna since 2023-11-14T22:13:20.000Z: new cables"
    assert told.now[-1] == f"A{paused[1:]}."
    assert told.may_take_over == {"s2": False}
    assert told.successors["s2"] == (
        f"s2 may not: it is in sync, but {paused}; `bankrmi failover --to s2` lets it lead once the primary "
        "is gone"
    )
    assert told.if_it_died["s1"] == (
        f"the bank would stand still until s1 is started again: {paused}, so nobody takes over but by an "
        "operator's word."
    )
    assert "s1 would go on without it" in told.if_it_died["s2"]


def test_a_pause_is_a_finding_for_monitoring_and_the_reason_when_nobody_leads() -> None:
    code, sentence = health(bank(view={"paused": PAUSE}))
    assert (code, sentence[:43]) == (10, "automatic takeover is paused by anna since ")
    code, sentence = health(bank(s1=GONE, view={"paused": PAUSE}))
    assert (code, sentence.endswith("paused by anna since 2023-11-14T22:13:20.000Z: new cables")) == (7, True)
