"""What clients asked and what they were told: the values that a verdict is made of.

Rule 1: a call is one question of one client, from its invocation to its completion. The retries inside a
        client's call are the client's own business; whoever asks again with the same request id makes
        another call of the same request.
Rule 2: an outcome says what is known and no more. A decline is an answer. Whatever may or may not have
        happened is `UnknownOutcome`, and stays so until the journals at the end tell.
Rule 3: operations are values, as the journal keeps them: what they mean is the model's business.
Assumption: all times of one history are from one clock that never goes back (CLOCK_MONOTONIC, one machine).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = [
    "SHOWN",
    "AnsweredOutcome",
    "Header",
    "History",
    "HistoryCall",
    "OperationResult",
    "Outcome",
    "RefusedOutcome",
    "RequestId",
    "UnknownOutcome",
    "UnreachedOutcome",
]

RequestId = tuple[str, int]
"""(session, sequence number)."""

SHOWN = "shown"
"""The status of a read's result; all others are statuses of entries."""


class OperationResult(NamedTuple):
    """What became of one operation; or (`SHOWN`) the value that a read was given, true at `action_id`."""

    action_id: int
    status: str
    value: Any


@dataclass(frozen=True, slots=True)
class AnsweredOutcome:
    """The definite answer: one result for each operation, one for a read, one if it was cancelled.

    `history` is the id of the bank's history, None where the client does not hand it on.
    """

    history: str | None
    results: tuple[OperationResult, ...]

    @property
    def action_id(self) -> int:
        """The newest entry that the answer rests on."""
        return self.results[-1].action_id


@dataclass(frozen=True, slots=True)
class RefusedOutcome:
    """It did not happen and never will, a server said; `code` is that of `bankrmi.errors`."""

    code: str


@dataclass(frozen=True, slots=True)
class UnreachedOutcome:
    """Nothing was sent in this call, or whoever got it was too busy to take it."""


@dataclass(frozen=True, slots=True)
class UnknownOutcome:
    """It may or may not have happened, or may yet: in doubt at the deadline, or the client itself died."""


Outcome = AnsweredOutcome | RefusedOutcome | UnreachedOutcome | UnknownOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryCall:
    """One call.  With operations it is a change; without, the question what became of `request`, or a read.

    `invoked_ns` is before anything was sent, `completed_ns` after the answer was there; None if it never was.
    `may_be_settled`: whoever leads may take no such call, and then settles that it never happens.
    """

    client: str
    number: int
    kind: str
    invoked_ns: int
    completed_ns: int | None
    request: RequestId | None
    operations: Sequence[Any]
    query: Any
    outcome: Outcome
    may_be_settled: bool = False

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.request is None

    @property
    def is_question(self) -> bool:
        """Whether it asks what became of a request; that may cancel it."""
        return self.request is not None and not self.operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a history is of: the bank's opening ledger, and how the run was started."""

    opening: Mapping[int, int]
    seed: int | None = None
    command: str = ""
    servers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All calls of all clients."""

    header: Header
    calls: Sequence[HistoryCall]
