"""The values that a finished run consists of; all that its report may show, and nothing that it must look up.

Rule 1: every instant is in nanoseconds of CLOCK_MONOTONIC, the one clock of the whole run; but for what
        others had noted by the wall clock: views, and what processes used.
Rule 2: a span that has not ended when the run ends, ends with the run.
Rule 3: calls are kept as columns: a million of them are 23 MB, and no objects.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from heapq import nsmallest

from bankrmi.console.events import UsageEvent
from bankrmi.replication.view import View

__all__ = [
    "KEPT_SLOWEST",
    "CallColumns",
    "Environment",
    "Failover",
    "Fault",
    "FaultKind",
    "MadeCall",
    "OutcomeKind",
    "ProcessKind",
    "ProcessRole",
    "Recorded",
    "RecordedProcess",
    "RoleSpan",
    "columns",
]

KEPT_SLOWEST = 50


class ProcessKind(Enum):
    """What a process is there for."""

    WITNESS = "witness"  # The name server and witness, one process.
    SERVER = "server"
    CLIENT = "client"


class ProcessRole(Enum):
    """What a process was, over a span of time; the words of the servers, and three more."""

    STARTING = "starting"
    JOINING = "joining"
    STANDBY = "standby"
    PRIMARY = "primary"
    DOWN = "down"  # There was no process.
    SERVING = "serving"  # A witness or a client at work.


class FaultKind(Enum):
    """What the nemesis does."""

    KILL = "kill"  # kill -9, until it is started again
    STOP = "stop"  # SIGTERM, until it is started again
    PAUSE = "pause"  # SIGSTOP, until SIGCONT
    WIPE = "wipe"  # killed, and its data directory deleted, until it is started again
    CUT = "cut"  # Nothing passes on a link, until healed
    SLOW = "slow"  # Everything on a link is late, until healed
    REMOVE = "remove"  # No server of the bank, until it is added again
    SWITCHOVER = "switchover"  # Asked of the bank, until it answers
    STRANGERS = "strangers"  # Costly traffic to servers and witness, within every limit
    RUSH = "rush"  # A crowd of our own clients that never pause
    SLOW_DISK = "slow disk"  # Every fsync takes longer
    RELEASE = "release"  # Ended, until it is started with another release of the class


class OutcomeKind(Enum):
    """How a call ended for its caller."""

    DONE = "done"
    DECLINED = "declined"  # A definite no that the bank has decided: insufficient funds, no such account.
    REFUSED = "refused"  # A definite no without a decision: unreached, stale, cancelled.
    IN_DOUBT = "in doubt"  # Its deadline passed.


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where the run took place."""

    cuts_by: str  # "network namespaces" or "relays"
    facts: tuple[tuple[str, str], ...] = ()  # ("processor", "2 x …"), ("kernel", "6.1"), ("SQLite", "3.54")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedProcess:
    """One lane of the timeline."""

    name: str
    kind: ProcessKind


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSpan:
    """What one process was, from when to when; epoch 0 where none is known."""

    process: str
    role: ProcessRole
    from_ns: int
    to_ns: int
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that was done: to a process; or, with `toward`, to the link between two of them.

    A link is named by its two ends; `toward` is the end that does not hear the other, and with `both_ways`
    neither hears the other.
    """

    kind: FaultKind
    target: str
    from_ns: int
    to_ns: int
    toward: str = ""
    both_ways: bool = False
    was: str = ""  # What the target was then: "primary", "standby"; for the counts.
    note: str = ""  # In a few words, if there is more to say: "80 ms late".


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """From the fault to the first update that another epoch's primary acknowledged."""

    cause: str  # "kill of the primary", "pause of the primary", "cut", "switchover", …
    at_ns: int
    took_ns: int
    old_primary: str
    new_primary: str
    epoch: int  # the new one


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeCall:
    """One call of a client, as far as it is drawn."""

    client: str
    request: str  # the request id, as the history writes it; of a read, whatever finds it there
    kind: str  # "read", "withdrawal", "deposit", "batch", …
    outcome: OutcomeKind
    invoked_ns: int
    completed_ns: int
    operations: int = 1

    @property
    def latency_ns(self) -> int:
        return self.completed_ns - self.invoked_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class CallColumns:
    """All calls, sorted by when they completed; the slowest also in full."""

    completed_ns: array[int] = field(default_factory=lambda: array("q"))
    latency_ns: array[int] = field(default_factory=lambda: array("q"))
    operations: array[int] = field(default_factory=lambda: array("L"))
    outcomes: array[int] = field(default_factory=lambda: array("B"))  # positions in `tuple(OutcomeKind)`
    slowest: tuple[MadeCall, ...] = ()

    def __len__(self) -> int:
        return len(self.completed_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One run: what was asked for, what happened, what was found."""

    seed: int
    command: str  # that does it again
    version: str
    servers: int
    started_ns: int
    ended_ns: int
    started_unix: float  # wall time of the start, for people
    environment: Environment
    violations: tuple[str, ...]  # one sentence each; none if nothing was found
    checked: tuple[str, ...]  # what was looked at, one sentence each, with figures
    counts: tuple[tuple[str, int], ...]  # of the workload: ("reads", 240_113), ("in doubt, then found", 12)
    processes: tuple[RecordedProcess, ...]  # in the order of their lanes
    roles: tuple[RoleSpan, ...]
    faults: tuple[Fault, ...]
    failovers: tuple[Failover, ...]
    calls: CallColumns
    views: tuple[View, ...] = ()  # as their keeper had them on record, oldest first
    usage: tuple[UsageEvent, ...] = ()
    untold: int = 0  # violations beyond those with a sentence
    files: tuple[tuple[str, str], ...] = ()  # ("history", "/tmp/…/history.jsonl"), …
    services: tuple[tuple[str, str], ...] = ()  # the classes, by their services, the first one first
    notes: tuple[str, ...] = ()  # what a reader of the verdict must know: what was left out, and why

    @property
    def violation_count(self) -> int:
        """All that were found, told or not."""
        return len(self.violations) + self.untold


def columns(calls: Iterable[MadeCall]) -> CallColumns:
    """Reduce calls to what is drawn of them; they may come in any order, and only once."""
    outcomes = {outcome: number for number, outcome in enumerate(OutcomeKind)}
    rows: list[tuple[int, int, int, int]] = []
    candidates: list[MadeCall] = []
    for call in calls:
        rows.append((call.completed_ns, call.latency_ns, call.operations, outcomes[call.outcome]))
        candidates.append(call)
        if len(candidates) == 100 * KEPT_SLOWEST:
            candidates = _slowest(candidates)
    rows.sort()
    completed, latencies, operations, ends = zip(*rows, strict=True) if rows else ((), (), (), ())
    return CallColumns(
        completed_ns=array("q", completed),
        latency_ns=array("q", latencies),
        operations=array("L", operations),
        outcomes=array("B", ends),
        slowest=tuple(_slowest(candidates)),
    )


def _slowest(calls: list[MadeCall]) -> list[MadeCall]:
    return nsmallest(KEPT_SLOWEST, calls, key=lambda call: (-call.latency_ns, call.completed_ns))
