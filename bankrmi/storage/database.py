"""One SQLite file, opened the way a bank needs it.

Rule 1: one connection a file, and one process: a second one is refused when it opens.
Rule 2: a commit is on the disk when it returns (WAL, synchronous=FULL), unless its owner syncs the log itself
        (`write_ahead_log`).
Rule 3: files and directories are for their owner only, however wide the umask.
Rule 4: what may pass by itself (somebody looks into the file, the machine lacks something for a moment) is
        not a ConfigurationError, and says what is awaited.
Rule 5: free pages can be given back to the file system a few at a time (`folding`).
Rule 6: a flipped bit is an error, not a wrong balance (page checksums, SQLite's cksumvfs).
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

import apsw
import apsw.sqlite_extra

from bankrmi.errors import BankError, ConfigurationError, OperationFailed
from bankrmi.readiness import AWAITS
from bankrmi.storage.disk_failure import DiskFailed
from bankrmi.storage.place import PRIVATE_DIRECTORY, PRIVATE_FILE

__all__ = [
    "BEFORE_REPLACING",
    "LOCK",
    "DiskFailed",
    "lock_owner",
    "locked_by_another",
    "make_directory",
    "open_database",
    "open_in_memory",
    "open_to_read",
    "own_directory",
    "private_opener",
    "sync_directory",
]

LOCK = "lock"
"""In each data directory; whoever holds it has the directory, and wrote its pid there."""

_CHECKSUM_VFS = "cksmvfs"
_CHECKSUM_BYTES = 8
_CACHE_KIB = 8_000  # Callers fill it with the pages of their requests, and nothing empties it again.
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LACKING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EBUSY)
"""What a machine lacks for a moment."""
_IN_USE = (
    "the data directory {directory} is in use by the running process {owner}: "
    "stop it first, or give this server a name and a directory of its own"
)

BEFORE_REPLACING = (
    "look at `bankrmi status` first: if another server leads, it holds everything, and this one joins from "
    "it once this directory is moved away (moved, not removed); if none leads, this may be the only copy: "
    "leave it where it is, and copy it before anything is tried"
)
"""What to do about a database that cannot be used: never to throw away what may be the only copy."""


def own_directory(directory: Path, in_use: str = _IN_USE) -> IO[str]:
    """Make the directory, and take it for this process alone until the file returned is closed.

    `in_use` is what to say, of `{directory}` and of `{owner}`, the process that has it.

    Raises ConfigurationError if it cannot be written, or knows no locks; OperationFailed if that may pass by
    itself: another process has it (perhaps one that is just ending), or there is no space.
    """
    try:
        make_directory(directory)
        # Whoever may not write it may not stand in the way of its owner's next start either.
        descriptor = private_opener(directory / LOCK, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _FULL:
            raise _no_space(directory, error) from error
        if error.errno in _LACKING:
            raise _lacking(f"the data directory {directory} cannot be opened", error) from error
        raise ConfigurationError(
            f"the data directory {directory} cannot be written ({error.strerror}): "
            f"make it writable, or set another data_dir in the configuration"
        ) from error
    lock = os.fdopen(descriptor, "a+", encoding="utf-8", errors="replace")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
    except OSError as error:
        refusal = _no_lock(directory, lock, error, in_use)
        with suppress(OSError):
            lock.close()
        raise refusal from error
    return lock


def lock_owner(directory: Path) -> int | None:
    """Return the pid of whoever took the directory last, None if nobody did; it may have ended since.

    Raises PermissionError where that may not be read.
    """
    try:
        with (directory / LOCK).open(encoding="utf-8", errors="replace") as lock:
            return int(lock.read(20).strip())
    except PermissionError:
        raise
    except (OSError, ValueError):
        return None


def _no_lock(directory: Path, lock: IO[str], error: OSError, in_use: str) -> BankError:
    """Return why the directory is not ours: only one of the reasons is that it is somebody else's."""
    if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
        lock.seek(0)
        owner = lock.read(20).strip() or "unknown"
        return OperationFailed(in_use.format(directory=directory, owner=owner))
    if error.errno in _FULL:
        return _no_space(directory, error)
    if error.errno == errno.ENOLCK:
        return OperationFailed(
            f"the data directory {directory} cannot be locked now ({error.strerror}): "
            f"the file system, or the service behind it, gives no locks"
        )
    return ConfigurationError(
        f"the data directory {directory} cannot be locked ({error.strerror}), so that nothing would keep "
        f"a second process out: set data_dir to a folder on a local file system"
    )


def _lacking(what: str, error: OSError) -> OperationFailed:
    return OperationFailed(f"{what} now: {error.strerror}", **{AWAITS: "what the machine lacks"})


