"""All databases below a folder: of one server, of the witness, or of a whole bank's data directory.

Rule: a folder that holds no database is a mistake of whoever named it, not a sound one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bankrmi.errors import InvalidRequest
from bankrmi.verifying.server_directory import DATABASE, verify_database
from bankrmi.verifying.stopped_directory import alone_in
from bankrmi.verifying.verdict import DatabaseVerdict
from bankrmi.verifying.witness_directory import VIEWS, verify_views

__all__ = ["directories_in", "verify"]


def directories_in(folder: Path) -> list[Path]:
    """Return the data directories that a folder is, or holds; raise InvalidRequest if there are none."""
    if not folder.is_dir():
        raise InvalidRequest(f"{folder} is not a directory")
    found = [each for each in (folder, *sorted(folder.iterdir())) if each.is_dir() and _databases(each)]
    if not found:
        raise InvalidRequest(
            f"{folder} holds no {DATABASE} and no {VIEWS}: "
            f"name the data directory of a server, or of the witness"
        )
    return found


def verify(directory: Path, progress: Callable[[str], None] = lambda _: None) -> list[DatabaseVerdict]:
    """Judge the databases of one data directory; raise InvalidRequest if a process uses it."""
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
