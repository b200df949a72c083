"""A finished run as events: all that was found, in the order in which it happened."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from bankrmi.console.events import (
    AnyEvent,
    CallEvent,
    FailoverEvent,
    FaultEvent,
    HelloEvent,
    RateEvent,
    RunEvent,
    SampleEvent,
    SilenceEvent,
    StateEvent,
    VerdictEvent,
    ViewEvent,
)
from bankrmi.errors import ConfigurationError
from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.view import View
from bankrmi.robustness.chaos.figures import answered_operations
from bankrmi.robustness.chaos.recorded import (
    Fault,
    FaultKind,
    MadeCall,
    OutcomeKind,
    ProcessKind,
    ProcessRole,
    Recorded,
    RecordedProcess,
    RoleSpan,
    columns,
)
from bankrmi.robustness.chaos.report import write_report
from bankrmi.robustness.chaos.retold import events_of
from bankrmi.robustness.chaos.telling import told
from tests.robustness.made_up_runs import MS, SECOND, START, made_up_run, no_run

Kind = TypeVar("Kind")


@pytest.fixture(scope="module")
def short() -> Recorded:
    return made_up_run(seconds=30)


def of(events: list[AnyEvent], kind: type[Kind]) -> list[Kind]:
    return [event for event in events if isinstance(event, kind)]


def verdict(run: Recorded) -> VerdictEvent:
    last = events_of(run)[-1]
    assert isinstance(last, VerdictEvent)
    return last


def test_everything_is_told_in_the_order_in_which_it_happened(short: Recorded) -> None:
    events = events_of(short)
    assert [event.kind for event in events[:2]] == ["hello", "run"]
    assert [event.t for event in events[2:-1]] == sorted(event.t for event in events[2:-1])
    assert len(of(events, FaultEvent)) == len(short.faults)
    assert [(one.old, one.new, one.epoch) for one in of(events, FailoverEvent)] == [
        (one.old_primary, one.new_primary, one.epoch)
        for one in sorted(short.failovers, key=lambda one: one.at_ns + one.took_ns)
    ]
    assert len(of(events, CallEvent)) == len(short.calls.slowest)
    [run] = of(events, RunEvent)
    assert (run.command, run.files, run.facts) == (
        short.command, list(short.files), list(short.environment.facts),
    )  # fmt: skip


def test_of_more_violations_than_a_recording_takes_the_rest_is_counted() -> None:
    """A class that differs everywhere is told of as any other, by a verdict that can be written."""
    broken = verdict(no_run(violations=tuple(f"violation {number}" for number in range(1_003)), untold=20))
    assert broken.violations == [f"violation {number}" for number in range(1_000)]
    assert broken.untold == 23


def test_the_rates_add_up_to_all_calls_that_ended_in_the_run(short: Recorded) -> None:
    rates = of(events_of(short), RateEvent)
    within = [place for place, at in enumerate(short.calls.completed_ns) if at < short.ended_ns]
    assert sum(rate.calls for rate in rates) == len(within)
    assert sum(rate.operations or 0 for rate in rates) == answered_operations(
        replace(
            short.calls,
            **{
                name: getattr(short.calls, name)[: len(within)]
                for name in ("completed_ns", "latency_ns", "operations", "outcomes")
            },
        )
    )
    assert all(rate.calls == rate.done + rate.declined + rate.failed + rate.in_doubt for rate in rates)


def test_around_each_failover_and_silence_there_are_single_calls(short: Recorded) -> None:
    events = events_of(short)
    samples = of(events, SampleEvent)
    moments = [one.since_ms for one in of(events, FailoverEvent)] + [
        one.t for one in of(events, SilenceEvent)
    ]
    assert moments
    for moment in moments:
        assert any(sample.from_ms <= moment <= sample.t for sample in samples)
    for sample in samples:
        assert len(sample.ended_ms) == len(sample.took_us) == len(sample.outcomes) <= sample.calls
        assert all(0 <= ended <= sample.t - sample.from_ms for ended in sample.ended_ms)


def test_the_verdict_comes_last_in_plain_words(short: Recorded) -> None:
    assert verdict(short).words == "No violation in 23,534 operations"
    assert verdict(short).tone == "good"
    broken = verdict(replace(short, violations=("client c1 read 100; it was 99",)))
    assert (broken.words, broken.tone) == ("1 violation in 23,534 operations", "bad")
    assert broken.violations == ["client c1 read 100; it was 99"]
    assert verdict(short).counts == list(short.counts)
    assert verdict(short).checked == list(short.checked)


def test_violations_that_are_too_many_to_tell_are_counted(short: Recorded) -> None:
    run = replace(short, violations=tuple(f"violation {number}" for number in range(25)), untold=1975)
    assert verdict(run).words == "2,000 violations in 23,534 operations"
    assert verdict(run).untold == 1975
    first, *sentences = told(run)
    assert first.startswith("2,000 violations in 23,534 operations: ")
    assert sentences[19:21] == ["  violation 19", "  and 1,980 more"]


def test_a_run_in_which_nothing_was_answered_is_not_called_good() -> None:
    doubtful = MadeCall(
        client="c1", request="a:1", kind="withdraw", outcome=OutcomeKind.IN_DOUBT,
        invoked_ns=START + SECOND, completed_ns=START + 4 * SECOND,
    )  # fmt: skip
    for run in (no_run(), no_run(calls=columns([doubtful]))):
        assert verdict(run).words == "Nothing was judged: no operation was answered"
        assert verdict(run).tone == "empty"
        assert next(told(run)).startswith("nothing was judged: no operation was answered")


def test_a_run_that_was_not_judged_is_not_called_good(short: Recorded) -> None:
    unjudged = verdict(replace(short, checked=()))
    assert (unjudged.words, unjudged.tone) == ("Nothing was judged in 23,534 operations", "empty")


def span(process: str, role: ProcessRole, from_ms: int, to_ms: int, epoch: int = 0) -> RoleSpan:
    return RoleSpan(
        process=process, role=role, from_ns=START + from_ms * MS, to_ns=START + to_ms * MS, epoch=epoch
    )


def fault(kind: FaultKind, target: str, from_ms: int, to_ms: int, **more: object) -> Fault:
    return Fault(
        kind=kind, target=target, from_ns=START + from_ms * MS, to_ns=START + to_ms * MS, **more  # type: ignore[arg-type]
    )  # fmt: skip


def test_processes_are_told_as_states_and_who_stands_still_keeps_his_role() -> None:
    run = no_run(
        roles=(
            span("s1", ProcessRole.PRIMARY, 0, 5_000, 1), span("s1", ProcessRole.DOWN, 5_000, 10_000),
            span("s2", ProcessRole.STANDBY, 100, 6_000), span("s2", ProcessRole.PRIMARY, 6_000, 10_000, 2),
            span("witness", ProcessRole.SERVING, 0, 10_000),
        ),
        faults=(
            fault(FaultKind.PAUSE, "s1", 1_000, 2_000),
            fault(FaultKind.CUT, "s1", 3_000, 4_000, toward="s2", was="primary"),
        ),
    )  # fmt: skip
    states = of(events_of(run), StateEvent)
    shown = [
        (round(state.t - states[0].t), [(one.process, one.reachable, one.role) for one in state.servers])
        for state in states
    ]
    assert shown == [
        (0, [("running", True, "primary"), ("unknown", False, None)]),
        (100, [("running", True, "primary"), ("running", True, "standby")]),
        (1_000, [("stopped", False, "primary"), ("running", True, "standby")]),
        (2_000, [("running", True, "primary"), ("running", True, "standby")]),
        (3_000, [("running", True, "primary"), ("running", True, "standby")]),
        (4_000, [("running", True, "primary"), ("running", True, "standby")]),
        (5_000, [("gone", False, None), ("running", True, "standby")]),
        (6_000, [("gone", False, None), ("running", True, "primary")]),
    ]
    connected = [[one.connected for one in state.servers] for state in states]
    assert connected[4] == [[], ["s1"]], "what s1 sends does not arrive at s2"
    assert connected[5] == [["s2"], ["s1"]]


def test_all_services_are_named_however_long_the_names_of_their_modules_are() -> None:
    long = ".".join(["a_package"] * 20)
    services = (("shelf", f"{long}:Shelf"), ("orders", "shop:Orders"))
    [hello] = of(events_of(no_run(services=services)), HelloEvent)
    assert (hello.service, hello.serves) == ("shelf", long[:120])
    assert hello.services == {"shelf": long[:120], "orders": "shop:Orders"}


def test_views_and_members_of_etcd_are_told_too() -> None:
    def view(epoch: int, primary: str, at_ms: int) -> View:
        return View(
            history="h", epoch=epoch, primary=primary, start_id="a", incarnations={primary: "disk"},
            in_sync=frozenset({primary}),
            cause=Cause(kind=CauseKind.CRASH, by=primary, of=("s1",)),
            written_us=round((1_790_000_000 + at_ms / 1000) * 1e6),
        )  # fmt: skip

    processes = (
        RecordedProcess(name="witness", kind=ProcessKind.WITNESS),
        RecordedProcess(name="m1", kind=ProcessKind.WITNESS),
        RecordedProcess(name="s1", kind=ProcessKind.SERVER),
        RecordedProcess(name="s2", kind=ProcessKind.SERVER),
    )
    roles = (span("m1", ProcessRole.SERVING, 0, 10_000), span("witness", ProcessRole.SERVING, 0, 10_000))
    run = no_run(views=(view(1, "s1", 500), view(2, "s2", 3_000)), processes=processes, roles=roles)
    events = events_of(run)
    [hello] = of(events, HelloEvent)
    assert hello.keeper == "etcd"
    assert [(one.epoch, one.cause_kind, one.takes_time) for one in of(events, ViewEvent)] == [
        (1, "crash", False), (2, "crash", True),
    ]  # fmt: skip
    last = of(events, StateEvent)[-1]
    assert last.view is not None
    assert (last.view.primary, last.keeper.name, [one.name for one in last.keeper.members]) == (
        "s2", "etcd", ["m1"],
    )  # fmt: skip
    assert last.nameserver.name == "witness"


def test_links_that_one_fault_hits_are_told_as_its_parts(short: Recorded) -> None:
    faults = [
        fault(FaultKind.CUT, "s1", at, 900, toward=to) for at, to in ((0, "s2"), (50, "c1"), (500, "s2"))
    ]
    told_faults = of(events_of(no_run(faults=tuple(faults))), FaultEvent)
    assert [(one.id, one.part_of) for one in told_faults] == [(1, None), (2, 1), (3, None)]
    assert told_faults[0].words == "s1 → s2 cut"
    kinds = Counter(one.what for one in of(events_of(short), FaultEvent))
    assert kinds == Counter(one.kind.value for one in short.faults)


def test_a_report_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written: Is a directory"):
        write_report(no_run(), tmp_path)
