"""`bankrmi migrate`: a bank goes to a database, and comes back."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from bankrmi.cli.database_option import DatabaseUrl
from bankrmi.cli.interruption import said_if_lost
from bankrmi.cli.invocation import Invocation, check_server, complete_server, confirm, say, show_json, tell
from bankrmi.cli.rate_option import rate_option
from bankrmi.database_url import reached_without_proof
from bankrmi.errors import ConfigurationError
from bankrmi.foreign_text import foreign
from bankrmi.written_over import WrittenOver

if TYPE_CHECKING:
    from bankrmi.config import Configuration
    from bankrmi.relocation.to_database import Moved
    from bankrmi.relocation.to_servers import MovedBack

__all__ = ["COMMANDS"]

_MEGABYTE = 1_000_000
_PROGRESS_EVERY_S = 0.2


@click.command()
@click.option(
    "--to",
    "to_url",
    metavar="URL",
    type=DatabaseUrl(),
    help="Move the bank from its servers to this database.",
)
@click.option(
    "--from",
    "from_url",
    metavar="URL",
    type=DatabaseUrl(),
    help="Move it from this database to servers.",
)
@click.option(
    "--server",
    metavar="NAME",
    shell_complete=complete_server,
    help="With --from: which server it comes to, on this machine; the others join it.",
)
@click.option("--prepare", is_flag=True, help="With --to: only copy what there is; the servers serve on.")
@click.option("--dry-run", is_flag=True, help="Say how far it is, and what would be done; change nothing.")
@click.option(
    "--cancel", is_flag=True, help="Leave the bank where it was, if it is not open at the other end yet."
)
@click.option(
    "--force",
    is_flag=True,
    help="With --cancel: though the other end is gone; on your word that nobody has used the bank there.",
)
@rate_option("With --to: take at most so many megabytes a second while the servers serve.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def migrate(invocation: Invocation, /, **said: Any) -> None:
    """Move a bank to a database, postgresql://user@host:5432/database, or back.

    The configuration is that of the servers which keep the bank themselves, whichever way it goes. Accounts,
    what was decided of requests, and the entries of the journal come along; who asks again is told what he
    was told.

    --to: while what there is is copied the servers serve. Then they are retired: they answer nobody any more,
    whoever starts them, and say where the bank is. Clients wait while the rest is copied; how long that took
    is told. Then start servers with a configuration that names the database (engine).

    --from: the database is retired, and the bank begins at --server as with a backup: the witness holds no
    view, and that data directory is empty.

    Interrupted, run it again: it goes on from where it was.
    """
    wanted = _Wanted(**said)
    _check(wanted)
    url = wanted.to_url or wanted.from_url or ""
    if not invocation.insecure:
        _check_that_it_proves_itself(url)
    configuration = invocation.configuration()
    if importlib.util.find_spec("psycopg") is None:
        raise ConfigurationError(
            "psycopg is not installed, which speaks to databases: pip install 'bankrmi[postgresql]'"
        )
    if wanted.server is None:
        _to(configuration, url, wanted)
    else:
        check_server(configuration, wanted.server)
        _from(configuration, url, wanted.server, wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What the command line says."""

    to_url: str | None
    from_url: str | None
    server: str | None
    prepare: bool
    dry_run: bool
    cancel: bool
    force: bool
    rate: float
    yes: bool
    as_json: bool


def _check(wanted: _Wanted) -> None:
    if (wanted.to_url is None) == (wanted.from_url is None):
        raise click.UsageError("say --to URL or --from URL: where the bank goes, or where it comes from")
    if wanted.from_url is not None and wanted.server is None:
        raise click.UsageError("--from needs --server NAME: which server on this machine the bank comes to")
    if wanted.to_url is not None and wanted.server is not None:
        raise click.UsageError("--server is for --from")
    if wanted.from_url is not None and wanted.prepare:
        raise click.UsageError("--prepare is for --to")
    if wanted.force and not wanted.cancel:
        raise click.UsageError("--force is for --cancel")
    if wanted.cancel and (wanted.dry_run or wanted.prepare):
        raise click.UsageError("--cancel goes with neither --dry-run nor --prepare")


