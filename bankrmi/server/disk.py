"""The disk of one process: commits are written at once, and made durable beside the loop, or in it.

A commit has two parts. To write it into the log takes a few system calls, and is done in place. To sync the
log takes as long as the disk does, 0.1 ms or 20. The way to a thread and back costs about as much as a short
sync, so syncs are made in place as long as they are short.

Rule 1: one sync is under way at a time; what is written meanwhile is covered by the next one.
Rule 2: a sync that failed is not made again: the process stops (F1).
Rule 3: the thread touches a descriptor and nothing else (see `storage.write_ahead_log`).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from time import perf_counter

from bankrmi.histogram import Histogram
from bankrmi.replication.journal import Journal
from bankrmi.storage.journal import SqliteJournal

__all__ = ["SyncedDisk"]

IN_PLACE_MS = 0.5
"""A sync that usually takes longer is made in a thread."""

NEWEST_COUNTS = 0.125
"""How much the newest sync counts in what is usual."""

COUNTS_AT_MOST_MS = IN_PLACE_MS / NEWEST_COUNTS
"""For how long a sync counts: one alone, in which somebody else had the processor, is soon forgotten."""

THREAD = "sync"

Done = Callable[[], None]
_Order = tuple[Future[float], Callable[[], None]]

_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class SyncedDisk:
    """Where one process keeps its journal (see `ports.Disk`)."""

    def __init__(
        self,
        journal: SqliteJournal,
        failed: Callable[[Exception], None],
        *,
        seconds: Callable[[], float] = perf_counter,
    ) -> None:
        """`failed` is told of a sync that failed beside the loop; `seconds` is the clock that measures."""
        self.journal = journal
        self._failed = failed
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._usual_ms = 0.0
        self._waiting: deque[tuple[Done, float]] = deque()  # In their order: what is not known to be durable.
        self._under_way: tuple[Future[float], int] | None = None
        """A sync beside the loop, and how many of those who wait it covers."""
        self._orders: SimpleQueue[_Order | None] | None = None  # For the thread, once there is one.
        self._telling = False
        self.syncs = Histogram(*_SECONDS)
        """How long a sync took."""
        self.commits = Histogram(*_SECONDS)
        """How long it took until a commit was durable, from when it was asked for."""

    def commit(self, done: Done) -> None:
        """Write, and make it durable: at once if that is quick, else beside the loop."""
        asked_s = self._seconds()
        self.journal.write()
        self._waiting.append((done, asked_s))
        self._sync()

    def _sync(self) -> None:
        """Make durable what waits for it, unless somebody is about to."""
        while self._waiting and self._under_way is None and not self._telling:
            if self._usual_ms < IN_PLACE_MS:
                self._sync_in_place()
            else:
                self._sync_beside()

    def _sync_in_place(self) -> None:
        covered = len(self._waiting)
        self._tell(self._timed(self.journal.sync), covered)

    def _sync_beside(self) -> None:
        if self._orders is None:
            self._orders = SimpleQueue()
            threading.Thread(target=self._work, args=(self._orders,), name=THREAD, daemon=True).start()
        future = Future[float]()
        self._under_way = future, len(self._waiting)
        self._orders.put((future, self.journal.sync))

    def _work(self, orders: SimpleQueue[_Order | None]) -> None:
        """Sync, in a thread of its own, whenever there is an order; the loop hears of it."""
        while (order := orders.get()) is not None:
            future, sync = order
            try:
                future.set_result(self._timed(sync))
            except Exception as error:  # Whatever it is: the loop hears of it, and ends (F1).
                future.set_exception(error)
            with suppress(RuntimeError):  # The loop is closed: nobody waits for this, or `close` does.
                self._loop.call_soon_threadsafe(self._ended, future)

    def _timed(self, sync: Callable[[], None]) -> float:
        """Sync; return how many milliseconds it took."""
        began = self._seconds()
        sync()
        return 1000 * (self._seconds() - began)

    def _ended(self, future: Future[float]) -> None:
        if self._under_way is None or self._under_way[0] is not future:
            return  # `finish` was there first.
        try:
            self._take_in()
            self._sync()
        except Exception as error:  # Whatever it is: nothing is known of the disk (F1).
            self._failed(error)

    def _take_in(self) -> None:
        """Wait for the sync that is under way, and tell those whom it covers."""
        if self._under_way is not None:
            future, covered = self._under_way
            took_ms = future.result()
            self._under_way = None
            self._tell(took_ms, covered)

    def _tell(self, took_ms: float, covered: int) -> None:
        """Those who come first are durable; what they write in turn waits for the next sync."""
        self.syncs.observe(took_ms / 1000)
        self._usual_ms += NEWEST_COUNTS * (min(took_ms, COUNTS_AT_MOST_MS) - self._usual_ms)
        self.journal.check_place()
        self._telling = True
        now_s = self._seconds()
        for done, asked_s in [self._waiting.popleft() for _ in range(covered)]:
            self.commits.observe(now_s - asked_s)
            done()
        self._telling = False

    def finish(self) -> None:
        """Wait for the sync that is under way, and make durable in place what was written since."""
        self._take_in()
        if self._waiting:
            self._sync_in_place()

    def close(self) -> None:
        """Wait for the sync that is under way; nobody is told any more.  Raises DiskFailed."""
        if self._orders is not None:
            self._orders.put(None)
        if self._under_way is not None:
            self._under_way[0].result()

    def use(self, journal: Journal) -> None:
        """Write to another journal from now on; nothing is under way."""
        assert isinstance(journal, SqliteJournal)
        self.journal = journal
