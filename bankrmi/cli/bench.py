"""The command that measures a bank, and what people would use instead, side by side."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from bankrmi.cli.database_option import DatabaseUrl, without_password
from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.invocation import Invocation, say, tell
from bankrmi.cli.written_files import check_writable, write_file
from bankrmi.cli.written_numbers import RealRange
from bankrmi.errors import ConfigurationError
from bankrmi.written_over import WrittenOver

if TYPE_CHECKING:
    from bankrmi.bench.class_plan import ClassPlan
    from bankrmi.bench.figures import Results
    from bankrmi.bench.plan import Plan
    from bankrmi.bench.recorded import Run

__all__ = ["COMMANDS"]

_PEERS = (
    "postgresql",
    "redis",
    "etcd",
    "pysyncobj",
    "pyro5",
    "floor",
    "tls",
    "three-servers",
    "five-servers",
)


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
        names = dict.fromkeys(name for name in map(str.strip, str(value).split(",")) if name)
        if not names:
            self.fail("nothing is named", param, ctx)
        for name in names:
            if self._known and name not in self._known:
                self.fail(f"there is no {name!r:.40}: there are {', '.join(self._known)}", param, ctx)
        return tuple(names)


@click.command()
@click.option(
    "--against",
    metavar="SYSTEM,…",
    type=_Names(*_PEERS),
    default=(),
    help=f"Measure these, too, as far as they are installed: {', '.join(_PEERS)}.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="How often each system is measured in a row.",
)
@click.option(
    "--seconds",
    type=RealRange(0.05, 3600),
    default=2.0,
    show_default=True,
    help="How long one system is measured in one row of one round.",
)
@click.option(
    "--rows", metavar="ROW,…", type=_Names(), help="Measure only these rows, or these parts of rows."
)
@click.option(
    "--failovers",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="How often `failover` does each of its faults.",
)
@click.option(
    "--records",
    type=click.IntRange(20_000, 1_000_000_000),
    default=1_000_000,
    show_default=True,
    help="To how many operations `growth` fills a bank.",
)
@click.option(
    "--servers", type=click.IntRange(2, 9), default=2, show_default=True, help="How many our bank has."
)
@click.option(
    "--engine",
    metavar="URL",
    type=DatabaseUrl(),
    help="Measure servers on this database (row `engine`), in a schema of their own; else one is started.",
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write everything that was measured to a file.",
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page for a browser.",
)
@click.option(
    "--call",
    "calls",
    metavar="CALL",
    multiple=True,
    help="Of a class: measure this call, such as 'put(\"apple\", 1)', or of several services "
    "'stock.put(\"apple\", 1)'; --call again for each method.",
)
@click.pass_context
def bench(
    context: click.Context,
    against: tuple[str, ...],
    rounds: int,
    seconds: float,
    rows: tuple[str, ...] | None,
    failovers: int,
    records: int,
    servers: int,
    engine: str | None,
    json_file: Path | None,
    html: Path | None,
    calls: tuple[str, ...],
) -> ExitCode:
    """Measure how fast a bank is, next to what one would use instead.

    Starts a bank of its own in a temporary folder, and each system of --against that is installed; the load
    comes from processes of its own. All do the same job: withdraw 1 from a random one of 10 000 accounts,
    refuse if short, remember the request, answer when it is durable on both copies. Systems take turns within
    a round, and ratios are those within a round.

    \b
    Rows that compare:   user  1x1 8x1 32x1 128x1  1x100 2x1000 1x8000  reads-9:1 reads
                         "32x1" is 32 clients with 1 operation a call; name any other
                         such row. `user` calls by the library that a person uses.
    Of our bank alone:   failover  growth  slow-disk
    Only where named:    catching-up  own-clients  crowds  daemon; all
    Of a database:       engine: throughput against the number of servers, 1 to --servers

    \b
    A part of a row is named behind it: failover:kill, crowds:idle,
    growth:records, catching-up:100x100. docs/performance.md has them all.

    Of a class (`bankrmi serve MODULE:CLASS bench`) each row is one of its methods, called by 1, 8 and 32
    clients with arguments that are made up by its annotations, or with those of --call; and `failover`, by
    kill -9. --rows put,get:128x1,failover:switchover names others; nothing is compared.

    Of several services a method is SERVICE.METHOD, and the name of a service is all of its methods. `across`
    is a method that calls other services, next to what it calls, by itself; `beside` is what services cost
    each other: a method of each one, without and with calls of the others.

    The usual rows take some 25 minutes, and 3 more for each peer; `--rows 1x1,32x1 --rounds 1` takes some
    seconds. Ctrl-C ends a run early, and what is known by then is told. BANKRMI_BENCH_DIR names the folder
    whose disk is measured. Exit code 1 if something that was to be measured went wrong; a peer that is not
    installed is skipped, with the command that installs it.
    """
    from bankrmi.bench.plan import DEFAULT_ROWS, ENGINE_ROWS, Plan, checked_rows
    from bankrmi.bench.run import run, run_class

    if json_file is not None and json_file == html:
        raise ConfigurationError(f"--json and --html are both to be written to {html}: name two files")
    served = context.find_object(Invocation).served_here()  # type: ignore[union-attr]  # It is there.
    if served is not None:
        _check_of_a_bank(context, ", ".join(served[0].values()))
        of_class = _class_plan(
            served[0],
            served[1],
            rows,
            calls,
            rounds=rounds,
            seconds=seconds,
            servers=servers,
            failovers=failovers,
        )
        return _measured(of_class, partial(run_class, of_class), json_file, html)
    if calls:
        raise click.UsageError("--call is of a class: say `bankrmi serve MODULE:CLASS` before the command")
    usual = DEFAULT_ROWS if engine is None else ENGINE_ROWS
    plan = Plan(
        rows=usual if rows is None else checked_rows(rows),
        against=against,
        rounds=rounds,
        seconds=seconds,
        failovers=failovers,
        records=records,
        servers=servers,
        engine=engine,
    )
    return _measured(plan, partial(run, plan), json_file, html)


def _check_of_a_bank(context: click.Context, served: str) -> None:
    """Raise UsageError for an option that is of a bank's accounts."""
    for name in ("against", "records", "engine"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} is of a bank, and here is served {served}", context)


