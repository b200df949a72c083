"""The command that looks at the disks of a stopped bank."""

from __future__ import annotations

from pathlib import Path

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.written_over import WrittenOver

__all__ = ["COMMANDS"]


@click.command()
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
def verify(directories: tuple[Path, ...]) -> ExitCode:
    """Check the data directories DIR of stopped servers, or of the witness.

    All pages and their checksums, the log beside the database, the digest of every entry, each request once,
    the accounts against the journal, the adopted epoch; the witness's views and their order. Nothing is
    changed. Exit code 0: sound, 1: damaged, 2: not a data directory, or one that a running process uses.
    """
    from bankrmi.verifying.directories import directories_in
    from bankrmi.verifying.directories import verify as verdicts_on

    sound, progress = True, WrittenOver()
    for directory in [each for folder in directories for each in directories_in(folder)]:

        def show(what: str, directory: Path = directory) -> None:
            progress.show(f"{directory}: {what}")

        for verdict in verdicts_on(directory, show):
            sound = sound and verdict.sound
            progress.clear()
            click.echo(f"{verdict.path}: {'sound' if verdict.sound else 'damaged'}, holds {verdict.holds}")
            for fault in verdict.faults:
                click.echo(f"  {fault}")
    return ExitCode.DONE if sound else ExitCode.ERROR


COMMANDS = (verify,)
