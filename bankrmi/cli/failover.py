"""Commands for when the primary is gone, or must not be replaced: `failover`, `pause`, `resume`.

Rule: what may lose something is shown first, and done only after its name was typed, by a person or a script.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from bankrmi.cli.interruption import said_if_lost
from bankrmi.cli.invocation import Invocation, check_server_now, complete_server, confirm, say, tell
from bankrmi.errors import OperationFailed
from bankrmi.foreign_text import foreign
from bankrmi.replication.pause import reason_of

if TYPE_CHECKING:
    from bankrmi.client.failover import FailoverPlan

__all__ = ["COMMANDS", "show_change", "view_sentence"]


@click.command()
@click.option("--to", metavar="NAME", required=True, shell_complete=complete_server, help="Who is to lead.")
@click.option("--force", is_flag=True, help="Though it may lack what was acknowledged: that is lost then.")
@click.option("--yes", is_flag=True, help="Do not ask (without --force).")
@click.option(
    "--confirm", "confirmed", metavar="NAME", help="With --force, for scripts: the name, once more."
)
@click.option(
    "--old-primary-is-off",
    "is_off",
    is_flag=True,
    help="With --force, for scripts: it is, and so is every server that does not answer.",
)
@click.pass_obj
def failover(
    invocation: Invocation, to: str, force: bool, yes: bool, confirmed: str | None, is_off: bool
) -> None:
    """Let a server lead when the primary is gone.

    A server that is in sync takes over by itself, and nothing is lost; while automatic takeover is
    paused, this command lets it. It stays paused.

    With --force a server leads that is not in sync, for when none that is will ever come back. What it
    lacks is lost, though it was acknowledged. First all that is known of it is shown. It begins a new
    history; the others join it, and what they held beyond it goes to `rolled-back-*.jsonl`.

    The old primary has to be off, and every other server that does not answer: alone in sync it
    acknowledges alone, and would go on until it hears of this.
    """
    from bankrmi import client

    configuration = invocation.configuration()
    _check_options(to, force=force, yes=yes, confirmed=confirmed, is_off=is_off)
    check_server_now(configuration, to)
    plan = client.plan_failover(configuration, to, forced=force)
    for line in (*plan.found, *plan.lost):
        say(line)
    if force:
        _confirm_force(plan, confirmed=confirmed is not None, is_off=is_off)
    else:
        confirm(f"Let {to} take over?", yes=yes)
    off = plan.off if force else ()
    show_change(client.failover(configuration, plan, confirmed_off=off), "it took over")


def _check_options(to: str, *, force: bool, yes: bool, confirmed: str | None, is_off: bool) -> None:
    if not force and (confirmed is not None or is_off):
        raise click.UsageError("--confirm and --old-primary-is-off are for --force")
    if force and yes:
        raise click.UsageError(f"--force wants --confirm {to} and --old-primary-is-off, not --yes")
    if confirmed is not None and confirmed != to:
        raise click.UsageError(f"--confirm says {confirmed}, and --to says {to}")
    if force and not sys.stdin.isatty() and (confirmed is None or not is_off):
        raise click.UsageError(f"say --confirm {to} and --old-primary-is-off: there is no terminal to ask on")


def _confirm_force(plan: FailoverPlan, *, confirmed: bool, is_off: bool) -> None:
    if not confirmed:
        _typed(f"To lose that, type the name of the server that is to lead ({plan.server})", plan.server)
    if plan.off and not is_off:
        one = len(plan.off) == 1
        names, it = ", ".join(plan.off), "it" if one else "them"
        off = f"{names} {'is' if one else 'are'} off"
        say(
            f"{names} {'does' if one else 'do'} not answer here, but may be running all the same, and go on "
            f"acknowledging what will be lost: switch {it} off, or unplug {it}, until the new primary leads."
        )
        _typed(f"When that is done, type: {off}", off)


def _typed(question: str, wanted: str) -> None:
    """Go on if just that is typed."""
    try:
        said = click.prompt(question, err=True, default="", show_default=False)
    except click.Abort as aborted:
        if not isinstance(aborted.__context__, EOFError):
            raise
        said = ""
    if said.strip() != wanted:
        raise OperationFailed("nothing was done")


@click.command()
@click.option("--reason", metavar="TEXT", help="What `status` tells everybody, in one line.")
@click.pass_obj
def pause(invocation: Invocation, reason: str | None) -> None:
    """Turn automatic takeover off, for maintenance.

    Nobody takes over by himself, whatever happens to the primary, and one that is stopped hands nothing
    over: the bank waits for it. Everything else goes on. It lasts until `bankrmi resume`.
    """
    from bankrmi import client

    try:
        said = reason_of(reason)
    except ValueError as error:
        raise click.UsageError(f"the reason {error}") from None
    show_change(client.pause(invocation.configuration(), said), "it was paused")
    say("Nobody takes over by himself until `bankrmi resume`.")


@click.command()
@click.pass_obj
def resume(invocation: Invocation) -> None:
    """Turn automatic takeover on again.

    If the primary is gone, a server that is in sync takes over at once.
    """
    from bankrmi import client

    show_change(client.resume(invocation.configuration()), "it was resumed")


def show_change(changed: dict[str, Any], what: str) -> None:
    """Print the view before and after."""
    after = view_sentence(changed["after"])
    with said_if_lost(f"{what}: {after}"):
        tell(f"before: {view_sentence(changed['before'])}")
        tell(f"after:  {after}")


def view_sentence(view: dict[str, Any]) -> str:
    """Return a view in a few words."""
    in_sync = ", ".join(map(foreign, view["in_sync"]))
    paused = ", paused" if view.get("paused") is not None else ""
    retired = f", retired for {there}" if (there := view.get("retired_for")) is not None else ""
    where = f"epoch {foreign(view['epoch'])}, primary {foreign(view['primary'])}, in sync {in_sync}"
    return f"{where}{paused}{retired}"


COMMANDS = (failover, pause, resume)
