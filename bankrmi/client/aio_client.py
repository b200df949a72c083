"""The asyncio client: `async with await bankrmi.aio.connect("config.yaml") as bank:`, and what follows.

The same as `bank_client`, rule for rule; what to do next is decided in `attempts`, for both. Usable from many
tasks of one event loop: each call takes a channel for itself, so their requests go out side by side.

Rule: a call that is cancelled leaves nothing behind: its channel starts afresh, its request id is in a note.
Assumption: one client belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bankrmi.bank.operations import Deposit, Receipt, Withdraw
from bankrmi.client.attempts import Answered, Candidate, Finish, Outcome, Try, Wait
from bankrmi.client.calls import Call, Memory
from bankrmi.client.finding import configuration_of, outcome_of
from bankrmi.client.requests import (
    ACCOUNT_ID,
    Operation,
    Request,
    Session,
    asked_balance,
    asked_outcome,
    asked_status,
    changed,
    read_receipt,
    read_results,
    submitted,
)
from bankrmi.config import Configuration
from bankrmi.errors import BankError, OperationFailed, Refused
from bankrmi.rmi import Failure, Link, handshake, look_up_async, open_link

__all__ = ["AsyncBankClient", "connect"]

_IDLE_CHANNELS = 32
_HANDSHAKE = handshake("client")


async def connect(
    configuration: str | Path | Configuration | None = None,
    *,
    timeout: float | None = None,
    on_waiting: Callable[[], None] | None = None,
    insecure: bool = False,
    nameserver: str | None = None,
) -> AsyncBankClient:
    """Return a client of the bank that the configuration describes; see `bankrmi.connect`."""
    configuration = configuration_of(configuration, nameserver, insecure=insecure)
    return AsyncBankClient(configuration, timeout=timeout, on_waiting=on_waiting)


class _Channel:
    """A session and a connection, used by one call at a time."""

    __slots__ = ("_asks", "_link", "session")

    def __init__(self) -> None:
        self.session = Session()
        self._link: Link | None = None
        self._asks: Candidate | None = None

    async def ask(self, attempt: Try, method: str, args: tuple[object, ...]) -> Outcome:
        """Make one attempt."""
        began = time.monotonic()
        try:
            link = self._link
            if link is None or not link.up or self._asks != attempt.candidate:
                link = await self._connect(attempt)
            timeout = attempt.timeout_ms / 1000 - (time.monotonic() - began)
            return Answered(await link.ask(method, args, max(timeout, 0.001)))
        except Exception as error:  # outcome_of raises what is not for it to judge
            self.close_after(error)
            return outcome_of(error)

    async def _connect(self, attempt: Try) -> Link:
        self.close()
        candidate = attempt.candidate
        self._link = await open_link(
            candidate.address, ACCOUNT_ID + candidate.server, _HANDSHAKE, attempt.connect_ms / 1000
        )
        self._asks = candidate
        return self._link

    def close_after(self, error: Exception) -> None:
        """Drop a connection that failed: an answer that comes late on it is nobody's."""
        if isinstance(error, Failure):
            self.close()

    def start_afresh(self) -> None:
        """Go on with nothing of what was."""
        self.close()
        self.session = Session()

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


class AsyncBankClient:
    """A bank account's counter for asyncio. Made by `connect`; an async context manager."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        timeout: float | None = None,
        on_waiting: Callable[[], None] | None = None,
    ) -> None:
        self._memory = Memory(configuration, timeout, on_waiting)
        self._most_operations = configuration.limits.operations_per_request
        self._idle: list[_Channel] = []
        self._closed = False

    async def __aenter__(self) -> AsyncBankClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; again does nothing. Calls in progress end as usual."""
        self._closed = True
        self._close_idle()

    # -- what a bank's client can do; see `BankClient` ---------------------------------------------

    async def balance(self, account: int) -> Receipt:
        """Return the balance, the newest that anybody was told of."""
        return await self._receipt(asked_balance(account))

    async def withdraw(self, account: int, amount: int, *, request_id: str | None = None) -> Receipt:
        """Take money off; raises `InsufficientFunds` or `AccountNotFound` if that cannot be."""
        return await self._receipt(changed(Withdraw(account, amount), request_id))

    async def deposit(self, account: int, amount: int, *, request_id: str | None = None) -> Receipt:
        """Put money on; raises `BalanceTooLarge` or `AccountNotFound` if that cannot be."""
        return await self._receipt(changed(Deposit(account, amount), request_id))

    async def submit(
        self, operations: Sequence[Operation], *, request_id: str | None = None
    ) -> list[Receipt | Refused]:
        """Do many operations in one request, each decided on its own, in their order."""
        request = submitted(operations, request_id, at_most=self._most_operations)
        answer, sent_as = await self._perform(request)
        return read_results(answer, str(sent_as))

    async def outcome(self, request_id: str) -> list[Receipt | Refused]:
        """Return what became of a request, for good; `Cancelled` if it never arrived, and now never will."""
        return read_results(await self._answered(asked_outcome(request_id)), request_id)

    async def status(self) -> dict[str, Any]:
        """Return what the server that is asked first says of itself."""
        return dict(await self._answered(asked_status()))

    # -- how it is done ----------------------------------------------------------------------------

    async def _receipt(self, request: Request) -> Receipt:
        return read_receipt(*await self._perform(request))

    async def _answered(self, request: Request) -> Any:
        answer, _ = await self._perform(request)
        return answer

    async def _perform(self, request: Request) -> tuple[Any, str | None]:
        """Return the answer, and the request id that it was sent under."""
        memory, channel = self._memory, self._take()
        deadline_ms = _now_ms() + memory.timeout_ms
        try:
            if memory.primary is None:
                await self._look_up(memory.look_up_seconds(deadline_ms, _now_ms()))
            call = Call(request, memory, channel.session, deadline_ms)
            return await self._carry_out(call, channel), call.request_id
        finally:
            self._give_back(channel)

    async def _carry_out(self, call: Call, channel: _Channel) -> Any:
        try:
            while True:
                match call.decide(_now_ms()):
                    case Try() as attempt:
                        call.observe(await channel.ask(attempt, call.method, call.args()))
                    case Wait(wait_ms=wait_ms):
                        await self._look_up(call.learn_seconds(_now_ms()))
                        call.take_learned()
                        await asyncio.sleep(wait_ms / 1000)
                    case Finish() as end:
                        return call.finish(end)
        except Refused:
            raise
        except BaseException as failure:
            channel.start_afresh()
            if not isinstance(failure, BankError):
                call.note_on(failure)
            raise

    async def _look_up(self, seconds: float) -> None:
        """Ask the name server who leads; whatever goes wrong, the call goes on with whom it knows."""
        memory = self._memory
        if seconds <= 0:
            return
        try:
            memory.take_hint(await look_up_async(memory.nameserver, memory.tags, seconds))
        except Exception as error:  # a hint is never worth an operation
            memory.take_no_hint(error)

    def _take(self) -> _Channel:
        if self._closed:
            raise OperationFailed("this client is closed")
        return self._idle.pop() if self._idle else _Channel()

    def _give_back(self, channel: _Channel) -> None:
        self._idle.append(channel)
        if len(self._idle) > _IDLE_CHANNELS:
            self._idle.pop().close()
        if self._closed:
            self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
