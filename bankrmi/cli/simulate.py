"""The command that runs whole banks in one process, under faults drawn from a seed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.invocation import say

if TYPE_CHECKING:
    from bankrmi.robustness.simulator.simulation import Result

__all__ = ["COMMANDS"]

_LAST_EVENTS = 40


@click.command()
@click.option(
    "--seeds", metavar="N", type=click.IntRange(min=1), default=100, show_default=True, help="How many."
)
@click.option(
    "--seed", metavar="S", type=click.IntRange(min=0), default=0, show_default=True, help="The first."
)
@click.option("--servers", type=click.Choice(["2", "3"]), default="2", show_default=True)
def simulate(seeds: int, seed: int, servers: str) -> ExitCode:
    """Run N simulated banks under faults.

    Messages are delayed, lost and cut, servers crash, pause and start again, the witness goes away; after
    every step the promises are checked. One seed is one history: a failing one prints itself, the rule that
    was broken, and the last events.
    """
    from bankrmi.robustness.simulator.simulation import simulate as run_seed

    failed: list[int] = []
    events = acknowledged = 0
    for number in range(seed, seed + seeds):
        _show_progress(f"seed {number}, {len(failed)} failed")
        result = run_seed(number, servers=int(servers))
        events += result.events
        acknowledged += result.acknowledged
        if result.failure is not None:
            failed.append(number)
            _show_progress("")
            _tell(result, servers)
    _show_progress("")
    click.echo(f"{seeds} seeds, {len(failed)} failed; {events} events, {acknowledged} acknowledged entries")
    if failed:
        say(f"failed: {' '.join(map(str, failed))}")
    return ExitCode.ERROR if failed else ExitCode.DONE


def _show_progress(line: str) -> None:
    """Write over the line before, for a person who waits; nothing where nobody watches."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{line}", err=True, nl=False)


def _tell(result: Result, servers: str) -> None:
    click.echo(f"seed {result.seed} failed: {result.failure}")
    for event in result.trace[-_LAST_EVENTS:]:
        click.echo(f"  {event}")
    click.echo(f"again: bankrmi simulate --seeds 1 --seed {result.seed} --servers {servers}")


COMMANDS = (simulate,)
