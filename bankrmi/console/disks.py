"""The data directories of a bank on this machine: emptied, and filled up where that hurts nobody else.

Rule: a disk is filled only if it is a small file system of its own: of a server, and of nobody else.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from bankrmi.errors import OperationFailed
from bankrmi.storage.database import LOCK, own_directory, private_opener

__all__ = ["FILLER", "empty", "fill", "free", "is_filled", "is_small"]

FILLER = "filler"
"""The file that takes what is left of a disk."""
SMALL_BYTES = 256 << 20
_BLOCK = 1 << 16
_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_small(directory: Path) -> bool:
    """Whether it is a file system of its own, so small that it may be filled."""
    try:
        of_its_own = directory.stat().st_dev != directory.parent.stat().st_dev
        figures = os.statvfs(directory)
    except OSError:
        return False
    return of_its_own and figures.f_blocks * figures.f_frsize <= SMALL_BYTES


def is_filled(directory: Path) -> bool:
    """Whether the filler is there."""
    return (directory / FILLER).exists()


def fill(directory: Path) -> None:
    """Take all that is left.  Raises OperationFailed."""
    if not is_small(directory):
        raise OperationFailed(f"{directory} is no small file system of its own: it is not filled")
    block = bytes(_BLOCK)
    try:
        descriptor = private_opener(directory / FILLER, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            while block:
                try:
                    os.write(descriptor, block)
                except OSError as error:
                    if error.errno not in _FULL:
                        raise
                    block = block[: len(block) // 2]
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OperationFailed(f"{directory} cannot be filled: {error.strerror}") from error


def free(directory: Path) -> None:
    """Give it back."""
    with suppress(OSError):
        (directory / FILLER).unlink()


def empty(directory: Path, seconds: float) -> None:
    """Take the directory for ourselves, as soon as its process is gone, and make it empty.

    Raises OperationFailed if its process does not go.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            with own_directory(directory):
                for path in directory.iterdir():
                    if path.name == LOCK:
                        continue
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                return
        except OperationFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)
