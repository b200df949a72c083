"""What the report shows of a run, in figures.  Pure.

Rule 1: a call counts when it completed, and with all its operations; only what the bank decided (done or
        declined) counts as answered.
Rule 2: a percentile is a value that was measured (nearest rank), never one between two.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bankrmi.robustness.chaos.recorded import (
    CallColumns,
    Failover,
    Fault,
    FaultKind,
    MadeCall,
    Outcome,
    ProcessKind,
    Recorded,
)

__all__ = [
    "ANSWERED",
    "SECOND_NS",
    "Bin",
    "Silence",
    "Spread",
    "Window",
    "answered_calls",
    "answered_operations",
    "at_percent",
    "binned",
    "faults_by_kind",
    "going_on",
    "in_doubt_calls",
    "latencies",
    "silences",
    "spreads",
    "windows",
]

SECOND_NS = 1_000_000_000
ANSWERED = frozenset(
    number for number, outcome in enumerate(Outcome) if outcome in (Outcome.DONE, Outcome.DECLINED)
)
_IN_DOUBT = tuple(Outcome).index(Outcome.IN_DOUBT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The calls that completed within one stretch of time; latencies are 0 if none was answered."""

    from_ns: int
    operations: int
    answered: int
    in_doubt: int
    median_ns: int
    p99_ns: int
    longest_ns: int


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A failover worth a closer look, and how much time around it."""

    failover: Failover
    from_ns: int
    to_ns: int
    why: str


def at_percent(ordered: Sequence[int], percent: int) -> int:
    """Return the smallest value that at least so many percent of them do not exceed; 0 of none."""
    if not ordered:
        return 0
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def binned(calls: CallColumns, from_ns: int, to_ns: int, width_ns: int) -> Iterator[Bin]:
    """Yield one bin after the other, the empty ones too; the last is cut off where the time ends."""
    first = bisect_left(calls.completed_ns, from_ns)
    for begin in range(from_ns, to_ns, width_ns):
        last = bisect_left(calls.completed_ns, min(begin + width_ns, to_ns), lo=first)
        yield _bin(calls, begin, first, last)
        first = last


def _bin(calls: CallColumns, from_ns: int, first: int, last: int) -> Bin:
    outcomes = calls.outcomes[first:last]
    answered = [number for number, outcome in enumerate(outcomes, first) if outcome in ANSWERED]
    ordered = sorted([calls.latency_ns[number] for number in answered])
    return Bin(
        from_ns=from_ns,
        operations=sum([calls.operations[number] for number in answered]),
        answered=len(answered),
        in_doubt=outcomes.count(_IN_DOUBT),
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
    """Return when no client was answered for so long, in order of time.

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


def windows(recorded: Recorded, count: int) -> list[Window]:
    """Return the failovers worth a closer look: a typical one, and the slowest; none is shown twice."""
    by_length = sorted(recorded.failovers, key=lambda failover: (failover.took_ns, failover.at_ns))
    if not by_length:
        return []
    typical = by_length[(len(by_length) - 1) // 2]
    chosen = [_window(recorded, typical, "a typical one")]
    for place, failover in enumerate(reversed(by_length), 1):
        if len(chosen) == count:
            break
        if all(not _shows(window, failover) for window in chosen):
            chosen.append(_window(recorded, failover, _place(place)))
    return chosen


def _place(place: int) -> str:
    return {1: "the slowest", 2: "the second slowest", 3: "the third slowest"}.get(place, f"number {place}")


def _shows(window: Window, failover: Failover) -> bool:
    return window.from_ns <= failover.at_ns and failover.at_ns + failover.took_ns <= window.to_ns


def _window(recorded: Recorded, failover: Failover, why: str) -> Window:
    """Return two seconds before to two seconds after, or as much as there is."""
    return Window(
        failover=failover,
        from_ns=max(recorded.started_ns, failover.at_ns - 2 * SECOND_NS),
        to_ns=min(recorded.ended_ns, failover.at_ns + failover.took_ns + 2 * SECOND_NS),
        why=why,
    )


def going_on(recorded: Recorded, call: MadeCall) -> tuple[list[Fault], list[Failover]]:
    """Return the faults and the failovers that overlap with a call."""
    faults = [
        fault
        for fault in recorded.faults
        if fault.from_ns <= call.completed_ns and fault.to_ns >= call.invoked_ns
    ]
    failovers = [
        failover
        for failover in recorded.failovers
        if failover.at_ns <= call.completed_ns and failover.at_ns + failover.took_ns >= call.invoked_ns
    ]
    return faults, failovers


def faults_by_kind(recorded: Recorded) -> dict[FaultKind, Counter[str]]:
    """Return how often each kind of fault hit whom: "primary", "standby", "witness", "clients", "a link"."""
    kinds = {process.name: process.kind for process in recorded.processes}
    table: dict[FaultKind, Counter[str]] = {}
    for fault in recorded.faults:
        table.setdefault(fault.kind, Counter())[_whom(fault, kinds.get(fault.target))] += 1
    return {kind: table[kind] for kind in FaultKind if kind in table}


def _whom(fault: Fault, kind: ProcessKind | None) -> str:
    if fault.toward:
        return "a link"
    if kind in (ProcessKind.WITNESS, ProcessKind.CLIENT):
        return "the witness" if kind is ProcessKind.WITNESS else "a client"
    return fault.was or "a server"