def locked_by_another(path: Path) -> OperationFailed:
    """Return what to say of a database that somebody else looks into."""
    return OperationFailed(
        f"the database {path} is locked by another process, as by a backup, or by a person: "
        "it can be opened when that has ended (a copy of a running bank's balances: `bankrmi export`)",
        **{AWAITS: "the end of whoever looks into the database"},
    )


def _no_space(directory: Path, error: OSError) -> OperationFailed:
    return OperationFailed(
        f"the data directory {directory} cannot be written ({error.strerror}): free some space"
    )


def open_database(path: Path, *, as_copy: bool = False) -> apsw.Connection:
    """Open, or make, a database file with checksums.

    Raises DiskFailed if the disk is full, OperationFailed for what may pass by itself, ConfigurationError if
    the file cannot be used for another reason.
    A copy (`as_copy`) is not durable by itself, and has no write-ahead log.
    """
    try:
        _load_checksums()
        _make_file(path)
        database = apsw.Connection(str(path), vfs=_CHECKSUM_VFS)
        try:
            _set_up(database, as_copy=as_copy)
        except BaseException:
            database.close(force=True)
            raise
    except apsw.FullError as error:
        raise DiskFailed(f"the database cannot be opened: {error}") from error
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFailed(f"the database cannot be opened: {error}") from error
        if error.errno in _LACKING:
            raise _lacking(f"the database {path} cannot be opened", error) from error
        raise ConfigurationError(f"the database {path} cannot be opened: {error.strerror}") from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise locked_by_another(path) from error
    except apsw.Error as error:
        raise ConfigurationError(
            f"the database {path} cannot be opened: {error}; if the disk is damaged, {BEFORE_REPLACING}"
        ) from error
    if not as_copy:
        sync_directory(path.parent)
    return database


def _set_up(database: apsw.Connection, *, as_copy: bool) -> None:
    if not as_copy:
        database.pragma("locking_mode", "exclusive")
    if not database.pragma("page_count"):  # A file may be there: an empty one, after a crash.
        if as_copy:  # Else there is a journal beside it for a moment, and for good if we are killed in that.
            database.pragma("journal_mode", "memory")
        database.reserve_bytes(reserve=_CHECKSUM_BYTES)
        database.pragma("auto_vacuum", "incremental")
        if as_copy:
            database.pragma("journal_mode", "delete")
    if as_copy:
        database.pragma("synchronous", "off")
        return
    database.pragma("journal_mode", "wal")
    database.pragma("synchronous", "full")
    database.pragma("cache_size", -_CACHE_KIB)
    database.execute("BEGIN IMMEDIATE; COMMIT")


def _make_file(path: Path) -> None:
    """Make an empty file unless there is one; SQLite gives the log of a file its mode.

    One that is there is not touched: to close it again would give up the locks that SQLite has on it.
    """
    with suppress(FileExistsError):
        os.close(private_opener(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))


def open_to_read(path: Path) -> apsw.Connection:
    """Open a whole database that nobody uses; nothing is written, and nothing is made beside it.

    It must have no log beside it: that would be left out.  Raises apsw.Error.
    """
    _load_checksums()
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"file:{quote(str(path.absolute()))}?immutable=1", flags=flags, vfs=_CHECKSUM_VFS)


def _load_checksums() -> None:
    if _CHECKSUM_VFS not in apsw.vfs_names():
        apsw.sqlite_extra.load(apsw.Connection(":memory:"), "cksumvfs")


def open_in_memory() -> apsw.Connection:
    """Return a database that lives as long as the connection; for the simulator and for tests."""
    database = apsw.Connection(":memory:")
    database.pragma("auto_vacuum", "incremental")
    return database


def make_directory(directory: Path) -> None:
    """Make a directory, and what is above it, for their owner; a power loss does not take it away.

    Whatever is there already may have been made by a process that was killed before it could sync.
    """
    for each in (*reversed(directory.parents), directory):
        if not each.exists():
            each.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
    for above in directory.parents:
        with suppress(PermissionError):  # One that we may use and not read: whoever made it has seen to it.
            sync_directory(above)


def private_opener(path: str | Path, flags: int) -> int:
    """Open a file, as `open` wants it; one that is made is for its owner only."""
    return os.open(path, flags | os.O_CLOEXEC, PRIVATE_FILE)


def sync_directory(directory: Path) -> None:
    """Make new names in the directory survive a power loss, where the file system knows how to."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # fsync(2): this file system has none for directories.
            raise
    finally:
        os.close(descriptor)
