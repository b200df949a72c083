"""One process of clients, as chaos starts it: `python -m bankrmi.robustness.chaos.client_process ORDER`.

Each session makes one call after the other with the production client, and writes down what it asks and what
it is told. Twice a second a line on standard output says how far they are.

Rule 1: a request is written down before it is sent, under an id chosen here, so that what a killed process
        asked for is known.
Rule 2: nothing is assumed of a request without an answer: it is asked for, sent again, or left unknown.
Rule 3: SIGTERM: no new calls; those on their way end as they do. The process ends with chaos, however that
        ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from pathlib import Path

from bankrmi import aio, config
from bankrmi.bank.operations import CloseAccount, OpenAccount, Operation, Receipt, Transfer, Withdraw
from bankrmi.errors import BankError, Refused, Unsettled
from bankrmi.replication.sessions import new_session
from bankrmi.robustness.chaos.ordered_clients import (
    ClientOrder,
    ClientProgress,
    reported,
    run_as_ordered,
    told_to_stop,
)
from bankrmi.robustness.chaos.workload import OPENING, Doubt, SessionWorkload, Wanted
from bankrmi.robustness.checker.history import Header
from bankrmi.robustness.checker.recording import HistoryRecorder, PendingCall

Answer = Receipt | Sequence[Receipt | Refused]

_ASK_MEANWHILE_S = 0.003


class _Session:
    """One call after the other."""

    def __init__(
        self, name: str, bank: aio.AsyncBankClient, recorder: HistoryRecorder, workload: SessionWorkload
    ) -> None:
        self.progress = ClientProgress()
        self._name = name
        self._bank = bank
        self._recorder = recorder
        self._workload = workload
        self._begin()

    def _begin(self) -> None:
        self._session, self._sequence = new_session(), 0

    async def work(self, stop: asyncio.Event) -> None:
        """Make calls until told to stop."""
        while not stop.is_set():
            wanted = self._workload.wanted()
            if wanted.operations:
                await self._change(wanted, stop)
            elif wanted.total:
                await self._told(self._recorder.total(self._name), self._total(), 1)
            else:
                asked = self._recorder.balance(self._name, wanted.account)
                await self._told(asked, self._bank.balance(wanted.account), 1)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wanted.pause_ms / 1000)

    async def _total(self) -> Receipt:
        """Return it as a receipt, of no account."""
        told = await self._bank.total()
        return Receipt(0, told.total, told.action_id or 0)

    async def _change(self, wanted: Wanted, stop: asyncio.Event) -> None:
        self._sequence += 1
        request_id = f"{self._session}:{self._sequence}"
        meanwhile = asyncio.create_task(self._ask_soon(request_id)) if wanted.ask_meanwhile else None
        settled = await self._send(request_id, wanted.operations)
        while not settled and wanted.doubt is not Doubt.LEAVE and not stop.is_set():
            if wanted.doubt is Doubt.ASK:
                settled = await self._ask(request_id)
            else:
                settled = await self._send(request_id, wanted.operations)
        if meanwhile is not None:
            await meanwhile
        if not settled:
            self._begin()

    async def _send(self, request_id: str, operations: tuple[Operation, ...]) -> bool:
        asked = self._recorder.change(self._name, request_id, operations)
        return await self._told(asked, self._answer(request_id, operations), len(operations))

    async def _answer(self, request_id: str, operations: tuple[Operation, ...]) -> Answer:
        bank, first = self._bank, operations[0]
        if len(operations) > 1:
            return await bank.submit(operations, request_id=request_id)
        match first:
            case Withdraw(account=account, amount=amount):
                return await bank.withdraw(account, amount, request_id=request_id)
            case Transfer(account=account, to=to, amount=amount):
                return await bank.transfer(account, to, amount, request_id=request_id)
            case OpenAccount(account=account):
                return await bank.open_account(account, request_id=request_id)
            case CloseAccount(account=account):
                return await bank.close_account(account, request_id=request_id)
        return await bank.deposit(first.account, first.amount, request_id=request_id)

    async def _ask(self, request_id: str) -> bool:
        asked = self._recorder.outcome(f"{self._name}?", request_id)
        return await self._told(asked, self._bank.outcome(request_id), 1)

    async def _ask_soon(self, request_id: str) -> None:
        await asyncio.sleep(_ASK_MEANWHILE_S)
        await self._ask(request_id)

    async def _told(self, asked: PendingCall, answer: Awaitable[Answer], operations: int) -> bool:
        """Write down what comes of a call; return whether it is settled."""
        self.progress.calls += 1
        try:
            asked.answered(await answer)
        except Unsettled as unsettled:
            asked.failed(unsettled)
            self.progress.unknown += 1
            return False
        except BankError as error:
            asked.failed(error)
        self.progress.operations += operations
        return True


async def _work(order: ClientOrder) -> None:
    stop = told_to_stop()
    header = Header(opening=OPENING, seed=order.seed, command=order.command, servers=order.servers)
    recorder = HistoryRecorder(Path(order.history), header)
    configuration = config.load(Path(order.configuration), insecure=order.insecure)
    async with await aio.connect(configuration) as bank:
        sessions = []
        for number in range(1, order.sessions + 1):
            name = f"{order.client}.{number}"
            workload = SessionWorkload(
                f"{order.seed}/{name}",
                pause_ms=order.pause_ms,
                reads_only=order.reads_only,
                on_engine=order.on_engine,
            )
            sessions.append(_Session(name, bank, recorder, workload))
        with reported(lambda: [session.progress for session in sessions]):
            await asyncio.gather(*(session.work(stop) for session in sessions))
    recorder.close()


if __name__ == "__main__":
    run_as_ordered(_work)
