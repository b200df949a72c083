"""`audit.txt`: what was done with the authority, one line each: when, who, and what.  Read by people only.

    2026-11-30T09:12:44Z olga@office create client anna, serial 3f9c0aa1, until 2027-11-30

It lies beside the authority's key: whoever can use that can write it, so it says what honest people did.

Rule 1: a line is there, durably, before what it tells takes effect; if that fails, another line says so. What
        cannot be noted is not done.
Rule 2: lines are added and never changed; what is refused before anything is done has none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from bankrmi.errors import OperationFailed
from bankrmi.foreign_text import foreign
from bankrmi.who_runs_this import who_runs_this

__all__ = ["noted", "record_file"]

_HEADING = "# What was done with this authority: when (UTC), who (by the word of his machine), and what.\n"
_FILE_MODE = 0o600
_LONGEST = 1000
"""Characters of what was done: a server may have many addresses."""


def record_file(folder: Path) -> Path:
    """Return where it is noted."""
    return folder / "audit.txt"


@contextmanager
def noted(folder: Path, *done: str) -> Iterator[None]:
    """Note what is done in this context, a line each.  Raises OperationFailed if that cannot be written."""
    _add(folder, done)
    try:
        yield
    except BaseException:
        with suppress(OperationFailed):
            _add(folder, [f"not done: {what}" for what in done])
        raise


def _add(folder: Path, lines: Sequence[str]) -> None:
    file = record_file(folder)
    beginning = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {foreign(who_runs_this(), 200)}"
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(file, flags, _FILE_MODE)
        with os.fdopen(descriptor, "ab") as stream:
            text = "".join(f"{beginning} {foreign(line, _LONGEST)}\n" for line in lines)
            stream.write(f"{_before_the_next(descriptor)}{text}".encode())
            stream.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise OperationFailed(
            f"{file} cannot be written: {error.strerror}; nothing is done that is not noted there"
        ) from error


def _before_the_next(descriptor: int) -> str:
    """Return the heading, or the end of a line that a full disk has cut off."""
    size = os.fstat(descriptor).st_size
    if size == 0:
        return _HEADING
    return "" if os.pread(descriptor, 1, size - 1) == b"\n" else "\n"
