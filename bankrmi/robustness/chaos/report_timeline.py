"""Who was what, what was done to whom, and what clients saw of it: lanes and drawings over one axis of time.

A lane for each process: how high its bar is says how much it does (primary, standby, joining, starting,
nothing), faults are above it. A row for each pair of processes whose link was cut or slow: the upper half is
what the first sends, the lower half what the second sends. Below, operations per second and latency.

Rule 1: every mark says in seconds (`--t`, `--d`) where it is, and the style sheet finds its place from
        `--from` and `--span` of the timeline: a closer look is two other figures there.
Rule 2: nothing is said by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bankrmi.robustness.chaos.recorded import (
    Fault,
    FaultKind,
    ProcessKind,
    ProcessRole,
    Recorded,
    RecordedProcess,
    RoleSpan,
)
from bankrmi.robustness.chaos.report_figures import Bin, Silence
from bankrmi.robustness.chaos.report_markup import Content, Markup, element
from bankrmi.robustness.chaos.report_plots import Scale
from bankrmi.robustness.chaos.report_words import clock_time, duration, fault_sentence, fault_verb

__all__ = ["Stretch", "glyph", "glyphs", "key", "timeline"]

CLIENTS = "clients"
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)
_MOST_MARKS = 8
_DRAWN = {
    FaultKind.KILL: "M2.5 2.5l7 7m0-7l-7 7",
    FaultKind.STOP: "M3 3h6v6h-6z",
    FaultKind.PAUSE: "M4 2.5v7m4-7v7",
    FaultKind.WIPE: "M6 1a5 5 0 1 0 .01 0zM4 4l4 4m0-4l-4 4",
    FaultKind.CUT: "M0 6h3.5m5 0h3.5M5 2.5v7m2-7v7",
    FaultKind.SLOW: "M3 2h6l-6 8h6z",
    FaultKind.REMOVE: "M6 1a5 5 0 1 0 .01 0zM3 6h6",
    FaultKind.SWITCHOVER: "M1 4h9l-2.5-2.5M11 8h-9l2.5 2.5",
    FaultKind.STRANGERS: "M3 4v-2h6v2l-3 2.5v1.5M6 10v.01",
    FaultKind.RUSH: "M1 6h8M6 2.5l3.5 3.5-3.5 3.5",
    FaultKind.SLOW_DISK: "M6 1a5 5 0 1 0 .01 0zM6 3v3l2 1.5",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The part of a run that one timeline shows."""

    recorded: Recorded
    scale: Scale
    from_ns: int
    to_ns: int
    bins: Sequence[Bin]
    width_ns: int  # of a bin
    silences: Sequence[Silence]

    def overlaps(self, mark: RoleSpan | Fault | Silence) -> bool:
        return mark.from_ns < self.to_ns and mark.to_ns >= self.from_ns

    def style(self, from_ns: int, to_ns: int) -> str:
        """Return the place of a mark; it is cut off at the edges, so that its name can be read."""
        from_ns, to_ns = max(from_ns, self.from_ns), min(to_ns, self.to_ns)
        length = f"{(to_ns - from_ns) / 1_000_000_000:.3f}".rstrip("0").rstrip(".")
        return f"--t:{self.scale.seconds(from_ns)};--d:{length}"

    def clock(self, at_ns: int) -> str:
        return clock_time(at_ns - self.scale.start_ns, 2)


