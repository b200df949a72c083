"""What `why` says follows from the status, in every combination of who reaches whom."""

from __future__ import annotations

import io
from itertools import product
from typing import Any

import pytest
from rich.console import Console

from bankrmi.cli.explanation import explain
from bankrmi.cli.health import health, leader_of
from bankrmi.cli.status_table import StatusTable
from tests.cli.test_health import AWAY, bank, server

CAUSE = {"kind": "crash", "by": "s1", "of": ["s2"], "address": "127.0.0.1:9102"}
GONE = {"reachable": False, "reason": "nobody listens"}
ALONE = {"in_sync": ["s1"], "epoch": 3}


def three(**more: Any) -> dict[str, Any]:
    status = bank(view={"in_sync": ["s1", "s2", "s3"]})
    status["servers"].append(server("s3", "standby") | {"in_sync": True})
    return status | more


def table(status: dict[str, Any]) -> str:
    """Return what `status` shows of it."""
    shown = {"address": "127.0.0.1:9"} | dict.fromkeys(("pid", "lag", "reason"))
    servers = [shown | one for one in status["servers"]]
    sink = io.StringIO()
    Console(file=sink, width=300).print(StatusTable(status | {"servers": servers}))
    return sink.getvalue()


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


# -- a keeper that holds no view, or an older one ------------------------------------------------------


def without_memory(**more: Any) -> dict[str, Any]:
    """Return a bank that is in sync, and whose witness has just lost its memory."""
    status = bank(**more) | {"view": None}
    for one in status["servers"]:
        one["in_sync"] = None
    return status


NOBODY = {"role": "starting", "why": "the witness has lost its memory"}


@pytest.mark.parametrize(
    ("status", "who", "then"),
    [
        (
            without_memory(),
            "s1",
            "the bank would stand still until `bankrmi witness restore`: nobody may lead before that, s1",
        ),
        (without_memory(), "s2", "nothing would be acknowledged until `bankrmi witness restore`."),
        (
            without_memory(s1={"copies": 1}),
            "s2",
            "nothing would change: s1 is the only copy, and waits for nobody.",
        ),
        (
            without_memory(s1={"copies": None}),
            "s2",
            "nothing would be acknowledged until `bankrmi witness restore`, if s1 counts it",
        ),
        (
            without_memory(),
            "witness",
            "nothing would change: it holds no view, and nobody takes over until `bankrmi witness restore`.",
        ),
        (
            without_memory(s1=NOBODY, s2=NOBODY),
            "s2",
            "`bankrmi witness restore` would find no safe view until it is back, or given up.",
        ),
        (
            without_memory(s1={"role": "starting", "epoch": None}, s2={"epoch": None}),
            "s2",
            "the bank would not begin until it is back: its first view needs every server.",
        ),
        (
            without_memory(s1=NOBODY, s2=NOBODY, witness=AWAY),
            "s2",
            "no view is known, so nobody knows whether it is needed.",
        ),
        (
            bank(s1={"epoch": 5}),
            "s1",
            "the bank would stand still until the witness holds the newest view again: nobody may lead",
        ),
        (
            bank(s1={"epoch": 5}),
            "s2",
            "nothing would be acknowledged until the witness holds the newest view",
        ),
        (bank(s1={"epoch": 5}), "witness", "nothing would change: it holds an older view than the one that"),
    ],
)
def test_without_the_keepers_memory_nothing_is_called_not_in_sync(
    status: dict[str, Any], who: str, then: str
) -> None:
    """V9: whoever dies then is missed until the keeper has the view again."""
    assert explain(status).if_it_died[who].startswith(then)


def test_by_an_older_view_than_the_one_that_is_led_nobody_may_take_over() -> None:
    told = explain(bank(s1={"epoch": 5}))
    assert told.may_take_over == {"s2": False}
    assert told.successors["s2"] == (
        "s2 may not: the witness holds an older view than the one that is led, and nobody leads by that"
    )


