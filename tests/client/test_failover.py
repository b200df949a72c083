"""What an operator is told before a server leads by force, or takes over: from what everybody says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bankrmi.client.failover import FailoverFacts, FailoverPlan, judged
from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.messages import Holdings
from bankrmi.replication.pause import Pause
from bankrmi.replication.record import Position
from bankrmi.replication.view import View

AWAY = "connection refused"
FIRST = View.first(history="h", server="s1", start_id="s1#1", incarnation="disk-s1")
BOTH = replace(FIRST.letting_in("s2", "disk-s2"), written_us=1_700_000_000_000_000)
LEFT = Cause(kind=CauseKind.LEFT_BEHIND, by="s1", of=("s2",), silent_ms=500)
ALONE = replace(BOTH.without(frozenset({"s2"})).because(LEFT), written_us=1_700_000_100_000_000)


def holding(server: str, action_id: int, *, history: str | None = "h", disk: str = "") -> Holdings:
    return Holdings(
        server=server,
        incarnation=disk or f"disk-{server}",
        start_id=f"{server}#1",
        history=history,
        epoch=2,
        primary="s1",
        tip=Position(action_id, 2, b"d" * 16),
        fenced=False,
    )


def status(role: str = "joining", **more: Any) -> dict[str, Any]:
    told = {"reachable": True, "role": role, "history": "h", "newest_us": 1_700_000_050_000_000}
    return {**told, "address": "somewhere:1", **more}


def facts(**more: Any) -> FailoverFacts:
    """s1 is gone, alone in sync; s2 was left behind at action id 5; s3 has nothing to say."""
    found: dict[str, Any] = {
        "view": ALONE,
        "changes": [FIRST, BOTH, ALONE],
        "holds": {"s1": AWAY, "s2": holding("s2", 5), "s3": AWAY},
        "told": {"s1": {"reachable": False}, "s2": status(acknowledged=5), "s3": {"reachable": False}},
    }
    return FailoverFacts(**{**found, **more})


def plan(found: FailoverFacts, *, forced: bool = True) -> FailoverPlan:
    verdict = judged(found, "s2", forced=forced)
    assert isinstance(verdict, FailoverPlan), verdict
    return verdict


def refusal(found: FailoverFacts, server: str = "s2", *, forced: bool = True) -> str:
    verdict = judged(found, server, forced=forced)
    assert isinstance(verdict, str)
    return verdict


def test_what_is_known_of_everybody_is_shown() -> None:
    found = plan(facts()).found
    assert found == (
        (
            "the view is epoch 3, made at 2023-11-14T22:15:00.000Z: primary s1, in sync s1 "
            "(s2 left behind: silent for 500 ms)"
        ),
        "s1: in sync, cannot be asked (connection refused)",
        "s2: not in sync, holds entries up to action id 5, written at 2023-11-14T22:14:10.000Z in epoch 2",
        "s3: not in sync, cannot be asked (connection refused)",
    )


def test_a_copy_without_an_entry_has_nothing_that_was_written() -> None:
    found = plan(facts(holds={"s1": AWAY, "s2": holding("s2", 0)})).found
    assert found[-1] == "s2: not in sync, holds what the bank opened with, and no entry"


def test_what_is_lost_is_said_and_what_cannot_be_known() -> None:
    made = plan(facts())
    assert made.off == ("s1", "s3"), "s3 may lead an epoch that is over, and not know it"
    assert made.lost == (
        "s2 would go on after action id 5: whatever was acknowledged beyond it is lost",
        (
            "s2 is not in sync since epoch 3, made at 2023-11-14T22:15:00.000Z (s2 left behind: silent for "
            "500 ms): it may lack anything that was acknowledged from then on"
        ),
        "how much s1 acknowledged beyond it, and until when, cannot be known from here",
    )


def test_another_one_that_holds_more_and_knows_more_is_named() -> None:
    holds = {"s1": AWAY, "s2": holding("s2", 5), "s3": holding("s3", 9)}
    told = {"s1": {"reachable": False}, "s2": status(acknowledged=5), "s3": status(acknowledged=8)}
    lost = plan(facts(holds=holds, told=told)).lost
    assert "lost for certain: action ids 6 to 8, acknowledged as s3 knows" in lost
    assert "s3 holds more than s2: less would be lost with it" in lost


def test_what_is_of_another_history_tells_nothing_of_this_one() -> None:
    holds = {"s1": AWAY, "s2": holding("s2", 5), "s3": holding("s3", 9, history="other")}
    told = {"s1": {"reachable": False}, "s2": status(), "s3": status(acknowledged=8)}
    made = plan(facts(holds=holds, told=told))
    assert not any("s3" in line for line in made.lost)
    assert any("s3: not in sync" in line and "history other" in line for line in made.found)


def test_with_copies_min_it_will_not_acknowledge_alone_and_a_pause_stays() -> None:
    view = replace(ALONE, paused=Pause(by="anna", since_us=1))
    lost = plan(facts(copies_min=2, view=view)).lost
    assert "copies_min is 2: s2 would lead, and acknowledge nothing before another copy is in sync" in lost
    assert "automatic takeover stays paused" in lost


def test_a_primary_with_an_empty_disk_stands_in_nobodys_way() -> None:
    """It answers, and does not hold what the view names it for."""
    holds = {"s1": holding("s1", 0, history=None, disk="new"), "s2": holding("s2", 5), "s3": AWAY}
    made = plan(facts(holds=holds))
    assert "s1: in sync with a disk that it has lost, holds nothing" in made.found


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            {"holds": {"s1": AWAY, "s2": AWAY, "s3": AWAY}},
            "s2 cannot be asked (connection refused): start it",
        ),
        ({"holds": {"s1": AWAY, "s3": AWAY}}, "there is no server s2: there are s1, s3"),
        ({"holds": {"s1": AWAY, "s2": holding("s2", 0, history=None), "s3": AWAY}}, "s2 holds nothing"),
        ({"holds": {"s1": AWAY, "s2": holding("s2", 5, history="x"), "s3": AWAY}}, "of another history (x)"),
        (
            {"told": {"s1": status("primary"), "s2": status(), "s3": {}}},
            "s1 answers as the primary: use `bankrmi switchover`, or, if it hangs, end that process first",
        ),
        ({"told": {"s1": {}, "s2": status("primary"), "s3": {}}}, "s2 leads already"),
        (
            {"holds": {"s1": holding("s1", 7), "s2": holding("s2", 5), "s3": AWAY}},
            "s1 is in sync, and can be reached; nothing is lost without --force: it leads again by itself",
        ),
        ({"view": BOTH}, "s2 is in sync, and can be reached; nothing is lost without --force: it takes over"),
        (
            {"view": replace(BOTH, paused=Pause(by="anna", since_us=1))},
            "`bankrmi failover --to s2`, without --force, lets it lead",
        ),
    ],
)
def test_force_is_refused_where_nothing_need_be_lost_or_nothing_can_be_done(
    more: dict[str, Any], why: str
) -> None:
    assert why in refusal(facts(**more))


def test_without_force_nobody_leads_who_may_lack_something() -> None:
    assert refusal(facts(), forced=False) == (
        "s2 is not in sync, and may lack what was acknowledged: start s1 again; if that is not possible any "
        "more, --force says what would be lost"
    )
    member = {"s1": AWAY, "s2": holding("s2", 5), "s3": holding("s3", 5)}
    view = replace(BOTH, in_sync=frozenset({"s1", "s3"}), incarnations={"s1": "disk-s1", "s3": "disk-s3"})
    told = {"s1": {}, "s2": status(), "s3": status("standby")}
    lacks = refusal(facts(holds=member, view=view, told=told), forced=False)
    assert lacks.endswith("; s3 may lead, and nothing is lost by that")
    assert plan(facts(view=BOTH), forced=False).lost == ()


def test_who_is_in_sync_in_no_view_that_is_known() -> None:
    assert any(
        "is in sync in none of the 1 newest views" in line for line in plan(facts(changes=[ALONE])).lost
    )
