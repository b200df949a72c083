"""A finished run in figures: what is told of it in sums.  Pure.

Rule 1: a call counts when it completed, and with all its operations; only what the bank decided (done or
        declined) counts as answered.
Rule 2: a percentile is a value that was measured (nearest rank), never one between two.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bankrmi.robustness.chaos.recorded import (
    CallColumns,
    Failover,
    Fault,
    FaultKind,
    OutcomeKind,
)

__all__ = [
    "ANSWERED",
    "SECOND_NS",
    "Bin",
    "Silence",
    "Spread",
    "answered_calls",
    "answered_operations",
    "at_percent",
    "binned",
    "closer_looks",
    "in_doubt_calls",
    "latencies",
    "separate",
    "silences",
    "spreads",
    "thinned",
    "with_wholes",
]

SECOND_NS = 1_000_000_000
ANSWERED = frozenset(
    number
    for number, outcome in enumerate(OutcomeKind)
    if outcome in (OutcomeKind.DONE, OutcomeKind.DECLINED)
)
_APART_NS = 200_000_000
"""Links that are hit one after the other, each within this time of the last, are hit by one fault."""
_IN_DOUBT = tuple(OutcomeKind).index(OutcomeKind.IN_DOUBT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The calls that completed within one stretch of time; latencies are 0 if none was answered."""

    from_ns: int
    to_ns: int
    outcomes: tuple[int, ...]
    """How many ended how, in the order of `OutcomeKind`."""
    operations: int
    median_ns: int
    p99_ns: int
    longest_ns: int

    @property
    def calls(self) -> int:
        return sum(self.outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A stretch of time in which no client was answered."""

    from_ns: int
    to_ns: int

    @property
    def length_ns(self) -> int:
        return self.to_ns - self.from_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How long the failovers of one cause took; sorted."""

    cause: str
    took_ns: tuple[int, ...]

    @property
    def median_ns(self) -> int:
        return at_percent(self.took_ns, 50)

    @property
    def p90_ns(self) -> int:
        return at_percent(self.took_ns, 90)

    @property
    def longest_ns(self) -> int:
        return self.took_ns[-1]


def at_percent(ordered: Sequence[int], percent: int) -> int:
    """Return the smallest value that at least `percent` of them do not exceed; 0 if there are none."""
    if not ordered:
        return 0
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def binned(calls: CallColumns, from_ns: int, to_ns: int, width_ns: int) -> Iterator[Bin]:
    """Yield one bin after the other, the empty ones too; the last is cut off where the time ends."""
    first = bisect_left(calls.completed_ns, from_ns)
    for begin in range(from_ns, to_ns, width_ns):
        end = min(begin + width_ns, to_ns)
        last = bisect_left(calls.completed_ns, end, lo=first)
        yield _bin(calls, begin, end, first, last)
        first = last


def _bin(calls: CallColumns, from_ns: int, to_ns: int, first: int, last: int) -> Bin:
    outcomes = calls.outcomes[first:last]
    answered = [number for number, outcome in enumerate(outcomes, first) if outcome in ANSWERED]
    ordered = sorted([calls.latency_ns[number] for number in answered])
    return Bin(
        from_ns=from_ns,
        to_ns=to_ns,
        outcomes=tuple(outcomes.count(number) for number in range(len(OutcomeKind))),
        operations=sum([calls.operations[number] for number in answered]),
        median_ns=at_percent(ordered, 50),
        p99_ns=at_percent(ordered, 99),
        longest_ns=ordered[-1] if ordered else 0,
    )


def answered_operations(calls: CallColumns) -> int:
    return sum(
        operations
        for operations, outcome in zip(calls.operations, calls.outcomes, strict=True)
        if outcome in ANSWERED
    )


def answered_calls(calls: CallColumns) -> int:
    return sum(calls.outcomes.count(outcome) for outcome in ANSWERED)


def in_doubt_calls(calls: CallColumns) -> int:
    return calls.outcomes.count(_IN_DOUBT)


def latencies(calls: CallColumns) -> list[int]:
    """Return how long each answered call took; sorted."""
    return sorted(
        latency
        for latency, outcome in zip(calls.latency_ns, calls.outcomes, strict=True)
        if outcome in ANSWERED
    )


def silences(calls: CallColumns, at_least_ns: int) -> list[Silence]:
    """Return when no client was answered for `at_least_ns`, in order of time.

    From the first answer, before which the bank was not yet there, to the end of the last call, whatever
    came of it: a bank that no longer answers is silent, but not one that is no longer asked.
    """
    answers = [
        completed
        for completed, outcome in zip(calls.completed_ns, calls.outcomes, strict=True)
        if outcome in ANSWERED
    ]
    return [
        Silence(from_ns=before, to_ns=after)
        for before, after in pairwise([*answers, *calls.completed_ns[-1:]])
        if after - before >= at_least_ns
    ]


def spreads(failovers: Iterable[Failover]) -> list[Spread]:
    """Return the failover times of each cause, the most frequent cause first."""
    times: dict[str, list[int]] = {}
    for failover in failovers:
        times.setdefault(failover.cause, []).append(failover.took_ns)
    ordered = sorted(times.items(), key=lambda item: (-len(item[1]), item[0]))
    return [Spread(cause=cause, took_ns=tuple(sorted(took))) for cause, took in ordered]


def closer_looks(
    failovers: Iterable[Failover], quiet: Iterable[Silence], *, start_ns: int, end_ns: int, around_ns: int
) -> list[tuple[int, int]]:
    """Return from when to when to see every call: around each failover and silence, none twice."""
    spans = [(one.at_ns, one.at_ns + one.took_ns) for one in failovers]
    spans += [(one.from_ns, one.to_ns) for one in quiet]
    looks: list[tuple[int, int]] = []
    for from_ns, to_ns in sorted(spans):
        begin, end = max(start_ns, from_ns - around_ns), min(end_ns, to_ns + around_ns)
        if looks and begin <= looks[-1][1]:
            looks[-1] = looks[-1][0], max(end, looks[-1][1])
        else:
            looks.append((begin, end))
    return looks


def thinned(calls: CallColumns, from_ns: int, to_ns: int, most: int) -> tuple[list[int], int]:
    """Return which calls ended then, the slow ones and of others not too many; and how many they were."""
    first, last = bisect_left(calls.completed_ns, from_ns), bisect_left(calls.completed_ns, to_ns)
    places = list(range(first, last))
    if len(places) <= most:
        return places, len(places)
    by_latency = sorted(places, key=lambda place: -calls.latency_ns[place])
    slow, others = by_latency[: most // 3], sorted(by_latency[most // 3 :])
    step = -(-len(others) // (most - most // 3))
    return sorted(slow + others[::step]), len(places)


def separate(faults: Iterable[Fault]) -> list[Fault]:
    """Return those that are no part of another one."""
    return [fault for fault, whole in with_wholes(faults) if whole is None]


def with_wholes(faults: Iterable[Fault]) -> Iterator[tuple[Fault, Fault | None]]:
    """Yield each fault, and what it is a part of: to cut somebody off from all others hits several links."""
    wholes, begun = dict[FaultKind, Fault](), dict[FaultKind, int]()
    for fault in sorted(faults, key=lambda fault: fault.from_ns):
        if not fault.toward:
            yield fault, None
            continue
        if fault.from_ns - begun.get(fault.kind, -_APART_NS) >= _APART_NS:
            wholes[fault.kind] = fault
            yield fault, None
        else:
            yield fault, wholes[fault.kind]
        begun[fault.kind] = fault.from_ns
