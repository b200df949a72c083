"""The screen of `status -w`: the status, how busy the bank is, and why its view changed lately.

Rule 1: nothing is asked for here, and nothing is waited for.
Rule 2: the status comes first, and whole; the curve and the changes get the rows that are left, the newest
        change before older ones.
Rule 3: the last line says how old all of it is, if it is older than it should be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from bankrmi.cli.curve import BLOCKS, IN_ASCII, Curve, drawn
from bankrmi.cli.looks import Change, Look
from bankrmi.cli.status_table import Changed, StatusTable

__all__ = ["WatchScreen"]

_CHANGES = 5
_CURVE_COLUMNS = 60
_CURVE_COLUMNS_AT_LEAST = 10
_SPACIOUS = _CHANGES + 6
"""With so many rows left there are blank lines between the parts."""

_LIT = "bold reverse"
_LATE_S = 2.0
_NARROW = 78
_TIME = slice(11, 19)
"""Of a moment as `history` shows it: what a change of today needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchScreen:
    """One screen, for rich to print; `age_s` is how long ago its look began."""

    look: Look
    changed: Changed
    curve: Curve
    age_s: float
    every_s: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        options = options.reset_height()
        status = StatusTable(self.look.status, self.changed, watched=True)
        above = console.render_lines(status, options)
        left = console.height - len(above)
        if left < 1:
            yield from _lines(above[: console.height])
            return
        yield from _lines(above)
        blank = [Text("")] if left > _SPACIOUS else []
        below: list[RenderableType] = []
        if left > 1:
            below += [*blank, self._curve(options)]
        rows = left - 1 - len(below) - len(blank)
        if rows > 1:
            below += [*blank, *self._changes(rows - 1, narrow=options.max_width < _NARROW)]
        yield from below
        yield Text(self._age(), style="yellow" if self._is_late else "dim", no_wrap=True, overflow="crop")

    def _curve(self, options: ConsoleOptions) -> Text:
        now = self.curve.now()
        columns = min(_CURVE_COLUMNS, options.max_width - 20)
        title = "operations/s "
        if columns < _CURVE_COLUMNS_AT_LEAST:
            return Text(f"{title}{_number(now)}", no_wrap=True, overflow="crop")
        rates = self.curve.rates(columns)
        most = max((rate for rate in rates if rate is not None), default=None)
        shown = drawn(rates, IN_ASCII if options.ascii_only else BLOCKS)
        said = f" {_number(now)}"
        line = Text.assemble(title, (shown, "cyan"), said, no_wrap=True, overflow="crop")
        if len(line) + 14 <= options.max_width:
            line.append(f", most {_number(most)}", style="dim")
        return line

    def _changes(self, rows: int, *, narrow: bool) -> Iterator[RenderableType]:
        """Yield the title, and a line for each change, as many as there is room for, the newest last."""
        yield Text(
            f"changes of the view{f' since this began ({self.look.untold})' if self.look.untold else ''}:",
            style="bold",
            no_wrap=True,
            overflow="ellipsis",
        )
        shown = self.look.changes[-min(_CHANGES, rows) :]
        table = Table.grid(padding=(0, 2, 0, 0))
        for _ in range(1 if narrow else 4):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for place, change in enumerate(shown, start=1):
            lit = place == len(shown) and ("", "view") in self.changed
            table.add_row(*_cells(change, narrow=narrow), style=_LIT if lit else "")
        yield table

    @property
    def _is_late(self) -> bool:
        return self.age_s > self.every_s + _LATE_S

    def _age(self) -> str:
        if self._is_late:
            return f"asked {self.age_s:.0f} s ago: somebody does not answer; Ctrl-C ends this"
        return f"every {self.every_s:g} s; Ctrl-C ends this"


def _lines(lines: Sequence[list[Segment]]) -> Iterator[Segment]:
    for line in lines:
        yield from line
        yield Segment.line()


def _number(rate: float | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:.0f}" if rate >= 10 or rate == 0 else f"{rate:.1f}"


def _cells(change: Change, *, narrow: bool) -> tuple[str, ...]:
    when, epoch, primary, in_sync, why, by = change.row
    if narrow:
        return f"epoch {epoch}", why
    moment = f"{when[_TIME]}Z" if len(when) > _TIME.stop else when
    return moment, f"epoch {epoch}", primary, in_sync, f"{why} (by {by})"
