"""All databases below a folder, of one server, of the witness, or of a whole bank; or a backup.

Rule: a folder that holds no database, and a file that is no backup, are mistakes of whoever named them, not
      sound ones.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bankrmi.errors import InvalidRequest
from bankrmi.verifying.backup_file import check_that_it_is_a_backup, verify_backup
from bankrmi.verifying.server_directory import DATABASE, verify_database
from bankrmi.verifying.stopped_directory import alone_in
from bankrmi.verifying.verdict import DatabaseVerdict
from bankrmi.verifying.witness_directory import VIEWS, verify_views

__all__ = ["places_in", "verify"]


def places_in(folder: Path) -> list[Path]:
    """Return the data directories that a folder is, or holds; a backup is a place of its own.

    Raises InvalidRequest if there are none.
    """
    if folder.is_file():
        check_that_it_is_a_backup(folder)
        return [folder]
    if not folder.is_dir():
        raise InvalidRequest(f"{folder} is neither a directory nor a backup")
    found = [each for each in (folder, *sorted(folder.iterdir())) if each.is_dir() and _databases(each)]
    if not found:
        raise InvalidRequest(
            f"{folder} holds no {DATABASE} and no {VIEWS}: "
            f"name the data directory of a server, or of the witness"
        )
    return found


def verify(directory: Path, progress: Callable[[str], None] = lambda _: None) -> list[DatabaseVerdict]:
    """Judge the databases of one data directory, or a backup.

    Raises ConfigurationError if a process uses them.
    """
    if directory.is_file():
        return [verify_backup(directory, progress)]
    with alone_in(directory):
        return [
            verify_views(path) if path.name == VIEWS else verify_database(path, progress)
            for path in _databases(directory)
        ]


def _databases(directory: Path) -> list[Path]:
    """Return the live databases of a directory; one whose log is all that is left counts."""
    return [
        directory / name
        for name in (DATABASE, VIEWS)
        if any((directory / f"{name}{end}").exists() for end in ("", "-wal", "-journal"))
    ]