def timeline(stretch: Stretch, *, each_call: bool, zoomed: bool, label: str) -> Markup:
    """Return a timeline: with a dot for `each_call` if it is short; `zoomed` by the script if that runs."""
    scale, from_ns, to_ns = stretch.scale, stretch.from_ns, stretch.to_ns
    rates = scale.rate_drawing(stretch.bins, from_ns, to_ns, stretch.width_ns)
    if each_call:
        latency = scale.call_drawing(stretch.recorded.calls, from_ns, to_ns)
    else:
        latency = scale.latency_drawing(stretch.bins, from_ns, to_ns, stretch.width_ns)
    span_s = (to_ns - from_ns) / 1_000_000_000
    return element(
        "div",
        element("div", _silences(stretch), class_="over", aria_hidden="true"),
        _lanes(stretch),
        _links(stretch),
        _plot("operations per second", rates, scale.rate_marks()),
        _plot(f"latency{' of each call' if each_call else ''}", latency, scale.latency_marks(), tall=True),
        _row("", element("div", _ticks(stretch), class_="track"), "axis"),
        class_="timeline" + (" dense" if span_s > 150 else ""),
        style=f"--from:{scale.seconds(from_ns)};--span:{span_s:.3f}",
        role="group",
        aria_label=label,
        data_zoomed=zoomed,
    )


def glyph(kind: FaultKind) -> Markup:
    """Return the small drawing that stands for a kind of fault; `glyphs` must be on the page."""
    return element("svg", element("use", href=f"#{kind.value}"), class_="glyph", aria_hidden="true")


def glyphs() -> Markup:
    """Return the drawings themselves, once for a page."""
    symbols = [
        element("symbol", element("path", d=path), id=kind.value, viewBox="0 0 12 12")
        for kind, path in _DRAWN.items()
    ]
    return element("svg", symbols, class_="symbols", aria_hidden="true")


def key(recorded: Recorded, silences: Sequence[Silence]) -> Markup:
    """Return what the marks mean: only those that are used."""
    used = {span.role for span in recorded.roles}
    roles = [
        element("li", element("i", class_=f"role {role.value}"), role.value)
        for role in (
            ProcessRole.PRIMARY,
            ProcessRole.STANDBY,
            ProcessRole.JOINING,
            ProcessRole.STARTING,
            ProcessRole.DOWN,
        )
        if role in used
    ]
    done = {fault.kind for fault in recorded.faults}
    faults = [
        element("li", element("i", glyph(kind), class_=f"fault {kind.value}"), fault_verb(kind))
        for kind in FaultKind
        if kind in done
    ]
    links = "of a link: the upper half is what the first sends, the lower half what the second sends"
    more = [element("li", links, class_="wide")] if any(fault.toward for fault in recorded.faults) else []
    silent = [element("li", element("i", class_="silence"), "nobody was answered")] if silences else []
    return element("ul", roles, faults, silent, more, class_="key")


def _row(name: Content, track: Markup, kind: str, *, before: Content = ()) -> Markup:
    return element("div", before, element("div", name, class_="name"), track, class_=f"row {kind}")


def _lanes(stretch: Stretch) -> Iterator[Markup]:
    """Yield a lane for each witness and server, and one for all clients if anything was done to one."""
    recorded = stretch.recorded
    for process in recorded.processes:
        if process.kind is not ProcessKind.CLIENT:
            yield _row(process.name, _track(stretch, [process]), f"lane {process.kind.value}")
    clients = [process for process in recorded.processes if process.kind is ProcessKind.CLIENT]
    names = {process.name for process in clients}
    if any(fault.target in names and not fault.toward for fault in recorded.faults):
        yield _row(CLIENTS, _track(stretch, clients), "lane client")


def _track(stretch: Stretch, processes: Iterable[RecordedProcess]) -> Markup:
    names = {process.name: process for process in processes}
    spans = [
        _role(stretch, span)
        for span in stretch.recorded.roles
        if span.process in names
        and names[span.process].kind is not ProcessKind.CLIENT
        and stretch.overlaps(span)
    ]
    faults = [
        _fault(stretch, fault, fault.kind.value)
        for fault in stretch.recorded.faults
        if fault.target in names and not fault.toward and stretch.overlaps(fault)
    ]
    return element("div", spans, faults, class_="track", aria_hidden="true")


