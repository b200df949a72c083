"""Those who wait, in groups: events of the door in, replies out; in between, the database.

The door (`server.admission`) is that of every server: it bounds who waits, joins a retry to what it repeats,
and tells who has waited too long. Behind it is this, in the place of the rules.

Rule 1: all that waits when a connection is free is one group, up to so many operations: what a commit costs
        is shared.
Rule 2: whoever is let in is answered by what the database has decided, or by the door, that it is not known.
Rule 3: a read is one statement for all who want to read, and sees everything that was committed before.
        Whoever asks for much (a statement, the total) waits beside, and keeps no balance waiting.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any, assert_never

import structlog

from bankrmi.bank.statements import TOTAL, StatementQuery, TotalOfMoment
from bankrmi.engine.database import EngineDatabase
from bankrmi.engine.deciding import BankState, Decisions, WantedRequest
from bankrmi.engine.sweeping import Sweep
from bankrmi.histogram import Histogram
from bankrmi.replication.effects import Decided, IsBusy, NotLeading, Read, Refusal, Reply
from bankrmi.replication.events import (
    CallersGone,
    ClientEvent,
    Event,
    OutcomeAsked,
    Overdue,
    ReadArrived,
    RequestArrived,
)
from bankrmi.replication.figures import Figures

__all__ = ["EngineDriver"]

log = structlog.get_logger("bankrmi.engine")

_OPERATIONS_AT_ONCE = 8192
_REQUESTS_AT_ONCE = 512
_READS_AT_ONCE = 1024
_LOOK_SECONDS = 1.0
_SWEEP_SECONDS, _SWEEP_AGAIN_SECONDS = 10.0, 0.05

Change = RequestArrived | OutcomeAsked


class EngineDriver:
    """Takes what is asked of one server to the database; `failed` raises why it had to stop."""

    def __init__(self, database: EngineDatabase, *, writers: int, sweep: Sweep) -> None:
        self._database = database
        self._sweep = sweep
        self.figures = Figures()
        self.transactions = Histogram(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
        self.retired_for: str | None = None
        """Where the bank has gone, as the newest look found."""
        self._writers = writers
        self._changes: deque[Change] = deque()
        self._reads: deque[ReadArrived] = deque()
        self._statements: deque[ReadArrived] = deque()
        self._totals: deque[ReadArrived] = deque()
        kinds = ("changes", "reads", "statements", "totals")
        self._something = {kind: asyncio.Event() for kind in kinds}
        self._tasks: list[asyncio.Task[None]] = []
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        """Begin to serve those who wait."""
        readers = [self._read(), self._tell_statements(), self._tell_totals()]
        serving = [*(self._change() for _ in range(self._writers)), *readers, self._look(), self._sweep_up()]
        self._tasks = [asyncio.create_task(task) for task in serving]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None and not self.failed.done():
            self.failed.set_exception(task.exception() or AssertionError("it ended"))

    async def stop(self) -> None:
        """Decide nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def queued(self) -> int:
        """How many requests and reads wait for a connection."""
        reads = len(self._reads) + len(self._statements) + len(self._totals)
        return len(self._changes) + reads

    # -- what the door gives ---------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Take what a client asks; or let go of what nobody waits for, or should wait for, any more."""
        match event:
            case RequestArrived() | OutcomeAsked():
                self._changes.append(event)
                self._something["changes"].set()
            case ReadArrived():
                self._reads.append(event)
                self._something["reads"].set()
            case CallersGone(tokens=tokens):
                self._without(tokens)
            case Overdue(tokens=tokens):
                for one in self._without(tokens):
                    one.token.reply(IsBusy())
            case _:
                raise AssertionError(f"nobody here asks for {event!r}")

    def _without(self, tokens: frozenset[Any]) -> list[ClientEvent]:
        """Leave these out, as far as they wait yet; return them."""
        left: list[ClientEvent] = []
        for waiting in (self._changes, self._reads, self._statements, self._totals):
            left += [one for one in waiting if one.token in tokens]
            staying = [one for one in waiting if one.token not in tokens]
            waiting.clear()
            waiting.extend(staying)  # type: ignore[arg-type]
        return left

    # -- changes ---------------------------------------------------------------------------------

    async def _change(self) -> None:
        while True:
            await self._something["changes"].wait()
            group = self._next_group()
            if not self._changes:
                self._something["changes"].clear()
            if group:
                await self._decide(group)

    def _next_group(self) -> list[Change]:
        """Take those who stand first, as many as are decided together."""
        group: list[Change] = []
        room = _OPERATIONS_AT_ONCE
        while self._changes and len(group) < _REQUESTS_AT_ONCE and room > 0:
            change = self._changes.popleft()
            room -= _count(change)
            group.append(change)
        return group

    async def _decide(self, group: list[Change]) -> None:
        wanted = [WantedRequest(change.request, _operations(change)) for change in group]
        began_s = time.monotonic()
        decisions = await self._database.decide(wanted, partial(_anybody, group))
        if decisions is not None:
            self.transactions.observe(time.monotonic() - began_s)
        if isinstance(decisions, BankState):
            _send_on(group, decisions)
        elif decisions is not None:
            self.figures.formed(len(group), sum(map(_count, group)))
            for change in group:
                change.token.reply(self._reply(change, decisions))

    def _reply(self, change: Change, decisions: Decisions) -> Reply:
        refused = decisions.refused.get(change.request)
        if refused is not None:
            return refused
        record = decisions.records[change.request]
        is_another = record.operations not in (b"", _operations(change))
        if isinstance(change, RequestArrived) and is_another:
            return Refusal("this request id was used before, for another operation")
        return Decided(self._database.history, record)  # type: ignore[arg-type]  # Answers read both.

    # -- reads -----------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            await self._something["reads"].wait()
            reads = [self._reads.popleft() for _ in range(min(len(self._reads), _READS_AT_ONCE))]
            if not self._reads:
                self._something["reads"].clear()
            balances = [read for read in reads if type(read.query) is int]
            for read in reads:
                if isinstance(read.query, StatementQuery):
                    self._statements.append(read)
                    self._something["statements"].set()
                elif read.query is TOTAL:
                    self._totals.append(read)
                    self._something["totals"].set()
            if balances:
                await self._tell_balances(balances)

    async def _tell_balances(self, reads: list[ReadArrived]) -> None:
        found = await self._database.balances(
            sorted({read.query for read in reads}), partial(_anybody, reads)
        )
        if found is None:
            return
        bank, accounts = found
        if bank.retired_for is not None:
            _send_on(reads, bank)
            return
        for read in reads:
            state = accounts.get(read.query)
            balance, action_id = (None, bank.base) if state is None else (state.balance, state.action_id)
            read.token.reply(Read(self._database.history, action_id, balance))

    async def _tell_totals(self) -> None:
        """One for all who wait, on a connection of their own: to add up a large bank takes seconds."""
        while True:
            await self._something["totals"].wait()
            reads = list(self._totals)
            self._totals.clear()
            self._something["totals"].clear()
            if reads:
                await self._tell_total(reads)

    async def _tell_total(self, reads: list[ReadArrived]) -> None:
        found = await self._database.total(partial(_anybody, reads))
        if found is None:
            return
        bank, total = found
        if bank.retired_for is not None:
            _send_on(reads, bank)
            return
        for read in reads:
            read.token.reply(Read(self._database.history, bank.base, TotalOfMoment(total)))

    async def _tell_statements(self) -> None:
        """One at a time, on a connection of their own: whoever looks at much keeps no balance waiting."""
        while True:
            await self._something["statements"].wait()
            read = self._statements.popleft() if self._statements else None
            if not self._statements:
                self._something["statements"].clear()
            if read is None:
                continue
            query: StatementQuery = read.query
            asked = query.account, query.since, query.limit
            found = await self._database.statement(*asked, partial(_anybody, [read]))
            if found is None:
                continue
            bank, newest, page = found
            if bank.retired_for is not None:
                _send_on([read], bank)
            else:
                read.token.reply(Read(self._database.history, newest, page))

    # -- nobody asks -----------------------------------------------------------------------------

    async def _look(self) -> None:
        """Ask the database now and then whether it answers, so `status` is true when nobody else asks."""
        while True:
            found = await self._database.balances([], lambda: True)
            assert found is not None
            if found[0].retired_for != self.retired_for:
                self.retired_for = found[0].retired_for
                log.info(
                    "the bank is somewhere else" if self.retired_for else "the bank is here",
                    at=self.retired_for,
                )
            await asyncio.sleep(_LOOK_SECONDS)

    async def _sweep_up(self) -> None:
        """Have a little of what is too old forgotten now and then; the more, the more there is."""
        if not self._sweep.forgets:
            return
        while True:
            there_may_be_more = await self._database.sweep(self._sweep)
            pause_s = _SWEEP_AGAIN_SECONDS if there_may_be_more else _SWEEP_SECONDS
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))


def _send_on(events: Iterable[ClientEvent], bank: BankState) -> None:
    """Tell them where the bank has gone."""
    for event in events:
        event.token.reply(NotLeading(None, undecided=True, retired_for=bank.retired_for))


def _count(change: Change) -> int:
    return change.operation_count if isinstance(change, RequestArrived) else 1


def _operations(change: Change) -> bytes:
    match change:
        case RequestArrived(operations=operations):
            return operations
        case OutcomeAsked():
            return b""
    assert_never(change)


def _anybody(group: Iterable[ClientEvent]) -> bool:
    """Whether anybody waits yet for what these want."""
    return any(one.token.is_wanted for one in group)
