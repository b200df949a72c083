"""Carries out what the rules want, on real sockets and a real disk, in one thread.

Rule 1: effects are carried out in order, all of them, before the next event is taken; what happens
        meanwhile waits in a queue.
Rule 2: a commit blocks: the checkpoint is on its way by then, so the standby's disk works at the same time.
Rule 3: a commit that fails stops the process, and nothing behind it is carried out (F1).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import apsw
import structlog

from bankrmi.coordination.coordinator import Coordinator
from bankrmi.errors import BrokenInvariant
from bankrmi.replication.effects import (
    Answer,
    Commit,
    Decided,
    FetchCopy,
    InstallCopy,
    Probe,
    Propose,
    ReadView,
    Reply,
    Report,
    Send,
    Stop,
)
from bankrmi.replication.events import (
    CoordinatorSilent,
    CopyInstalled,
    Event,
    Proceed,
    Proposed,
    Tick,
    ViewRead,
)
from bankrmi.replication.journal import Adopted
from bankrmi.replication.messages import Checkpoint
from bankrmi.replication.replica import Replica
from bankrmi.replication.view import View
from bankrmi.server.clock import now_ms, wall_us
from bankrmi.server.failpoints import failpoint, kind_of_proposal
from bankrmi.server.peer_links import PeerLinks
from bankrmi.storage.database import DiskFailed
from bankrmi.storage.journal import SqliteJournal

__all__ = ["Copies", "Driver", "Token"]

log = structlog.get_logger("bankrmi.server")

COMPLAIN_FIRST_MS = 1_000.0
COMPLAIN_AT_MOST_EVERY_MS = 300_000.0


class Token(Protocol):
    """Something that is waiting for a reply of the rules."""

    def reply(self, reply: Reply) -> None:
        """Hand it over; called once."""


class Copies(Protocol):
    """Who fetches a copy of the primary's database, and puts it in place."""

    def fetch(self, primary: str) -> None:
        """Begin; `CopyEnded` is taken when it is done."""

    def install(self, adopted: Adopted | None) -> SqliteJournal | None:
        """Put what was fetched in place and return it opened; or (None) throw it away."""


