"""The page of a run: one HTML file that needs nothing else; its look is that of the console.

Rule 1: nothing is fetched, and nothing runs: the page's own policy forbids it.
Rule 2: a bar's length is the ratio, on a scale where half as fast and twice as fast are equally far from 1.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from math import log2
from pathlib import Path

from bankrmi.bench.class_plan import ClassPlan
from bankrmi.bench.figures import OURS, Ratio, Results, summary
from bankrmi.bench.markup import Markup, cells, element, scrolled
from bankrmi.bench.recorded import Run
from bankrmi.bench.telling import figure, ratio_words
from bankrmi.errors import ConfigurationError

__all__ = ["page", "write_page"]

_STYLES = (
    Path(__file__).parents[1] / "console" / "page" / "page.css",
    Path(__file__).with_name("report.css"),
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_WIDEST = 3.0
"""How many times twice as fast still makes the bar longer."""


def write_page(run: Run, results: Results, path: Path) -> None:
    """Write the page; raise ConfigurationError if that cannot be."""
    try:
        path.write_text(page(run, results), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the report {path} cannot be written: {error.strerror}") from None


def page(run: Run, results: Results) -> str:
    """Return the page."""
    style = "\n".join(file.read_text(encoding="utf-8") for file in _STYLES)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"bankrmi bench, {run.begun:%Y-%m-%d}"),
        element("style", Markup(style)),
    )
    body = element("body", element("main", _sections(run, results)))
    return f'<!doctype html>\n<html lang="en">\n{head}\n{body}\n</html>\n'


def _sections(run: Run, results: Results) -> Iterator[Markup]:
    peers = [system for system in results.systems if system != OURS]
    against = f" against {', '.join(peers)}" if peers else ""
    yield element("h1", f"bankrmi{against}")
    said = "Interrupted: this is what was known by then. " if run.interrupted else ""
    yield element(
        "p",
        f"{said}{run.plan.job} {run.plan.rounds} rounds of {run.plan.seconds:g} s a row; medians of the "
        "rounds.",
        class_="lead",
    )
    if results.notes:
        yield element("ul", (element("li", f"{name}: {note}") for name, note in results.notes.items()))
    if any(results.ratio_to(row, peer) for row in results.samples for peer in peers):
        yield _section("ratios", "Operations a second, ours to theirs", *_bars(results, peers))
    if results.samples:
        yield _section("rows", "All rows", _rows(results))
    if results.findings:
        yield _section("findings", _alone(run), _findings(results))
    for name, title, told in (
        ("skipped", "What was not measured", results.skipped),
        ("failed", "What went wrong", results.failed),
    ):
        if told:
            lines = [element("li", element("b", what), f": {why}") for what, why in told.items()]
            yield _section(name, title, element("ul", lines))
    yield _section("again", "On what, and how to do it again", *_circumstances(run))


def _alone(run: Run) -> str:
    return "The service alone" if isinstance(run.plan, ClassPlan) else "The bank alone"


def _section(name: str, title: str, *content: Markup) -> Markup:
    return element("section", element("h2", title), *content, id=name)


def _bars(results: Results, peers: Sequence[str]) -> Iterator[Markup]:
    for peer in peers:
        rows = [
            element("tr", element("th", row, scope="row"), element("td", _bar(compared)), _number(words))
            for row in results.samples
            if (compared := results.ratio_to(row, peer)) is not None and (words := ratio_words(compared))
        ]
        if rows:
            caption = element("caption", f"to {peer}: median, and the rounds' spread")
            yield element("table", caption, element("tbody", rows), class_="ratios")
    yield element(
        "p", "The line in the middle is 1: equally fast. To the right of it we are faster.", class_="note"
    )


def _bar(compared: Ratio) -> Markup:
    """Return a bar from 1 to the median, and a dash over the spread."""
    middle, low, high = map(_place, (compared.median, compared.lowest, compared.highest))
    left, right = min(50.0, middle), max(50.0, middle)
    kind = "better" if compared.median >= 1 else "worse"
    drawn = (
        element("rect", x=f"{left:.2f}", y="4", width=f"{right - left:.2f}", height="10", class_=kind),
        element("path", d=f"M{low:.2f} 9H{max(high, low + 0.3):.2f}", class_="spread"),
        element("path", d="M50 0V18", class_="one"),
    )
    return element(
        "svg", drawn, viewBox="0 0 100 18", preserveAspectRatio="none", role="img",
        aria_label=ratio_words(compared),
    )  # fmt: skip


def _place(value: float) -> float:
    """Return where a ratio is, from 0 to 100; 1 is in the middle."""
    return 50 + 50 * max(-1.0, min(1.0, log2(max(value, 1e-9)) / _WIDEST))


def _rows(results: Results) -> Markup:
    titles = (
        "row",
        "system",
        "op/s",
        "median µs",
        "99th percentile µs",
        "ours to it",
        "CPU µs an operation",
        "MB",
    )
    lines = []
    for row, measured_by in results.samples.items():
        for system in results.systems:
            if samples := measured_by.get(system):
                told = summary(samples)
                compared = None if system == OURS else results.ratio_to(row, system)
                used = ", ".join(f"{name} {spent:.1f}" for name, spent in told.cpu_us.items())
                peaks = ", ".join(f"{name} {most >> 10}" for name, most in told.peak_kb.items())
                figures = map(_number, map(figure, (told.rate, told.median_us, told.p99_us)))
                words = _number(ratio_words(compared) if compared else "")
                lines.append(
                    element(
                        "tr",
                        element("th", row, scope="row"),
                        element("td", system),
                        *figures,
                        words,
                        element("td", used),
                        element("td", peaks),
                        class_="ours" if system == OURS else "",
                    )
                )
    head = element("thead", cells("th", *titles, scope="col"))
    return scrolled(element("table", head, element("tbody", lines)))


def _findings(results: Results) -> Markup:
    lines = [
        element(
            "tr",
            element("th", finding.row, scope="row"),
            element("td", finding.what),
            *(_number(figure(of(finding.values))) for of in (statistics.median, min, max)),
            element("td", finding.unit),
            _number(str(len(finding.values))),
        )
        for finding in results.findings
    ]
    titles = ("row", "what", "median", "lowest", "highest", "unit", "taken")
    head = element("thead", cells("th", *titles, scope="col"))
    return scrolled(element("table", head, element("tbody", lines)))


def _number(text: str) -> Markup:
    return element("td", text, class_="number")


def _circumstances(run: Run) -> Iterator[Markup]:
    yield element("pre", element("code", run.command))
    facts = {"begun": f"{run.begun:%Y-%m-%d %H:%M:%S %Z}", "commit": run.commit or "unknown"}
    told = facts | {name: str(value) for name, value in (run.machine | run.versions).items()}
    pairs = (element("div", element("dt", name), element("dd", value)) for name, value in told.items())
    yield element("dl", pairs, class_="figures")
