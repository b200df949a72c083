"""Operations per second and latency, as drawings over time.

Rule 1: a drawing is as wide as there is room (`preserveAspectRatio="none"`), so there is no text in it.
Rule 2: across is time, in hundredths of a second since the start of the run; down is 0 (top) to 100.
Rule 3: all drawings of one report share one `Scale`, so that they can be compared by eye.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, log10

from bankrmi.robustness.chaos.recorded import CallColumns, OutcomeKind
from bankrmi.robustness.chaos.report_figures import ANSWERED, Bin, at_percent, latencies
from bankrmi.robustness.chaos.report_markup import Markup, element
from bankrmi.robustness.chaos.report_words import duration, number, rate

__all__ = ["Scale", "scale_of"]

_UNIT_NS = 10_000_000
_HEIGHT = 100
_MOST_DOTS = 1500
_DECADES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000)
_IN_DOUBT = tuple(OutcomeKind).index(OutcomeKind.IN_DOUBT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How instants, rates and latencies become places."""

    start_ns: int
    highest_rate: int
    low_ns: int  # a power of ten
    high_ns: int  # a power of ten

    def across(self, at_ns: int) -> int:
        return round((at_ns - self.start_ns) / _UNIT_NS)

    def seconds(self, at_ns: int) -> str:
        """Return an instant for the style sheet."""
        return f"{(at_ns - self.start_ns) / 1_000_000_000:.3f}".rstrip("0").rstrip(".")

    def down_rate(self, operations_per_second: int) -> float:
        return _HEIGHT * (1 - min(1.0, operations_per_second / self.highest_rate))

    def down_latency(self, latency_ns: int) -> float:
        part = log10(max(latency_ns, self.low_ns) / self.low_ns) / log10(self.high_ns / self.low_ns)
        return _HEIGHT * (1 - min(1.0, part))

    def rate_marks(self) -> list[tuple[float, str]]:
        half = self.highest_rate // 2
        return [(self.down_rate(value), _short(value)) for value in (0, half, self.highest_rate)]

    def latency_marks(self) -> list[tuple[float, str]]:
        return [
            (self.down_latency(decade), _round_time(decade))
            for decade in _DECADES
            if self.low_ns <= decade <= self.high_ns
        ]

    def view_box(self, from_ns: int, to_ns: int) -> str:
        left = self.across(from_ns)
        return f"{left} 0 {max(1, self.across(to_ns) - left)} {_HEIGHT}"

    def rate_drawing(self, bins: Sequence[Bin], from_ns: int, to_ns: int, width_ns: int) -> Markup:
        """Return steps, filled down to nothing."""
        path = ""
        if bins:
            left, right = self.across(bins[0].from_ns), self.across(bins[-1].from_ns + width_ns)
            steps = "".join(
                f"V{_place(self.down_rate(rate(stretch.operations, width_ns)))}"
                f"H{self.across(stretch.from_ns + width_ns)}"
                for stretch in bins
            )
            path = f"M{left} {_HEIGHT}{steps}V{_HEIGHT}H{right}Z"
        rates = sorted(rate(stretch.operations, width_ns) for stretch in bins)
        said = f"median {number(at_percent(rates, 50))}, highest {number(rates[-1] if rates else 0)}"
        return self._drawing(
            "Operations per second", said, [_path("rate", path)], self.view_box(from_ns, to_ns)
        )

    def latency_drawing(self, bins: Sequence[Bin], from_ns: int, to_ns: int, width_ns: int) -> Markup:
        """Return a band from the median to the 99th percentile, and a dash for the longest."""
        pieces = [_path("band", "".join(self._bands(bins, width_ns)))]
        dashes = "".join(
            f"M{self.across(stretch.from_ns)} {_place(self.down_latency(stretch.longest_ns))}"
            f"h{max(1, self.across(stretch.from_ns + width_ns) - self.across(stretch.from_ns))}"
            for stretch in bins
            if stretch.answered
        )
        doubts = "".join(
            f"M{self.across(stretch.from_ns + width_ns // 2)} 0v9" for stretch in bins if stretch.in_doubt
        )
        pieces += [_path("longest", dashes), _path("doubt", doubts)]
        longest = max((stretch.longest_ns for stretch in bins), default=0)
        return self._drawing("Latency", f"longest {duration(longest)}", pieces, self.view_box(from_ns, to_ns))

    def _bands(self, bins: Sequence[Bin], width_ns: int) -> Iterator[str]:
        """Yield one closed shape for each stretch of time without a gap."""
        for answered, together in groupby(bins, key=lambda stretch: bool(stretch.answered)):
            if answered:
                run = list(together)
                upper = [(stretch.from_ns, self.down_latency(stretch.p99_ns)) for stretch in run]
                lower = [(stretch.from_ns, self.down_latency(stretch.median_ns)) for stretch in run]
                path = f"M{self.across(run[0].from_ns)} {_place(upper[0][1])}"
                path += "".join(f"V{_place(y)}H{self.across(at + width_ns)}" for at, y in upper)
                path += "".join(f"V{_place(y)}H{self.across(at)}" for at, y in reversed(lower))
                yield path + "Z"

    def call_drawing(self, calls: CallColumns, from_ns: int, to_ns: int) -> Markup:
        """Return a dot for each call at the moment at which it ended; of very many fast ones only some."""
        first, last = bisect_left(calls.completed_ns, from_ns), bisect_left(calls.completed_ns, to_ns)
        places = [place for place in range(first, last) if calls.outcomes[place] in ANSWERED]
        dots = "".join(self._dot(calls, place) for place in _thinned(calls, places))
        doubts = "".join(
            f"{self._dot(calls, place)[:-2]}m0 -4v8"
            for place in range(first, last)
            if calls.outcomes[place] == _IN_DOUBT
        )
        said = f"{number(len(places))} calls, longest " + duration(
            max((calls.latency_ns[place] for place in places), default=0)
        )
        return self._drawing(
            "Latency of each call",
            said,
            [_path("calls", dots), _path("doubt", doubts)],
            self.view_box(from_ns, to_ns),
        )

    def _dot(self, calls: CallColumns, place: int) -> str:
        x = (calls.completed_ns[place] - self.start_ns) / _UNIT_NS
        return f"M{x:.1f} {_place(self.down_latency(calls.latency_ns[place]))}h0"

    @staticmethod
    def _drawing(title: str, said: str, content: Iterable[Markup], view_box: str) -> Markup:
        return element(
            "svg",
            element("title", title),
            element("desc", said),
            list(content),
            role="img",
            viewBox=view_box,
            preserveAspectRatio="none",
        )


