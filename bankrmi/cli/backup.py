"""Backups: taking one from a bank that runs, and beginning a bank with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bankrmi.cli.interruption import said_if_lost
from bankrmi.cli.invocation import Invocation, check_server, complete_server, say, show_json
from bankrmi.cli.written_numbers import RealRange
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
@click.option(
    "--rate",
    metavar="MB/S",
    type=RealRange(min=0.01, max=10_000),
    default=10.0,
    show_default=True,
    help="Take at most so many megabytes a second.",
)
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
    """Write a backup to FILE, of a bank that runs.

    It holds what is acknowledged, up to an action id that is told at the end, and is checked before it gets
    its name: FILE is there whole or not at all. It is for its owner only.
    """
    from bankrmi.backup.taking import back_up

    configuration = invocation.configuration()
    if server is not None:
        check_server(configuration, server)
    after, progress = _since(since), WrittenOver(every_s=_PROGRESS_EVERY_S)
    try:
        taken = back_up(
            configuration,
            file,
            server=server,
            since=after,
            rate=rate * _MEGABYTE,
            overwrite=overwrite,
            progress=progress.show,
        )
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


COMMANDS = (backup,)
