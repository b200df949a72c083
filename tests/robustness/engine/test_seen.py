"""What databases were in the course of a run, as far as somebody looked."""

from __future__ import annotations

from typing import Any

from bankrmi.patroni.asking import DatabaseSituation
from bankrmi.robustness.chaos.recorded import ProcessRole
from bankrmi.robustness.chaos.roles import role_spans
from bankrmi.robustness.engine.seen import SeenDatabases


def primary(timeline: int) -> dict[str, Any]:
    return {"role": "master", "state": "running", "timeline": timeline}


def standby(timeline: int, *, in_sync: bool = True) -> dict[str, Any]:
    return {"role": "replica", "state": "running", "timeline": timeline, "sync_standby": in_sync}


def looked(*said: dict[str, dict[str, Any]]) -> SeenDatabases:
    seen = SeenDatabases(("db1", "db2"))
    for at, one in enumerate(said, 1):
        seen.look(DatabaseSituation(said=one), at_ns=at * 10, at_us=at)
    return seen


def test_a_failover_is_two_who_led_and_what_they_were_from_look_to_look() -> None:
    seen = looked(
        {"db1": primary(1), "db2": standby(1)},
        {"db1": primary(1), "db2": standby(1)},
        {"db2": standby(1)},
        {"db2": primary(2)},
        {"db1": standby(1, in_sync=False), "db2": primary(2)},
        {"db1": standby(2), "db2": primary(2)},
    )
    assert [(lead.server, lead.epoch, lead.at_ns) for lead in seen.led] == [("db1", 1, 10), ("db2", 2, 40)]
    assert [(view.primary, sorted(view.in_sync)) for view in seen.views] == [
        ("db1", ["db1", "db2"]),
        ("db2", ["db2"]),
        ("db2", ["db1", "db2"]),
    ]
    was = [
        (span.role, span.from_ns, span.to_ns)
        for span in role_spans("db1", seen.said_by("db1"), (), ended_ns=99)
    ]
    assert was == [
        (ProcessRole.PRIMARY, 10, 30),
        (ProcessRole.DOWN, 30, 50),
        (ProcessRole.JOINING, 50, 60),
        (ProcessRole.STANDBY, 60, 99),
    ]


def test_of_two_who_say_that_they_lead_the_one_on_the_newer_timeline_does() -> None:
    seen = looked({"db1": primary(1), "db2": standby(1)}, {"db1": primary(1), "db2": primary(2)})
    assert [lead.server for lead in seen.led] == ["db1", "db2"]


def test_a_look_that_was_slower_changes_nothing_back() -> None:
    seen = looked({"db1": primary(1)}, {"db2": primary(2)}, {"db1": primary(1)})
    assert [view.primary for view in seen.views] == ["db1", "db2"]
    assert [lead.server for lead in seen.led] == ["db1", "db2"]


def test_words_of_what_is_not_there_are_words_all_the_same() -> None:
    assert DatabaseSituation(said={}).in_words() == "no database answers"
    told = DatabaseSituation(said={"db1": primary(1), "db2": standby(1)}).in_words()
    assert told == "db1 master (running), db2 replica in sync (running)"
