"""The sections of a report: verdict, figures, failover times, slowest calls, faults, evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor, log10

from bankrmi.robustness.chaos.recorded import Failover, Fault, MadeCall, Recorded
from bankrmi.robustness.chaos.report_figures import (
    Silence,
    Spread,
    Window,
    answered_calls,
    answered_operations,
    at_percent,
    faults_by_kind,
    going_on,
    in_doubt_calls,
    latencies,
    silences,
    spreads,
)
from bankrmi.robustness.chaos.report_markup import Content, Markup, element
from bankrmi.robustness.chaos.report_timeline import glyph
from bankrmi.robustness.chaos.report_words import (
    clock_time,
    counted,
    duration,
    fault_noun,
    fault_sentence,
    number,
    plural,
    rate,
)

__all__ = ["SILENCE_NS", "Summary", "evidence", "failover_times", "headline", "slowest", "window_words"]

SILENCE_NS = 250_000_000
_SHOWN_SLOWEST = 15
_MOST_REASONS = 4


class Summary:
    """What several sections say of one run, reckoned once."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self.operations = answered_operations(recorded.calls)
        self.length_ns = recorded.ended_ns - recorded.started_ns
        self.latencies = latencies(recorded.calls)
        self.faults = faults_by_kind(recorded)
        self.spreads = spreads(recorded.failovers)
        self.silences = silences(recorded.calls, SILENCE_NS)

    def clock(self, at_ns: int, decimals: int = 1) -> str:
        return clock_time(at_ns - self.recorded.started_ns, decimals)

    @cached_property
    def verdict(self) -> str:
        """Return the verdict in a line; what was not looked at is not called good."""
        if self.recorded.violations:
            found = counted(len(self.recorded.violations), "violation")
            return f"{found} in {counted(self.operations, 'operation')}"
        if not self.operations:
            return "Nothing was judged: no operation was answered"
        return f"No violation in {counted(self.operations, 'operation')}"

    @property
    def verdict_kind(self) -> str:
        if self.recorded.violations:
            return "bad"
        return "good" if self.operations else "empty"


def headline(summary: Summary) -> Markup:
    """Return the verdict, what it rests on, and the figures one asks for first."""
    recorded = summary.recorded
    violations = element("ol", (element("li", one) for one in recorded.violations), class_="violations")
    return element(
        "header",
        element(
            "p", f"bankrmi chaos · seed {recorded.seed} · version {recorded.version}", class_="over-line"
        ),
        element("h1", element("span", class_="seal", aria_hidden="true"), summary.verdict),
        violations if recorded.violations else "",
        element("p", _rests_on(summary), class_="lead"),
        element("p", (f"{note} " for note in recorded.notes), class_="note") if recorded.notes else "",
        element("dl", _tiles(summary), class_="tiles"),
        class_=f"verdict {summary.verdict_kind}",
    )


def _rests_on(summary: Summary) -> str:
    kinds = ", ".join(
        f"{number(hits.total())} {fault_noun(kind, hits.total())}" for kind, hits in summary.faults.items()
    )
    faults = counted(len(summary.recorded.faults), "fault")
    length = duration(summary.length_ns)
    return (
        f"{summary.recorded.servers} servers and a witness ran for {length} under {faults}"
        f"{': ' if kinds else ''}{kinds}. This says what this run has found, and not what can never happen."
    )


def _tiles(summary: Summary) -> Iterator[Markup]:
    calls, length = summary.recorded.calls, summary.length_ns
    yield _tile(
        "operations answered", number(summary.operations),
        f"{number(rate(summary.operations, length))} a second, in {counted(answered_calls(calls), 'call')}",
    )  # fmt: skip
    if summary.latencies:
        median, p99 = (duration(at_percent(summary.latencies, percent)) for percent in (50, 99))
        yield _tile("latency of a call", median, f"median; 99 % within {p99}")
    faults = len(summary.recorded.faults)
    often = f"one in {duration(length // faults)}" if faults else "an undisturbed run"
    yield _tile(plural(faults, "fault"), number(faults), often)
    took = sorted(failover.took_ns for failover in summary.recorded.failovers)
    spread = f"median {duration(at_percent(took, 50))}, longest {duration(took[-1])}" if took else "none"
    yield _tile(plural(len(took), "failover"), number(len(took)), spread)
    longest = max(summary.silences, key=lambda silence: silence.length_ns, default=None)
    if longest is None and summary.operations:
        yield _tile("longest silence", f"< {duration(SILENCE_NS)}", "somebody was always answered")
    elif longest is not None:
        yield _tile("longest silence", duration(longest.length_ns), _silence(summary, longest))
    doubts = in_doubt_calls(calls)
    share = (
        f"of {number(len(calls))}; what became of them, the journals told" if doubts else "no deadline passed"
    )
    yield _tile("calls in doubt", number(doubts), share)


