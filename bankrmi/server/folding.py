"""When the journal is folded: a small step at a time, in between, and not while somebody needs all of it.

    look ──> a step ──> a pause ──> a step ... ──> nothing to do: look again later
      └─ a backup, a copy or an export needs what is there: look again later

Rule 1: a step takes a millisecond or two; pauses are longer, and get shorter only if it comes to no end.
Rule 2: how far records may go, the rules say (`Replica.may_be_folded`); which of these are old, the journal.
Rule 3: the horizon, up to which sessions are over, is proposed as a request like any other, by who leads;
        one at a time: while nothing is decided, requests of our own would take the room of all others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bankrmi.replication.events import Event, OutcomeAsked
from bankrmi.replication.leading import Leader
from bankrmi.replication.replica import Replica
from bankrmi.replication.sessions import HORIZON
from bankrmi.server.ports import Clock
from bankrmi.storage.journal import SqliteJournal

__all__ = ["Folder", "FoldingHost"]

LOOK_AGAIN_MS = 250.0
LEAST_PAUSE_MS = 0.2
LONGEST_SHARE, SHORTEST_SHARE = 4.0, 1.0
"""How much longer a pause is than the step before: at first, and when there has been no end for long."""
HASTE = 0.995
"""How much shorter, after each step that was not the last one."""


class FoldingHost(Protocol):
    """Who serves."""

    @property
    def replica(self) -> Replica:
        """Its rules."""

    @property
    def journal(self) -> SqliteJournal:
        """What it writes to now."""

    def take(self, event: Event) -> None:
        """Give an event to the rules."""

    def failed(self, error: Exception) -> None:
        """End the process (F1)."""


class Folder:
    """Folds one server's journal, for as long as the process lives."""

    def __init__(self, host: FoldingHost, clock: Clock, is_needed: Callable[[], bool]) -> None:
        """`is_needed` says whether somebody needs the journal as it is."""
        self._host = host
        self._clock = clock
        self._is_needed = is_needed
        self._longer = LONGEST_SHARE
        self._closed = False
        self._proposed: tuple[int, int] | None = None  # In which epoch, which horizon.

    def close(self) -> None:
        """Fold nothing more."""
        self._closed = True

    def look(self) -> None:
        """Do a step if there is something to do, and come again."""
        if self._closed:
            return
        if self._is_needed():
            self._clock.after(LOOK_AGAIN_MS, self.look)
            return
        began_ms = self._clock.now_ms()
        try:
            went_on = self._step()
        except Exception as failed:  # Whatever was half done is nothing to go on from (F1).
            self._host.failed(failed)
            return
        if went_on:
            took_ms = self._clock.now_ms() - began_ms
            self._clock.after(max(LEAST_PAUSE_MS, self._longer * took_ms), self.look)
            self._longer = max(SHORTEST_SHARE, HASTE * self._longer)
        else:
            self._longer = LONGEST_SHARE
            self._clock.after(LOOK_AGAIN_MS, self.look)

    def _step(self) -> bool:
        journal, now_us = self._host.journal, self._clock.wall_us()
        if journal.fold(self._host.replica.may_be_folded, now_us):
            return True
        leader = self._host.replica.primary
        if leader is not None:
            horizon_ms = journal.wanted_horizon(now_us)
            if horizon_ms is not None and not self._is_under_way(leader):
                self._proposed = leader.view.epoch, horizon_ms
                self._host.take(OutcomeAsked(None, (HORIZON, horizon_ms), None, HORIZON))
        return False

    def _is_under_way(self, leader: Leader) -> bool:
        """Whether what was proposed last may still wait for its group."""
        if self._proposed is None or not leader.queued:
            return False
        epoch, horizon_ms = self._proposed
        return epoch == leader.view.epoch and (self._host.journal.newest(HORIZON) or 0) < horizon_ms
