"""What `bankrmi simulate --exhaustive` does: search every order of events of a small bank."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from bankrmi.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from bankrmi.robustness.exhaustive.search import Explored

__all__ = ["run"]

_SHOW_EVERY_S = 0.5


def run(minutes: float) -> ExitCode:
    """Search wider and wider bounds for so long; print how far it got; fail if a promise can be broken."""
    from bankrmi.robustness.exhaustive.bounds import LADDER
    from bankrmi.robustness.exhaustive.search import explore

    end_s = time.monotonic() + 60 * minutes
    progress = _Progress()
    click.echo("two servers, one witness, one client with two requests; every order of events within:")
    for bounds in LADDER:
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            click.echo(f"{bounds}: not begun, the time is over")
            continue
        explored = explore(bounds, left_s, progress.show)
        progress.clear()
        click.echo(f"{bounds}: {_how_far(explored)}")
        if explored.violation is not None:
            _tell(explored)
            return ExitCode.ERROR
    return ExitCode.DONE


def _how_far(explored: Explored) -> str:
    rate = explored.states / max(explored.seconds, 0.001)
    figures = (
        f"{explored.states} states, {explored.transitions} transitions, "
        f"up to {explored.depth} events in a row, {explored.seconds:.0f} s, {rate:.0f} states/s"
    )
    if explored.violation is not None:
        return f"a promise is broken; {figures}"
    if explored.complete:
        return f"complete, no violation; {figures}"
    return f"not complete in this time, no violation so far; {figures}"


def _tell(explored: Explored) -> None:
    assert explored.violation is not None
    click.echo(f"broken: {explored.violation.sentence}")
    for number, line in enumerate(explored.violation.trace, 1):
        click.echo(f"{number:4}  {line}")


class _Progress:
    """One line for a person who waits; nothing where nobody watches."""

    def __init__(self) -> None:
        self._shown_s = 0.0

    def show(self, explored: Explored) -> None:
        """Write over the line before."""
        now_s = time.monotonic()
        if sys.stderr.isatty() and now_s - self._shown_s >= _SHOW_EVERY_S:
            self._shown_s = now_s
            line = f"{explored.states} states, {explored.transitions} transitions, {explored.seconds:.0f} s"
            click.echo(f"\r\033[K{line}", err=True, nl=False)

    def clear(self) -> None:
        """Remove the line."""
        if sys.stderr.isatty():
            click.echo("\r\033[K", err=True, nl=False)
