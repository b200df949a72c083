"""Those who wait, in groups: events of the door in, replies out; in between, the database.

The door (`server.admission`) is that of every server: it bounds who waits, joins a retry to what it repeats,
and tells who has waited too long. Behind it is this, in the place of the rules.

Rule 1: all that waits when a connection is free is one group, up to so many operations: what a commit costs
        is shared.
Rule 2: whoever is let in is answered by what the database has decided, or by the door, that it is not known.
Rule 3: a read is one statement for all who want to read, and sees everything that was committed before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any, assert_never

from bankrmi.bank.statements import TOTAL
from bankrmi.engine.database import EngineDatabase
from bankrmi.engine.deciding import WantedRequest
from bankrmi.replication.effects import Decided, IsBusy, Read, Refusal
from bankrmi.replication.events import (
    CallersGone,
    ClientEvent,
    Event,
    OutcomeAsked,
    Overdue,
    ReadArrived,
    RequestArrived,
)

__all__ = ["EngineDriver"]

_OPERATIONS_AT_ONCE = 8192
_REQUESTS_AT_ONCE = 512
_READS_AT_ONCE = 1024
_LOOK_SECONDS = 1.0

Change = RequestArrived | OutcomeAsked


class EngineDriver:
    """Takes what is asked of one server to the database; `failed` raises why it had to stop."""

    def __init__(self, database: EngineDatabase, *, writers: int) -> None:
        self._database = database
        self._writers = writers
        self._changes: deque[Change] = deque()
        self._reads: deque[ReadArrived] = deque()
        self._something = {"changes": asyncio.Event(), "reads": asyncio.Event()}
        self._tasks: list[asyncio.Task[None]] = []
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        """Begin to serve those who wait."""
        serving = [*(self._change() for _ in range(self._writers)), self._read(), self._look()]
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
        return len(self._changes) + len(self._reads)

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
        for waiting in (self._changes, self._reads):
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
            room -= change.operation_count if isinstance(change, RequestArrived) else 1
            group.append(change)
        return group

    async def _decide(self, group: list[Change]) -> None:
        wanted = [WantedRequest(change.request, _operations(change)) for change in group]
        records = await self._database.decide(wanted, partial(_anybody, group))
        if records is None:
            return
        history = self._database.history
        for change in group:
            record = records[change.request]
            is_another = record.operations not in (b"", _operations(change))
            if isinstance(change, RequestArrived) and is_another:
                change.token.reply(Refusal("this request id was used before, for another operation"))
            else:
                change.token.reply(Decided(history, record))  # type: ignore[arg-type]  # Answers read both.

    # -- reads -----------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            await self._something["reads"].wait()
            reads = [self._reads.popleft() for _ in range(min(len(self._reads), _READS_AT_ONCE))]
            if not self._reads:
                self._something["reads"].clear()
            balances = [read for read in reads if type(read.query) is int]
            totals = [read for read in reads if read.query is TOTAL]
            if balances:
                await self._tell_balances(balances)
            if totals:
                await self._tell_total(totals)
            for read in reads:
                if type(read.query) is not int and read.query is not TOTAL:
                    read.token.reply(Refusal("there are no statements of accounts in a database yet"))

    async def _tell_balances(self, reads: list[ReadArrived]) -> None:
        found = await self._database.balances(
            sorted({read.query for read in reads}), partial(_anybody, reads)
        )
        if found is not None:
            for read in reads:
                state = found.get(read.query)
                balance, action_id = (None, 0) if state is None else (state.balance, state.action_id)
                read.token.reply(Read(self._database.history, action_id, balance))

    async def _tell_total(self, reads: list[ReadArrived]) -> None:
        found = await self._database.total(partial(_anybody, reads))
        if found is not None:
            for read in reads:
                read.token.reply(Read(self._database.history, 0, found))

    # -- nobody asks -----------------------------------------------------------------------------

    async def _look(self) -> None:
        """Ask the database now and then whether it answers, so `status` is true when nobody else asks."""
        while True:
            await self._database.balances([], lambda: True)
            await asyncio.sleep(_LOOK_SECONDS)


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
