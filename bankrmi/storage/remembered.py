"""What a retry is told: which request was decided, and what came of it; or that this is forgotten (O1, O5).

Assumption: sessions are removed only up to a horizon that is acknowledged (`folding`). So whichever copy
leads next holds it, too, and decides nothing new of a session that was removed here. Where it is taken back
all the same, by a takeover by force or a restore, this copy decides nothing of such sessions until there is
one again.
"""

from __future__ import annotations

from typing import NamedTuple

from bankrmi.replication.record import Record
from bankrmi.replication.sessions import HORIZON, began_ms
from bankrmi.storage.kept_sessions import KeptSessions
from bankrmi.storage.record_table import RecordTable
from bankrmi.storage.request_index import RequestIndex

__all__ = ["Horizon", "Remembered"]


class Horizon(NamedTuple):
    """Sessions that began by then are over, as the entry with this action id says; (0, 0): none is."""

    ms: int
    action_id: int


class Remembered:
    """Requests in the journal, and those that are kept beside it."""

    def __init__(self, records: RecordTable, requests: RequestIndex, sessions: KeptSessions) -> None:
        self.horizon = Horizon(0, 0)
        self._records = records
        self._requests = requests
        self._sessions = sessions

    def find_horizon(self) -> None:
        """Know the horizon of the journal as it is now."""
        ms = self._requests.newest(HORIZON)
        if ms is None:
            self.horizon = Horizon(0, 0)
            return
        action_id = self._requests.find(HORIZON, ms)
        if action_id is None:
            kept = self._sessions.newest(HORIZON)
            assert kept is not None
            action_id = kept[1]
        self.horizon = Horizon(ms, action_id)

    def note_horizon(self, record: Record) -> None:
        """This record of the horizon is in the journal."""
        self.horizon = Horizon(record.sequence, record.action_id)

    def newest(self, session: str) -> int | None:
        """Return the sequence number of the newest request of a session."""
        return self._requests.newest(session)

    def recorded(self, session: str, sequence: int) -> Record | None:
        """Return the record of a request; None if it is not in the journal, nor kept beside it."""
        action_id = self._requests.find(session, sequence)
        if action_id is None:
            return self._sessions.record(session, sequence)
        return self._records.record(action_id)

    def over(self, session: str) -> int | None:
        """Return the action id by which a session is over (that of the horizon); None if it is not."""
        if self.horizon.ms:
            began = began_ms(session)
            if began is not None and began <= self.horizon.ms:
                return self.horizon.action_id
        return None

    @property
    def lacks_horizon(self) -> bool:
        """Whether sessions may have been removed here by a horizon that was taken back since."""
        return self._sessions.removed_to_ms > self.horizon.ms

    def may_have_been_removed(self, session: str) -> bool:
        """Whether this may be one of them, so that nobody can tell here whether a request of it is new."""
        return self.lacks_horizon and self._sessions.may_have_had(session)

    def forgotten(self, session: str, sequence: int) -> int | None:
        """Return the action id by which a request without a record is too old to be known; None if it is not.

        Its session is over (that of the horizon), or a newer one of its session is folded, or what came of it
        is kept no longer (that one's).
        """
        over = self.over(session)
        if over is not None:
            return over
        newest = self.newest(session)
        if newest is None or newest < sequence:
            return None
        kept = self._sessions.newest(session)
        return kept[1] if kept is not None and kept[0] >= sequence else None
