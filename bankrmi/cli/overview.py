"""Commands on the bank as a whole: who leads, handing over, and giving the witness its memory back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.failover import show_change, view_sentence
from bankrmi.cli.health import health
from bankrmi.cli.interruption import said_if_lost
from bankrmi.cli.invocation import (
    Invocation,
    check_server_now,
    complete_server,
    confirm,
    say,
    show_json,
    tell,
)
from bankrmi.cli.written_numbers import RealRange
from bankrmi.config import Configuration, load

__all__ = ["COMMANDS", "print_status"]


def print_status(configuration: Configuration) -> None:
    """Print the status once."""
    if configuration.engine is not None:
        from bankrmi.cli.engine_status import print_engine_status

        print_engine_status(configuration)
        return
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
    help="Again every SECONDS (1), until Ctrl-C: a screen where there is a terminal, else a line a change.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (with -w, one a line).")
@click.option("--check", is_flag=True, help="For monitoring: one sentence, and an exit code.")
@click.pass_obj
def status(invocation: Invocation, watch: float | None, as_json: bool, check: bool) -> int:
    """Show the view, and a line for each server.

    Works while servers, the witness or the name server are down, and says so. With -w it shows the last
    changes of the view and why they came about, too, and how many operations a second there were.

    \b
    With --check the exit code is
      0   somebody leads, and could be replaced
      5   nobody answers, or lets us in
      7   nobody leads
      8   nothing can be acknowledged, whomever we reach
      9   one copy only
      10  nobody could take over, or go on without a copy: the witness is away,
          has lost its memory, or is not reached by those who need it
    """
    from bankrmi import client

    configuration = invocation.configuration(on_engine=True)
    if configuration.engine is not None:
        from bankrmi.cli.engine_status import show_engine_status

        if watch is not None:
            raise click.UsageError("accounts in a database are not watched: say it without -w")
        return show_engine_status(configuration, as_json=as_json, check=check)
    if watch is not None:
        from bankrmi.cli import watching

        if check:
            raise click.UsageError("--check looks once: say it without -w")
        watching.watch(configuration, watch, as_json=as_json)
    found = client.overview(configuration)
    code, sentence = health(found)
    if as_json:
        show_json(found)
    elif check:
        click.echo(sentence)
    else:
        _print_table(found)
    return code if check or code == ExitCode.UNREACHED else ExitCode.DONE


def _print_table(found: dict[str, Any]) -> None:
    from bankrmi.cli.status_table import StatusTable, standard_output

    standard_output().print(StatusTable(found))


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
        check_server_now(configuration, to)
    confirm(f"Hand over to {to or 'a standby that is in sync'}?", yes=yes)
    show_change(client.switchover(configuration, to), "it was handed over")


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
    may hold more than the others, so that no view may be safe until it can. Only after a yes is
    every server fenced, for as long as it takes to propose the view.
    """
    from bankrmi import client

    configuration = invocation.configuration()
    for name in given_up:
        check_server_now(configuration, name)
    plan = client.plan_witness_restore(configuration, given_up=given_up)
    for line in plan["found"]:
        say(line)
    if given_up:
        say(
            f"WARNING: {', '.join(given_up)} is given up. If it led alone, or was in sync when the others "
            "were not, whatever was acknowledged then is lost, and nobody will know what it was."
        )
    confirm(f"Propose to the witness: {view_sentence(plan['view'])}?", yes=yes)
    restored = client.restore_witness(configuration, plan["view"], given_up=given_up)
    with said_if_lost(f"it was restored: {view_sentence(restored)}"):
        tell(f"restored: {view_sentence(restored)}")


@witness.command()
@click.option(
    "--to",
    "new_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The configuration that names the keeper that is to have the view.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def move(invocation: Invocation, new_file: Path, yes: bool) -> None:
    """Move the view of a living bank to another keeper: to etcd, to a witness, or back.

    The keeper of the configuration in use (--config) is closed first, for good; then the one that FILE
    names is given the view. Two are never believed at once. If it is interrupted in between, there is no
    keeper: no change of primary until the same command is run again. Servers and name server that run
    read their configuration again once they hear that the view was moved: change that file on all
    machines before, and keep the old one for this command.
    """
    from bankrmi import client

    configuration = invocation.configuration()
    new = load(new_file, insecure=invocation.insecure)
    planned = client.plan_view_move(configuration, new)
    if planned["done"]:
        tell(f"it was moved already, {planned['sentence']}")
        return
    if planned["begun"]:
        say("The old keeper is closed already: only the new one has to be given the view.")
    confirm(f"Move the view ({view_sentence(planned['view'])}) {planned['sentence']}?", yes=yes)
    moved = view_sentence(client.move_view(configuration, new))
    with said_if_lost(f"it was moved: {moved}"):
        tell(f"moved: {moved}")


COMMANDS = (status, switchover, witness)
