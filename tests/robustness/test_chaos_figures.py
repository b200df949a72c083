"""The figures of a finished run, from runs that fit on a screen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bankrmi.robustness.chaos.figures import (
    Silence,
    at_percent,
    binned,
    closer_looks,
    separate,
    silences,
    spreads,
    thinned,
    with_wholes,
)
from bankrmi.robustness.chaos.recorded import (
    KEPT_SLOWEST,
    Failover,
    Fault,
    FaultKind,
    MadeCall,
    OutcomeKind,
    columns,
)
from bankrmi.robustness.chaos.wording import counted, duration, fault_sentence
from tests.robustness.made_up_runs import MS, SECOND, START, made_up_run, overlapping


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
    assert [stretch.outcomes for stretch in bins] == [(1, 1, 0, 0), (1, 0, 1, 1), (1, 0, 0, 0)]
    assert [stretch.calls for stretch in bins] == [2, 3, 1]
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


def test_the_slowest_calls_are_kept_in_full_whatever_their_order() -> None:
    calls = columns(call(number % 977, took_ms=number) for number in range(12_000))
    assert [one.latency_ns // MS for one in calls.slowest] == list(range(11_999, 11_999 - KEPT_SLOWEST, -1))
    assert list(calls.completed_ns) == sorted(calls.completed_ns)
    assert len(calls) == 12_000


def test_links_that_one_fault_cuts_are_one_cut() -> None:
    def cut(at_ms: int, toward: str) -> Fault:
        at = START + at_ms * MS
        return Fault(kind=FaultKind.CUT, target="s1", toward=toward, from_ns=at, to_ns=at)

    faults = (cut(0, "s2"), cut(150, "c1"), cut(300, "c2"), cut(500, "s2"), cut(501, ""))
    assert separate(faults) == [faults[0], faults[3], faults[4]]
    assert [whole for _, whole in with_wholes(faults)] == [None, faults[0], faults[0], None, None]


def test_a_closer_look_is_taken_once_at_what_lies_together() -> None:
    failovers = [failover(10_000, 50), failover(11_000, 50), failover(59_000, 900)]
    quiet = [Silence(from_ns=START + 10_020 * MS, to_ns=START + 15_000 * MS)]
    looks = closer_looks(failovers, quiet, start_ns=START, end_ns=START + 60 * SECOND, around_ns=2 * SECOND)
    assert [(begin - START, end - START) for begin, end in looks] == [
        (8 * SECOND, 17 * SECOND),
        (57 * SECOND, 60 * SECOND),  # Not after the run.
    ]


def test_of_many_calls_the_slow_ones_are_kept_and_all_are_counted() -> None:
    calls = columns(call(number, took_ms=500 if number % 100 == 0 else 1) for number in range(1, 5_001))
    places, in_all = thinned(calls, START, START + 6 * SECOND, 300)
    assert in_all == 5_000
    assert len(places) <= 300
    assert places == sorted(places)
    assert sum(calls.latency_ns[place] == 500 * MS for place in places) == 50
    assert thinned(calls, START, START + 100 * MS, 300) == (list(range(99)), 99)


def test_figures_are_said_as_people_say_them() -> None:
    assert [duration(value) for value in (999, 1_000, 999_700, 47_210_000, 2_504_000_000)] == [
        "999 ns", "1 µs", "1.00 ms", "47.2 ms", "2.50 s",
    ]  # fmt: skip
    assert [duration(seconds * SECOND) for seconds in (59, 119, 120, 1801)] == [
        "59.0 s", "119 s", "2 min", "30 min 1 s",
    ]  # fmt: skip
    assert (counted(1, "fault"), counted(1_204_331, "fault")) == ("1 fault", "1,204,331 faults")
    cut = Fault(kind=FaultKind.CUT, target="s1", toward="s2", from_ns=0, to_ns=0, note="for good")
    assert fault_sentence(cut) == "s1 → s2 cut, for good"


def test_a_made_up_run_could_have_been_one() -> None:
    run = made_up_run(seconds=60, calls_per_second=20)
    assert not overlapping(list(run.roles))
    assert run == made_up_run(seconds=60, calls_per_second=20)