def _silence(summary: Summary, silence: Silence) -> str:
    total = sum(one.length_ns for one in summary.silences)
    return f"nobody was answered, from {summary.clock(silence.from_ns)}; in all {duration(total)}"


def _tile(name: str, figure: str, more: str) -> Markup:
    return element("div", element("dt", name), element("dd", element("b", figure), element("span", more)))


def window_words(summary: Summary, window: Window) -> tuple[str, str]:
    """Return a heading and a sentence about one failover."""
    failover = window.failover
    heading = (
        f"{failover.cause.capitalize()} at {summary.clock(failover.at_ns)}: {duration(failover.took_ns)}"
    )
    silent = [
        silence.length_ns
        for silence in summary.silences
        if silence.from_ns < failover.at_ns + failover.took_ns and silence.to_ns > failover.at_ns
    ]
    sentence = (
        f"{window.why.capitalize()}. {failover.old_primary} led; {duration(failover.took_ns)} later "
        f"{failover.new_primary} acknowledged the first update of epoch {failover.epoch}."
    )
    if silent:
        sentence += f" Nobody was answered for {duration(max(silent))}."
    return heading, sentence


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


def failover_times(summary: Summary) -> Markup:
    """Return how long failovers took, for each cause."""
    if not summary.spreads:
        return element("p", "The primary never changed.", class_="note")
    shortest = min(spread.took_ns[0] for spread in summary.spreads)
    longest = max(spread.longest_ns for spread in summary.spreads)
    low = max(6, floor(log10(max(shortest, 1))))
    axis = _Axis(low=low, high=max(low + 1, ceil(log10(longest + 1))))
    head = _cells("th", "cause", "", "how long, each a dot", "median", "90 %", "longest", scope="col")
    foot = element(
        "tr", element("td"), element("td"), element("td", element("div", axis.marks(), class_="axis"))
    )
    body = [_spread(axis, spread) for spread in summary.spreads]
    return _scrolled(element("table", element("thead", head), element("tbody", body, foot), class_="spreads"))


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


def slowest(summary: Summary) -> Markup:
    """Return the slowest calls, and what was going on while they lasted."""
    calls = summary.recorded.calls.slowest[:_SHOWN_SLOWEST]
    if not calls:
        return element("p", "There was no call.", class_="note")
    head = _cells("th", "took", "until", "what", "outcome", "asked by", "meanwhile", scope="col")
    rows = [_slow_call(summary, call) for call in calls]
    return _scrolled(element("table", element("thead", head), element("tbody", rows), class_="slowest"))


def _slow_call(summary: Summary, call: MadeCall) -> Markup:
    what = f"{call.kind} of {number(call.operations)}" if call.operations > 1 else call.kind
    return element(
        "tr",
        element("td", duration(call.latency_ns), class_="number"),
        element("td", _link(summary, call.invoked_ns, call.completed_ns), class_="number"),
        element("td", what),
        element("td", call.outcome.value),
        element("td", f"{call.client} ", element("code", call.request)),
        element("td", _meanwhile(summary.recorded, call), class_="long"),
    )


def _meanwhile(recorded: Recorded, call: MadeCall) -> str:
    faults, failovers = going_on(recorded, call)
    reasons = [fault_sentence(fault) for fault in faults[:_MOST_REASONS]]
    if len(faults) > _MOST_REASONS:
        reasons.append(f"{counted(len(faults) - _MOST_REASONS, 'fault')} more")
    reasons += [f"{failover.new_primary} took the lead (epoch {failover.epoch})" for failover in failovers]
    return "; ".join(reasons) or "no fault"


