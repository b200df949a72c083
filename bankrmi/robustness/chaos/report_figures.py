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
    OutcomeKind,
    ProcessKind,
    ProcessRole,
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
    "failovers_within",
    "faults_by_kind",
    "faults_within",
    "in_doubt_calls",
    "latencies",
    "separate",
    "silences",
    "somebody_led",
    "spreads",
    "windows",
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

    def overlaps(self, from_ns: int, to_ns: int) -> bool:
        return self.from_ns < to_ns and self.to_ns > from_ns


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
    """A failover or a silence that is worth a closer look, and some time around it."""

    shown: Failover | Silence
    from_ns: int
    to_ns: int
    why: str


def at_percent(ordered: Sequence[int], percent: int) -> int:
    """Return the smallest value that at least `percent` of them do not exceed; 0 if there are none."""
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


def windows(recorded: Recorded, quiet: Sequence[Silence], *, count: int, failovers: int) -> list[Window]:
    """Return what is worth a closer look: a typical failover, the slowest, then the longest silences.

    Nothing is shown twice; at most `failovers` of them are failovers.
    """
    slowest = sorted(recorded.failovers, key=lambda failover: (-failover.took_ns, failover.at_ns))
    longest = sorted(quiet, key=lambda silence: (-silence.length_ns, silence.from_ns))
    chosen: list[Window] = []
    if slowest:
        chosen.append(_around(recorded, slowest[len(slowest) // 2], "a typical failover"))
    for place, failover in enumerate(slowest, 1):
        if len(chosen) < failovers:
            _add(chosen, _around(recorded, failover, _place(place, "slowest failover")))
    for place, silence in enumerate(longest, 1):
        if len(chosen) < count:
            _add(chosen, _around(recorded, silence, _place(place, "longest silence")))
    return chosen


def _add(chosen: list[Window], window: Window) -> None:
    """Add a window, unless what it is about is to be seen already."""
    from_ns, to_ns = _span(window.shown)
    if all(from_ns < other.from_ns or other.to_ns < to_ns for other in chosen):
        chosen.append(window)


def _span(shown: Failover | Silence) -> tuple[int, int]:
    if isinstance(shown, Silence):
        return shown.from_ns, shown.to_ns
    return shown.at_ns, shown.at_ns + shown.took_ns


def _place(place: int, name: str) -> str:
    if place > 3:
        return f"number {place} of the {name}s"
    return f"the {('', 'second ', 'third ')[place - 1]}{name}"


def _around(recorded: Recorded, shown: Failover | Silence, why: str) -> Window:
    """Return two seconds before to two seconds after, or as much as there is."""
    from_ns, to_ns = _span(shown)
    return Window(
        shown=shown,
        from_ns=max(recorded.started_ns, from_ns - 2 * SECOND_NS),
        to_ns=min(recorded.ended_ns, to_ns + 2 * SECOND_NS),
        why=why,
    )


def faults_within(recorded: Recorded, from_ns: int, to_ns: int) -> list[Fault]:
    return [fault for fault in recorded.faults if fault.from_ns <= to_ns and fault.to_ns >= from_ns]


def failovers_within(recorded: Recorded, from_ns: int, to_ns: int) -> list[Failover]:
    return [one for one in recorded.failovers if one.at_ns <= to_ns and one.at_ns + one.took_ns >= from_ns]


def somebody_led(recorded: Recorded, from_ns: int, to_ns: int) -> bool:
    """Return whether there was a primary all the time, as far as the servers knew."""
    led = sorted(
        (span.from_ns, span.to_ns)
        for span in recorded.roles
        if span.role is ProcessRole.PRIMARY and span.from_ns <= to_ns and span.to_ns >= from_ns
    )
    until = from_ns
    for begin, end in led:
        if begin > until:
            return False
        until = max(until, end)
    return until >= to_ns


def separate(faults: Iterable[Fault]) -> list[Fault]:
    """Return the first of those that were one: to cut somebody off from all others hits several links."""
    kept, begun = [], dict[FaultKind, int]()
    for fault in sorted(faults, key=lambda fault: fault.from_ns):
        if not fault.toward or fault.from_ns - begun.get(fault.kind, -_APART_NS) >= _APART_NS:
            kept.append(fault)
        if fault.toward:
            begun[fault.kind] = fault.from_ns
    return kept


def faults_by_kind(recorded: Recorded) -> dict[FaultKind, Counter[str]]:
    """Return how often each kind hit whom: "primary", "standby", "the witness", "a client", "a link"."""
    kinds = {process.name: process.kind for process in recorded.processes}
    table: dict[FaultKind, Counter[str]] = {}
    for fault in separate(recorded.faults):
        table.setdefault(fault.kind, Counter())[_whom(fault, kinds.get(fault.target))] += 1
    return {kind: table[kind] for kind in FaultKind if kind in table}


def _whom(fault: Fault, kind: ProcessKind | None) -> str:
    if fault.toward:
        return "a link"
    if kind in (ProcessKind.WITNESS, ProcessKind.CLIENT):
        return "the witness" if kind is ProcessKind.WITNESS else "a client"
    return fault.was or "a server"
