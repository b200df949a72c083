"""The journal's older end: records leave it, and an anchor stays in their place.

    records 1 ... n ... m ... tip        anchor n: its digest, and the sum of the state there
               └ folded up to here       the digests above go on from the anchor's

Rule 1: what is folded is acknowledged, older than is asked for, and not the newest; what follows from it is
        written (see `journal`).
Rule 2: a step is one transaction: the records are gone, the anchor has moved, the sessions' newest outcomes
        are kept, or nothing of it. It is not synced: a power loss may take it back; all is as before then.
Rule 3: a step is small, in records, operations and bytes; space is given back in small steps, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import apsw

from bankrmi.errors import ConfigurationError
from bankrmi.replication.record import Position, Record, size_of, unpacked
from bankrmi.storage.about import About
from bankrmi.storage.kept_sessions import KeptSessions
from bankrmi.storage.record_table import RecordTable
from bankrmi.storage.state_machine import SUM_MODULUS, StateMachine
from bankrmi.storage.tables import NEWEST_FORMAT

__all__ = ["Anchor", "Folding", "Keeping", "anchor_in", "share_of"]

_RECORDS, _OPERATIONS, _BYTES = 64, 1_000, 128 << 10
"""A step ends after so many: a millisecond or two; a record is never split."""
_FREE_PAGES, _FREE_SHARE = 256, 16
"""Beyond so many free pages, and this part of the file, space is given back: others will be used again."""
_PAGES_AT_ONCE = 32
_LOOKS = 16
"""So often in the time for which they are kept, sessions are looked through."""
_NEVER = -(1 << 62)

T = TypeVar("T")

Within = Callable[[Callable[[], None]], None]
"""Makes a change in a transaction of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How much of the journal is kept: a record goes when it is beyond all bounds that there are; 0 is none.

    `session_us`: for how long a session's newest outcome is kept, at least; 0: for good.
    """

    operations: int = 0
    age_us: int = 0
    session_us: int = 0

    @property
    def folds(self) -> bool:
        """Whether records leave the journal some day."""
        return bool(self.operations or self.age_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Where a journal begins: after which record, of which time, and in which history it was folded.

    `state` is the state machine's sum there (see `state_machine`).
    """

    position: Position
    time_us: int
    history: str
    state: int

    def packed(self) -> str:
        """Return it as it stands in the table `about`."""
        action_id, epoch, digest = self.position
        return json.dumps(
            {
                "action_id": action_id,
                "epoch": epoch,
                "digest": digest.hex(),
                "time_us": self.time_us,
                "history": self.history,
                "state": f"{self.state:x}",
            }
        )


def anchor_in(text: object) -> Anchor:
    """Return an anchor as it stands in the table `about`; raises ValueError if it is none."""
    try:
        values = json.loads(str(text))
        position = Position(values["action_id"], values["epoch"], bytes.fromhex(values["digest"]))
        state = int(values["state"], 16)
        anchor = Anchor(position=position, time_us=values["time_us"], history=values["history"], state=state)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("the anchor cannot be read") from error
    numbers = (position.action_id, position.epoch, anchor.time_us)
    if any(type(number) is not int for number in numbers) or position.action_id < 0:
        raise ValueError("the anchor cannot be read")
    return anchor


def share_of(machine: StateMachine, records: Iterable[Record]) -> int:
    """Return how much these records have added to the sum of the state."""
    shares = (
        machine.share(unpacked(record.operations), unpacked(record.outcomes))
        for record in records
        if not record.cancelled
    )
    return sum(shares) % SUM_MODULUS


