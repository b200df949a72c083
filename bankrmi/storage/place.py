"""Is the file that is written still the one under its name?  And is it for its owner only?

A folder that is removed, moved away or replaced under a running process takes nothing from that process: it
goes on writing, and syncing, a file that nobody will ever find again. So the names are looked at.

Rule 1: a name that is gone, or belongs to another file, is a disk that failed (F1): nothing that rests on
        what was written is told any more.
Rule 2: whatever stands under the name now is not touched.
Assumption: a file keeps its inode while it is open, and another one has another.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bankrmi.storage.disk_failure import DiskFailed

__all__ = ["PRIVATE_DIRECTORY", "PRIVATE_FILE", "REMEDY", "Place", "make_private"]

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700

REMEDY = (
    "what this process wrote since then may be lost with its end. If the folder was moved away, move it back "
    "before this process is started again. Remove nothing: if no other server leads (`bankrmi status`), this "
    "may be the only copy"
)


class Place:
    """The names of a database that is open: its file, and its log if it has one.

    A folder that was moved, or replaced, leads to other files, or to none.
    """

    def __init__(self, *paths: Path) -> None:
        """Remember which files these are now; raises OSError if one of them is not there."""
        self._identities = {str(path): _identity(str(path)) for path in paths}

    def check(self) -> None:
        """Raise DiskFailed unless each name still is that of the file that it was.  Takes microseconds."""
        for path, identity in self._identities.items():
            try:
                found = _identity(path)
            except OSError as error:
                gone = f"{path} was taken away while it was written ({error.strerror})"
                raise DiskFailed(f"{gone}: {REMEDY}") from error
            if found != identity:
                raise DiskFailed(f"{path} was replaced by another while it was written: {REMEDY}")


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116  (called for every commit: a third of the time)
    return found.st_dev, found.st_ino


def make_private(directory: Path, files: Iterable[Path]) -> list[str]:
    """Take a directory and files in it from everybody but their owner; return the names of what was open.

    What belongs to another user is left as it is: only its owner can change that.
    """
    changed = []
    for path, mode in ((directory, PRIVATE_DIRECTORY), *((file, PRIVATE_FILE) for file in files)):
        with suppress(OSError):
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                continue
            if stat.S_IMODE(found.st_mode) & 0o077:
                path.chmod(mode)
                changed.append(path.name)
    return changed