def _link(summary: Summary, from_ns: int, to_ns: int) -> Markup:
    """Return an instant, by which the script shows the timeline there."""
    start = summary.recorded.started_ns
    begin, end = ((at - start) / 1_000_000_000 for at in (from_ns, to_ns))
    return element("a", summary.clock(to_ns), href=f"#t={max(0.0, begin - 2):.1f},{end + 2:.1f}")


def evidence(summary: Summary) -> Iterator[Markup]:
    """Yield what was done, what was looked at, how to do it again, and where; then every single fault."""
    recorded = summary.recorded
    yield _section("faults", "What was done to it", _faults(summary))
    looked = element("ul", (element("li", one) for one in recorded.checked))
    counts = _figures((name, number(count)) for name, count in recorded.counts)
    yield _section("checked", "What was looked at", looked, counts)
    yield _section(
        "again",
        "How to do it again",
        element("pre", element("code", recorded.command)),
        element(
            "p",
            "The same seed draws the same faults. Real processes take their own time, so what comes of them "
            "differs a little from run to run.",
            class_="note",
        ),
        _figures((("seed", str(recorded.seed)), ("cuts by", recorded.environment.cuts_by), *recorded.files)),
        _figures(recorded.environment.facts),
    )
    every = (
        _all_failovers(summary, recorded.failovers) if recorded.failovers else "",
        _all_faults(summary, recorded.faults) if recorded.faults else "",
    )
    yield _section("each", "Each of them", *every)


def _section(name: str, title: str, *content: Content) -> Markup:
    return element("section", element("h2", title), *content, id=name)


def _figures(pairs: Iterable[tuple[str, str]]) -> Markup:
    rows = [element("div", element("dt", name), element("dd", value)) for name, value in pairs]
    return element("dl", rows, class_="figures") if rows else Markup("")


def _faults(summary: Summary) -> Markup:
    """Return how often each kind of fault hit whom."""
    whom = sorted({who for hits in summary.faults.values() for who in hits})
    if not whom:
        return element("p", "There was no fault.", class_="note")
    head = _cells("th", "", *whom, "in all", scope="col")
    rows = [
        element(
            "tr",
            element(
                "th", glyph(kind), " ", fault_noun(kind, 2), scope="row", class_=f"fault-name {kind.value}"
            ),
            (element("td", number(hits[who]) if hits[who] else "·", class_="number") for who in whom),
            element("td", element("b", number(hits.total())), class_="number"),
        )
        for kind, hits in summary.faults.items()
    ]
    return _scrolled(element("table", element("thead", head), element("tbody", rows), class_="faults"))


def _all_failovers(summary: Summary, failovers: Sequence[Failover]) -> Markup:
    rows = [
        element(
            "tr",
            element("td", _link(summary, one.at_ns, one.at_ns + one.took_ns), class_="number"),
            element("td", one.cause),
            element("td", f"{one.old_primary} → {one.new_primary}"),
            element("td", str(one.epoch), class_="number"),
            element("td", duration(one.took_ns), class_="number"),
        )
        for one in failovers
    ]
    head = _cells("th", "until", "cause", "lead", "epoch", "took", scope="col")
    return _folded(f"All {counted(len(failovers), 'failover')}", head, rows)


def _all_faults(summary: Summary, faults: Sequence[Fault]) -> Markup:
    rows = [
        element(
            "tr",
            element("td", _link(summary, one.from_ns, one.to_ns), class_="number"),
            element("td", fault_sentence(one)),
            element("td", duration(one.to_ns - one.from_ns), class_="number"),
        )
        for one in sorted(faults, key=lambda fault: fault.from_ns)
    ]
    return _folded(
        f"All {counted(len(faults), 'fault')}", _cells("th", "until", "what", "lasted", scope="col"), rows
    )


def _folded(title: str, head: Markup, rows: Sequence[Markup]) -> Markup:
    table = element("table", element("thead", head), element("tbody", rows))
    return element("details", element("summary", title), _scrolled(table))


def _cells(name: str, *texts: str, scope: str = "") -> Markup:
    return element("tr", (element(name, text, scope=scope) for text in texts))


def _scrolled(table: Markup) -> Markup:
    return element("div", table, class_="scrolled", tabindex="0", role="region", aria_label="table")