class Folding:
    """Moves the anchor of one journal."""

    def __init__(
        self, database: apsw.Connection, about: About, records: RecordTable, machine: StateMachine
    ) -> None:
        self.sessions = KeptSessions(database)
        self.anchor: Anchor | None = None
        """None while nothing has ever been folded."""
        self._database = database
        self._execute = database.execute
        self._about = about
        self._records = records
        self._machine = machine
        self._look_on_after: str | None = None
        self._looked_us = self._looked_for = 0

    def load(self, anchor: object, removed_to_ms: object = None) -> None:
        """Take what the table `about` says of the anchor, and of sessions that were removed.

        Raises ConfigurationError if the anchor cannot be read.
        """
        self.sessions.removed_to_ms = removed_to_ms if isinstance(removed_to_ms, int) else 0
        try:
            self.anchor = None if anchor is None else anchor_in(anchor)
        except ValueError as error:
            raise ConfigurationError(f"in the database, {error}") from error

    def begin(self, opening: Position, history: str, within: Within | None = None) -> None:
        """Anchor the journal at the opening state, while all records are there.

        The sum of the state there follows from the present one and all records; some seconds for a million.
        """
        state = (self._machine.sum() - share_of(self._machine, self._records.above(0))) % SUM_MODULUS
        anchor = Anchor(position=opening, time_us=0, history=history, state=state)
        if within is None:
            self._set(anchor)
        else:
            within(lambda: self._set(anchor))

    def _set(self, anchor: Anchor) -> None:
        self._about.set(anchor=anchor.packed())
        self.anchor = anchor

    def step(
        self,
        keeping: Keeping,
        up_to: int,
        *,
        tip: int,
        history: str,
        horizon_ms: int,
        now_us: int,
        within: Within,
    ) -> bool:
        """Do the next small thing there is to do, in a transaction; return whether there was any.

        No record above `up_to` is folded. `horizon_ms` is one that is acknowledged.
        """
        old_us = now_us - keeping.session_us if keeping.session_us else _NEVER
        if due := self.due(keeping, up_to, tip, now_us):
            within(lambda: self.fold(due, history, horizon_ms=horizon_ms, old_us=old_us))
            return True
        if self._is_to_look(keeping, horizon_ms, now_us):
            within(lambda: self._forget_some(horizon_ms, old_us))
            return True
        return self._give_back_space(within)

    # -- records ---------------------------------------------------------------------------------

    def due(self, keeping: Keeping, up_to: int, tip: int, now_us: int) -> list[Record]:
        """Return the next records to fold, a step's worth: none above `up_to`, nor the newest."""
        if self.anchor is None or not keeping.folds:
            return []
        up_to = min(up_to, tip - max(1, keeping.operations))
        due: list[Record] = []
        operations = size_bytes = 0
        if self.anchor.position.action_id >= up_to:
            return due
        for record in self._records.above(self.anchor.position.action_id, _RECORDS):
            is_young = keeping.age_us and record.time_us > now_us - keeping.age_us
            if record.action_id > up_to or is_young:
                break
            due.append(record)
            operations += record.operation_count
            size_bytes += size_of(record)
            if operations >= _OPERATIONS or size_bytes >= _BYTES:
                break
        return due

    def fold(self, records: Sequence[Record], history: str, *, horizon_ms: int, old_us: int) -> None:
        """Remove these records, the oldest, and move the anchor, in the transaction that is open."""
        assert self.anchor is not None
        newest = records[-1]
        state = (self.anchor.state + share_of(self._machine, records)) % SUM_MODULUS
        self._removing(lambda: self.sessions.put(records, horizon_ms, old_us))
        requests = [record.request for record in records]
        self._database.executemany("DELETE FROM requests WHERE session = ? AND sequence = ?", requests)
        self._records.delete_up_to(newest.action_id)
        self._about.set(format=NEWEST_FORMAT)
        time_us = max(self.anchor.time_us, newest.time_us)
        self._set(Anchor(position=newest.position, time_us=time_us, history=history, state=state))

    # -- sessions, and space ---------------------------------------------------------------------

    def _is_to_look(self, keeping: Keeping, horizon_ms: int, now_us: int) -> bool:
        """Whether sessions are to be looked through: all of them, a few at a time, every now and then."""
        if not keeping.session_us or self.anchor is None:
            return False
        is_time = (
            abs(now_us - self._looked_us) >= keeping.session_us // _LOOKS or horizon_ms != self._looked_for
        )
        if self._look_on_after is None and is_time:
            self._look_on_after, self._looked_us, self._looked_for = "", now_us, horizon_ms
        return self._look_on_after is not None

    def _forget_some(self, horizon_ms: int, old_us: int) -> None:
        after = self._look_on_after
        assert after is not None
        self._look_on_after = self._removing(lambda: self.sessions.forget(after, horizon_ms, old_us))

    def _removing(self, remove: Callable[[], T]) -> T:
        """Do this, and note in the same transaction up to where sessions may have been removed by it."""
        before = self.sessions.removed_to_ms
        result = remove()
        if self.sessions.removed_to_ms != before:
            self._note_removed()
        return result

    def _note_removed(self) -> None:
        self._about.set(removed_to_ms=self.sessions.removed_to_ms)

    def keep_over(self, horizon_ms: int) -> None:
        """Have sessions that are over by this horizon stay so, in the transaction that is open."""
        self.sessions.removed_to_ms = max(self.sessions.removed_to_ms, horizon_ms)
        self._note_removed()

    def wanted_horizon(self, keeping: Keeping, horizon_ms: int, now_us: int) -> int | None:
        """Return up to which beginning sessions may be over by now; None: as before.

        Not beyond those that are folded: whatever a clock says, nobody gains by more. But at least up to
        where they were removed here, if that horizon was taken back.
        """
        if self.sessions.removed_to_ms > horizon_ms:
            return self.sessions.removed_to_ms
        if not keeping.session_us or self.anchor is None:
            return None
        began = self.sessions.newest_beginning_ms((now_us - keeping.session_us) // 1000)
        if began is None or began <= horizon_ms + keeping.session_us // 1000 // _LOOKS:
            return None
        return began

    def _give_back_space(self, within: Within) -> bool:
        """Give some free pages back to the file system; return whether there were any to give."""
        free = int(self._database.pragma("freelist_count"))
        if free <= max(_FREE_PAGES, int(self._database.pragma("page_count")) // _FREE_SHARE):
            return False
        if int(self._database.pragma("auto_vacuum")) == 0:
            return (
                False  # Made by a version before: its free pages are used again, and the file stays as long.
            )
        within(lambda: self._vacuum(min(free, _PAGES_AT_ONCE)))
        return True

    def _vacuum(self, pages: int) -> None:
        for _ in self._execute(f"PRAGMA incremental_vacuum({pages})"):
            pass
