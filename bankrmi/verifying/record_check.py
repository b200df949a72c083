"""Is each record what has to come after those before it?  The one place that says so.

It checks a stopped server's disk, the journals at the end of a chaos run, and every acknowledged record of a
simulation.

Rule 1: action ids have no gap, epochs never go back, and each digest is that of the record and of all before.
Rule 2: a request is there once, after all older requests of its session, and not after the horizon has passed
        its session; one that is cancelled is one operation, and nothing is done by it.
Rule 3: what came of every operation is what the model says.
Rule 4: nothing here asks the code under test whether it is right; it is reckoned anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from types import MappingProxyType

import msgpack

from bankrmi.replication.record import CANCELLED, DIGEST_BYTES, Entry, Position, Record
from bankrmi.replication.sessions import HORIZON, began_ms
from bankrmi.verifying.model import Model

__all__ = ["UNREADABLE", "RecordCheck"]

_pack = msgpack.Packer(autoreset=True).pack
UNREADABLE = (ValueError, TypeError, KeyError, IndexError)
"""What a model may raise for an invalid operation."""


class RecordCheck:
    """Takes records in their order; `found` is told of each fault, in a sentence, and may raise."""

    def __init__(
        self,
        anchor: Position,
        model: Model,
        found: Callable[[str], None],
        folded: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """`anchor` is what the first record follows: action id 0, or where the journal is folded to.

        `model` holds the state there, and follows. `folded` has the newest sequence number of each session
        whose record is folded, as far as it is known.
        """
        self.tip = anchor
        self.newest: dict[str, int] = dict(folded)
        """The newest sequence number of each session."""
        self._model = model
        self._found = found

    def take(self, record: Record) -> list[Entry]:
        """Take the next record; return its operations, none if they cannot be read."""
        entries = self.take_place(record)
        for entry in entries:
            self.take_outcome(entry)
        return entries

    def take_place(self, record: Record) -> list[Entry]:
        """Check how the record follows from those before; `take_outcome` of what is returned comes next."""
        number, found = self.tip.action_id + 1, self._found
        if record.first_id != number:
            found(f"action id {number} is missing from the journal: {record.first_id} is there")
        if record.epoch < self.tip.epoch:
            found(f"epoch {record.epoch} at action id {number} comes after epoch {self.tip.epoch}")
        # The same bytes as in production's `chained`: the columns between action id and digest.
        digest = blake2b(self.tip.digest + _pack(record[1:8]), digest_size=DIGEST_BYTES).digest()
        if digest != record.digest:
            found(f"the digest at action id {record.action_id} is not that of the record and all before it")
        self.tip = record.position
        self._take_request(record)
        return self._entries(record)

    def _take_request(self, record: Record) -> None:
        session, sequence = record.request
        newest = self.newest.get(session)
        began, horizon_ms = began_ms(session), self.newest.get(HORIZON)
        if began is not None and horizon_ms is not None and began <= horizon_ms:
            self._found(
                f"request {session}:{sequence} is at action id {record.first_id}, and its session was over"
            )
        if newest is None or sequence > newest:
            self.newest[session] = sequence
        elif sequence == newest:
            self._found(
                f"request {session}:{sequence} is in the journal twice, "
                f"the second time at action id {record.first_id}"
            )
        else:
            self._found(
                f"request {session}:{sequence} is at action id {record.first_id}, "
                f"after number {newest} of its session"
            )

    def _entries(self, record: Record) -> list[Entry]:
        if record.cancelled and (record.operation_count != 1 or record.outcomes):
            self._found(f"what is cancelled at action id {record.action_id} is not a whole request")
            return []
        try:
            return record.entries()
        except UNREADABLE:
            self._found(f"the record at action id {record.first_id} cannot be read")
            return []

    def take_outcome(self, entry: Entry) -> None:
        """Check what the record says has become of an operation; the model follows."""
        if entry.status == CANCELLED:
            return
        try:
            expected = self._model.apply(entry.operation)
        except UNREADABLE:
            self._found(f"the operation at action id {entry.action_id} cannot be read")
            return
        if (says := (entry.status, entry.result, *entry.beside)) != expected:
            self._found(
                f"action id {entry.action_id} says {says}, "
                f"and replay says {expected}: "
                f"{self._model.in_words(entry.operation)}"
            )
