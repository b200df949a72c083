"""What a person reads: lines while it runs, and the tables at the end."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Protocol

from bankrmi.bench.figures import OURS, Finding, Ratio, Results, SampleSummary, summary

__all__ = ["ProgressDisplay", "figure", "found", "measured", "ratio_words", "tables"]

_ROW, _ROW_AT_MOST = 10, 40
"""How wide the first column is: at least, and at most."""
_WHAT = 60
"""How wide the column is that says what was found: at least."""


class ProgressDisplay(Protocol):
    """Where a run tells how far it is."""

    def show(self, line: str) -> None:
        """Show what is being done now, in the place of what was shown before."""

    def say(self, line: str) -> None:
        """Say what stays: a row is done."""


def measured(row: str, results: Results) -> str:
    """Return one line about a row that is done."""
    rates = [
        f"{system} {figure(summary(samples).rate)} op/s"
        for system in results.systems
        if (samples := results.samples.get(row, {}).get(system))
    ]
    return f"{row}: {', '.join(rates) or 'nobody could be measured'}"


def found(finding: Finding) -> str:
    """Return one line about a finding."""
    return f"{finding.row}: {finding.what}: {_values(finding)}"


def tables(results: Results) -> Iterator[str]:
    """Yield the lines of all that is known."""
    parts = (_comparison(results), _uses(results), _notes(results), _findings(results), _skipped(results))
    for number, part in enumerate(filter(None, map(list, parts))):
        yield from ("",) if number else ()
        yield from part


def _comparison(results: Results) -> Iterator[str]:
    if results.samples:
        figures = f"{'op/s':>10}{'median us':>11}{'p99 us':>10}"
        yield f"{'row':<{_width(results)}} {'system':<11}{figures}  ours to it (spread)"
    for row in results.samples:
        yield from _row(row, results)


def _uses(results: Results) -> Iterator[str]:
    if results.samples:
        yield "CPU microseconds an operation, and peak memory in MB, of each process:"
    for row, measured_by in results.samples.items():
        for system in results.systems:
            if samples := measured_by.get(system):
                yield f"{row:<{_width(results)}} {system:<11} {_processes(summary(samples))}"


def _notes(results: Results) -> Iterator[str]:
    yield from (f"note on {system}: {note}" for system, note in results.notes.items())


def _findings(results: Results) -> Iterator[str]:
    width = max([_WHAT, *(len(_what(finding)) + 1 for finding in results.findings)])
    if results.findings:
        yield f"{'row':<13}{'what':<{width}}{'median':>10}{'lowest':>10}{'highest':>10}{'taken':>7}"
    yield from (_finding(finding, width) for finding in results.findings)


def _skipped(results: Results) -> Iterator[str]:
    yield from (f"skipped {what}: {why}" for what, why in results.skipped.items())
    yield from (f"failed {what}: {why}" for what, why in results.failed.items())


def _row(row: str, results: Results) -> Iterator[str]:
    for system in results.systems:
        samples = results.samples[row].get(system)
        if samples:
            told = summary(samples)
            compared = None if system == OURS else results.ratio_to(row, system)
            line = (
                f"{row:<{_width(results)}} {system:<11}{figure(told.rate):>10}{figure(told.median_us):>11}"
                f"{figure(told.p99_us):>10}  {ratio_words(compared) if compared else ''}"
            )
            yield line.rstrip()


def _width(results: Results) -> int:
    return max(_ROW, min(_ROW_AT_MOST, max(map(len, results.samples), default=0)))


def ratio_words(compared: Ratio) -> str:
    """Return a ratio with its spread."""
    return f"{compared.median:.2f} ({compared.lowest:.2f} to {compared.highest:.2f})"


def figure(value: float) -> str:
    """Return a number with about three digits, and thousands apart."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _processes(told: SampleSummary) -> str:
    return ", ".join(
        f"{name} {used:.1f} us{_megabytes(told.peak_kb, name)}" for name, used in told.cpu_us.items()
    )


def _megabytes(peaks: Mapping[str, int], name: str) -> str:
    return f" {peaks[name] >> 10} MB" if name in peaks else ""


def _what(finding: Finding) -> str:
    return f"{finding.what}, {finding.unit}"


def _finding(finding: Finding, width: int) -> str:
    values = finding.values
    return (
        f"{finding.row:<13}{_what(finding):<{width}}{figure(statistics.median(values)):>10}"
        f"{figure(min(values)):>10}{figure(max(values)):>10}{len(values):>7}"
    )


def _values(finding: Finding) -> str:
    median = figure(statistics.median(finding.values))
    if len(finding.values) == 1:
        return f"{median} {finding.unit}"
    spread = f"{figure(min(finding.values))} to {figure(max(finding.values))}"
    return f"{median} {finding.unit} ({spread}, {len(finding.values)} taken)"
