"""A run in words, for a terminal: the verdict first, then what it rests on.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bankrmi.robustness.chaos.figures import answered_operations, at_percent, spreads
from bankrmi.robustness.chaos.recorded import Recorded
from bankrmi.robustness.chaos.wording import counted, duration, verdict_words

__all__ = ["told"]

_SHOWN = 20


def told(recorded: Recorded) -> Iterator[str]:
    """Yield the lines."""
    yield _verdict(recorded)
    yield from (f"  {sentence}" for sentence in recorded.violations[:_SHOWN])
    if untold := recorded.violation_count - len(recorded.violations[:_SHOWN]):
        yield f"  and {untold:,} more"
    for sentence in (*recorded.checked, *recorded.notes):
        yield f"  {sentence}"
    yield ""
    yield from (f"{count:>12,}  {what}" for what, count in recorded.counts)
    yield from _failovers(recorded)
    yield ""
    width = max((len(what) for what, _ in recorded.files), default=0)
    yield from (f"{what:<{width}}  {path}" for what, path in recorded.files)
    yield f"again: {recorded.command}"


def _verdict(recorded: Recorded) -> str:
    words = verdict_words(recorded, answered_operations(recorded.calls))
    length = duration(recorded.ended_ns - recorded.started_ns)
    return (
        f"{words}: {counted(recorded.servers, 'server')}, {length}, "
        f"cuts by {recorded.environment.cuts_by}, seed {recorded.seed}"
    )


def _failovers(recorded: Recorded) -> Iterator[str]:
    if not recorded.failovers:
        return
    yield ""
    yield "failover, from the fault to the next update that a client was told of   median      p99    worst"
    for spread in spreads(recorded.failovers):
        figures = (spread.median_ns, at_percent(spread.took_ns, 99), spread.longest_ns)
        shown = "".join(f"{duration(figure):>9}" for figure in figures)
        yield f"{len(spread.took_ns):>12,}  {spread.cause:<57}{shown}"
