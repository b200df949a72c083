"""What work costs a simulated process: its one thread is busy for a while, and whatever comes waits.

The amounts are those of the real thing on the machine that the project is measured on, in milliseconds:
`benchmarks/work_costs.py` measures them again, and prints them beside these.  A world in which work costs
time has few operations, each of which stands for many: `weight` of them.  What a message, a call or a tick
costs beside its operations is not multiplied: there are as many of those as there would be.

Rule: nothing here decides; it only says how long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from bankrmi.replication.effects import (
    Answer,
    Commit,
    Decided,
    Effect,
    FetchCopy,
    InstallCopy,
    Leave,
    Probe,
    Propose,
    Reach,
    ReadView,
    Report,
    SendMessage,
    Stop,
)
from bankrmi.replication.events import (
    AnswerArrived,
    CallersGone,
    Committed,
    CoordinatorSilent,
    CopyEnded,
    CopyInstalled,
    Event,
    LinkChanged,
    MessageArrived,
    OutcomeAsked,
    Overdue,
    PauseAsked,
    Probed,
    Proceed,
    Proposed,
    ReadArrived,
    RequestArrived,
    RetireAsked,
    ServersAsked,
    StopAsked,
    SwitchoverAsked,
    TakeoverAsked,
    Tick,
    ViewRead,
)
from bankrmi.replication.messages import Checkpoint
from bankrmi.replication.record import size_of
from bankrmi.replication.settings import Settings

__all__ = ["ONE_ENTRY_BYTES", "Work", "longest_request_ms"]

TICK_MS = 0.02  # These are with the loop's part, and the socket's: `bankrmi bench` under py-spy.
MESSAGE_MS = 0.06
CALL_MS = 0.06
ANSWER_MS = 0.03
READ_MS = 0.02
FORGOTTEN_MS = 0.002
COMMIT_MS = 0.1

ONE_ENTRY_BYTES = 200

ELEMENT_MS = 5e-5
BYTE_MS = 1e-6
"""Of any message that is read: each value in it, and each byte."""

OPERATION_ELEMENTS = 4
OPERATION_BYTES = 21
RECORD_ELEMENTS = 10
"""Values in a request for an operation, its bytes in a record, and values in a checkpoint for a record."""

PACKED_MS = 0.0005
DECIDED_MS = 0.0006
SENT_MS = 0.00001
APPENDED_MS = 0.0007
TOLD_MS = 0.0007
FLUSHED_MS = 0.0003
"""For each operation: taken from a caller, decided, sent to a standby, appended there, told to a caller, and
its account written, some commits later."""

ACCOUNTS_MS = 4.0
"""A page of an export, of which there are always as many as production's."""

VIEW_READ_MS = 0.1
VIEW_PROPOSED_MS = 3.0
"""A question to the witness, and a proposal, with the syncs of its disk."""

STEP_MS = 0.05
PAGE_MS = 0.004
CHUNK_BYTE_MS = 1.5e-6
VERIFIED_BYTE_MS = 6e-6
OPENED_BYTE_MS = 2e-7
INSTALL_MS = 5.0
"""Of a copy: a turn of its making, and each page; each byte that is sent or written, verified, opened."""