def _class_plan(
    served: Mapping[str, str],
    folder: Path,
    rows: tuple[str, ...] | None,
    calls: tuple[str, ...],
    *,
    rounds: int,
    seconds: float,
    servers: int,
    failovers: int,
) -> ClassPlan:
    from bankrmi.bench.class_plan import class_plan
    from bankrmi.service.loading import load_services

    return class_plan(
        load_services(served, folder),
        served,
        str(folder.absolute()),
        rows=rows,
        calls=calls,
        rounds=rounds,
        seconds=seconds,
        servers=servers,
        failovers=failovers,
    )


def _measured(
    plan: Plan | ClassPlan,
    measure: Callable[[Results, _Progress], None],
    json_file: Path | None,
    html: Path | None,
) -> ExitCode:
    """Carry out a plan, and tell what was found, whatever ends it."""
    from bankrmi.bench.figures import Results

    for file in (json_file, html):
        if file is not None:
            check_writable(file)
    results = Results()
    progress = _Progress()
    record = _record_of(plan, results)
    try:
        measure(results, progress)
    except BaseException:  # Whatever ended it: what took half an hour to find out is told.
        progress.clear()
        _tell(replace(record, interrupted=True), results, json_file, html)
        raise
    progress.clear()
    _tell(record, results, json_file, html)
    return ExitCode.ERROR if results.failed else ExitCode.DONE


def _record_of(plan: Plan | ClassPlan, results: Results) -> Run:
    from bankrmi.bench.bank import own_folder
    from bankrmi.bench.machine import caution, commit, machine, versions
    from bankrmi.bench.recorded import Run
    from bankrmi.bench.systems.all import PEERS, Ours
    from bankrmi.bench.systems.system import System

    with own_folder() as folder:
        told = machine(folder)
    results.notes |= caution(told)
    systems: list[type[System]] = [Ours, *(PEERS[name] for name in plan.against)]
    return Run(
        plan=plan,
        begun=datetime.now().astimezone(),
        command=shlex.join(["bankrmi", *map(without_password, sys.argv[1:])]),
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
        self._line = WrittenOver()

    def show(self, line: str) -> None:
        self._line.show(line)

    def say(self, line: str) -> None:
        self.clear()
        say(line)

    def clear(self) -> None:
        self._line.clear()


COMMANDS = (bench,)
"""What `commands_by_name` adds to the others."""
