"""The command that looks at the disks of a stopped bank, and at backups."""

from __future__ import annotations

import errno
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.invocation import tell
from bankrmi.errors import ConfigurationError
from bankrmi.written_over import WrittenOver

if TYPE_CHECKING:
    from bankrmi.verifying.verdict import DatabaseVerdict

__all__ = ["COMMANDS"]


@click.command()
@click.argument("places", metavar="DIR|BACKUP...", nargs=-1, required=True, type=click.Path(path_type=Path))
def verify(places: tuple[Path, ...]) -> ExitCode:
    """Check the data directories DIR of stopped servers, or of the witness, and backups.

    All pages and their checksums, the log beside the database, the digest of every entry, each request once,
    the accounts against the journal, the adopted epoch; the witness's views and their order. Of several
    copies, each is compared with the one named before it: the first action id where they differ is told.
    Nothing is changed.

    Exit code 0: sound, and no two differ (one may end earlier). 1: damaged, or they differ. 2: not a data
    directory nor a backup, one that a running process uses, or one that could not be looked at.
    """
    try:
        return _verify(places)
    except OSError as error:
        if error.errno == errno.EIO or isinstance(error, BrokenPipeError):
            raise
        # Whoever asks lacks a permission, or room: of the disk that he asks about, that says nothing.
        what = error.filename or ", ".join(map(str, places))
        raise ConfigurationError(f"{what} cannot be looked at: {error.strerror or error}") from error


def _verify(places: tuple[Path, ...]) -> ExitCode:
    from bankrmi.verifying.directories import places_in
    from bankrmi.verifying.directories import verify as judged_in

    found: list[DatabaseVerdict] = []
    progress = WrittenOver()
    for place in [each for named in places for each in places_in(named)]:

        def show(what: str, place: Path = place) -> None:
            progress.show(f"{place}: {what}")

        for verdict in judged_in(place, show):
            found.append(verdict)
            progress.clear()
            _tell(verdict)
    agree = _compare([verdict.path for verdict in found if verdict.has_journal])
    return ExitCode.DONE if agree and all(verdict.sound for verdict in found) else ExitCode.ERROR


def _tell(verdict: DatabaseVerdict) -> None:
    tell(f"{verdict.path}: {'sound' if verdict.sound else 'damaged'}, holds {verdict.holds}")
    for fault in verdict.faults:
        tell(f"  {fault}")


def _compare(copies: list[Path]) -> bool:
    from bankrmi.verifying.comparing import compare

    agree = True
    for one, other in pairwise(copies):
        comparison = compare(one, other)
        agree = agree and comparison.agree
        tell(comparison.sentence)
    return agree


@click.command("verify-statement")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("places", metavar="DIR|BACKUP...", nargs=-1, required=True, type=click.Path(path_type=Path))
def verify_statement(file: Path, places: tuple[Path, ...]) -> ExitCode:
    """Check a statement, as `bankrmi statement ID --json` has written it to FILE, against copies of the bank.

    Those are data directories DIR of stopped servers, and backups. Each is verified first. Then every entry
    of the statement has to be in its journal, with the same digest (which stands for all that came before it,
    too), and no entry of the account may be missing.

    Exit code 0: all of it is what every copy says. 1: something is not, or cannot be checked, or a copy is
    damaged. 2: no statement, no data directory nor a backup, or one that a running process uses.
    """
    try:
        return _verify_statement(file, places)
    except OSError as error:
        if error.errno == errno.EIO or isinstance(error, BrokenPipeError):
            raise
        what = error.filename or ", ".join(map(str, places))
        raise ConfigurationError(f"{what} cannot be looked at: {error.strerror or error}") from error


def _verify_statement(file: Path, places: tuple[Path, ...]) -> ExitCode:
    from bankrmi.verifying.directories import places_in
    from bankrmi.verifying.directories import verify as judged_in
    from bankrmi.verifying.statement_check import faults_of_statement, in_words, read_statement_file

    statement = read_statement_file(file)
    all_are_right = True
    for place in [each for named in places for each in places_in(named)]:
        for verdict in judged_in(place):
            if not verdict.has_journal:
                continue
            faults = [*verdict.faults] or faults_of_statement(statement, verdict.path)
            all_are_right = all_are_right and not faults
            said = "it is not what this copy says" if faults else f"it is so: {in_words(statement)}"
            tell(f"{verdict.path}: {'damaged' if verdict.faults else said}")
            for fault in faults:
                tell(f"  {fault}")
    return ExitCode.DONE if all_are_right else ExitCode.ERROR


COMMANDS = (verify, verify_statement)
