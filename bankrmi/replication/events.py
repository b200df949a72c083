"""What can happen to a server: the only way into the rules.  Past tense; times are the caller's, in ms.

A `token` is the caller's name for something to be answered exactly once, with an `Answer` effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bankrmi.protocol_versions import NEWEST
from bankrmi.replication.cause import CauseKind
from bankrmi.replication.code_versions import VERSION_1, CodeVersions, StateVersion
from bankrmi.replication.journal import Journal
from bankrmi.replication.messages import CheckpointAnswer, Holdings, JoinAnswer, Message
from bankrmi.replication.pause import Pause
from bankrmi.replication.record import packed
from bankrmi.replication.view import View

__all__ = [
    "AnswerArrived",
    "CallersGone",
    "ClientEvent",
    "Committed",
    "CoordinatorSilent",
    "CopyEnded",
    "CopyInstalled",
    "Event",
    "Happening",
    "LinkChanged",
    "MessageArrived",
    "OutcomeAsked",
    "Overdue",
    "PauseAsked",
    "PeerAnswer",
    "Probed",
    "Proceed",
    "Proposed",
    "ReadArrived",
    "RequestArrived",
    "RetireAsked",
    "ServersAsked",
    "StopAsked",
    "SwitchoverAsked",
    "TakeoverAsked",
    "Tick",
    "ViewRead",
]

Token = Any
PeerAnswer = CheckpointAnswer | JoinAnswer | Holdings | None
"""What another server may answer; None where it is only said that the message was taken."""

Seen = tuple[str, int]
"""(history, action id): the newest acknowledged entry that a client has seen (R5)."""


class RequestArrived(NamedTuple):
    """A client wants operations done, all of them one request."""

    token: Token
    request: tuple[str, int]
    operations: bytes
    """Packed; of which there are `operation_count`."""
    operation_count: int
    seen: Seen | None = None
    caller: str = ""
    """Whose turn it is; empty: its session's."""

    @classmethod
    def of(
        cls,
        token: Token,
        request: tuple[str, int],
        operations: Sequence[Any],
        seen: Seen | None = None,
        caller: str = "",
    ) -> RequestArrived:
        """Return a request of operations that are not packed yet."""
        return cls(token, request, packed(operations), len(operations), seen, caller)


@dataclass(frozen=True, slots=True)
class OutcomeAsked:
    """A client wants to know, for good, what became of a request (O4)."""

    token: Token
    request: tuple[str, int]
    seen: Seen | None = None
    caller: str = ""


@dataclass(frozen=True, slots=True)
class CallersGone:
    """Nobody waits for the answers to these tokens any more: what is not decided yet never will be."""

    tokens: frozenset[Token]


@dataclass(frozen=True, slots=True)
class Overdue:
    """Who waits for these has not much time left: what is not decided yet never will be, and is told so."""

    tokens: frozenset[Token]


class ReadArrived(NamedTuple):
    """A client asks the state machine, and wants the newest acknowledged answer."""

    token: Token
    query: Any
    seen: Seen | None = None


ClientEvent = RequestArrived | OutcomeAsked | ReadArrived
"""What a client asks, whoever leads."""


@dataclass(frozen=True, slots=True)
class Proceed:
    """All that was ready to be read has been read: form the next group."""

    time_us: int


@dataclass(frozen=True, slots=True)
class Committed:
    """Every commit up to the one of this number is durable."""

    number: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; comes every few milliseconds.

    `late_ms` is by how much later than it was due: what has arrived since may lie unread in the sockets.
    """

    late_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChanged:
    """The connection that we keep to another server is up (and answers as `start_id`), or lost.

    `address` is where it leads; None: to where that server is looked for. `code` is what the other one's code
    knows, and `state_version` the version of its copy when it said so.
    """

    server: str
    up: bool
    start_id: str | None = None
    begun_ms: float = 0.0
    copies_min: int = 1  # As the other server's file has it.
    protocol: int = NEWEST  # The version that is spoken on it.
    address: str | None = None
    code: CodeVersions = VERSION_1
    state_version: StateVersion = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A connection attempt begun at `begun_ms` while `epoch` was adopted: refused, answered, or neither.

    `address` is where it was made; None: where that server is looked for.
    """

    server: str
    begun_ms: float
    epoch: int
    refused: bool = False
    start_id: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """Another server says something and waits for the answer.

    `address` is where it lives, as it says; None: where it is looked for, as of a version before.
    """

    token: Token
    message: Message
    address: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerArrived:
    """The answer to something that we said."""

    answer: PeerAnswer
    server: str = ""


@dataclass(frozen=True, slots=True)
class ViewRead:
    """The answer to `ReadView`; `since_epoch` is the epoch adopted when the reading began."""

    view: View | None
    since_epoch: int


@dataclass(frozen=True, slots=True)
class Proposed:
    """The answer to `Propose`: the view as it is now, whoever won."""

    view: View | None


@dataclass(frozen=True, slots=True)
class CoordinatorSilent:
    """A reading or a proposal got no answer; a proposal that was sent may have won, or may still win (V6)."""

    proposal: bool
    sent: bool = True


@dataclass(frozen=True, slots=True)
class CopyEnded:
    """A copy of the primary's database is here and verified, not in place yet; or there is none."""

    fetched: bool


@dataclass(frozen=True, slots=True)
class CopyInstalled:
    """The copy is in place: from now on this is the journal.  Follows `InstallCopy` before anything else."""

    journal: Journal


@dataclass(frozen=True, slots=True)
class SwitchoverAsked:
    """An operator wants another primary: `target`, or any member.

    `operator` says who that is, as far as it is known. `stopping`: this server itself wants it (V10).
    """

    token: Token
    target: str | None
    operator: str | None = None
    stopping: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeoverAsked:
    """An operator wants this server to lead, after he has seen the view of that history and epoch.

    `forced`: though it may lack what was acknowledged (V7). `resumes`: takeover is automatic again (V11).
    """

    token: Token
    expected: tuple[str, int]
    operator: str
    forced: bool = False
    resumes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseAsked:
    """An operator wants automatic takeover to be off, or (`pause` is None) on again (V11)."""

    token: Token
    pause: Pause | None
    operator: str


@dataclass(frozen=True, slots=True)
class RetireAsked:
    """An operator wants the servers retired for a database, or (`retired_for` is None) reinstated (V14).

    `seen`: history and epoch of the view in which he saw them retired; None when they are to be.
    """

    token: Token
    retired_for: str | None
    operator: str
    seen: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class ServersAsked:
    """An operator wants a server added, removed or moved (V12), as `kind` says; `address`: to where."""

    token: Token
    kind: CauseKind
    server: str
    address: str | None = None
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class StopAsked:
    """This server is about to stop, alone (V10); `Stop` follows when the others can go on without it."""


Happening = (
    RequestArrived
    | OutcomeAsked
    | CallersGone
    | Overdue
    | ReadArrived
    | Proceed
    | Tick
    | LinkChanged
    | Probed
    | MessageArrived
    | AnswerArrived
    | ViewRead
    | Proposed
    | CoordinatorSilent
    | CopyEnded
    | CopyInstalled
    | SwitchoverAsked
    | TakeoverAsked
    | PauseAsked
    | RetireAsked
    | ServersAsked
    | StopAsked
)
"""What waits while this server adopts an epoch of its own."""

Event = Happening | Committed
