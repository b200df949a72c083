"""Backups: taking one from a bank that runs, and beginning a bank with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bankrmi.cli.interruption import said_if_lost
from bankrmi.cli.invocation import (
    Invocation,
    check_server,
    check_server_now,
    complete_server,
    say,
    show_json,
    tell,
)
from bankrmi.cli.rate_option import rate_option
from bankrmi.errors import InvalidRequest
from bankrmi.moments import moment
from bankrmi.written_over import WrittenOver

if TYPE_CHECKING:
    from bankrmi.storage.backup_label import Label

__all__ = ["COMMANDS"]

_MEGABYTE = 1_000_000
_PROGRESS_EVERY_S = 0.2


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--server",
    metavar="NAME",
    shell_complete=complete_server,
    help="Back up this server's copy; else the primary's.",
)
@click.option(
    "--since",
    metavar="ACTION_ID|BACKUP",
    help="Only what came after this action id, or after what this earlier backup ends with.",
)
@rate_option("Take at most so many megabytes a second.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def backup(
    invocation: Invocation,
    file: Path,
    server: str | None,
    since: str | None,
    rate: float,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write a backup to FILE, of a bank that runs, or of the state of a class that is served.

    It holds what is acknowledged, up to an action id that is told at the end, and is checked before it gets
    its name: FILE is there whole or not at all. It is for its owner only.
    """
    from bankrmi.backup.service_copy import back_up_service
    from bankrmi.backup.taking import Order, back_up

    configuration = invocation.configuration()
    if server is not None:
        check_server_now(configuration, server)
    order = Order(file=file, since=_since(since), overwrite=overwrite)
    progress = WrittenOver(every_s=_PROGRESS_EVERY_S)
    try:
        take = back_up if configuration.serves is None else back_up_service
        taken = take(configuration, order, server=server, rate=rate * _MEGABYTE, progress=progress.show)
    finally:
        progress.clear()
    label = taken.label
    with said_if_lost(f"{file} was written"):
        if as_json:
            show_json({"file": str(file), "bytes": taken.size_bytes, **_plain(label)})
    began = "" if label.is_whole else f"since action id {label.since.action_id}, "
    say(f"{began}up to action id {label.tip.action_id}, history {label.history}, taken of {label.server}")


def _since(text: str | None) -> int | Label | None:
    if text is None or (text.isascii() and text.isdigit() and len(text) < 19):
        return None if text is None else int(text)
    from bankrmi.verifying.backup_file import read_label

    return read_label(Path(text))


def _plain(label: Label) -> dict[str, str | int]:
    return {
        "kind": label.kind,
        "server": label.server,
        "history": label.history,
        "since": label.since.action_id,
        "action_id": label.tip.action_id,
    }


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--server",
    metavar="NAME",
    required=True,
    shell_complete=complete_server,
    help="Whose data directory it is put into, on this machine.",
)
@click.option("--to", metavar="ACTION_ID", type=click.IntRange(min=0), help="As it was after this operation.")
@click.option("--at", metavar="TIME", help="As it was at this time, in ISO 8601.")
@click.option(
    "--give-up",
    "given_up",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_server,
    help="This server is lost for good, with all that it held. May be repeated.",
)
@click.pass_obj
def restore(
    invocation: Invocation,
    files: tuple[Path, ...],
    server: str,
    to: int | None,
    at: str | None,
    given_up: tuple[str, ...],
) -> None:
    """Begin a bank anew with a backup: a whole one, and increments that continue it.

    For when every copy of the bank is lost, or to try a backup elsewhere. It needs the witness, which must
    hold no view, and an empty data directory; every other server has to answer that it holds nothing, or is
    given up. The bank then has a history of its own, and begins with this copy alone; the others join it.
    What was acknowledged after the backup, or after --to or --at, is not in it.
    """
    from bankrmi.backup.restoring import WantedPoint
    from bankrmi.backup.restoring import restore as begin_anew

    configuration = invocation.configuration()
    for name in (server, *given_up):
        check_server(configuration, name)
    if server in given_up:
        raise click.UsageError(f"{server} is the one that is restored, and cannot be given up")
    if to is not None and at is not None:
        raise click.UsageError("say --to or --at, not both")
    wanted, progress = (
        WantedPoint(files=files, to=to, at_us=_moment(at)),
        WrittenOver(every_s=_PROGRESS_EVERY_S),
    )
    try:
        restored = begin_anew(configuration, server, wanted, given_up=given_up, progress=progress.show)
    finally:
        progress.clear()
    view = restored.view
    told = (
        f"restored: up to action id {restored.action_id}, epoch {view.epoch}, history {view.history}, "
        f"in sync {server}"
    )
    with said_if_lost(told):
        tell(told)
    if restored.action_id < restored.ended_at:
        say(f"the backups go on to action id {restored.ended_at}, and that is left out")
    say(f"now start it: bankrmi server {server}")


def _moment(text: str | None) -> int | None:
    try:
        return None if text is None else moment(text)
    except ValueError as error:
        raise InvalidRequest(f"--at: {error}") from error


COMMANDS = (backup, restore)