@dataclass(frozen=True, slots=True)
class Work:
    """The cost of everything, if an operation stands for `weight` of them; with 0 nothing costs time."""

    weight: int

    def call_ms(self, event: Event) -> float:
        """Return what it costs to read a call, up to the point where the rules are asked."""
        if not self.weight:
            return 0.0
        match event:
            case RequestArrived(operations=operations, operation_count=count):
                read_ms = _read_ms(count * OPERATION_ELEMENTS, len(operations))
                return CALL_MS + self.weight * (read_ms + count * PACKED_MS)
            case _:
                return CALL_MS

    def step_ms(self, event: Event, effects: Sequence[Effect], decided: int) -> float:
        """Return what it costs to take an event and to carry out what follows; `decided` entries were new."""
        if not self.weight:
            return 0.0
        new_ms = decided * self.weight * (DECIDED_MS + FLUSHED_MS)
        return self._event_ms(event) + new_ms + sum(map(self._effect_ms, effects))

    def read_at_once_ms(self) -> float:
        """Return what it costs to answer a read that nothing keeps waiting."""
        return READ_MS + ANSWER_MS if self.weight else 0.0

    def _event_ms(self, event: Event) -> float:
        match event:
            case MessageArrived(message=Checkpoint(records=records)):
                read_ms = _read_ms(len(records) * RECORD_ELEMENTS, sum(map(size_of, records)))
                appended_ms = sum(one.operation_count for one in records) * APPENDED_MS
                return MESSAGE_MS + self.weight * (read_ms + appended_ms)
            case MessageArrived() | AnswerArrived() | ViewRead() | Proposed():
                return MESSAGE_MS
            case ReadArrived():
                return READ_MS
            case RequestArrived() | OutcomeAsked():
                return 0.0  # Queued; what it costs is `call_ms`, and what comes of it.
            case CallersGone(tokens=tokens) | Overdue(tokens=tokens):
                return TICK_MS + len(tokens) * FORGOTTEN_MS
            case (
                Tick()
                | Committed()
                | Proceed()
                | LinkChanged()
                | Probed()
                | CoordinatorSilent()
                | CopyEnded()
                | CopyInstalled()
                | SwitchoverAsked()
                | TakeoverAsked()
                | PauseAsked()
                | RetireAsked()
                | ServersAsked()
                | StopAsked()
            ):
                return TICK_MS
            case _:
                assert_never(event)

    def _effect_ms(self, effect: Effect) -> float:
        match effect:
            case Answer(reply=Decided(record=record)):
                return ANSWER_MS + self.weight * record.operation_count * TOLD_MS
            case Answer():
                return ANSWER_MS
            case SendMessage(message=Checkpoint(records=records)):
                operations = sum(one.operation_count for one in records)
                sent_ms = operations * SENT_MS + sum(map(size_of, records)) * BYTE_MS
                return MESSAGE_MS + self.weight * sent_ms
            case SendMessage() | ReadView() | Propose() | FetchCopy():
                return MESSAGE_MS
            case Commit():
                return COMMIT_MS
            case InstallCopy():
                return 0.0  # What it costs is `install_ms`.
            case Probe() | Reach() | Report() | Stop() | Leave():
                return TICK_MS
            case _:
                assert_never(effect)

    def witness_ms(self, *, proposed: bool) -> float:
        """Return what a question costs the witness; a proposal, with its commit."""
        if not self.weight:
            return 0.0
        return VIEW_PROPOSED_MS if proposed else VIEW_READ_MS

    def page_of_accounts_ms(self) -> float:
        """Return what it costs to look up and send a page of an export."""
        return ACCOUNTS_MS if self.weight else 0.0

    def pages_ms(self, pages: int) -> float:
        """Return what it costs to copy some pages of the database."""
        return STEP_MS + pages * self.weight * PAGE_MS if self.weight else 0.0

    def chunk_ms(self, size_bytes: int) -> float:
        """Return what it costs to read and send a chunk of a copy, or to take and write one."""
        return MESSAGE_MS + size_bytes * self.weight * CHUNK_BYTE_MS if self.weight else 0.0

    def verify_ms(self, size_bytes: int) -> float:
        """Return how long it takes, beside the loop, to verify a copy."""
        return size_bytes * max(1, self.weight) * VERIFIED_BYTE_MS

    def install_ms(self, size_bytes: int) -> float:
        """Return what it costs to open a copy, and to put it in place."""
        return INSTALL_MS + size_bytes * self.weight * OPENED_BYTE_MS if self.weight else 0.0

    def scaled(self, settings: Settings) -> Settings:
        """Return settings with amounts `weight` times smaller, as each operation stands for that many."""
        if self.weight < 2:
            return settings
        return replace(
            settings,
            lag_noticed=settings.lag_noticed // self.weight,
            usual_per_ms=settings.usual_per_ms / self.weight,
            group_bytes_per_ms=settings.group_bytes_per_ms / self.weight,
            request_bytes=settings.request_bytes // self.weight,
            group_bytes=max(ONE_ENTRY_BYTES, settings.group_bytes // self.weight),
            catch_up_bytes=max(ONE_ENTRY_BYTES, settings.catch_up_bytes // self.weight),
            copy_from_operations=max(1, settings.copy_from_operations // self.weight),
        )


def _read_ms(elements: int, size_bytes: int) -> float:
    """Return what it costs to read this much of a message, whatever it is."""
    return elements * ELEMENT_MS + size_bytes * BYTE_MS


def longest_request_ms(operations: int) -> float:
    """Return what a request of `operations` costs primary and standby, for a weight of 1."""
    read_ms = _read_ms(OPERATION_ELEMENTS, 2 * OPERATION_BYTES)
    return operations * (read_ms + PACKED_MS + DECIDED_MS + FLUSHED_MS + SENT_MS + APPENDED_MS + TOLD_MS)
