"""The tables of a report: the slowest calls, the faults, what was looked at, how to do it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bankrmi.robustness.chaos.recorded import Failover, Fault, MadeCall
from bankrmi.robustness.chaos.report_headline import RunSummary, going_on
from bankrmi.robustness.chaos.report_markup import Content, Markup, element
from bankrmi.robustness.chaos.report_timeline import glyph
from bankrmi.robustness.chaos.report_words import duration, fault_noun, fault_sentence, number

__all__ = ["cells", "evidence", "scrolled", "slowest"]

_SHOWN_SLOWEST = 15
_WHOM = ("primary", "standby", "a server", "the witness", "a client", "a link")


def slowest(summary: RunSummary) -> Markup:
    """Return the slowest calls, and what was going on while they lasted."""
    calls = summary.recorded.calls.slowest[:_SHOWN_SLOWEST]
    if not calls:
        return element("p", "There was no call.", class_="note")
    head = cells("th", "took", "until", "what", "outcome", "asked by", "meanwhile", scope="col")
    rows = [_slow_call(summary, call) for call in calls]
    return scrolled(element("table", element("thead", head), element("tbody", rows), class_="slowest"))


def _slow_call(summary: RunSummary, call: MadeCall) -> Markup:
    what = f"{call.kind} of {number(call.operations)}" if call.operations > 1 else call.kind
    return element(
        "tr",
        element("td", duration(call.latency_ns), class_="number"),
        element("td", _link(summary, call.invoked_ns, call.completed_ns), class_="number"),
        element("td", what),
        element("td", call.outcome.value),
        element("td", f"{call.client} ", element("code", call.request)),
        element("td", going_on(summary.recorded, call.invoked_ns, call.completed_ns), class_="long"),
    )


def _link(summary: RunSummary, from_ns: int, to_ns: int) -> Markup:
    """Return an instant, by which the script shows the timeline there."""
    start = summary.recorded.started_ns
    begin, end = ((at - start) / 1_000_000_000 for at in (from_ns, to_ns))
    return element("a", summary.clock(to_ns), href=f"#t={max(0.0, begin - 2):.1f},{end + 2:.1f}")


def evidence(summary: RunSummary) -> Iterator[Markup]:
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


def _faults(summary: RunSummary) -> Markup:
    """Return how often each kind of fault hit whom."""
    hit = {who for hits in summary.faults.values() for who in hits}
    whom = [who for who in _WHOM if who in hit] + sorted(hit.difference(_WHOM))
    if not whom:
        return element("p", "There was no fault.", class_="note")
    head = cells("th", "", *whom, "in all", scope="col")
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
    return scrolled(element("table", element("thead", head), element("tbody", rows), class_="faults"))


def _all_failovers(summary: RunSummary, failovers: Sequence[Failover]) -> Markup:
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
    head = cells("th", "until", "cause", "lead", "epoch", "took", scope="col")
    return _folded(f"All failovers: {number(len(failovers))}", head, rows)


def _all_faults(summary: RunSummary, faults: Sequence[Fault]) -> Markup:
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
        f"All faults, link by link: {number(len(faults))}",
        cells("th", "until", "what", "lasted", scope="col"),
        rows,
    )


def _folded(title: str, head: Markup, rows: Sequence[Markup]) -> Markup:
    table = element("table", element("thead", head), element("tbody", rows))
    return element("details", element("summary", title), scrolled(table))


def cells(name: str, *texts: str, scope: str = "") -> Markup:
    return element("tr", (element(name, text, scope=scope) for text in texts))


def scrolled(table: Markup) -> Markup:
    return element("div", table, class_="scrolled", tabindex="0", role="region", aria_label="table")