def _check_that_it_proves_itself(url: str) -> None:
    if hosts := reached_without_proof(url):
        raise ConfigurationError(
            f"the database at {', '.join(hosts)} is on another machine, and need not prove who it is: say "
            "sslmode=verify-full behind a question mark, or --insecure if that is meant"
        )


def _to(configuration: Configuration, url: str, wanted: _Wanted) -> None:
    from bankrmi.cli.failover import show_change
    from bankrmi.client.operating import changed_views
    from bankrmi.relocation.to_database import cancel_to_database, move_to_database, plan_to_database

    if wanted.cancel:
        confirm("Leave the bank with its servers, and take away what was copied?", yes=wanted.yes)
        changed = cancel_to_database(configuration, url, force=wanted.force)
        if changed is not None:
            show_change(changed_views("the primary", changed), "the servers were reinstated")
        say("the servers keep the bank")
        return
    plan = plan_to_database(configuration, url)
    for line in plan.in_words():
        say(line)
    if wanted.dry_run or plan.is_done:
        return
    if not wanted.prepare:
        confirm("Move the bank?", yes=wanted.yes)
    progress = WrittenOver(every_s=_PROGRESS_EVERY_S)
    try:
        moved = move_to_database(
            configuration, url, prepare=wanted.prepare, rate=wanted.rate * _MEGABYTE, progress=progress.show
        )
    finally:
        progress.clear()
    _tell_moved(moved, as_json=wanted.as_json)


def _tell_moved(moved: Moved, *, as_json: bool) -> None:
    where = foreign(moved.database)
    if not moved.is_here:
        told = f"copied to {where} up to action id {moved.action_id}; the servers serve on"
    elif moved.pause_s is None:
        told = f"the bank is in {where}"
    else:
        waited = f"clients waited {moved.pause_s:.2f} s"
        told = f"the bank is in {where}, from action id {moved.action_id} on; {waited}"
    with said_if_lost(told):
        if as_json:
            show_json(
                {
                    "database": moved.database,
                    "action_id": moved.action_id,
                    "accounts": moved.accounts,
                    "pause_s": moved.pause_s,
                    "is_here": moved.is_here,
                }
            )
        else:
            tell(told)
    if moved.is_here:
        say("now start servers with a configuration that names the database (engine); `status` shows them")
    else:
        say(
            "start the servers of the database now: they wait for the bank; then run this again without "
            "--prepare"
        )


def _from(configuration: Configuration, url: str, server: str, wanted: _Wanted) -> None:
    from bankrmi.relocation.to_servers import cancel_to_servers, move_to_servers, plan_to_servers

    if wanted.cancel:
        confirm("Leave the bank in the database?", yes=wanted.yes)
        cancel_to_servers(configuration, url, server, force=wanted.force)
        say("the database keeps the bank")
        return
    for line in plan_to_servers(configuration, url, server):
        say(line)
    if wanted.dry_run:
        return
    confirm("Move the bank?", yes=wanted.yes)
    progress = WrittenOver(every_s=_PROGRESS_EVERY_S)
    try:
        moved = move_to_servers(configuration, url, server, progress=progress.show)
    finally:
        progress.clear()
    _tell_moved_back(moved, server, as_json=wanted.as_json)


def _tell_moved_back(moved: MovedBack, server: str, *, as_json: bool) -> None:
    told = f"the bank is at {server}, from action id {moved.action_id} on, history {moved.history}"
    if moved.pause_s is not None:
        told += f"; clients waited {moved.pause_s:.2f} s"
    with said_if_lost(told):
        if as_json:
            show_json(
                {
                    "server": server,
                    "action_id": moved.action_id,
                    "accounts": moved.accounts,
                    "history": moved.history,
                    "pause_s": moved.pause_s,
                }
            )
        else:
            tell(told)
    say(f"now start it: bankrmi server {server}")


COMMANDS = (migrate,)
