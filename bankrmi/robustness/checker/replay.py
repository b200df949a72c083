"""The journal at the end, replayed with the model: is it sound in itself, and what did it come to?

Rule 1: action ids have no gap, epochs never go back, and each digest is that of the entry and of all before.
Rule 2: a request is there once, its operations side by side and in their order, and after all older requests
        of its session; `cancelled` is one entry for a whole request, and nothing is done by it.
Rule 3: status and result of every entry are what the model says.
Rule 4: what is kept for the verdict is small: a journal has millions of entries.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from hashlib import blake2b
from typing import Any

import msgpack

from bankrmi.replication.entry import CANCELLED, DIGEST_BYTES, Entry, Position, Scalar
from bankrmi.robustness.checker.history import RequestId
from bankrmi.robustness.checker.model import Model
from bankrmi.robustness.checker.sentences import Violations, request_in_words

__all__ = ["Replay"]

_pack = msgpack.Packer(autoreset=True).pack
_NOTHING: RequestId = ("", 0)


class Replay:
    """What every request and every read should have been told.  Give it all entries, then `finish`."""

    def __init__(self, opening: Position, model: Model, violations: Violations) -> None:
        self.operations: list[bytes] = []
        self.requests: dict[RequestId, int] = {}
        """Where each request begins."""
        self.newest: dict[str, int] = {}
        """The newest sequence number of each session."""
        self._statuses: list[str] = []
        self._results: list[Scalar] = []
        self._ends = bytearray(b"\1")  # By action id: does a request end here?
        self._model = model
        self._opening = dict(model.values)
        self._changes: dict[Any, tuple[array[int], list[Any]]] = {}
        self._violations = violations
        self._same: dict[Any, Any] = {}
        self._digest = opening.digest
        self._epoch = opening.epoch
        self._request = _NOTHING

    # -- what it came to -------------------------------------------------------------------------

    @property
    def newest_action_id(self) -> int:
        """Where the journal ends."""
        return len(self._statuses)

    def end_of(self, action_id: int) -> int:
        """Return where the request ends that stands at `action_id`; 0 is an end by itself."""
        return self._ends.index(1, action_id)

    def results(self, first: int, last: int) -> tuple[tuple[int, str, Scalar], ...]:
        """Return what is to be told of these action ids: (action id, status, result)."""
        between = slice(first - 1, last)
        return tuple(
            zip(range(first, last + 1), self._statuses[between], self._results[between], strict=True)
        )

    def is_cancelled(self, action_id: int) -> bool:
        """Return whether the request at `action_id` never happens."""
        return self._statuses[action_id - 1] == CANCELLED

    def value_at(self, key: Any, action_id: int) -> Any:
        """Return what a read of `key` says after the entry `action_id`; None if there is no such key."""
        if key not in self._changes:
            return self._opening.get(key)
        ids, values = self._changes[key]
        return values[bisect_right(ids, action_id) - 1]

    # -- entries ---------------------------------------------------------------------------------

    def take(self, entry: Entry) -> None:
        """Take the next entry."""
        number = len(self._statuses) + 1
        if entry.action_id != number:
            self._violations.add(
                f"action id {number} is missing from the journal: {entry.action_id} is there"
            )
        if entry.epoch < self._epoch:
            self._violations.add(f"epoch {entry.epoch} at action id {number} comes after epoch {self._epoch}")
        # The same bytes as in production's `chained`: the columns between action id and digest.
        digest = blake2b(self._digest + _pack(entry[1:9]), digest_size=DIGEST_BYTES).digest()
        if digest != entry.digest:
            self._violations.add(
                f"the digest at action id {number} is not that of the entry and all before it"
            )
        self._digest, self._epoch = entry.digest, entry.epoch
        self._take_place(entry, number)
        self._apply(entry, number)

    def finish(self) -> None:
        """The last entry was taken."""
        self._ends[-1] = 1
        self._same.clear()

    def _take_place(self, entry: Entry, number: int) -> None:
        request = (self._same.setdefault(entry.session, entry.session), entry.sequence)
        if entry.place == 0:
            self._begin_request(request, number)
        elif request != self._request or entry.place != number - self.requests[request]:
            self._violations.add(
                f"operation {entry.place + 1} of request {request_in_words(request)} is at action id "
                f"{number}, apart from the one before it"
            )
            self._ends[-1] = 1
            self._request = _NOTHING
        self._ends.append(0)

    def _begin_request(self, request: RequestId, number: int) -> None:
        self._ends[-1] = 1
        self._request = request
        session, sequence = request
        before = self.requests.setdefault(request, number)
        newest = self.newest.get(session, 0)
        if before != number:
            self._request, name = _NOTHING, request_in_words(request)
            self._violations.add(
                f"request {name} is in the journal twice, at action ids {before} and {number}"
            )
        elif sequence < newest:
            name = request_in_words(request)
            self._violations.add(
                f"request {name} is at action id {number}, after number {newest} of its session"
            )
        self.newest[session] = max(newest, sequence)

    def _apply(self, entry: Entry, number: int) -> None:
        same, status = self._same, entry.status
        operation = same.setdefault(entry.operation, entry.operation)
        self.operations.append(operation)
        self._statuses.append(same.setdefault(status, status))
        self._results.append(entry.result)
        if status == CANCELLED:
            self._request = _NOTHING
            if entry.place or operation or entry.result is not None:
                self._violations.add(f"what is cancelled at action id {number} is not a whole request")
            return
        expected = self._model.apply(operation)
        if (status, entry.result) != expected:
            self._violations.add(
                f"action id {number} says {(status, entry.result)}, and replay says {expected}: "
                f"{self._model.in_words(operation)}"
            )
        self._note_change(self._model.key(operation), number)

    def _note_change(self, key: Any, number: int) -> None:
        values = self._model.values
        if key not in values:
            return
        if key not in self._changes:
            self._changes[key] = (array("q", [0]), [self._opening.get(key)])
        ids, history = self._changes[key]
        if history[-1] != values[key]:
            ids.append(number)
            history.append(values[key])
