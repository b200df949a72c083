"""The command that judges what clients were told: their history against the disks at the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.invocation import Invocation
from bankrmi.cli.service_options import model_option
from bankrmi.counted import counted

if TYPE_CHECKING:
    from bankrmi.robustness.checker.verdict import HistoryVerdict

__all__ = ["COMMANDS", "tell"]

_SHOWN = 20


@click.command()
@click.argument("history", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--data",
    metavar="DIR",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The data directory of a stopped server; --data again for each server.",
)
@model_option
@click.pass_obj
def check(
    invocation: Invocation, history: tuple[Path, ...], data: tuple[Path, ...], model: str | None
) -> ExitCode:
    """Judge a recorded HISTORY (files, or folders with `*.jsonl`) by the journals at the end.

    Every answer has to stand in the journal, every balance to be what the journal adds up to, and nothing may
    be older than what had been told before it. The servers must have been in sync and at rest when they were
    stopped: leave out one that was not. The directories are read, never written.

    Of a class (`bankrmi serve MODULE:CLASS check`) a HISTORY is what its clients have written in a run of
    `chaos`: files, or folders with `*.calls`. Every call has to come to what it comes to where the class, or
    --model, runs alone, in the order of the journal. So it is with several services that a configuration
    names (`bankrmi --config FILE check`): they are run together, and call each other.
    """
    served = invocation.served_here()
    if served is None:
        verdict = _of_bank(model, history, data)
    else:
        verdict = _of_services(*served, model, history, data)
    tell(verdict)
    return ExitCode.ERROR if verdict.violation_count else ExitCode.DONE


def _of_bank(model: str | None, history: tuple[Path, ...], data: tuple[Path, ...]) -> HistoryVerdict:
    if model is not None:
        raise click.UsageError("--model is of a class: say `bankrmi serve MODULE:CLASS` before the command")
    from bankrmi.robustness.checker.disks import read_copies
    from bankrmi.robustness.checker.history_file import read_history
    from bankrmi.robustness.checker.verdict import judge
    from bankrmi.verifying.model import BankModel

    recorded = read_history(history)
    ledger = recorded.header.opening
    with read_copies(data, ledger) as copies:
        return judge(recorded.calls, copies, BankModel(ledger))


def _of_services(
    services: Mapping[str, str],
    folder: Path,
    model: str | None,
    history: tuple[Path, ...],
    data: tuple[Path, ...],
) -> HistoryVerdict:
    from bankrmi.robustness.services.by_itself import ServiceByItself
    from bankrmi.robustness.services.call_history import call_files, read_calls
    from bankrmi.robustness.services.found import found_model, loaded
    from bankrmi.robustness.services.judging import as_changed, judge_calls, some_queries
    from bankrmi.robustness.services.service_disks import read_service_copies
    from bankrmi.service.served_services import ServedServices

    description = loaded(services, folder)
    made = found_model(next(iter(services.values())), model)
    ServiceByItself(description, made)  # What is wrong with the model is said first.
    recorded = read_calls(call_files(history), description)
    with read_service_copies(data, description) as (copies, journals):
        begins_at = journals[0].version_at(0)
        alone = ServiceByItself(description, made, begins_at=begins_at)
        return judge_calls(
            as_changed(recorded.calls, ServedServices.of(description), begins_at),
            copies,
            journals,
            alone,
            queries=some_queries(recorded.calls),
            begin_ns=min((call.invoked_ns for call in recorded.calls), default=0),
            unix_ns_at_zero=recorded.unix_ns_at_zero,
        )


def tell(verdict: HistoryVerdict) -> None:
    """Print a verdict."""
    unknown = verdict.unknown_done + verdict.unknown_cancelled + verdict.unknown_not_done
    click.echo(
        f"{counted(verdict.calls, 'call')}: {counted(verdict.operations, 'operation')}, "
        f"{counted(verdict.reads, 'read')}\n"
        f"requests of unknown outcome: {unknown} ({verdict.unknown_done} done, "
        f"{verdict.unknown_cancelled} cancelled, {verdict.unknown_not_done} not done)\n"
        f"{counted(verdict.entries, 'entry', 'entries')} on "
        f"{counted(len(verdict.copies), 'copy', 'copies')}: {', '.join(verdict.copies)}"
    )
    for sentence in verdict.violations[:_SHOWN]:
        click.echo(f"violation: {sentence}")
    if verdict.violation_count > _SHOWN:
        click.echo(f"and {verdict.violation_count - _SHOWN} more")
    found = counted(verdict.violation_count, "violation") if verdict.violation_count else "no violation"
    click.echo(f"{found} in {counted(verdict.operations + verdict.reads, 'operation')}")


COMMANDS = (check,)
