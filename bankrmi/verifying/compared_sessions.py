"""Do two copies remember the same requests, up to where one of them is folded?

What is kept of a folded request stands in no chain of digests: only another copy shows that it was changed,
or that it is gone, and would be done twice.

Rule: each copy forgets by itself, and only sessions that are over by the horizon (`storage.kept_sessions`):
        such a one may be missing, and what came of a request may be. What both keep is the same.
"""

from __future__ import annotations

from typing import Any

import apsw

from bankrmi.replication.sessions import HORIZON, began_ms

__all__ = ["difference_in_sessions"]

_KEPT = "SELECT session, sequence, action_id, epoch, operation_count, time_us, digest FROM"


def difference_in_sessions(
    earlier: apsw.Connection, later: apsw.Connection, from_id: int, to_id: int
) -> str | None:
    """Return what they remember differently, in a sentence; None if that is nothing.

    `earlier` is folded up to `from_id`, or not at all (0), and `later` up to `to_id`; their records are the
    same.
    """
    one, other = _Remembered(earlier), _Remembered(later)
    newest = one.newest(from_id, to_id)
    horizon_ms = max(one.horizon_ms(), other.horizon_ms())
    for session, *theirs in later.execute(f"{_KEPT} sessions"):
        ours = newest.pop(session, None)
        if ours is None:
            if not _is_over(session, horizon_ms):
                return _one_remembers(session)
        elif ours != tuple(theirs) or _differ(one.content(session, ours[1]), other.content(session, ours[1])):
            return f"what they keep of session {session} is not the same: one was changed by hand"
    lost = next((session for session in newest if not _is_over(session, horizon_ms)), None)
    return None if lost is None else _one_remembers(lost)


class _Remembered:
    """What one copy remembers of requests: what is kept of those that are folded, and its journal."""

    def __init__(self, database: apsw.Connection) -> None:
        self._execute = database.execute
        # A database that a version before wrote has no table `sessions`.
        in_it = {name for (name,) in self._execute("SELECT name FROM sqlite_schema")}
        self._tables = [table for table in ("sessions", "journal") if table in in_it]

    def newest(self, from_id: int, to_id: int) -> dict[str, tuple[Any, ...]]:
        """Return the newest request of each session, up to `to_id`; what is kept is so up to `from_id`."""
        newest: dict[str, tuple[Any, ...]] = {}
        for table in self._tables:
            between = (0, from_id) if table == "sessions" else (from_id, to_id)
            for session, *row in self._execute(
                f"{_KEPT} {table} WHERE action_id > ? AND action_id <= ? ORDER BY action_id", between
            ):
                newest[session] = tuple(row)
        return newest

    def horizon_ms(self) -> int:
        """Return up to which beginning sessions are over."""
        newest = "SELECT max(sequence) FROM"
        found = [
            self._execute(f"{newest} {table} WHERE session = ?", (HORIZON,)).get for table in self._tables
        ]
        found.append(self._execute("SELECT value FROM about WHERE name = 'removed_to_ms'").get)
        return max((ms for ms in found if ms is not None), default=0)

    def content(self, session: str, action_id: int) -> tuple[bytes, bytes] | None:
        """Return operations and outcomes of a request; None where they are kept no longer."""
        both = "SELECT operations, outcomes FROM"
        for table in self._tables:
            for operations, outcomes in self._execute(
                f"{both} {table} WHERE session = ? AND action_id = ?", (session, action_id)
            ):
                return None if operations is None else (operations, outcomes)
        return None


def _is_over(session: str, horizon_ms: int) -> bool:
    began = began_ms(session)
    return began is not None and began <= horizon_ms


def _differ(ours: tuple[bytes, bytes] | None, theirs: tuple[bytes, bytes] | None) -> bool:
    return ours is not None and theirs is not None and ours != theirs


def _one_remembers(session: str) -> str:
    return f"one of them remembers session {session}, and the other does not: one was changed by hand"
