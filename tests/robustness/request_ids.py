"""A bank that does not know a request when it comes again, and whose index does not mind either."""

from __future__ import annotations

import pytest

from bankrmi.storage.journal import SqliteJournal
from bankrmi.storage.request_index import RequestIndex

__all__ = ["forgets_request_ids"]


def forgets_request_ids(patch: pytest.MonkeyPatch) -> None:
    """Switch off O1, and the index's own look at it: to the table, the last record of a request is it."""

    def add(self: RequestIndex, session: str, sequence: int, action_id: int) -> None:
        self._unwritten[session, sequence] = action_id

    def flush(self: RequestIndex) -> None:
        rows = [(*request, action_id) for request, action_id in self._unwritten.items()]
        self._database.executemany("INSERT OR REPLACE INTO requests VALUES (?,?,?)", rows)
        self._unwritten.clear()

    patch.setattr(SqliteJournal, "newest", lambda *_: None)
    patch.setattr(RequestIndex, "add", add)
    patch.setattr(RequestIndex, "check", lambda *_: None)
    patch.setattr(RequestIndex, "flush", flush)
