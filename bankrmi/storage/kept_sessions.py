"""The newest folded request of each session: what a retry of it, or of an older one, is told (O1, O5).

Rule 1: nothing is done twice: a session is removed only when the horizon has passed its beginning; else its
        newest sequence number stays for good, without what came of it.
Rule 2: what came of a request stays for as long as is asked for, counted from its record's time.
Rule 3: up to which beginning sessions may have been removed here stays known, whatever becomes of the
        horizon: a takeover by force, or a restore of an older state, takes that back, and not the removal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw

from bankrmi.replication.record import Position, Record
from bankrmi.replication.sessions import HORIZON, began_ms, last_that_began

__all__ = ["INSERT_SESSION", "KeptSessions"]

INSERT_SESSION = "INSERT OR REPLACE INTO sessions VALUES (?,?,?,?,?,?,?,?,?)"

_LOOKED_AT = 200
"""Rows that one step of forgetting looks at."""
_CANDIDATES = 20


class _Row(NamedTuple):
    session: str
    sequence: int
    time_us: int
    has_outcome: int


class KeptSessions:
    """The table `sessions` of one database."""

    def __init__(self, database: apsw.Connection) -> None:
        self._database = database
        self._execute = database.execute
        self.removed_to_ms = 0
        """Sessions that began by then may have been removed."""

    def newest(self, session: str) -> tuple[int, int] | None:
        """Return sequence number and action id of the newest folded request of a session."""
        found: tuple[int, int] | None = self._execute(
            "SELECT sequence, action_id FROM sessions WHERE session = ?", (session,)
        ).get
        return found

    def record(self, session: str, sequence: int) -> Record | None:
        """Return the record of a request if it is kept here, and what came of it as well."""
        rows = self._execute(
            "SELECT action_id, epoch, session, sequence, operation_count, operations, outcomes, time_us,"
            " digest FROM sessions WHERE session = ? AND sequence = ? AND operations IS NOT NULL",
            (session, sequence),
        ).fetchall()
        return Record._make(rows[0]) if rows else None

    def rows(self, after: str, limit: int, at_most_bytes: int) -> list[tuple[Any, ...]]:
        """Return rows of the table, in their order, after a session: at most so many, about so many bytes."""
        rows: list[tuple[Any, ...]] = []
        size_bytes = 0
        for row in self._execute(
            "SELECT * FROM sessions WHERE session > ? ORDER BY session LIMIT ?", (after, limit)
        ):
            rows.append(row)
            size_bytes += len(row[5] or b"") + len(row[6] or b"")
            if size_bytes >= at_most_bytes:
                break
        return rows

    def put(self, records: Sequence[Record], horizon_ms: int, old_us: int) -> None:
        """Keep the newest record of each session among these, which are folded.

        Not what will be forgotten anyway (see `forget`).
        """
        newest = {record.session: record for record in records}
        rows = []
        for record in newest.values():
            is_old = record.time_us <= old_us and record.session != HORIZON
            if is_old and _is_over(record.session, horizon_ms):
                self._execute("DELETE FROM sessions WHERE session = ?", (record.session,))
                self.removed_to_ms = max(self.removed_to_ms, horizon_ms)
                continue
            content = (None, None) if is_old else (record.operations, record.outcomes)
            position = Position(record.action_id, record.epoch, record.digest)
            rows.append(
                (
                    record.session,
                    record.sequence,
                    position.action_id,
                    position.epoch,
                    record.operation_count,
                    *content,
                    record.time_us,
                    position.digest,
                )
            )
        self._database.executemany(INSERT_SESSION, rows)

    def forget(self, after: str, horizon_ms: int, old_us: int) -> str | None:
        """Look at some sessions, in their order: old ones that are over go, of other old ones the outcomes.

        Return the last one looked at; None if there are no further ones.
        """
        rows = [
            _Row._make(row)
            for row in self._execute(
                "SELECT session, sequence, time_us, operations IS NOT NULL FROM sessions"
                " WHERE session > ? ORDER BY session LIMIT ?",
                (after, _LOOKED_AT),
            )
        ]
        old = [row for row in rows if row.time_us <= old_us and row.session != HORIZON]
        over = [(row.session,) for row in old if _is_over(row.session, horizon_ms)]
        kept = [(row.session,) for row in old if row.has_outcome and not _is_over(row.session, horizon_ms)]
        if over:
            self._database.executemany("DELETE FROM sessions WHERE session = ?", over)
            self.removed_to_ms = max(self.removed_to_ms, horizon_ms)
        if kept:
            self._database.executemany(
                "UPDATE sessions SET operations = NULL, outcomes = NULL WHERE session = ?", kept
            )
        return rows[-1].session if len(rows) == _LOOKED_AT else None

    def may_have_had(self, session: str) -> bool:
        """Whether this may be a session that was removed."""
        return _is_over(session, self.removed_to_ms)

    def newest_beginning_ms(self, by_ms: int) -> int | None:
        """Return when the newest of these sessions began that began by then; None if none says so."""
        rows = self._execute(
            "SELECT session FROM sessions WHERE session <= ? ORDER BY session DESC LIMIT ?",
            (last_that_began(by_ms), _CANDIDATES),
        )
        return max((began for (session,) in rows if (began := began_ms(session)) is not None), default=None)


def _is_over(session: str, horizon_ms: int) -> bool:
    began = began_ms(session)
    return began is not None and began <= horizon_ms
