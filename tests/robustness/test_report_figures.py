"""The figures of a report, from runs that fit on a screen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bankrmi.robustness.chaos.recorded import (
    KEPT_SLOWEST,
    Failover,
    Fault,
    FaultKind,
    MadeCall,
    OutcomeKind,
    ProcessRole,
    RoleSpan,
    columns,
)
from bankrmi.robustness.chaos.report_figures import (
    Silence,
    at_percent,
    binned,
    failovers_within,
    faults_by_kind,
    faults_within,
    separate,
    silences,
    somebody_led,
    spreads,
    windows,
)
from bankrmi.robustness.chaos.report_plots import scale_of
from bankrmi.robustness.chaos.report_words import clock_time, duration, fault_sentence, number
from tests.robustness.made_up_runs import MS, SECOND, START, made_up_run, no_run, overlapping


def call(
    until_ms: int, took_ms: int = 1, outcome: OutcomeKind = OutcomeKind.DONE, operations: int = 1
) -> MadeCall:
    completed = START + until_ms * MS
    return MadeCall(
        client="c1", request="a:1", kind="withdraw", outcome=outcome, operations=operations,
        invoked_ns=completed - took_ms * MS, completed_ns=completed,
    )  # fmt: skip


def failover(at_ms: int, took_ms: int, cause: str = "kill of the primary") -> Failover:
    return Failover(
        cause=cause, at_ns=START + at_ms * MS, took_ns=took_ms * MS,
        old_primary="s1", new_primary="s2", epoch=2,
    )  # fmt: skip


@given(st.lists(st.integers(0, 100), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    values: list[int], percent: int
) -> None:
    ordered = sorted(values)
    found = at_percent(ordered, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_a_bin_counts_operations_of_answered_calls_where_they_completed() -> None:
    calls = columns(
        [
            call(150, took_ms=140, operations=20),
            call(50, took_ms=2, outcome=OutcomeKind.DECLINED),
            call(60, took_ms=6),
            call(160, took_ms=90, outcome=OutcomeKind.IN_DOUBT),
            call(170, outcome=OutcomeKind.REFUSED),
            call(299),
            call(300),
        ]
    )
    bins = list(binned(calls, START, START + 300 * MS, 100 * MS))
    assert [stretch.from_ns - START for stretch in bins] == [0, 100 * MS, 200 * MS]
    assert [stretch.operations for stretch in bins] == [2, 20, 1]
    assert [stretch.in_doubt for stretch in bins] == [0, 1, 0]
    assert [stretch.median_ns for stretch in bins] == [2 * MS, 140 * MS, 1 * MS]
    assert [stretch.longest_ns for stretch in bins] == [6 * MS, 140 * MS, 1 * MS]


@given(st.lists(st.integers(0, 999)), st.integers(1, 400))
def test_every_call_is_in_exactly_one_bin(untils: list[int], width_ms: int) -> None:
    calls = columns([call(until) for until in untils])
    bins = list(binned(calls, START, START + SECOND, width_ms * MS))
    assert sum(stretch.operations for stretch in bins) == len(untils)
    assert len(bins) == -(-1000 // width_ms)


def test_silence_is_between_answers_and_a_call_in_doubt_does_not_end_it() -> None:
    calls = columns(
        [call(1000), call(1100), call(1500, outcome=OutcomeKind.IN_DOUBT), call(1900), call(2100)]
    )
    [silence] = silences(calls, 250 * MS)
    assert silence == Silence(from_ns=START + 1100 * MS, to_ns=START + 1900 * MS)
    assert silence.length_ns == 800 * MS


def test_a_bank_that_never_answers_again_is_silent_while_it_is_asked() -> None:
    calls = columns([call(1000), call(5000, outcome=OutcomeKind.IN_DOUBT)])
    assert [silence.length_ns for silence in silences(calls, 250 * MS)] == [4000 * MS]
    assert silences(columns([]), 250 * MS) == []


def test_failover_times_are_told_by_cause_the_most_frequent_first() -> None:
    found = spreads([failover(0, 30, "cut"), failover(0, 9), failover(0, 4), failover(0, 7), failover(0, 50)])
    assert [(spread.cause, len(spread.took_ns)) for spread in found] == [
        ("kill of the primary", 4),
        ("cut", 1),
    ]
    assert (found[0].median_ns, found[0].p90_ns, found[0].longest_ns) == (7 * MS, 50 * MS, 50 * MS)


def test_a_typical_failover_the_slowest_and_the_longest_silences_are_shown_closer_and_none_twice() -> None:
    run = no_run(
        ended_ns=START + 100 * SECOND,
        failovers=(failover(1_000, 30), failover(30_000, 40), failover(60_000, 900), failover(60_950, 800)),
    )
    quiet = [
        Silence(from_ns=START + at * MS, to_ns=START + (at + length) * MS)
        for at, length in ((60_000, 890), (80_000, 300), (90_000, 5000), (98_500, 400))
    ]
    looks = windows(run, quiet, count=4, failovers=2)
    assert [(look.shown, look.why) for look in looks] == [
        (run.failovers[1], "a typical failover"),
        (run.failovers[2], "the slowest failover"),
        (quiet[2], "the longest silence"),
        (quiet[3], "the third longest silence"),
    ]
    assert [look.to_ns - START for look in looks[2:]] == [97 * SECOND, 100 * SECOND]  # Not after the run.
    more = windows(run, [], count=9, failovers=9)
    assert [look.why for look in more][2:] == ["number 4 of the slowest failovers"]
    assert windows(no_run(), [], count=6, failovers=4) == []


def test_the_slowest_calls_are_kept_in_full_whatever_their_order() -> None:
    calls = columns(call(number % 977, took_ms=number) for number in range(12_000))
    assert [one.latency_ns // MS for one in calls.slowest] == list(range(11_999, 11_999 - KEPT_SLOWEST, -1))
    assert list(calls.completed_ns) == sorted(calls.completed_ns)
    assert len(calls) == 12_000


def test_what_was_going_on_overlaps_with_the_call() -> None:
    def fault(from_ms: int, to_ms: int) -> Fault:
        return Fault(
            kind=FaultKind.PAUSE, target="s1", from_ns=START + from_ms * MS, to_ns=START + to_ms * MS
        )

    run = no_run(
        faults=(fault(0, 99), fault(90, 100), fault(200, 300), fault(301, 400)),
        failovers=(failover(150, 20),),
    )
    assert faults_within(run, START + 100 * MS, START + 300 * MS) == list(run.faults[1:3])
    assert failovers_within(run, START + 170 * MS, START + 300 * MS) == list(run.failovers)
    assert failovers_within(run, START + 171 * MS, START + 300 * MS) == []


def test_somebody_led_only_if_there_was_a_primary_all_the_time() -> None:
    def led(from_ms: int, to_ms: int, role: ProcessRole = ProcessRole.PRIMARY) -> RoleSpan:
        return RoleSpan(process="s1", role=role, from_ns=START + from_ms * MS, to_ns=START + to_ms * MS)

    run = no_run(roles=(led(200, 300), led(0, 200), led(300, 400, ProcessRole.STANDBY), led(400, 500)))
    asked = {(0, 300): True, (50, 250): True, (50, 301): False, (299, 401): False, (450, 501): False}
    for (from_ms, to_ms), said in asked.items():
        assert somebody_led(run, START + from_ms * MS, START + to_ms * MS) is said


def test_links_that_one_fault_cuts_are_one_cut() -> None:
    def cut(at_ms: int, toward: str) -> Fault:
        at = START + at_ms * MS
        return Fault(kind=FaultKind.CUT, target="s1", toward=toward, from_ns=at, to_ns=at)

    faults = (cut(0, "s2"), cut(150, "c1"), cut(300, "c2"), cut(500, "s2"), cut(501, ""))
    assert separate(faults) == [faults[0], faults[3], faults[4]]


def test_faults_are_counted_by_whom_they_hit() -> None:
    def fault(kind: FaultKind, target: str, toward: str = "", was: str = "") -> Fault:
        return Fault(kind=kind, target=target, toward=toward, was=was, from_ns=START, to_ns=START)

    kill = FaultKind.KILL
    run = no_run(
        faults=(
            fault(FaultKind.CUT, "s1", "s2"), fault(kill, "s1", was="primary"), fault(kill, "witness"),
            fault(kill, "c1"), fault(kill, "s2"), fault(kill, "s2", was="primary"),
        )
    )  # fmt: skip
    counted = faults_by_kind(run)
    assert list(counted) == [kill, FaultKind.CUT]
    assert counted[kill] == {"primary": 2, "the witness": 1, "a client": 1, "a server": 1}
    assert counted[FaultKind.CUT] == {"a link": 1}


def test_a_scale_has_room_for_every_latency() -> None:
    calls = columns([call(100, took_ms=2), call(300, took_ms=140)])
    bins = list(binned(calls, START, START + SECOND, 100 * MS))
    scale = scale_of(calls, bins, START, 100 * MS)
    assert [label for _, label in scale.latency_marks()] == ["1 ms", "10 ms", "100 ms", "1 s"]
    assert [round(down) for down, _ in scale.latency_marks()] == [100, 67, 33, 0]
    assert [label for _, label in scale.rate_marks()] == ["0", "5", "10"]


def test_figures_are_said_as_people_say_them() -> None:
    assert [duration(value) for value in (999, 1_000, 999_700, 47_210_000, 2_504_000_000)] == [
        "999 ns", "1 µs", "1.00 ms", "47.2 ms", "2.50 s",
    ]  # fmt: skip
    assert [duration(seconds * SECOND) for seconds in (59, 119, 120, 1801)] == [
        "59.0 s", "119 s", "2 min", "30 min 1 s",
    ]  # fmt: skip
    assert [clock_time(751_460 * MS), clock_time(59_960 * MS, 1), clock_time(12 * MS, 2)] == [
        "12:31", "1:00.0", "0:00.01",
    ]  # fmt: skip
    assert number(1_204_331) == "1\u202f204\u202f331"
    cut = Fault(kind=FaultKind.CUT, target="s1", toward="s2", from_ns=0, to_ns=0, note="for good")
    assert fault_sentence(cut) == "s1 → s2 cut, for good"


def test_a_made_up_run_could_have_been_one() -> None:
    run = made_up_run(seconds=60, calls_per_second=20)
    assert not overlapping(list(run.roles))
    assert run == made_up_run(seconds=60, calls_per_second=20)