class Driver:
    """Drives one `Replica`."""

    def __init__(self, replica: Replica, journal: SqliteJournal, coordinator: Coordinator) -> None:
        self.replica = replica
        self.journal = journal
        self.stopped: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Ends with the reason why the process has to stop; empty if it was asked to."""
        self.links: PeerLinks
        self.copies: Copies
        self.on_tick: Callable[[], None] = lambda: None
        self._coordinator = coordinator
        self._loop = asyncio.get_running_loop()
        self._events: deque[Event] = deque()
        self._taking = False
        self._proceeding = False
        self._ticker: asyncio.TimerHandle | None = None
        self._complain_next_ms = 0.0
        self._complain_pause_ms = COMPLAIN_FIRST_MS
        self._carriers: dict[type, Callable[[Any], None]] = {
            Answer: self._answer,
            Commit: self._commit,
            Send: self._send,
            ReadView: self._read_view,
            Propose: self._propose,
            Probe: self._probe,
            FetchCopy: self._fetch_copy,
            InstallCopy: self._install_copy,
            Report: self._report,
            Stop: self._stop,
        }

    def start(self, tick_ms: float) -> None:
        """Begin to tick."""

        def tick(due_ms: float) -> None:
            if not self.stopped.done():
                late_ms = max(0.0, now_ms() - due_ms)
                self._ticker = self._loop.call_later(tick_ms / 1000, tick, now_ms() + tick_ms)
                self.take(Tick(late_ms))
                self.on_tick()

        tick(now_ms())

    def take(self, event: Event) -> None:
        """Give an event to the rules and carry out what they want."""
        if self._taking:
            self._events.append(event)
            return
        self._taking = True
        try:
            self._step(event)
            while self._events:
                self._step(self._events.popleft())
        except BrokenInvariant as broken:
            self.stop(f"a rule that cannot be broken was: {broken}")
        except DiskFailed as failed:
            self.stop(str(failed))
        except apsw.Error as failed:
            self.stop(f"the database failed: {failed}")
        except Exception as unforeseen:  # What was half done is nothing to go on from (F3).
            self.stop(f"this is a mistake in bankrmi: {type(unforeseen).__name__}: {unforeseen}")
            log.exception("a mistake in bankrmi")
        finally:
            self._taking = False
        if self.replica.has_work and not self._proceeding:
            self._proceeding = True
            self._loop.call_soon(self._proceed)

    def _step(self, event: Event) -> None:
        if self.stopped.done():
            return
        carriers = self._carriers
        for effect in self.replica.step(event, now_ms=now_ms()):
            carriers[type(effect)](effect)

    def _proceed(self) -> None:
        self._proceeding = False
        failpoint("before-apply", "")
        self.take(Proceed(wall_us()))

    def stop(self, why: str) -> None:
        """End the process: nothing is answered any more."""
        if self._ticker is not None:
            self._ticker.cancel()
        if not self.stopped.done():
            self.stopped.set_result(why)

    # -- effects ---------------------------------------------------------------------------------

    def _answer(self, effect: Answer) -> None:
        if type(effect.reply) is Decided:
            failpoint("before-answer", "")
        if effect.token is not None:
            effect.token.reply(effect.reply)

    def _commit(self, effect: Commit) -> None:
        failpoint("before-commit", effect.purpose)
        self.journal.commit()
        failpoint("after-commit", effect.purpose)

    def _send(self, effect: Send) -> None:
        self.links.send(effect.to, effect.message)
        if type(effect.message) is Checkpoint and effect.message.entries:
            failpoint("checkpoint-sent", "")

    def _read_view(self, effect: ReadView) -> None:
        def answered(view: View | None) -> None:
            self.take(ViewRead(view, effect.since_epoch))

        self._coordinator.read(answered, lambda *_: self.take(CoordinatorSilent(proposal=False)))

    def _propose(self, effect: Propose) -> None:
        kind = kind_of_proposal(self.replica.view, effect.view)

        def answered(view: View | None, _: bool) -> None:
            failpoint("after-proposal", kind)
            self._witness_answered()
            self.take(Proposed(view))

        def silent(why: str, sent: bool) -> None:
            self._witness_silent(effect.view.epoch, why)
            self.take(CoordinatorSilent(proposal=True, sent=sent))

        failpoint("before-proposal", kind)
        self._coordinator.propose(effect.expected, effect.view, answered, silent)
        failpoint("proposal-sent", kind)

    def _witness_silent(self, epoch: int, why: str) -> None:
        """Say that a change of view has to wait: the first time, then after pauses that grow."""
        now = now_ms()
        if now >= self._complain_next_ms:
            log.warning("a change of view has to wait", epoch=epoch, why=why)
            self._complain_pause_ms = min(2 * self._complain_pause_ms, COMPLAIN_AT_MOST_EVERY_MS)
            self._complain_next_ms = now + self._complain_pause_ms

    def _witness_answered(self) -> None:
        if self._complain_next_ms:
            log.info("the witness answers again")
        self._complain_next_ms, self._complain_pause_ms = 0.0, COMPLAIN_FIRST_MS

    def _probe(self, effect: Probe) -> None:
        self.links.probe(effect.server, effect.epoch, effect.delay_ms)

    def _fetch_copy(self, effect: FetchCopy) -> None:
        self.copies.fetch(effect.primary)

    def _install_copy(self, effect: InstallCopy) -> None:
        failpoint("before-install", "")
        journal = self.copies.install(effect.adopted)
        failpoint("after-install", "")
        if journal is not None:
            self.journal = journal
            self._events.appendleft(CopyInstalled(journal))

    def _report(self, effect: Report) -> None:
        log.info(effect.event, **effect.details)

    def _stop(self, effect: Stop) -> None:
        self.stop(effect.why)
