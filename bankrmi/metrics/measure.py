"""What can be measured of a process: a name, what it means, its labels, and how it is read.

Rule 1: each label is from a closed set, which is said here (that of servers changes when one comes or goes);
        a reading that is outside of it is a bug, and is not shown. So nobody outside can make a series, and
        there are never more of them than were counted on.
Rule 2: names follow Prometheus' conventions: base units (seconds, bytes) at the end, `_total` for counters.
Rule 3: all measures of a page are read in one moment, and copied: what is made of them later is consistent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Generic, Literal, NamedTuple, TypeVar

from bankrmi.histogram import Histogram

__all__ = ["Figure", "Kind", "LiveNames", "Measure", "Reading", "one_of", "read"]

Source = TypeVar("Source")

Kind = Literal["counter", "gauge", "histogram"]
Figure = float | Histogram
Labels = tuple[str, ...]
Reading = Figure | Mapping[str, Figure] | Mapping[Labels, Figure] | None
"""A figure; figures by label, or by several labels; None if there is nothing to be read now."""

_NAME = re.compile(r"bankrmi(_[a-z]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure(Generic[Source]):
    """One of them; `labels` has each label with all values that it may take, in the order of the readings."""

    name: str
    kind: Kind
    meaning: str
    read: Callable[[Source], Reading]
    labels: Mapping[str, Collection[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert _NAME.fullmatch(self.name), self.name
        assert self.name.endswith("_total") == (self.kind == "counter"), self.name

    def series(self) -> set[Labels]:
        """Return all labels that there can be; () for a measure without."""
        return set(product(*self.labels.values()))


class LiveNames(Collection[str]):
    """Names of a set that changes now and then, as those of the servers of a bank; asked for each time."""

    def __init__(self, names: Callable[[], Collection[str]]) -> None:
        self._names = names

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())


class MeasureTaken(NamedTuple):
    """A measure, with what was read of it."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...]
    figures: Mapping[Labels, Figure]


def read(measures: Iterable[Measure[Source]], source: Source) -> list[MeasureTaken]:
    """Read all of them, now; those of which there is nothing to read are left out."""
    return [taken for taken in (_taken(measure, source) for measure in measures) if taken.figures]


def _taken(measure: Measure[Source], source: Source) -> MeasureTaken:
    reading = measure.read(source)
    figures: dict[Labels, Figure] = {}
    if isinstance(reading, Mapping):
        for labels, figure in reading.items():
            figures[labels if isinstance(labels, tuple) else (labels,)] = _copied(figure)
    elif reading is not None:
        figures[()] = _copied(reading)
    unforeseen = figures.keys() - measure.series()
    assert not unforeseen, f"{measure.name} has no series {sorted(unforeseen)}"
    return MeasureTaken(measure.name, measure.kind, measure.meaning, tuple(measure.labels), figures)


def _copied(figure: Figure) -> Figure:
    return figure.copy() if isinstance(figure, Histogram) else figure


def one_of(values: Iterable[str], now: str | None) -> dict[str, float]:
    """Return the reading of what has one of these values at a time: 1 for that, 0 for the others."""
    return {value: float(value == now) for value in values}
