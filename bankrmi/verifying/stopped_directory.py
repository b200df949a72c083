"""A data directory that nobody uses: locked while we look, and its databases read without a change to them.

Rule 1: a running process's directory is refused.
Rule 2: nothing in it is written, made or removed. A database with a log beside it is copied elsewhere first,
        because to read it is to bring the log in.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from bankrmi.errors import ConfigurationError
from bankrmi.storage.database import LOCK, open_to_read

__all__ = ["alone_in", "opened_unchanged"]

_LOGS = ("-wal", "-journal")


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Keep everybody else out of the directory; raise ConfigurationError if somebody is in it."""
    path = directory / LOCK
    if not path.exists():
        yield
        return
    try:
        lock = path.open("r")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = lock.read().strip() or "unknown"
            raise ConfigurationError(
                f"{directory} is in use by the running process {owner}: stop it first"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"{directory} cannot be locked: {error.strerror}") from error
        yield


@contextmanager
def opened_unchanged(path: Path) -> Iterator[apsw.Connection]:
    """Open a database to read it; raises apsw.Error, also later, if it is damaged.

    Raises OSError if it is not for us to read, or there is no room to bring its log in: then it may be sound.
    """
    if not path.exists():
        raise apsw.CantOpenError("it is not there, though its log is")
    path.open("rb").close()
    with tempfile.TemporaryDirectory(prefix="bankrmi-verify-") as scratch:
        logs = [log for end in _LOGS if (log := path.with_name(path.name + end)).exists()]
        if logs:
            for file in (path, *logs):
                shutil.copy(file, scratch)
            _bring_in(Path(scratch) / path.name)
            path = Path(scratch) / path.name
        database = open_to_read(path)
        try:
            yield database
        finally:
            database.close()


def _bring_in(copy: Path) -> None:
    """Open and close a copy with its log: the log is brought in, or rolled back."""
    open_to_read(copy).close()  # The checksum VFS is loaded by it.
    database = apsw.Connection(str(copy), vfs="cksmvfs")
    try:
        database.pragma("locking_mode", "exclusive")
        database.execute("SELECT count(*) FROM sqlite_schema").get  # noqa: B018 (reading is what brings it in)
    finally:
        database.close()
