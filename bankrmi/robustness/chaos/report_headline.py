"""What comes first in a report: the verdict, what it rests on, and the figures one asks for first.

Rule: a run in which nothing was judged is not called good.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from bankrmi.robustness.chaos.recorded import Failover, Recorded
from bankrmi.robustness.chaos.report_figures import (
    Silence,
    Window,
    answered_calls,
    answered_operations,
    at_percent,
    failovers_within,
    faults_by_kind,
    faults_within,
    in_doubt_calls,
    latencies,
    silences,
    somebody_led,
    spreads,
)
from bankrmi.robustness.chaos.report_markup import Markup, element
from bankrmi.robustness.chaos.report_words import (
    clock_time,
    counted,
    duration,
    fault_noun,
    fault_sentence,
    number,
    plural,
    rate,
    verdict_words,
)

__all__ = ["SILENCE_NS", "RunSummary", "going_on", "headline", "window_words"]

SILENCE_NS = 250_000_000
_MOST_REASONS = 4


class RunSummary:
    """What several sections say of one run, reckoned once."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self.operations = answered_operations(recorded.calls)
        self.length_ns = recorded.ended_ns - recorded.started_ns
        self.latencies = latencies(recorded.calls)
        self.faults = faults_by_kind(recorded)
        self.spreads = spreads(recorded.failovers)
        self.silences = silences(recorded.calls, SILENCE_NS)

    @property
    def fault_count(self) -> int:
        return sum(hits.total() for hits in self.faults.values())

    def clock(self, at_ns: int, decimals: int = 1) -> str:
        return clock_time(at_ns - self.recorded.started_ns, decimals)

    @cached_property
    def verdict(self) -> str:
        words = verdict_words(self.recorded, self.operations)
        return words[0].upper() + words[1:]

    @property
    def verdict_kind(self) -> str:
        if self.recorded.violations:
            return "bad"
        return "good" if self.operations and self.recorded.checked else "empty"


def headline(summary: RunSummary) -> Markup:
    """Return the verdict, what it rests on, and the figures one asks for first."""
    recorded = summary.recorded
    violations = element("ol", (element("li", one) for one in recorded.violations), class_="violations")
    untold = element("p", f"and {number(recorded.untold)} more", class_="note") if recorded.untold else ""
    return element(
        "header",
        element(
            "p", f"bankrmi chaos · seed {recorded.seed} · version {recorded.version}", class_="over-line"
        ),
        element("h1", element("span", class_="seal", aria_hidden="true"), summary.verdict),
        violations if recorded.violations else "",
        untold,
        element("p", _rests_on(summary), class_="lead"),
        element("p", (f"{note} " for note in recorded.notes), class_="note") if recorded.notes else "",
        element("dl", _tiles(summary), class_="tiles"),
        class_=f"verdict {summary.verdict_kind}",
    )


def _rests_on(summary: RunSummary) -> str:
    kinds = ", ".join(
        f"{number(hits.total())} {fault_noun(kind, hits.total())}" for kind, hits in summary.faults.items()
    )
    faults = counted(summary.fault_count, "fault")
    length = duration(summary.length_ns)
    return (
        f"{summary.recorded.servers} servers and a witness ran for {length} under {faults}"
        f"{': ' if kinds else ''}{kinds}. This says what this run has found, and not what can never happen."
    )


def _tiles(summary: RunSummary) -> Iterator[Markup]:
    calls, length = summary.recorded.calls, summary.length_ns
    yield _tile(
        "operations answered", number(summary.operations),
        f"{number(rate(summary.operations, length))} a second, in {counted(answered_calls(calls), 'call')}",
    )  # fmt: skip
    if summary.latencies:
        median, p99 = (duration(at_percent(summary.latencies, percent)) for percent in (50, 99))
        yield _tile("latency of a call", median, f"median; 99 % within {p99}")
    faults = summary.fault_count
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


def _silence(summary: RunSummary, silence: Silence) -> str:
    total = sum(one.length_ns for one in summary.silences)
    return f"nobody was answered, from {summary.clock(silence.from_ns)}; in all {duration(total)}"


def _tile(name: str, figure: str, more: str) -> Markup:
    return element("div", element("dt", name), element("dd", element("b", figure), element("span", more)))


def window_words(summary: RunSummary, window: Window) -> tuple[str, str]:
    """Return a heading and a sentence about what is shown closer."""
    shown = window.shown
    if isinstance(shown, Silence):
        heading = f"Nobody answered for {duration(shown.length_ns)}, from {summary.clock(shown.from_ns)}"
        meanwhile = going_on(summary.recorded, shown.from_ns, shown.to_ns)
        return heading, f"{window.why.capitalize()}. Meanwhile: {meanwhile}."
    heading = f"{shown.cause.capitalize()} at {summary.clock(shown.at_ns)}: {duration(shown.took_ns)}"
    return heading, f"{window.why.capitalize()}. {_told_of(summary, shown)}"


def _told_of(summary: RunSummary, failover: Failover) -> str:
    end_ns = failover.at_ns + failover.took_ns
    silent = [one.length_ns for one in summary.silences if one.overlaps(failover.at_ns, end_ns)]
    sentence = (
        f"{failover.old_primary} led; {duration(failover.took_ns)} later "
        f"{failover.new_primary} acknowledged the first update of epoch {failover.epoch}."
    )
    if silent:
        sentence += f" Nobody was answered for {duration(max(silent))}."
    return sentence


def going_on(recorded: Recorded, from_ns: int, to_ns: int) -> str:
    """Return in words what else went on in a stretch of time."""
    faults = faults_within(recorded, from_ns, to_ns)
    reasons = [fault_sentence(fault) for fault in faults[:_MOST_REASONS]]
    if len(faults) > _MOST_REASONS:
        reasons.append(f"{counted(len(faults) - _MOST_REASONS, 'fault')} more")
    if not somebody_led(recorded, from_ns, to_ns):
        reasons.append("for a time nobody led")
    led = failovers_within(recorded, from_ns, to_ns)
    reasons += [f"{failover.new_primary} took the lead (epoch {failover.epoch})" for failover in led]
    return "; ".join(reasons) or "no fault"