def _role(stretch: Stretch, span: RoleSpan) -> Markup:
    epoch = f"epoch {span.epoch}" if span.epoch else ""
    length = duration(span.to_ns - span.from_ns)
    what = f"{span.role.value}, {epoch}" if epoch else span.role.value
    return element(
        "span",
        element("b", f"{span.role.value} ", element("i", epoch) if epoch else ""),
        class_=f"role {span.role.value}",
        style=stretch.style(span.from_ns, span.to_ns),
        title=f"{span.process} {what}, {length} from {stretch.clock(span.from_ns)}",
    )


def _fault(stretch: Stretch, fault: Fault, kind: str) -> Markup:
    length = duration(fault.to_ns - fault.from_ns)
    return element(
        "span",
        glyph(fault.kind),
        element("b", fault_verb(fault.kind)),
        class_=f"fault {kind}",
        style=stretch.style(fault.from_ns, fault.to_ns),
        title=f"{fault_sentence(fault)}, {length} from {stretch.clock(fault.from_ns)}",
    )


def _links(stretch: Stretch) -> Iterator[Markup]:
    """Yield a row for each pair whose link was hit in this stretch; all clients are one end."""
    rows: dict[tuple[str, str], list[Markup]] = {}
    named: dict[tuple[tuple[str, str], str], int] = {}
    shown = {
        process.name: CLIENTS if process.kind is ProcessKind.CLIENT else process.name
        for process in stretch.recorded.processes
    }
    order = {name: place for place, name in enumerate([CLIENTS, *shown])}
    for fault in sorted(stretch.recorded.faults, key=lambda fault: fault.from_ns):
        if fault.toward and stretch.overlaps(fault):
            sender, receiver = (shown.get(name, name) for name in (fault.target, fault.toward))
            first, second = sorted((sender, receiver), key=lambda name: order.get(name, len(order)))
            one_way = "there" if sender == first else "back"
            kind = f"{fault.kind.value} {'both' if fault.both_ways else one_way}"
            until = named.get(((first, second), kind), 0)
            again = " again" if fault.from_ns < until else ""  # Another client's, at the same time.
            named[(first, second), kind] = max(fault.to_ns, until)
            rows.setdefault((first, second), []).append(_fault(stretch, fault, kind + again))
    for pair in sorted(rows, key=lambda pair: (CLIENTS in pair, pair)):
        track = element("div", rows[pair], class_="track", aria_hidden="true")
        yield _row(f"{pair[0]} – {pair[1]}", track, "link")


def _silences(stretch: Stretch) -> list[Markup]:
    return [
        element(
            "span",
            element("b", element("i", "nobody answered "), duration(silence.length_ns)),
            class_="silence",
            style=stretch.style(silence.from_ns, silence.to_ns),
        )
        for silence in stretch.silences
        if stretch.overlaps(silence)
    ]


def _plot(name: str, drawing: Markup, marks: Iterable[tuple[float, str]], *, tall: bool = False) -> Markup:
    lines, labels = [], []
    for down, label in marks:
        lines.append(element("i", class_="line", style=f"top:{down:.1f}%"))
        labels.append(element("i", label, class_="mark", style=f"top:{down:.1f}%"))
    scale = element("span", labels, class_="marks")
    caption = element("div", name, class_="caption")
    track = element("div", lines, drawing, class_="track")
    return _row(scale, track, f"plot{' tall' if tall else ''}", before=caption)


def _ticks(stretch: Stretch) -> Iterator[Markup]:
    """Yield round instants; seconds since the start of the run."""
    start, end = ((at - stretch.scale.start_ns) / 1_000_000_000 for at in (stretch.from_ns, stretch.to_ns))
    step = next((step for step in _STEPS_S if (end - start) / step <= _MOST_MARKS), _STEPS_S[-1])
    decimals = 0 if step >= 1 else 1
    place = -(-start // step)
    while place * step <= end:
        at = place * step
        text = clock_time(round(at * 1_000_000_000), decimals)
        yield element("span", text, class_="tick", style=f"--t:{at:g}")
        place += 1
