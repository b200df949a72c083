"""Is each entry what has to come after those before it?  The one place that says so.

It checks a stopped server's disk, the journals at the end of a chaos run, and every acknowledged entry of a
simulation.

Rule 1: action ids have no gap, epochs never go back, and each digest is that of the entry and of all before.
Rule 2: a request is there once, its operations side by side and in their order, and after all older requests
        of its session; `cancelled` is one entry for a whole request, and nothing is done by it.
Rule 3: status and result of every entry are what the model says.
Rule 4: nothing here asks the code under test whether it is right; it is reckoned anew.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

import msgpack

from bankrmi.replication.entry import CANCELLED, DIGEST_BYTES, Entry, Position
from bankrmi.verifying.model import Model

__all__ = ["EntryCheck"]

_pack = msgpack.Packer(autoreset=True).pack
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError)
_NOTHING = ("", 0)


class EntryCheck:
    """Takes entries in their order; `found` is told of each fault, in a sentence, and may raise."""

    def __init__(self, opening: Position, model: Model, found: Callable[[str], None]) -> None:
        """`opening` is action id 0; `model` holds the state there, and follows."""
        self.tip = opening
        self.newest: dict[str, int] = {}
        """The newest sequence number of each session."""
        self._model = model
        self._found = found
        self._request = _NOTHING
        self._place = 0

    def take(self, entry: Entry) -> bool:
        """Take the next entry; return whether it goes on with the request of the one before it."""
        goes_on = self.take_place(entry)
        self.take_outcome(entry)
        return goes_on

    def take_place(self, entry: Entry) -> bool:
        """Check how the entry follows from those before it; `take_outcome` comes next."""
        number, found = self.tip.action_id + 1, self._found
        if entry.action_id != number:
            found(f"action id {number} is missing from the journal: {entry.action_id} is there")
        if entry.epoch < self.tip.epoch:
            found(f"epoch {entry.epoch} at action id {number} comes after epoch {self.tip.epoch}")
        # The same bytes as in production's `chained`: the columns between action id and digest.
        digest = blake2b(self.tip.digest + _pack(entry[1:9]), digest_size=DIGEST_BYTES).digest()
        if digest != entry.digest:
            found(f"the digest at action id {number} is not that of the entry and all before it")
        self.tip = Position(number, entry.epoch, entry.digest)
        return self._goes_on(entry, number)

    def _goes_on(self, entry: Entry, number: int) -> bool:
        if entry.place == 0:
            self._begin_request(entry, number)
            return False
        self._place += 1
        if (entry.session, entry.sequence) == self._request and entry.place == self._place:
            return True
        self._found(
            f"operation {entry.place + 1} of request {entry.session}:{entry.sequence} is at action id "
            f"{number}, apart from the one before it"
        )
        self._request = _NOTHING
        return False

    def _begin_request(self, entry: Entry, number: int) -> None:
        session, sequence = self._request = (entry.session, entry.sequence)
        self._place = 0
        newest = self.newest.get(session)
        if newest is None or sequence > newest:
            self.newest[session] = sequence
        elif sequence == newest:
            self._request = _NOTHING
            self._found(
                f"request {session}:{sequence} is in the journal twice, the second time at action id {number}"
            )
        else:
            self._found(
                f"request {session}:{sequence} is at action id {number}, after number {newest} of its session"
            )

    def take_outcome(self, entry: Entry) -> None:
        """Check what the entry says has become of its operation; the model follows."""
        number = self.tip.action_id
        if entry.status == CANCELLED:
            self._request = _NOTHING
            if entry.place or entry.operation or entry.result is not None:
                self._found(f"what is cancelled at action id {number} is not a whole request")
            return
        try:
            expected = self._model.apply(entry.operation)
        except _UNREADABLE:
            self._found(f"the operation at action id {number} cannot be read")
            return
        if (entry.status, entry.result) != expected:
            self._found(
                f"action id {number} says {(entry.status, entry.result)}, and replay says {expected}: "
                f"{self._model.in_words(entry.operation)}"
            )
