"""What work costs a simulated process: its one thread is busy for so long, and whatever comes waits.

The amounts are those of the real thing on the machine that the project is measured on (py-spy and the loop's
own clock under `benchmarks/throughput.py`, in milliseconds).  A world in which work costs time has few
operations, each of which stands for many: `weight` of them.  What a message, a call or a tick costs beside
its operations is not multiplied: there are as many of those as there would be.

Rule: nothing here decides; it only says how long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bankrmi.replication.effects import Answer, Commit, Decided, Effect, Send
from bankrmi.replication.events import (
    AnswerArrived,
    Event,
    MessageArrived,
    OutcomeAsked,
    ReadArrived,
    RequestArrived,
    Tick,
)
from bankrmi.replication.messages import Checkpoint
from bankrmi.replication.settings import Settings

__all__ = ["ONE_ENTRY_BYTES", "Work", "longest_request_ms"]

TICK_MS = 0.02
MESSAGE_MS = 0.06
CALL_MS = 0.06
ANSWER_MS = 0.03
READ_MS = 0.02
COMMIT_MS = 0.1

ONE_ENTRY_BYTES = 200

PARSED_MS = 0.0018
DECIDED_MS = 0.008
SENT_MS = 0.003
APPENDED_MS = 0.0075
TOLD_MS = 0.002
"""For each operation: read from a caller, decided, sent to a standby, appended there, told to a caller."""

STEP_MS = 0.05
PAGE_MS = 0.004
CHUNK_BYTE_MS = 1e-6
VERIFIED_BYTE_MS = 8e-6
OPENED_BYTE_MS = 2e-6
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
            case RequestArrived(operations=operations):
                return CALL_MS + self.weight * len(operations) * PARSED_MS
            case _:
                return CALL_MS

    def step_ms(self, event: Event, effects: Sequence[Effect], decided: int) -> float:
        """Return what it costs to take an event and to carry out what follows; `decided` entries were new."""
        if not self.weight:
            return 0.0
        return self._event_ms(event) + decided * self.weight * DECIDED_MS + sum(map(self._effect_ms, effects))

    def _event_ms(self, event: Event) -> float:
        match event:
            case Tick():
                return TICK_MS
            case MessageArrived(message=Checkpoint(entries=entries)):
                return MESSAGE_MS + self.weight * len(entries) * APPENDED_MS
            case MessageArrived() | AnswerArrived():
                return MESSAGE_MS
            case ReadArrived():
                return READ_MS
            case RequestArrived() | OutcomeAsked():
                return 0.0  # Queued; what it costs is `call_ms`, and what comes of it.
            case _:
                return TICK_MS

    def _effect_ms(self, effect: Effect) -> float:
        match effect:
            case Answer(reply=Decided(entries=entries)):
                return ANSWER_MS + self.weight * len(entries) * TOLD_MS
            case Answer():
                return ANSWER_MS
            case Send(message=Checkpoint(entries=entries)):
                return MESSAGE_MS + self.weight * len(entries) * SENT_MS
            case Send():
                return MESSAGE_MS
            case Commit():
                return COMMIT_MS
            case _:
                return 0.0

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
        """Return settings whose amounts are so many times smaller, as each operation stands for so many."""
        if self.weight < 2:
            return settings
        return replace(
            settings,
            group_bytes_per_ms=settings.group_bytes_per_ms / self.weight,
            group_bytes=max(ONE_ENTRY_BYTES, settings.group_bytes // self.weight),
            catch_up_bytes=max(ONE_ENTRY_BYTES, settings.catch_up_bytes // self.weight),
            copy_from_operations=max(1, settings.copy_from_operations // self.weight),
        )


def longest_request_ms(operations: int) -> float:
    """Return what a request of so many operations costs primary and standby, for a weight of 1."""
    return operations * (PARSED_MS + DECIDED_MS + SENT_MS + APPENDED_MS + TOLD_MS)
