"""What was measured, as values, and what follows from it.  Pure: medians, ratios, spreads.

Rule: a ratio is between two measurements of one round, and the spread is that of the rounds' ratios.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["OURS", "Finding", "Ratio", "Results", "Sample", "SampleSummary", "percentile", "ratio", "summary"]

OURS = "bankrmi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One system under one shape of load, in one round."""

    round: int
    operations: int
    seconds: float
    median_us: float
    p99_us: float
    cpu_us: Mapping[str, float]
    """Of each process, for an operation."""
    peak_kb: Mapping[str, int]

    @property
    def rate(self) -> float:
        """Return operations a second."""
        return self.operations / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a row found out that is not a ratio to a peer: one figure, as often as it was taken."""

    row: str
    what: str
    unit: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Ours to a peer's."""

    median: float
    lowest: float
    highest: float
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSummary:
    """The rounds of one system under one shape of load."""

    rate: float
    median_us: float
    p99_us: float
    cpu_us: Mapping[str, float]
    peak_kb: Mapping[str, int]


@dataclass(slots=True)
class Results:
    """All that is known so far."""

    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    """By row and system."""
    findings: list[Finding] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """What was not measured, and the sentence that says why."""

    failed: dict[str, str] = field(default_factory=dict)
    """What should have been measured, and what went wrong."""

    notes: dict[str, str] = field(default_factory=dict)
    """What a system does less than a bank, or otherwise; and what of the machine makes figures worth less."""

    def add(self, row: str, system: str, sample: Sample) -> None:
        """Take in one measurement."""
        self.samples.setdefault(row, {}).setdefault(system, []).append(sample)

    @property
    def systems(self) -> list[str]:
        """Return whoever was measured; ours first."""
        found = dict.fromkeys(system for row in self.samples.values() for system in row)
        return sorted(found, key=lambda system: system != OURS)

    def ratio_to(self, row: str, system: str) -> Ratio | None:
        """Return how ours compares to a peer in a row; None if they have no round in common."""
        measured = self.samples.get(row, {})
        return ratio(measured.get(OURS, ()), measured.get(system, ()))


def ratio(ours: Iterable[Sample], theirs: Iterable[Sample]) -> Ratio | None:
    """Return the median and the spread of the rounds' ratios; None if no round has both."""
    by_round = {sample.round: sample.rate for sample in theirs if sample.operations}
    found = [sample.rate / by_round[sample.round] for sample in ours if sample.round in by_round]
    if not found:
        return None
    return Ratio(median=statistics.median(found), lowest=min(found), highest=max(found), rounds=len(found))


def summary(samples: Sequence[Sample]) -> SampleSummary:
    """Return the medians of the rounds; of memory the most."""
    processes = dict.fromkeys(name for sample in samples for name in sample.cpu_us)
    return SampleSummary(
        rate=statistics.median(sample.rate for sample in samples),
        median_us=statistics.median(sample.median_us for sample in samples),
        p99_us=statistics.median(sample.p99_us for sample in samples),
        cpu_us={
            name: statistics.median(sample.cpu_us.get(name, 0.0) for sample in samples) for name in processes
        },
        peak_kb={
            name: max(sample.peak_kb.get(name, 0) for sample in samples)
            for name in processes
            if any(name in sample.peak_kb for sample in samples)
        },
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the value below which `percent` of these ordered values lie; 0 if there are none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
