"""A file that a person asked for: written whole or not at all where that can be; nothing else is replaced.

Rule 1: half a ledger must not look like one: a plain file is written beside its place, and then takes it.
Rule 2: what is not a plain file (a device, a pipe), is reached by a link, or has other names, is written
        into; so is a plain file that is somebody else's, in a folder not ours to write, or mounted there.
Rule 3: a file that was there keeps its mode; a new one is for its owner only.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from bankrmi.errors import ConfigurationError
from bankrmi.storage.database import private_opener

__all__ = ["check_writable", "write_file"]


def check_writable(path: Path) -> None:
    """See that a report can be written there, before what takes an hour to find out.

    Raises ConfigurationError, saying why not.
    """
    there = path.exists()
    try:
        path.open("a").close()
    except FileNotFoundError:
        raise ConfigurationError(f"the report {path} cannot be written: there is no such folder") from None
    except OSError as error:
        raise ConfigurationError(f"the report {path} cannot be written: {error.strerror}") from None
    if not there:
        path.unlink()


def write_file(file: Path, write: Callable[[TextIO], object]) -> None:
    """Have `write` write the content of `file`; raises OSError, always about `file`."""
    try:
        if not _is_to_be_replaced(file) or not _replace(file, write):
            with open(file, "w", encoding="utf-8", newline="\n", opener=private_opener) as stream:
                write(stream)
    except BrokenPipeError:
        raise
    except OSError as error:  # It is about the file that was asked for, not about the one beside it.
        raise OSError(error.errno, error.strerror, str(file)) from error


def _is_to_be_replaced(file: Path) -> bool:
    try:
        there = file.lstat()
    except FileNotFoundError:
        return True
    return stat.S_ISREG(there.st_mode) and there.st_nlink == 1 and there.st_uid == os.geteuid()


def _replace(file: Path, write: Callable[[TextIO], object]) -> bool:
    """Write a file beside it, which takes its place; False if there may be none beside it."""
    try:
        stream = _beside(file)
    except PermissionError:
        return False
    beside = Path(stream.name)
    try:
        with stream:
            with suppress(FileNotFoundError):
                os.fchmod(stream.fileno(), stat.S_IMODE(file.lstat().st_mode))
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            beside.replace(file)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            shutil.copyfile(beside, file)  # Something is mounted there, and stays.
    finally:
        beside.unlink(missing_ok=True)
    return True


def _beside(file: Path) -> TextIO:
    """Open a new file with a short name in the same folder; one that a killed process left is let be."""
    while True:
        name = file.with_name(f".{secrets.token_hex(4)}.tmp")
        with suppress(FileExistsError):
            return open(name, "x", encoding="utf-8", newline="\n", opener=private_opener)
