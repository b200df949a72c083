"""The report of a run: one HTML file that needs nothing else, on screen and on paper.

Rule 1: nothing is fetched: style, script and drawings are in the file, and its own policy forbids the rest.
Rule 2: without the script everything can be read; the script adds a closer look at any moment.
Rule 3: what is embedded grows with the length of the run and the number of faults, not with the calls.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from bankrmi.errors import ConfigurationError
from bankrmi.robustness.chaos.recorded import Recorded
from bankrmi.robustness.chaos.report_failovers import failover_times
from bankrmi.robustness.chaos.report_figures import Bin, binned, windows
from bankrmi.robustness.chaos.report_headline import RunSummary, headline, window_words
from bankrmi.robustness.chaos.report_markup import Markup, element
from bankrmi.robustness.chaos.report_plots import Scale, scale_of
from bankrmi.robustness.chaos.report_tables import evidence, slowest
from bankrmi.robustness.chaos.report_timeline import Stretch, glyphs, key, timeline
from bankrmi.robustness.chaos.report_words import rate

__all__ = ["check_writable", "report", "write_report"]

_CLOSER_LOOKS, _FAILOVERS_CLOSER = 6, 4
_MOST_COARSE, _MOST_FINE = 900, 18_000
_WIDTHS_MS = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000)
_COARSE_NS, _FINE_NS = 200_000_000, 100_000_000
_STYLE = Path(__file__).with_name("report.css")
_SCRIPT = Path(__file__).with_name("report.js")


def check_writable(path: Path) -> None:
    """See that a report can be written there, before a run; raise ConfigurationError, saying why not."""
    there = path.exists()
    try:
        path.open("a").close()
    except FileNotFoundError:
        raise ConfigurationError(f"the report {path} cannot be written: there is no such folder") from None
    except OSError as error:
        raise ConfigurationError(f"the report {path} cannot be written: {error.strerror}") from None
    if not there:
        path.unlink()


def write_report(recorded: Recorded, path: Path) -> None:
    """Write the report of a run; raise ConfigurationError if that cannot be."""
    try:
        path.write_text(report(recorded), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the report {path} cannot be written: {error.strerror}") from None


def report(recorded: Recorded) -> str:
    """Return the report of a run."""
    summary = RunSummary(recorded)
    script = _SCRIPT.read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{summary.verdict} – bankrmi chaos, seed {recorded.seed}"),
        element("style", Markup(_STYLE.read_text(encoding="utf-8"))),
    )
    body = element(
        "body",
        glyphs(),
        headline(summary),
        element("main", _sections(summary)),
        _foot(recorded),
        element("script", Markup(script)),
    )
    return f'<!doctype html>\n<html lang="en">\n{head}\n{body}\n</html>\n'


def _policy(script: str) -> str:
    """Allow the style, and this very script; nothing else, and nothing from anywhere."""
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _sections(summary: RunSummary) -> Iterator[Markup]:
    recorded = summary.recorded
    start, end = recorded.started_ns, recorded.ended_ns
    width = max(_COARSE_NS, _width(end - start, _MOST_COARSE))
    coarse = list(binned(recorded.calls, start, end, width))
    fine_width = _width(end - start, _MOST_FINE)
    fine = list(binned(recorded.calls, start, end, fine_width))
    scale = scale_of(recorded.calls, fine, start, fine_width)
    whole = Stretch(
        recorded=recorded, scale=scale, from_ns=start, to_ns=end,
        bins=coarse, width_ns=width, silences=summary.silences,
    )  # fmt: skip
    yield element(
        "section",
        element("h2", "The whole run"),
        key(recorded, summary.silences),
        timeline(whole, each_call=False, zoomed=True, label="Timeline of the whole run"),
        element("p", _plots_key(whole), class_="note"),
        _fine(fine, fine_width, scale),
        id="timeline",
    )
    looks = list(_closer_looks(summary, whole))
    if looks:
        yield element(
            "section", element("h2", "A closer look"), element("div", looks, class_="looks"), id="looks"
        )
    yield element(
        "section", element("h2", "How long failovers took"), failover_times(summary.spreads), id="failovers"
    )
    yield element("section", element("h2", "The slowest calls"), slowest(summary), id="slowest")
    yield from evidence(summary)


def _plots_key(whole: Stretch) -> str:
    return (
        f"Latency: the band goes from the median to the 99th percentile of each {whole.width_ns / 1e9:g} s, "
        "the dash is the slowest call; a mark at the top edge is a call in doubt. Calls stand where they "
        "ended. Where there is no band, nothing was answered."
    )


def _closer_looks(summary: RunSummary, whole: Stretch) -> Iterator[Markup]:
    for window in windows(
        summary.recorded, summary.silences, count=_CLOSER_LOOKS, failovers=_FAILOVERS_CLOSER
    ):
        bins = list(binned(summary.recorded.calls, window.from_ns, window.to_ns, _FINE_NS))
        stretch = Stretch(
            recorded=summary.recorded, scale=whole.scale, from_ns=window.from_ns, to_ns=window.to_ns,
            bins=bins, width_ns=_FINE_NS, silences=summary.silences,
        )  # fmt: skip
        heading, sentence = window_words(summary, window)
        yield element(
            "figure",
            element("figcaption", element("h3", heading), element("p", sentence)),
            timeline(stretch, each_call=True, zoomed=False, label=heading),
        )


def _fine(bins: Sequence[Bin], width: int, scale: Scale) -> Markup:
    """Return the figures by which the script draws a closer look; latencies in 10 µs."""
    values = {
        "width": width / 1e9,
        "low": scale.low_ns / 1e9,
        "high": scale.high_ns / 1e9,
        "top": scale.highest_rate,
        "rates": [rate(stretch.operations, width) for stretch in bins],
        "medians": [_hundredths(stretch.median_ns) for stretch in bins],
        "p99s": [_hundredths(stretch.p99_ns) for stretch in bins],
        "longests": [_hundredths(stretch.longest_ns) for stretch in bins],
    }
    return element(
        "script", Markup(json.dumps(values, separators=(",", ":"))), type="application/json", id="fine"
    )


def _hundredths(nanoseconds: int) -> int:
    return -(-nanoseconds // 10_000)


def _width(length_ns: int, most: int) -> int:
    """Return how long one of at most `most` equal parts is."""
    fitting = (width for width in _WIDTHS_MS if length_ns / (width * 1_000_000) <= most)
    return next(fitting, _WIDTHS_MS[-1]) * 1_000_000


def _foot(recorded: Recorded) -> Markup:
    began = datetime.fromtimestamp(recorded.started_unix).astimezone()
    return element(
        "footer", f"Begun {began:%Y-%m-%d %H:%M:%S %Z}. Times count from there, in minutes and seconds."
    )
