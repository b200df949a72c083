"""A carrier on a real disk, in a real process, in one thread.

Rule: whatever goes wrong in a step, or in carrying it out, ends the process with one sentence (F1, F3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import apsw
import structlog

from bankrmi.coordination.coordinator import Coordinator, Expected, OnSilence
from bankrmi.errors import BankError, BrokenInvariant
from bankrmi.histogram import Histogram
from bankrmi.replication.effects import Reply
from bankrmi.replication.replica import Replica
from bankrmi.replication.view import View
from bankrmi.server.carrier import Carrier
from bankrmi.server.clock import LoopClock, now_ms
from bankrmi.server.disk import SyncedDisk
from bankrmi.server.failpoints import Failpoints
from bankrmi.server.ports import Copies, Links, Token
from bankrmi.storage.database import DiskFailed
from bankrmi.storage.journal import SqliteJournal

__all__ = ["Driver"]

log = structlog.get_logger("bankrmi.server")

COMPLAIN_FIRST_MS = 1_000.0
COMPLAIN_AT_MOST_EVERY_MS = 300_000.0


class Driver:
    """Drives one `Replica` in this process; is its life (see `ports`)."""

    def __init__(self, replica: Replica, coordinator: Coordinator) -> None:
        """Drive a replica on its journal, which is one on a disk."""
        self.replica = replica
        self.stopped: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Ends with the reason why the process has to stop; empty if it was asked to."""
        self.has_no_place = False
        """Whether that is that the bank has no such server, or has it elsewhere (V12)."""
        self.clock = LoopClock()
        assert isinstance(replica.journal, SqliteJournal)
        self._disk = SyncedDisk(replica.journal, self.failed)
        self._keeper = _Keeper(coordinator)
        self._carrier = Carrier(
            replica,
            clock=self.clock,
            disk=self._disk,
            keeper=self._keeper,
            callers=self,
            life=self,
            watcher=Failpoints.armed(lambda: replica.view),
        )
        self.take = self._carrier.take
        """Give an event to the rules and carry out what they want."""
        self.read_at_once = self._carrier.read_at_once
        """Return the answer to a read that nothing keeps waiting; None: it has to be an event."""
        self._on_tick: asyncio.TimerHandle | None = None
        self.lateness = Histogram(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
        """How late ticks came: for so long the loop did something else."""

    def start(self, links: Links, copies: Copies) -> None:
        """Let the rules speak to others, and take events."""
        self._carrier.links, self._carrier.copies = links, copies

    def tick_every(self, tick_ms: float, on_tick: Callable[[], None]) -> None:
        """Begin to tick; `on_tick` is called after each tick."""

        due_ms = self.clock.now_ms()

        def tick() -> None:
            nonlocal due_ms
            if not self.stopped.done():
                now_ms = self.clock.now_ms()
                self.lateness.observe(max(0.0, now_ms - due_ms) / 1000)
                due_ms = now_ms + tick_ms
                self._on_tick = self.clock.after(tick_ms, tick)
                on_tick()

        self._carrier.tick_every(tick_ms)
        tick()

    @property
    def keeper_ms(self) -> float | None:
        """How long the last question to the keeper of the view took; None if it was not answered."""
        return self._keeper.read_ms

    @property
    def disk(self) -> SyncedDisk:
        """Where this process keeps its journal."""
        return self._disk

    @property
    def journal(self) -> SqliteJournal:
        """What is written; another one when a copy is put in its place."""
        return self._disk.journal

    def tend(self) -> None:
        """Look after the disk at every tick: a server whose disk is gone confirms nothing more."""
        try:
            self.journal.tend()
        except Exception as error:  # Whatever it is: nothing is known of the disk (F1, F3).
            self.failed(error)

    def close(self) -> None:
        """Close the journal, when nothing is taken any more.  Raises DiskFailed."""
        self._disk.close()
        try:
            self.journal.close()
        except apsw.Error as error:  # Of what is read at the end, say.
            raise DiskFailed(f"the database failed: {error}") from error

    # -- callers ---------------------------------------------------------------------------------

    def answer(self, token: Token, reply: Reply) -> None:
        """Hand over an answer."""
        token.reply(reply)

    # -- the process -----------------------------------------------------------------------------

    def report(self, event: str, details: dict[str, Any]) -> None:
        """Note a sentence in the log."""
        log.info(event, **details)

    def stop(self, why: str) -> None:
        """End the process: nothing is answered any more."""
        self._carrier.end()
        if self._on_tick is not None:
            self._on_tick.cancel()
        if not self.stopped.done():
            self.stopped.set_result(why)

    def leave(self, why: str) -> None:
        """End the process; whoever started it is told not to do so again."""
        self.has_no_place = True
        self.stop(why)

    def failed(self, error: Exception) -> None:
        """End the process, and say what was wrong."""
        match error:
            case BrokenInvariant():
                self.stop(f"a rule that cannot be broken was: {error}")
            case DiskFailed():
                self.stop(str(error))
            case apsw.Error():
                self.stop(f"the database failed: {error}")
            case BankError():  # A database that was put in place cannot be opened, and says why.
                self.stop(error.message)
            case _:
                self.stop(f"this is a bug in bankrmi: {type(error).__name__}: {error}")
                log.error("a bug in bankrmi", exc_info=error)


class _Keeper:
    """The coordinator, whose silence is noted in the log: the first time, then after pauses that grow."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._complain_next_ms = 0.0
        self._complain_pause_ms = COMPLAIN_FIRST_MS
        self.read_ms: float | None = None

    def read(self, on_answer: Callable[[View | None], None], on_silence: OnSilence) -> None:
        asked_ms = now_ms()

        def answered(view: View | None) -> None:
            self.read_ms = now_ms() - asked_ms
            on_answer(view)

        def silent(why: str, sent: bool) -> None:
            self.read_ms = None
            on_silence(why, sent)

        self._coordinator.read(answered, silent)

    def propose(
        self,
        expected: Expected,
        view: View,
        on_answer: Callable[[View | None, bool], None],
        on_silence: OnSilence,
    ) -> None:
        def answered(current: View | None, won: bool) -> None:
            self._answered()
            on_answer(current, won)

        def silent(why: str, sent: bool) -> None:
            self._silent(view.epoch, why)
            on_silence(why, sent)

        self._coordinator.propose(expected, view, answered, silent)

    def _silent(self, epoch: int, why: str) -> None:
        now = now_ms()
        if now >= self._complain_next_ms:
            log.warning("a change of view has to wait", epoch=epoch, why=why)
            self._complain_pause_ms = min(2 * self._complain_pause_ms, COMPLAIN_AT_MOST_EVERY_MS)
            self._complain_next_ms = now + self._complain_pause_ms

    def _answered(self) -> None:
        if self._complain_next_ms:
            log.info("the witness answers again")
        self._complain_next_ms, self._complain_pause_ms = 0.0, COMPLAIN_FIRST_MS
