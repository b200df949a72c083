"""How long failovers took, for each cause: every one a dot, on one axis of powers of ten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from bankrmi.robustness.chaos.report_figures import Spread
from bankrmi.robustness.chaos.report_markup import Markup, element
from bankrmi.robustness.chaos.report_tables import cells, scrolled
from bankrmi.robustness.chaos.report_words import duration, number

__all__ = ["failover_times"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """Failover times from left to right, by powers of ten."""

    low: int
    high: int
    units: int = 600
    steps: int = 90

    def part(self, took_ns: int) -> float:
        return (log10(max(took_ns, 1)) - self.low) / (self.high - self.low)

    def marks(self) -> Iterator[Markup]:
        for power in range(self.low, self.high + 1):
            left = 100 * (power - self.low) / (self.high - self.low)
            text = f"{10 ** (power - 9)} s" if power >= 9 else f"{10 ** (power - 6)} ms"
            yield element("span", text, class_="mark", style=f"left:{left:.2f}%")

    def lines(self) -> Iterator[Markup]:
        for power in range(self.low, self.high + 1):
            left = 100 * (power - self.low) / (self.high - self.low)
            yield element("i", class_="line", style=f"left:{left:.2f}%")

    def dots(self, took_ns: Sequence[int]) -> Markup:
        """Return a dot for each failover, on top of those that took about as long."""
        heaps: dict[int, int] = {}
        for took in took_ns:
            step = floor(self.part(took) * self.steps)
            heaps[step] = heaps.get(step, 0) + 1
        apart = min(7.0, 44 / max(heaps.values()))
        path = "".join(
            f"M{round((step + 0.5) * self.units / self.steps)} {52 - apart * place:.1f}h0"
            for step, height in sorted(heaps.items())
            for place in range(height)
        )
        return element(
            "svg", element("path", d=path),
            viewBox=f"0 0 {self.units} 56", preserveAspectRatio="none", aria_hidden="true",
        )  # fmt: skip


def failover_times(spreads: Sequence[Spread]) -> Markup:
    """Return how long failovers took, for each cause."""
    if not spreads:
        return element("p", "The primary never changed.", class_="note")
    shortest = min(spread.took_ns[0] for spread in spreads)
    longest = max(spread.longest_ns for spread in spreads)
    low = max(6, floor(log10(max(shortest, 1))))
    axis = _Axis(low=low, high=max(low + 1, ceil(log10(longest + 1))))
    head = cells("th", "cause", "", "how long, each a dot", "median", "90 %", "longest", scope="col")
    foot = element(
        "tr", element("td"), element("td"), element("td", element("div", axis.marks(), class_="axis"))
    )
    body = [_spread(axis, spread) for spread in spreads]
    return scrolled(element("table", element("thead", head), element("tbody", body, foot), class_="spreads"))


def _spread(axis: _Axis, spread: Spread) -> Markup:
    median = element("i", class_="median", style=f"left:{100 * axis.part(spread.median_ns):.2f}%")
    plot = element("div", axis.lines(), axis.dots(spread.took_ns), median, class_="dots")
    figures = (spread.median_ns, spread.p90_ns, spread.longest_ns)
    return element(
        "tr",
        element("th", spread.cause, scope="row"),
        element("td", number(len(spread.took_ns)), class_="number"),
        element("td", plot, class_="plot"),
        (element("td", duration(figure), class_="number") for figure in figures),
    )
