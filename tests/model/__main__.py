"""`python -m tests.model --servers 2 --epochs 3`: search every order of events within a bound.

Exit codes: 0 nothing found, 1 a promise is broken, 3 the search ended before it was complete.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from tests.model.bounds import Bounds
from tests.model.rules import PIPELINED_ONLY, Rule
from tests.model.search import search


def _rules_without(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> frozenset[Rule]:
    known = {rule.name.lower().replace("_", "-"): rule for rule in Rule}
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{name} is not one of {', '.join(known)}")
    return frozenset(known[name] for name in names)


def _lengths(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    return tuple(int(length) for length in text.split(",") if length)


@click.command(context_settings={"show_default": True})
@click.option("--servers", default=2)
@click.option("--members", type=int, help="In sync at first; all if left out.")
@click.option("--epochs", default=3, help="The highest epoch that can be won.")
@click.option("--requests", default=2)
@click.option("--crashes", default=1)
@click.option("--disks", default=0, help="How often a server starts with another disk.")
@click.option("--changes", default=0, help="How often a server is added, removed or moved.")
@click.option("--restores", default=0, help="How often the witness loses its memory.")
@click.option("--forces", default=0, help="How often a server is forced to lead that is not in sync.")
@click.option("--movers", default=0, help="How often somebody begins to move the bank to a database.")
@click.option("--cancels", default=0, help="How often that is taken back.")
@click.option("--copies-min", default=1)
@click.option("--leases", default="", callback=_lengths, help="Lengths that a process may draw, like 1,2.")
@click.option("--switchover/--no-switchover", default=True)
@click.option("--pipelined", is_flag=True, help="Commits are events (ADR 22).")
@click.option("--writes", default=2, help="On their way to a disk at once, if pipelined.")
@click.option("--without", multiple=True, callback=_rules_without, help="A rule to switch off, by name.")
@click.option("--at-most", default=50_000_000, help="States, after which the search ends.")
def main(without: frozenset[Rule], at_most: int, **bounds: Any) -> None:
    """Search every order of events within a bound."""
    if without & PIPELINED_ONLY and not bounds["pipelined"]:
        raise click.UsageError("where a commit holds everything up, this cannot be broken: add --pipelined")
    found = search(Bounds(**bounds), without=without, at_most=at_most)
    for step in found.steps:
        click.echo(f"  {step}")
    verdict = found.wrong or ("no violation, complete" if found.complete else "no violation, not complete")
    click.echo(f"{verdict}: {found.states} states, {found.steps_tried} steps, {found.seconds:.0f} s")
    sys.exit(1 if found.wrong else 0 if found.complete else 3)


if __name__ == "__main__":
    main()
