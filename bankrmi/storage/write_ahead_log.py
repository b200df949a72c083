"""When SQLite's write-ahead log is brought into the database: at a time of ours, and with its errors.

SQLite does it by itself at the end of a commit, and says nothing if that fails: a disk that syncs the log and
not the database would go unnoticed until the log is lost.

Rule 1: a failure is a disk that failed (F1); it is not tried again, at the end of the process neither.
Rule 2: it is done between groups (`bring_in_if_due`); a log that has grown to the ceiling is brought in
        before anything is added to it.
"""

from __future__ import annotations

import apsw

from bankrmi.errors import BrokenInvariant
from bankrmi.storage.disk_failure import DiskFailed

__all__ = ["CEILING_PAGES", "DUE_PAGES", "WriteAheadLog"]

DUE_PAGES = 4_000
"""16 MB; takes about 6 ms of a processor, and what the disk needs for a sync."""
CEILING_PAGES = 4 * DUE_PAGES
"""The log grows over this only by one transaction, and is cut back to it afterwards."""
_PAGE_BYTES = 4096


class WriteAheadLog:
    """The log of one connection, the only one that the database has."""

    def __init__(self, database: apsw.Connection) -> None:
        self.pages = 0
        """That the newest commit has left in the log."""
        self._database = database
        self._may_bring_in = True
        database.pragma("wal_autocheckpoint", 0)
        database.pragma("journal_size_limit", CEILING_PAGES * _PAGE_BYTES)
        database.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        database.set_wal_hook(self._grown)

    def _grown(self, _database: apsw.Connection, _name: str, pages: int) -> int:
        self.pages = pages
        return apsw.SQLITE_OK

    def bring_in_if_due(self) -> None:
        """Bring the log in if it has grown; no transaction may be open.  Raises DiskFailed."""
        if self.pages >= DUE_PAGES:
            self._bring_in()

    def keep_under_ceiling(self) -> None:
        """Bring the log in if nobody came to it in time; no transaction may be open.  Raises DiskFailed."""
        if self.pages >= CEILING_PAGES:
            self._bring_in()

    def _bring_in(self) -> None:
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
            self._bring_in()
        if self._may_bring_in:
            self._database.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
