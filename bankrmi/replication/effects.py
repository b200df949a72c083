"""What the rules want done.  The order of the list is the order of duty.

Rule 1: the caller carries out all effects of a step, one after the other, before the next step.
Rule 2: everything is asked for and not waited for; what comes of it arrives as an event.
Rule 3: so it is with `Commit`: what is written up to it is durable when `Committed` says so, and nothing that
        stands behind it may rest on that before. If it fails, the process stops (F1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from bankrmi.replication.journal import Adopted
from bankrmi.replication.messages import (
    CheckpointAnswer,
    Holdings,
    JoinAnswer,
    Message,
)
from bankrmi.replication.record import Record
from bankrmi.replication.view import View

__all__ = [
    "Answer",
    "Commit",
    "Decided",
    "Effect",
    "FetchCopy",
    "Handed",
    "InstallCopy",
    "IsBehind",
    "IsBusy",
    "IsForgotten",
    "IsStale",
    "Leave",
    "NotLeading",
    "NotYet",
    "Probe",
    "Propose",
    "Reach",
    "Read",
    "ReadView",
    "Refusal",
    "Report",
    "SendMessage",
    "ServersChanged",
    "Stop",
]


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Say `message` to another server; drop it if there is no connection."""

    to: str
    message: Message


@dataclass(frozen=True, slots=True)
class Commit:
    """Make everything written durable; `Committed` follows.  `purpose` is "group", "checkpoint" or "lead"."""

    purpose: str
    number: int


# -- what an `Answer` may carry -----------------------------------------------------------------


class Decided(NamedTuple):
    """The acknowledged record of the caller's request."""

    history: str
    record: Record


class Read(NamedTuple):
    """What the state machine says, true at the acknowledged `action_id`."""

    history: str
    action_id: int
    value: Any

    def at_most(self, acknowledged: int) -> Read:
        """Return the same, said of no more than what is acknowledged: no entry between changed it (R4).

        Nor is it said of more than there was when it was read: what came later may have changed it.
        """
        return self if self.action_id <= acknowledged else Read(self.history, acknowledged, self.value)


@dataclass(frozen=True, slots=True)
class NotLeading:
    """Ask `primary` (None: nobody is known to lead).  `undecided`: nobody has looked at it here, or will.

    `retired_for`: the bank is not here any more, but there (V14).
    """

    primary: str | None
    undecided: bool = False
    retired_for: str | None = None


@dataclass(frozen=True, slots=True)
class IsStale:
    """A newer request of the session was acknowledged before this one came (O2)."""

    newest_sequence: int


@dataclass(frozen=True, slots=True)
class IsForgotten:
    """It is so old that what came of it, if anything, is not known any more; it is done by no copy (O5)."""


@dataclass(frozen=True, slots=True)
class IsBehind:
    """The caller has seen more than this copy holds (R5)."""

    action_id: int


@dataclass(frozen=True, slots=True)
class NotYet:
    """A copy that counts could not read such a request: nothing was done, until that server is upgraded."""

    why: str


@dataclass(frozen=True, slots=True)
class IsBusy:
    """Too much waits here already; nothing of this was taken."""


@dataclass(frozen=True, slots=True)
class Handed:
    """What an operator wanted of the view is done: the views before and after."""

    before: View
    after: View


@dataclass(frozen=True, slots=True)
class ServersChanged:
    """A server was added, removed or moved: the views before and after."""

    before: View
    after: View


@dataclass(frozen=True, slots=True)
class Refusal:
    """An operator's wish that cannot be done, and why."""

    why: str


Reply = (
    Decided
    | Read
    | NotLeading
    | NotYet
    | IsStale
    | IsForgotten
    | IsBehind
    | IsBusy
    | Handed
    | ServersChanged
    | Refusal
    | CheckpointAnswer
    | JoinAnswer
    | Holdings
    | None
)


class Answer(NamedTuple):
    """Answer what arrived with this token."""

    token: Any
    reply: Reply


@dataclass(frozen=True, slots=True)
class ReadView:
    """Read the view; `since_epoch` comes back with it."""

    since_epoch: int


@dataclass(frozen=True, slots=True)
class Propose:
    """Propose `view`, to follow the epoch before it (None: to be the first)."""

    view: View
    expected: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Probe:
    """Look whether a process lives at the server's address; `epoch` comes back with what is found."""

    server: str
    epoch: int
    delay_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Reach:
    """From now on these are the other servers, and where they live (V12).

    Connections to others, and to elsewhere, are closed before anything more is taken from them.
    """

    servers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FetchCopy:
    """Get a copy of the primary's database and verify it; `CopyEnded` follows."""

    primary: str


@dataclass(frozen=True, slots=True)
class InstallCopy:
    """Put the copy that was fetched in the journal's place, or (None) throw it away.

    Before it is in place, durably, it gets an incarnation of its own and this adopted epoch (V8).
    `CopyInstalled` has to be the next event.
    """

    adopted: Adopted | None


@dataclass(frozen=True, slots=True)
class Report:
    """A sentence for the log: what changed, or why nothing can."""

    event: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stop:
    """End the process, as it was asked to."""


@dataclass(frozen=True, slots=True)
class Leave:
    """End the process, which is none of the bank's (V12): to start it again as it is would change nothing."""

    why: str


Effect = (
    SendMessage
    | Commit
    | Answer
    | ReadView
    | Propose
    | Probe
    | Reach
    | FetchCopy
    | InstallCopy
    | Report
    | Stop
    | Leave
)
