"""The folder of a demo: its own while it lives, gone when it ends, or when the next demo begins.

Rule 1: a demo that ends deletes its folder. Of one that was killed outright nobody is left to do it: the next
        one of the same user does.
Rule 2: whose folder it is says the lock in it, as with any directory of data: it is held by a process that
        lives, wherever that counts its pids (another container), or by nobody. Without a pid in it, somebody
        is just about to take it.
Rule 3: nothing is deleted but folders of our own name, in the folder for temporary files, that are our own;
        links are not followed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from bankrmi.cli.invocation import say
from bankrmi.cli.small_disks import unmount_left
from bankrmi.errors import BankError, OperationFailed
from bankrmi.storage.database import LOCK, own_directory

__all__ = ["clear_left_folders", "own_folder"]

_PREFIX = "bankrmi-demo-"
_NAME = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")
"""As `tempfile` makes them."""
_FREE_BYTES = 32 << 20
"""What a demo wants: files of three processes, logs, and what half an hour's payments add to all of that."""
_TRIES = 10
_IN_USE = "the folder {directory} is looked into by the process {owner}"


@contextmanager
def own_folder() -> Iterator[Path]:
    """Make a folder that goes with the context; raises OperationFailed if there is no place for it."""
    folder, lock = _taken_folder()
    with lock:
        try:
            if (free := shutil.disk_usage(folder).free) < _FREE_BYTES:
                raise OperationFailed(
                    f"{folder.parent} has {free >> 20} MB left, and the demo wants {_FREE_BYTES >> 20}: "
                    "name another place in TMPDIR"
                )
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if folder.exists():
                say(f"{folder} could not be deleted: delete it")


def _taken_folder() -> tuple[Path, IO[str]]:
    """Return a new folder, and the lock that says that it is ours."""
    refused: BankError | None = None
    for _ in range(_TRIES):
        try:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        except OSError as error:
            raise OperationFailed(f"no folder can be made for the demo: {error.strerror or error}") from error
        try:
            return folder, own_directory(folder, _IN_USE)
        except BankError as error:  # Another demo that begins may look into it just now.
            shutil.rmtree(folder, ignore_errors=True)
            refused = error
    assert refused is not None
    raise OperationFailed(f"no folder can be made for the demo: {refused.message}") from refused


def clear_left_folders() -> list[Path]:
    """Delete the folders of demos that were killed; return those that were."""
    try:
        found = [one for one in Path(tempfile.gettempdir()).iterdir() if _NAME.fullmatch(one.name)]
    except OSError:
        return []
    return [path for path in sorted(found) if _clear(path)]


def _clear(path: Path) -> bool:
    """Delete it if it was left; return whether it was, and is gone."""
    no_link = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # Nor does a pipe keep us waiting.
    with suppress(OSError):
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | no_link)
        try:
            if os.fstat(folder).st_uid != os.geteuid():
                return False
            with os.fdopen(os.open(LOCK, os.O_RDONLY | no_link, dir_fd=folder), "rb") as lock:
                if not stat.S_ISREG(os.fstat(lock.fileno()).st_mode):
                    return False
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not lock.read(20).strip().isdigit():
                    return False
                if not os.path.samestat(os.fstat(folder), path.lstat()):
                    return False
                unmount_left(path)
                shutil.rmtree(path)
                return True
        finally:
            os.close(folder)
    return False
