"""Which record of the journal is which request, so that a retry finds what was decided (O1, O2).

Rule 1: it follows from the journal. What was added is kept in memory until `flush`, and can be lost: whoever
        owns the journal adds it again.
Rule 2: the newest request of a session that was asked for is remembered: its next one asks again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

import apsw

from bankrmi.errors import BrokenInvariant
from bankrmi.storage.tables import INSERT_REQUEST

__all__ = ["RequestIndex"]

_REMEMBERED = 50_000
"""Sessions; 10 MB."""

_NEWEST = (
    "SELECT max(sequence) FROM (SELECT max(sequence) AS sequence FROM requests WHERE session = ?"
    " UNION ALL SELECT sequence FROM sessions WHERE session = ?)"
)
_NEWEST_OF_MANY = (
    "WITH named AS MATERIALIZED (SELECT value AS session FROM json_each(?)) SELECT session, max(sequence)"
    " FROM (SELECT session, sequence FROM named JOIN requests USING (session)"
    " UNION ALL SELECT session, sequence FROM named JOIN sessions USING (session)) GROUP BY session"
)
"""Of what is in the journal, and of what is folded (`kept_sessions`)."""


class RequestIndex:
    """Session and sequence number to action id; the table is `requests`."""

    def __init__(self, database: apsw.Connection) -> None:
        self._database = database
        self._unwritten: dict[tuple[str, int], int] = {}
        self._newest: dict[str, int] = {}  # Of every session in `_unwritten`, and of others.

    def newest(self, session: str) -> int | None:
        """Return the sequence number of the newest request of a session."""
        newest = self._newest.get(session)
        if newest is None:
            newest = self._database.execute(_NEWEST, (session, session)).get
            if newest is not None:
                if len(self._newest) >= _REMEMBERED + len(self._unwritten):
                    self._newest = dict(sorted(self._unwritten))
                self._newest[session] = newest
        return newest

    def check(self, requests: Sequence[tuple[str, int]]) -> None:
        """Raise BrokenInvariant unless each of these, in this order, comes after all others of its session.

        The disk is asked once for all of them.
        """
        newest = self._newest_of({session for session, _ in requests})
        for session, sequence in requests:
            before = newest.get(session, 0)
            if before >= sequence:
                raise BrokenInvariant(
                    f"request {session}:{sequence} is decided twice, or after number {before}"
                )
            newest[session] = sequence

    def _newest_of(self, sessions: Collection[str]) -> dict[str, int]:
        known = {session: self._newest[session] for session in sessions if session in self._newest}
        unknown = [session for session in sessions if session not in known]
        if unknown:
            known.update(self._database.execute(_NEWEST_OF_MANY, (json.dumps(unknown),)))
        return known

    def find(self, session: str, sequence: int) -> int | None:
        """Return the action id of a request's record, None if it is not in the journal."""
        action_id = self._unwritten.get((session, sequence))
        if action_id is None:
            action_id = self._database.execute(
                "SELECT action_id FROM requests WHERE session = ? AND sequence = ?", (session, sequence)
            ).get
        return action_id

    def add(self, session: str, sequence: int, action_id: int) -> None:
        """A request is in the journal, after all older ones of its session.

        Raises BrokenInvariant if it is not, as far as that is known here: nothing is read for it.
        """
        if self._newest.get(session, 0) >= sequence:
            raise BrokenInvariant(f"request {session}:{sequence} is journalled twice, or after a newer one")
        self._unwritten[session, sequence] = action_id
        self._newest[session] = sequence

    def remove(self, requests: Iterable[tuple[str, int]]) -> None:
        """These are no longer in the journal."""
        for request in requests:
            if self._unwritten.pop(request, None) is None:
                self._database.execute("DELETE FROM requests WHERE session = ? AND sequence = ?", request)
        self._newest = dict(sorted(self._unwritten))

    def flush(self) -> None:
        """Write what was added."""
        if self._unwritten:
            rows = [(*request, action_id) for request, action_id in self._unwritten.items()]
            self._database.executemany(INSERT_REQUEST, rows)
            self._unwritten.clear()
        if len(self._newest) > _REMEMBERED:
            self._newest.clear()

    def forget(self) -> None:
        """Drop what is only in memory."""
        self._unwritten.clear()
        self._newest.clear()
