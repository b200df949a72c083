"""SQLite's write-ahead log: it is made durable, and brought into the database, at times of ours.

With `synchronous=NORMAL` a commit is in the log when it ends, and not synced. SQLite syncs the log only
before it brings it in, and its header when it begins it anew; what the log held before that is in the
database by then, synced. So all that is in the log is durable once the log has been synced: by `sync`.

SQLite would bring the log in by itself at the end of a commit, and say nothing if that fails: a disk that
syncs the log and not the database would go unnoticed until the log is lost.

A sync of a file that has grown takes twice as long as of one that has not: its new length is written, too. So
the log is made longer ahead of what is written to it, by zeros, which SQLite takes for the end of the log
whenever it reads it (as PostgreSQL fills the segments of its log before it uses them).

Rule 1: a failure is a disk that failed (F1); it is not tried again, at the end of the process neither.
Rule 2: it is brought in between groups (`bring_in_if_due`); a log that has grown to the ceiling is brought in
        before anything is added to it.
Rule 3: `sync` touches a descriptor and nothing else: it alone may run in another thread.
Rule 4: what a process before has left is written once more before it is synced (`write_again`): where a sync
        has failed, the kernel takes its pages for written, and neither it nor a sync would write them again.
Assumption: one sync of a file covers what was written to it through any descriptor before the sync began, and
        each descriptor is told of an error once (Linux from 4.13).
"""

from __future__ import annotations

import os
from contextlib import suppress

import apsw

from bankrmi.errors import BrokenInvariant
from bankrmi.storage.disk_failure import DiskFailed
from bankrmi.storage.place import REMEDY

__all__ = ["CEILING_PAGES", "DUE_PAGES", "WriteAheadLog"]

DUE_PAGES = 4_000
"""16 MB; takes about 6 ms of a processor, and what the disk needs for a sync."""
CEILING_PAGES = 4 * DUE_PAGES
"""The log grows over this only by one transaction, and is cut back to it afterwards."""
_PAGE_BYTES = 4096
_FRAME_BYTES = 24 + _PAGE_BYTES
_ZEROS = bytes(64 * _FRAME_BYTES)
_AGAIN_AT_ONCE = 1 << 20
_AHEAD_PAGES = 8
"""How much longer than its content the log is kept: most commits have fewer pages."""


class WriteAheadLog:
    """The log of one connection, the only one that the database has."""

    def __init__(self, database: apsw.Connection) -> None:
        self.pages = 0
        """That the newest commit has left in the log."""
        self._database = database
        self._descriptor: int | None = None
        self._may_bring_in = True
        self._long_enough = 0  # For so many pages.
        # A copy is not durable by itself (`database.open_database`), and what is in memory has no log.
        if database.pragma("journal_mode") == "wal" and database.pragma("synchronous"):
            self._descriptor = os.open(database.filename_wal, os.O_RDWR | os.O_CLOEXEC)
            database.pragma("synchronous", "normal")
        database.pragma("wal_autocheckpoint", 0)
        database.pragma("journal_size_limit", CEILING_PAGES * _PAGE_BYTES)
        database.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        database.set_wal_hook(self._grown)

    def _grown(self, _database: apsw.Connection, _name: str, pages: int) -> int:
        self.pages = pages
        return apsw.SQLITE_OK

    def sync(self) -> None:
        """Make all commits that have ended durable.  Raises DiskFailed; then it must not be tried again."""
        if self._descriptor is None:
            return
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise DiskFailed(f"the disk refused a commit: {error.strerror}") from error

    def check_length(self) -> None:
        """Raise DiskFailed if the log no longer has what was written to it: what is added would lie behind a
        hole, where nobody finds it again."""
        if self._descriptor is not None and os.fstat(self._descriptor).st_size < self.pages * _FRAME_BYTES:
            raise DiskFailed(f"{self._database.filename_wal} was cut off while it was written: {REMEDY}")

    def write_again(self) -> None:
        """Make durable what a process before has left, killed or stopped by its disk.  Raises DiskFailed.

        While it is written over with itself, a power loss finds each byte as it was.
        """
        if self._descriptor is None:
            return
        try:
            at = 0
            while piece := os.pread(self._descriptor, _AGAIN_AT_ONCE, at):
                at += os.pwrite(self._descriptor, piece, at)
        except OSError as error:
            raise DiskFailed(f"the disk refused what was in its log: {error.strerror}") from error
        self.sync()

    def bring_in_if_due(self) -> None:
        """Bring the log in if it has grown; no transaction may be open.  Raises DiskFailed."""
        if self.pages >= DUE_PAGES:
            self.bring_in()

    def lengthen_ahead(self) -> None:
        """Make the log longer than what the next commits will write; no transaction may be open.

        Not beyond what will be brought in and begun anew. Where there is no space it stays as it is.
        """
        wanted = self.pages + _AHEAD_PAGES
        if wanted <= self._long_enough or self.pages >= DUE_PAGES or self._descriptor is None:
            return
        length = os.fstat(self._descriptor).st_size
        if length < wanted * _FRAME_BYTES:
            with suppress(
                OSError
            ):  # Whatever it is: it is met again when SQLite writes, and looked at there.
                length += os.pwrite(self._descriptor, _ZEROS, length)
        self._long_enough = max(length // _FRAME_BYTES, wanted)

    def keep_under_ceiling(self) -> None:
        """Bring the log in if nobody came to it in time; no transaction may be open.  Raises DiskFailed."""
        if self.pages >= CEILING_PAGES:
            self.bring_in()

    def bring_in(self) -> None:
        """Bring the log in, however short it is; no transaction may be open.  Raises DiskFailed."""
        if not self._may_bring_in:
            raise DiskFailed("the disk refused to bring the log into the database before")
        try:
            in_log, brought_in = self._database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.LockedError, apsw.BusyError) as error:
            if self.pages >= CEILING_PAGES:
                raise BrokenInvariant("the log grows without end: somebody keeps a question open") from error
            return
        except apsw.Error as error:
            self._may_bring_in = False
            raise DiskFailed(f"the disk refused to bring the log into the database: {error}") from error
        if brought_in == in_log:
            self.pages = 0  # The next commit begins the log anew.

    def finish(self) -> None:
        """The database is about to be closed in good order, and its log to go.  Raises DiskFailed."""
        if self.pages:
            self.bring_in()
        if self._may_bring_in:
            self._database.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)

    def close(self) -> None:
        """Give the descriptor back; nothing is synced any more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
