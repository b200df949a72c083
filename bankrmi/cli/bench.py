"""The command that measures a bank, and what people would use instead, side by side."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.invocation import say, tell
from bankrmi.cli.written_files import write_file
from bankrmi.cli.written_numbers import RealRange

if TYPE_CHECKING:
    from bankrmi.bench.figures import Results
    from bankrmi.bench.plan import Plan
    from bankrmi.bench.recorded import Run

__all__ = ["COMMANDS"]

_PEERS = ("postgresql", "redis", "etcd", "pysyncobj", "pyro5")


class _Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between them; of these ones, if any are given."""

    name = "names"

    def __init__(self, *known: str) -> None:
        self._known = known

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return them, each once."""
        if isinstance(value, tuple):
            return value
        names = dict.fromkeys(name for name in str(value).split(",") if name)
        for name in names:
            if self._known and name not in self._known:
                self.fail(f"there is no {name!r:.40}: there are {', '.join(self._known)}", param, ctx)
        return tuple(names)


@click.command()
@click.option(
    "--against", metavar="SYSTEM,…", type=_Names(*_PEERS), default=(), help=f"Of {', '.join(_PEERS)}."
)
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option(
    "--seconds",
    type=RealRange(0.05, 3600),
    default=2.0,
    show_default=True,
    help="How long one system is measured in one row of one round.",
)
@click.option(
    "--rows", metavar="ROW,…", type=_Names(), help="Those named only; `all`, or any CLIENTSxOPERATIONS."
)
@click.option(
    "--failovers",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="How often the row of that name does each of its three faults.",
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write everything that was measured there.",
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page for a browser there.",
)
def bench(
    against: tuple[str, ...],
    rounds: int,
    seconds: float,
    rows: tuple[str, ...] | None,
    failovers: int,
    json_file: Path | None,
    html: Path | None,
) -> ExitCode:
    """Measure how fast a bank is, next to what one would use instead.

    Starts a bank of its own in a temporary folder, and each system of --against that is installed; the load
    comes from processes of its own. All do the same job: withdraw 1 from a random one of 10 000 accounts,
    refuse if short, remember the request, answer when it is durable on both copies. Systems take turns within
    a round, and ratios are those within a round.

    Rows are "clients x operations a call", `user` (the library that a person uses), `reads-9:1`, `reads`; and
    of the bank alone `failover`, `growth`, `slow-disk`, and only where they are named `catching-up`,
    `own-clients`, `crowds`, `daemon`. Ctrl-C ends the run, and what is known by then is printed.
    BANKRMI_BENCH_DIR chooses the disk. docs/performance.md tells what each row is.
    """
    from bankrmi.bench.figures import Results
    from bankrmi.bench.plan import DEFAULT_ROWS, Plan, checked_rows
    from bankrmi.bench.run import run
    from bankrmi.robustness.chaos.report import check_writable

    for file in (json_file, html):
        if file is not None:
            check_writable(file)
    chosen = DEFAULT_ROWS if rows is None else checked_rows(rows)
    plan = Plan(rows=chosen, against=against, rounds=rounds, seconds=seconds, failovers=failovers)
    results = Results()
    progress = _Progress()
    record = _record_of(plan)
    try:
        run(plan, results, progress)
    except KeyboardInterrupt:
        progress.clear()
        _tell(replace(record, interrupted=True), results, json_file, html)
        raise
    progress.clear()
    _tell(record, results, json_file, html)
    return ExitCode.DONE


def _record_of(plan: Plan) -> Run:
    from bankrmi.bench.bank import own_folder
    from bankrmi.bench.machine import commit, machine, versions
    from bankrmi.bench.recorded import Run
    from bankrmi.bench.systems.all import PEERS, Ours
    from bankrmi.bench.systems.system import System

    with own_folder() as folder:
        told = machine(folder)
    systems: list[type[System]] = [Ours, *(PEERS[name] for name in plan.against)]
    return Run(
        plan=plan,
        begun=datetime.now().astimezone(),
        command=shlex.join(["bankrmi", *sys.argv[1:]]),
        machine=told,
        versions=versions([system for system in systems if system.missing() is None]),
        commit=commit(),
    )


def _tell(record: Run, results: Results, json_file: Path | None, html: Path | None) -> None:
    from bankrmi.bench.recorded import document
    from bankrmi.bench.report import write_page
    from bankrmi.bench.telling import tables

    for line in tables(results):
        tell(line)
    if json_file is not None:
        text = json.dumps(document(record, results), indent=1)
        write_file(json_file, lambda stream: stream.write(f"{text}\n"))
    if html is not None:
        write_page(record, results, html)


class _Progress:
    """One line that is written over, where somebody watches; elsewhere one line a row."""

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb"}

    def show(self, line: str) -> None:
        if self._watched:
            click.echo(f"\r\033[K{line}", err=True, nl=False)

    def say(self, line: str) -> None:
        self.clear()
        say(line)

    def clear(self) -> None:
        if self._watched:
            with suppress(OSError):  # The terminal may be gone.
                click.echo("\r\033[K", err=True, nl=False)


COMMANDS = (bench,)
"""What `main` adds to the others."""