def test_that_the_witness_has_lost_its_memory_is_said_once() -> None:
    assert explain(without_memory(s1=NOBODY, s2=NOBODY)).now == (
        "Nobody leads: no view is known; the witness has lost its memory: run `bankrmi witness restore`.",
    )
    begins = without_memory(s1={"role": "starting", "epoch": None}, s2={"role": "starting", "epoch": None})
    assert explain(begins).now == ("Nobody leads: no view is known.",)


# -- etcd ----------------------------------------------------------------------------------------------


def etcd(*answer: bool, reason: str = "nobody listens") -> dict[str, Any]:
    """Return what etcd's members are like; without a majority of them none can answer for the view."""
    members = [{"address": f"m{number}", "reachable": one} for number, one in enumerate(answer)]
    return {"reachable": any(answer), "members": members, "reason": None if any(answer) else reason}


GONE_ETCD = etcd(False, False, False)


@pytest.mark.parametrize(
    ("answer", "then"),
    [
        (
            etcd(True, True, True),
            "the death of any one member would change nothing: 3 of 3 answer, and 2 are enough.",
        ),
        (
            etcd(True, False, True),
            "2 of 3 members answer, and 2 are needed: if one of these died, clients would notice nothing",
        ),
        (etcd(True), "clients would notice nothing; but until it is back nobody takes over"),
        (
            GONE_ETCD,
            "it does not answer now; clients would notice nothing; but until it is back nobody takes",
        ),
    ],
)
def test_one_member_of_etcd_dies_for_nothing_and_the_last_of_a_majority_does_not(
    answer: dict[str, Any], then: str
) -> None:
    told = explain(bank(witness=answer)).if_it_died
    assert list(told) == ["s1", "s2", "etcd", "nameserver"]
    assert told["etcd"].startswith(then)


@pytest.mark.parametrize(
    "status",
    [
        bank(witness=GONE_ETCD, view_from="s1"),
        bank(witness=GONE_ETCD, view_from="s2", s1=GONE),
        bank(witness=GONE_ETCD, view_from="s1", s1={"acknowledges": False, "connected": []}),
        bank(witness=GONE_ETCD, view_from="s3", nameserver=AWAY, s1=GONE, s2=GONE),
        bank(witness=etcd(True, True, True), s1={"witness_silent_ms": 900}),
        bank(witness=etcd(True, True, True), s2={"witness_silent_ms": 900}),
        bank(witness=etcd(True, True, True), s1={"epoch": 5}),
        without_memory(witness=etcd(True, True, True)),
        without_memory(witness=etcd(True, True, True), s1=NOBODY, s2={"role": "starting"}),
    ],
)
def test_a_bank_with_etcd_has_no_witness_and_nobody_speaks_of_one(status: dict[str, Any]) -> None:
    """But for the command that gives a keeper its memory back, and for what servers say themselves."""
    told = explain(status)
    said = [*told.now, *told.successors.values(), *told.if_it_died.values(), health(status)[1]]
    said += [table(status)]
    left = " ".join(said).replace("`bankrmi witness restore`", "").replace(NOBODY["why"], "")
    assert "witness" not in left
    assert "etcd" in left


def test_a_view_that_is_kept_elsewhere_is_asked_for_there() -> None:
    moved = "the view was moved to 07cd, and is not kept here any more"
    for keeper in (etcd(False, False, False, reason=moved), {"reachable": False, "reason": moved}):
        status = bank(witness=keeper, view_from="s1")
        ask = f"{moved}: ask with the configuration that names that keeper"
        assert health(status)[1] == ask
        told = explain(status)
        assert told.now[-1] == f"T{ask[1:]}."
        assert "the view is kept elsewhere by now" in told.successors["s2"]
        for who, then in told.if_it_died.items():
            assert who == "nameserver" or "the view is kept elsewhere by now." in then


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
        if not any(one["reachable"] for one in (*status["servers"], witness, names)):
            assert (told.leads, told.successors, told.if_it_died) == (None, {}, {})
            assert told.now[-1].endswith("is not known.")
            continue
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
