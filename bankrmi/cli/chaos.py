"""The command that runs a bank of real processes under real faults, and judges it."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.invocation import Invocation, say
from bankrmi.cli.service_options import (
    model_option,
    say_what_was_called,
    served_class,
    workload_option,
)
from bankrmi.cli.written_files import check_writable
from bankrmi.cli.written_numbers import RealRange
from bankrmi.written_over import WrittenOver

if TYPE_CHECKING:
    from bankrmi.robustness.chaos.recorded import Recorded

__all__ = ["COMMANDS"]


@click.command()
@click.option(
    "--minutes", metavar="M", type=RealRange(min=0.05), required=True, help="How long faults go on."
)
@click.option("--seed", metavar="S", type=click.IntRange(min=0), help="What is done and asked for; else any.")
@click.option(
    "--servers", type=click.Choice(["2", "3"]), default="2", show_default=True, help="How many the bank has."
)
@click.option(
    "--report",
    metavar="FILE.html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a report for a browser there.",
)
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="An empty directory for everything; it is kept. Else a temporary one, kept if anything is found.",
)
@click.option("--relays", is_flag=True, help="Cut links by relays, though the network itself could be cut.")
@click.option("--etcd", is_flag=True, help="etcd keeps the view: three members of it take part, and are hit.")
@click.option(
    "--certificates",
    is_flag=True,
    help="Everybody shows a certificate; strangers have none, and are refused.",
)
@click.option("--removals", is_flag=True, help="Servers are removed from the bank and added again, too.")
@click.option(
    "--engine",
    type=click.Choice(["postgresql"]),
    help="A database keeps the accounts: PostgreSQL with a synchronous standby, under Patroni on three "
    "members of etcd; all of that is started, and hit.",
)
@click.option(
    "--clients",
    type=click.IntRange(1, 16),
    default=3,
    show_default=True,
    help="Client processes; the last of several only looks up balances.",
)
@click.option(
    "--pause-ms",
    type=RealRange(0, 10_000),
    default=25.0,
    show_default=True,
    help="How long each of a client's six sessions waits between calls, on average.",
)
@workload_option
@model_option
@click.pass_obj
def chaos(
    invocation: Invocation,
    minutes: float,
    seed: int | None,
    servers: str,
    report: Path | None,
    directory: Path | None,
    relays: bool,
    etcd: bool,
    certificates: bool,
    removals: bool,
    engine: str | None,
    clients: int,
    pause_ms: float,
    workload: str | None,
    model: str | None,
) -> ExitCode:
    """Break a real bank for M minutes, and see whether it keeps its promises; or a class of your own.

    Starts a bank of its own in a directory of its own, with clients that never rest; kills, pauses and
    restarts its processes, loses disks, cuts and slows their links, hands over. Then all is healed, and what
    clients were told is held against what is on the disks. Exit code 1 if anything is wrong.

    As root, each process gets a network of its own, and packets are dropped; else small relays hold them
    back. Ctrl-C ends the faults early and still judges; a second one ends at once. A seed draws the same
    faults and calls again; real processes take their own time, so what comes of them differs.

    With `bankrmi serve MODULE:CLASS chaos` that class is served. It is held against itself, one call after
    the other, or against the plain class of --model; what clients do, says the function of --workload (else
    `workload` in its module; else any method is called): see docs/how-to/test-your-class.md. Where a
    configuration names several services (`bankrmi --config FILE chaos`), clients call all of them, and they
    are held against their classes together. Where a class names the ones before (`previous`), servers begin
    with the oldest, and are given the newer ones, one server after the other, while all else goes wrong.

    With --engine postgresql the accounts are in a database that fails over by itself; its primary is killed,
    paused, cut off and handed over, too.
    """
    from bankrmi.robustness.chaos.chaos import ChaosOrder, directory_for
    from bankrmi.robustness.chaos.chaos import chaos as run

    if report is not None:
        check_writable(report)
    found = served_class(invocation, workload, model)
    if engine is not None:
        _check_on_engine(
            {
                "--etcd": etcd,
                "--certificates": certificates,
                "--removals": removals,
                "serve": found is not None,
            }
        )
    judge, served = None, None
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    if found is not None:
        from bankrmi.robustness.chaos.chaos import ServedOrder
        from bankrmi.robustness.services.run_judge import ServiceJudge

        judge = ServiceJudge(found)
        served = ServedOrder(
            services=found.services,
            folder=found.folder,
            workload=workload or "",
            model=model or "",
            releases=tuple(found.releases(seed)),
            why_not_older=tuple(found.why_not_older()),
        )
    place = directory_for(directory)
    order = ChaosOrder(
        seconds=minutes * 60,
        seed=seed,
        servers=int(servers),
        clients=clients,
        pause_ms=pause_ms,
        relays=relays,
        etcd=etcd,
        certificates=certificates,
        removals=removals,
        engine=engine or "",
        directory=place,
        served=served,
        words_before=tuple(["bankrmi"] if found is None else invocation.words_before()),
    )
    progress = WrittenOver()
    try:
        recorded = run(order, say=say, show=progress.show, judge=judge)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"Nothing was judged; everything is still in {place}.")
        raise
    finally:
        progress.clear()
    kept = directory is not None or bool(recorded.violations)
    _tell(recorded if kept else replace(recorded, files=()), report)
    if judge is not None and found is not None:
        say_what_was_called(judge.methods, found)
    if not kept:
        shutil.rmtree(place)
    return ExitCode.ERROR if recorded.violations else ExitCode.DONE


def _check_on_engine(others: dict[str, bool]) -> None:
    """Raise an error for what is of servers that keep the accounts themselves; or if a program is missing."""
    from bankrmi.patroni.programs import check_installed

    for name, said in others.items():
        if said:
            raise click.UsageError(f"{name} is of servers that keep the accounts: leave it out, or --engine")
    check_installed()


def _tell(recorded: Recorded, report: Path | None) -> None:
    from bankrmi.robustness.chaos.report import write_report
    from bankrmi.robustness.chaos.telling import told

    for line in told(recorded):
        click.echo(line)
    if report is not None:
        write_report(recorded, report)
        click.echo(f"report: {report}")


COMMANDS = (chaos,)
