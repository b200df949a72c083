"""What `bankrmi simulate --exhaustive` does: search every order of events of a small bank."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.written_over import WrittenOver

if TYPE_CHECKING:
    from bankrmi.robustness.exhaustive.search import Explored

__all__ = ["run"]

_SHOW_EVERY_S = 0.5


def run(minutes: float) -> ExitCode:
    """Search wider and wider bounds for `minutes`; print how far it got; fail if a promise can be broken."""
    from bankrmi.robustness.exhaustive.bounds import LADDER
    from bankrmi.robustness.exhaustive.search import explore

    end_s = time.monotonic() + 60 * minutes
    progress = WrittenOver(every_s=_SHOW_EVERY_S)
    click.echo("two servers, one witness, one client with two requests; every order of events within:")
    for bounds in LADDER:
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            click.echo(f"{bounds}: not begun, the time is over")
            continue
        explored = explore(bounds, left_s, lambda so_far: progress.show(_so_far(so_far)))
        progress.clear()
        click.echo(f"{bounds}: {_how_far(explored)}")
        if explored.violation is not None:
            _tell(explored)
            return ExitCode.ERROR
    return ExitCode.DONE


def _so_far(explored: Explored) -> str:
    return f"{explored.states} states, {explored.transitions} transitions, {explored.seconds:.0f} s"


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
