"""A journal that tells what leaves it: simulated disks hold these, and the promises are held against it.

Rule: what is folded is production's business; here it is only read before it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apsw

from bankrmi.replication.record import Record
from bankrmi.storage.journal import SqliteJournal
from bankrmi.storage.state_machine import StateMachine

__all__ = ["WatchedJournal"]

_MORE_THAN_A_STEP = 2_000


class WatchedJournal(SqliteJournal):
    """Production's journal; `folded` is told of the records that were folded."""

    def __init__(
        self,
        database: apsw.Connection,
        machine: StateMachine,
        folded: Callable[[SqliteJournal, Sequence[Record]], None],
        **more: Any,
    ) -> None:
        super().__init__(database, machine, **more)
        self._folded = folded

    def fold(self, up_to: int, now_us: int) -> bool:
        """As production does; what went is told afterwards."""
        begin = self.anchor.action_id
        oldest = self.records(begin, _MORE_THAN_A_STEP)
        went_on = super().fold(up_to, now_us)
        if self.anchor.action_id != begin:
            self._folded(self, [record for record in oldest if record.action_id <= self.anchor.action_id])
        return went_on
