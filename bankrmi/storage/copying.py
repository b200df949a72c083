"""A copy of a live database: made a few pages at a time, verified, and put in place in one step.

Rule 1: while it is made, the database goes on being written, by the same connection: SQLite keeps the
        copy up to date with what was copied already.
Rule 2: a copy is in place only when it is whole, verified, durable, and has an incarnation of its own.
Rule 3: a copy is made only where there is room for it, and for the bank that goes on, until it is whole.
Rule 4: the old database is closed, and with it its write-ahead log gone, before the new one takes its name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import apsw

from bankrmi.storage.database import open_database, sync_directory
from bankrmi.storage.disk_failure import DiskFailed
from bankrmi.storage.folding import anchor_in
from bankrmi.storage.pages import page_faults
from bankrmi.storage.space import check_room

__all__ = ["RESTORED", "CopyMaker", "put_in_place", "remove_logs", "sync_copy", "verify_copy"]

PAGES_AT_ONCE = 1024
_STEPS_UNASKED = 10_000
"""Of SQLite's machine: a few milliseconds."""
RESTORED = "restoring.db"
"""What a restore makes beside the place of a database; one that was killed leaves it."""


class CopyMaker:
    """Makes one copy, step by step, between the groups of a server that goes on working."""

    def __init__(self, source: apsw.Connection, path: Path) -> None:
        """Begin a copy of `source` at `path`, which is overwritten.

        Raises OperationFailed if there is no room for it, apsw.Error or DiskFailed if it cannot be made.
        """
        self.path = path
        self._clear()
        self._page_bytes = int(source.pragma("page_size"))
        check_room(path.parent, int(source.pragma("page_count")) * self._page_bytes)
        try:
            self._target = open_database(path, as_copy=True)
            # The checksum VFS computes checksums for a file once it has seen its first page.  What a large
            # copy wrote before that would keep those of the source's cache, which are stale after a change.
            self._target.pragma("user_version", 1)
            self._backup = self._target.backup("main", source, "main")
        except BaseException:
            self._clear()
            raise

    def step(self) -> bool:
        """Copy some pages; return whether the copy is whole.

        Raises OperationFailed if others have taken the room for the rest, apsw.Error if the disk fails.
        """
        done = self._backup.step(PAGES_AT_ONCE)
        if not done:
            whole = self._backup.page_count * self._page_bytes
            check_room(self.path.parent, self._backup.remaining * self._page_bytes, of=whole)
        if done:
            self._backup.finish()
            self._target.close()
        return done

    def abandon(self) -> None:
        """Throw away what has been copied."""
        self._backup.close(True)
        self._target.close()
        self._clear()

    @property
    def size_bytes(self) -> int:
        """How large the copy is, once it is whole."""
        return self.path.stat().st_size

    def read(self, offset: int, at_most: int) -> bytes:
        """Return a piece of the copy; empty at its end."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(at_most)

    def remove(self) -> None:
        """Throw the whole copy away."""
        self.path.unlink(missing_ok=True)

    def _clear(self) -> None:
        self.path.unlink(missing_ok=True)
        remove_logs(self.path)


def verify_copy(path: Path, is_unwanted: Callable[[], bool] = lambda: False) -> str:
    """Return what is wrong with a copy, nothing if it is sound.  Takes a second for a million entries.

    `is_unwanted` is asked again and again: once nobody wants to know any more, it ends, and says so.
    """
    try:
        database = open_database(path, as_copy=True)
    except Exception as error:  # Whatever a damaged file makes SQLite say.
        return str(error)
    database.set_progress_handler(is_unwanted, _STEPS_UNASKED)
    try:
        if faults := page_faults(database, at_most=1):
            return faults
        if not database.execute("SELECT 1 FROM about WHERE name = 'opening'").get:
            return "it is empty: its source has lost its disk"
        anchor = database.execute("SELECT value FROM about WHERE name = 'anchor'").get
        begin = 0 if anchor is None else anchor_in(anchor).position.action_id
        [(count, newest)] = database.execute("SELECT sum(operation_count), max(action_id) FROM journal")
        if newest is None:
            return ""
        return "" if count == newest - begin else f"of {newest - begin} operations there are {count}"
    except (apsw.Error, ValueError) as error:
        return str(error)
    finally:
        database.close()


def sync_copy(path: Path) -> None:
    """Make a copy durable, under the name that it has; that may take long.  Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(copy: Path, path: Path, *, keep_as: Path | None = None) -> None:
    """Give a closed copy the name of a closed database, durably; `keep_as` is the new name of the old one.

    Between the two syncs of the folder the old database is certainly under its new name, and certainly
    without a log: a power loss that undid the removal of the log, but not the change of names, would have
    SQLite bring the old log into the copy.  Raises DiskFailed: then neither may be in place.
    """
    try:
        sync_copy(copy)
        if keep_as is not None:
            path.replace(keep_as)
        remove_logs(path)
        sync_directory(path.parent)
        copy.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise DiskFailed(f"the disk refused to put a copy in place: {error}") from error


def remove_logs(path: Path) -> None:
    """Remove what SQLite kept beside a database that is to be made anew."""
    for end in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)