def scale_of(calls: CallColumns, bins: Sequence[Bin], start_ns: int, width_ns: int) -> Scale:
    """Return a scale on which every rate but single peaks, and nearly every latency, has its place."""
    rates = sorted(rate(stretch.operations, width_ns) for stretch in bins)
    ordered = latencies(calls)
    low, high = at_percent(ordered, 1) or 1_000_000, ordered[-1] if ordered else 1_000_000
    low_power, high_power = floor(log10(max(low, 1_000))), ceil(log10(max(high, 1_000)))
    return Scale(
        start_ns=start_ns,
        highest_rate=_round_up(at_percent(rates, 99)),
        low_ns=10 ** min(low_power, 9),
        high_ns=10 ** max(high_power, low_power + 1),
    )


def _thinned(calls: CallColumns, places: Sequence[int]) -> Sequence[int]:
    """Return all of the slow calls, and as many of the others as can be told apart."""
    if len(places) <= _MOST_DOTS:
        return places
    by_latency = sorted(places, key=lambda place: -calls.latency_ns[place])
    slow, others = by_latency[: _MOST_DOTS // 3], sorted(by_latency[_MOST_DOTS // 3 :])
    step = -(-len(others) // (_MOST_DOTS * 2 // 3))
    return slow + others[::step]


def _round_up(value: int) -> int:
    """Return the next of 10, 20, 40, 50, 60, 80, 100, 200, …"""
    size = int(10 ** max(1, floor(log10(max(value, 1)))))
    return next(step * size for step in (1, 2, 4, 5, 6, 8, 10) if step * size >= value)


def _place(down: float) -> str:
    return f"{down:.1f}".removesuffix(".0")


def _path(name: str, path: str) -> Markup:
    return element("path", class_=name, d=path)


def _round_time(nanoseconds: int) -> str:
    """Return a power of ten, as shortly as it can be said."""
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if nanoseconds >= size:
            return f"{nanoseconds // size} {unit}"
    return f"{nanoseconds} ns"


def _short(value: int) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else str(value)
