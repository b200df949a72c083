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
import json
import signal
import sys
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bankrmi import aio, config
from bankrmi.bank.operations import CloseAccount, OpenAccount, Operation, Receipt, Transfer, Withdraw
from bankrmi.errors import BankError, Refused, Unsettled
from bankrmi.parent_death import end_with_parent
from bankrmi.replication.sessions import new_session
from bankrmi.robustness.chaos.workload import OPENING, Doubt, SessionWorkload, Wanted
from bankrmi.robustness.checker.history import Header
from bankrmi.robustness.checker.recording import HistoryRecorder, PendingCall
from bankrmi.signals import let_through

__all__ = ["ClientOrder", "ClientProgress", "main"]

Answer = Receipt | Sequence[Receipt | Refused]

_REPORT_S = 0.5
_ASK_MEANWHILE_S = 0.003


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOrder:
    """What a process is told; `client` is a name that no other one of the run has."""

    client: str
    configuration: str
    insecure: bool
    history: str
    seed: int
    command: str
    servers: tuple[str, ...]
    sessions: int
    reads_only: bool
    pause_ms: float
    parent_pid: int
    serves: str = ""
    """The class that is served, if it is no bank; `folder` is where its module is looked for first."""
    folder: str = ""
    workload: str = ""

    def to_text(self) -> str:
        """Return it as an argument of the command line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str) -> ClientOrder:
        """Return what `to_text` wrote."""
        form = json.loads(text)
        return ClientOrder(**form | {"servers": tuple(form["servers"])})


@dataclass(slots=True, kw_only=True)
class ClientProgress:
    """How far a process is; `unknown` are calls that ended without an answer."""

    calls: int = 0
    operations: int = 0
    unknown: int = 0


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
            else:
                asked = self._recorder.balance(self._name, wanted.account)
                await self._told(asked, self._bank.balance(wanted.account), 1)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wanted.pause_ms / 1000)

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
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    let_through()
    header = Header(opening=OPENING, seed=order.seed, command=order.command, servers=order.servers)
    recorder = HistoryRecorder(Path(order.history), header)
    configuration = config.load(Path(order.configuration), insecure=order.insecure)
    async with await aio.connect(configuration) as bank:
        sessions = []
        for number in range(1, order.sessions + 1):
            name = f"{order.client}.{number}"
            workload = SessionWorkload(
                f"{order.seed}/{name}", pause_ms=order.pause_ms, reads_only=order.reads_only
            )
            sessions.append(_Session(name, bank, recorder, workload))
        reporting = asyncio.create_task(_report_again_and_again(sessions))
        await asyncio.gather(*(session.work(stop) for session in sessions))
        reporting.cancel()
    _report(sessions)
    recorder.close()


async def _report_again_and_again(sessions: Sequence[_Session]) -> None:
    while True:
        _report(sessions)
        await asyncio.sleep(_REPORT_S)


def _report(sessions: Sequence[_Session]) -> None:
    whole = ClientProgress()
    for session in sessions:
        whole.calls += session.progress.calls
        whole.operations += session.progress.operations
        whole.unknown += session.progress.unknown
    sys.stdout.write(json.dumps(asdict(whole)) + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> None:
    """Run the clients of one process."""
    order = ClientOrder.from_text(arguments[0])
    end_with_parent(order.parent_pid)
    asyncio.run(_work(order))


if __name__ == "__main__":
    main(sys.argv[1:])
