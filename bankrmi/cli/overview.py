"""Commands on the bank as a whole: who leads, handing over, and giving the witness its memory back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.invocation import Invocation, check_server, complete_server, confirm, say, show_json
from bankrmi.cli.written_numbers import RealRange
from bankrmi.config import Configuration

__all__ = ["COMMANDS", "print_status"]

_PIPE_COLUMNS = 200
"""A pipe has no edge to break lines at."""


def print_status(configuration: Configuration) -> None:
    """Print the status once."""
    from bankrmi import client

    _print_table(client.overview(configuration))


@click.command()
@click.option(
    "-w",
    "--watch",
    metavar="[SECONDS]",
    type=RealRange(min=0.1, max=3600),
    is_flag=False,
    flag_value=1.0,
    default=None,
    help="Again every SECONDS (1), with what changed highlighted, until Ctrl-C.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (with -w, one a line).")
@click.pass_obj
def status(invocation: Invocation, watch: float | None, as_json: bool) -> ExitCode:
    """Show the view, and a line for each server.

    Works while servers, the witness or the name server are down, and says so.
    """
    from bankrmi import client

    configuration = invocation.configuration()

    def ask() -> dict[str, Any]:
        return client.overview(configuration)

    if watch is not None:
        _watch(ask, watch, as_json=as_json)
    found = ask()
    if as_json:
        show_json(found)
    else:
        _print_table(found)
    return ExitCode.DONE if _anybody(found) else ExitCode.UNREACHED


def _anybody(found: dict[str, Any]) -> bool:
    parts = [*found["servers"], found["witness"], found["nameserver"]]
    return any(part["reachable"] for part in parts)


def _print_table(found: dict[str, Any]) -> None:
    from rich.console import Console

    from bankrmi.cli.status_table import status_table

    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_COLUMNS
    console.print(status_table(found))


def _watch(ask: Callable[[], dict[str, Any]], every_s: float, *, as_json: bool) -> NoReturn:
    """Show the status again and again; Ctrl-C ends it."""
    if as_json:
        while True:
            show_json(ask())
            time.sleep(every_s)
    from rich.live import Live

    from bankrmi.cli.status_table import status_table

    before = ask()
    while not sys.stdout.isatty():  # A pipe or a file gets one table after the other.
        _print_table(before)
        sys.stdout.flush()
        time.sleep(every_s)
        before = ask()
    with Live(status_table(before), auto_refresh=False) as live:
        while True:
            time.sleep(every_s)
            now = ask()
            live.update(status_table(now, before), refresh=True)
            before = now


@click.command()
@click.option(
    "--to", metavar="NAME", shell_complete=complete_server, help="Who leads next; else any in sync."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def switchover(invocation: Invocation, to: str | None, yes: bool) -> None:
    """Hand over to a standby.

    It has to be in sync. Clients wait for some milliseconds, and see no error.
    """
    from bankrmi import client

    configuration = invocation.configuration()
    if to is not None:
        check_server(configuration, to)
    confirm(f"Hand over to {to or 'a standby that is in sync'}?", yes=yes)
    changed = client.switchover(configuration, to)
    click.echo(f"before: {_sentence(changed['before'])}")
    click.echo(f"after:  {_sentence(changed['after'])}")


def _sentence(view: dict[str, Any]) -> str:
    return f"epoch {view['epoch']}, primary {view['primary']}, in sync {', '.join(view['in_sync'])}"


@click.group()
def witness() -> None:
    """The keeper of the view."""


@witness.command()
@click.option(
    "--give-up",
    "given_up",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_server,
    help="This server, or its disk, is lost for good, with all that only it held. May be repeated.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def restore(invocation: Invocation, given_up: tuple[str, ...], yes: bool) -> None:
    """Give a witness that lost its disk the only view that is safe.

    Asks all servers, and shows what each holds; that changes nothing. A server that cannot be asked
    may hold more than the others, so that no view may be safe until it can. Only after a yes does
    every server hold still, for as long as it takes to propose the view.
    """
    from bankrmi import client

    configuration = invocation.configuration()
    for name in given_up:
        check_server(configuration, name)
    plan = client.plan_witness_restore(configuration, given_up=given_up)
    for line in plan["found"]:
        say(line)
    if given_up:
        say(
            f"WARNING: {', '.join(given_up)} is given up. If it led alone, or was in sync when the others "
            "were not, whatever was acknowledged then is lost, and nobody will know what it was."
        )
    confirm(f"Propose to the witness: {_sentence(plan['view'])}?", yes=yes)
    restored = client.restore_witness(configuration, plan["view"], given_up=given_up)
    click.echo(f"restored: {_sentence(restored)}")


COMMANDS = (status, switchover, witness)
