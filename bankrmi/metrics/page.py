"""What was measured, in Prometheus' text format; made in pieces, between which the event loop goes round.

Rule 1: one page is made at a time, one every `EVERY_S` at most, for all who have asked by then: however many
        ask, the figures are read a few times a second.
Rule 2: what somebody is shown is not older than his question.
Rule 3: all of a page is of one moment; only what prometheus-client itself reads of the process (memory, CPU,
        open files, Python) is of a few milliseconds later.
Assumption: labels and names are plain, and from closed sets (`measure`); so the length of a page is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from time import perf_counter

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bankrmi.histogram import Histogram
from bankrmi.metrics.measure import MeasureTaken
from bankrmi.rmi.complaints import complaints

__all__ = ["CONTENT_TYPE", "Pages", "written"]

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
EVERY_S = 0.25
PIECE_S = 0.0005
"""A piece that took longer than this is the last one in its turn of the loop."""

_OnPage = Callable[[bytes | None], None]


class Pages:
    """The pages of one process: `take` reads what there is; `spent` is told how many seconds that took."""

    def __init__(self, take: Callable[[], list[MeasureTaken]], spent: Callable[[float], None]) -> None:
        self._take = take
        self._spent = spent
        self._loop = asyncio.get_running_loop()
        self._process = _of_the_process()
        self._began_s = float("-inf")
        self._pieces: Iterator[bytes] = iter(())
        self._made: list[bytes] = []
        self._waiting: list[_OnPage] = []  # For the next page.
        self._served: list[_OnPage] = []  # With the one that is being made.
        self._next: asyncio.TimerHandle | None = None

    def ask(self, on_page: _OnPage) -> None:
        """Hand over a page that is made from now on; None if it cannot be made."""
        self._waiting.append(on_page)
        if not self._served:
            self._begin_soon()

    def close(self) -> None:
        """Begin no other page."""
        if self._next is not None:
            self._next.cancel()
        self._waiting.clear()

    def _begin_soon(self) -> None:
        if self._next is None:
            self._next = self._loop.call_later(
                max(0.0, self._began_s + EVERY_S - perf_counter()), self._begin
            )

    def _begin(self) -> None:
        self._next, self._began_s = None, perf_counter()
        self._served, self._waiting = self._waiting, []
        self._pieces = self._all_pieces()
        self._go_on()

    def _all_pieces(self) -> Iterator[bytes]:
        taken = self._take()
        yield b""
        for one in taken:
            yield written([_family(one)])
        for collector in self._process:
            yield written(collector.collect())

    def _go_on(self) -> None:
        """Make the next pieces."""
        began_s = perf_counter()
        try:
            is_whole = self._make_until(began_s + PIECE_S)
        except Exception as error:  # A bug of ours in one figure; the process goes on without a page.
            complaints.error("figures cannot be shown", error)
            self._end(None)
            return
        finally:
            self._spent(perf_counter() - began_s)
        if is_whole:
            self._end(b"".join(self._made))
        else:
            self._loop.call_soon(self._go_on)

    def _make_until(self, end_s: float) -> bool:
        """Make pieces for as long as that; return whether they are all made."""
        for piece in self._pieces:
            self._made.append(piece)
            if perf_counter() >= end_s:
                return False
        return True

    def _end(self, page: bytes | None) -> None:
        served, self._served, self._made = self._served, [], []
        for on_page in served:
            on_page(page)
        if self._waiting:
            self._begin_soon()


def _of_the_process() -> tuple[Collector, ...]:
    """Return what prometheus-client measures of every process."""
    registry = CollectorRegistry()  # They want one to be in; nobody else sees it.
    return ProcessCollector(registry=registry), PlatformCollector(registry=registry), GCCollector(registry)


class _Families:
    """Stands for a registry, of which `generate_latest` asks nothing else."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def written(families: Iterable[Metric]) -> bytes:
    """Return the lines of these."""
    return generate_latest(_Families(families))


def _family(taken: MeasureTaken) -> Metric:
    family = Metric(taken.name.removesuffix("_total"), taken.meaning, taken.kind)
    for values, figure in taken.figures.items():
        labels = dict(zip(taken.labels, values, strict=True))
        if isinstance(figure, Histogram):
            _add_histogram(family, taken.name, labels, figure)
        else:
            family.add_sample(taken.name, labels, figure)
    return family


def _bound(value: float) -> str:
    """Return it as Prometheus writes it."""
    if value == float("inf"):
        return "+Inf"
    return repr(float(value))


def _add_histogram(family: Metric, name: str, labels: dict[str, str], histogram: Histogram) -> None:
    bounds = (*histogram.bounds, float("inf"))
    for bound, count in zip(bounds, accumulate(histogram.counts), strict=True):
        family.add_sample(f"{name}_bucket", {**labels, "le": _bound(bound)}, count)
    family.add_sample(f"{name}_count", labels, sum(histogram.counts))
    family.add_sample(f"{name}_sum", labels, histogram.total)
