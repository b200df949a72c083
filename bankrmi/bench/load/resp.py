"""Redis' protocol, as far as a withdrawal needs it: the call of the function and WAIT, in one trip.

Rule: an answer is both replies: the second says that the replica has it.
Assumption: replies are numbers, strings or errors, no lists.
"""

from __future__ import annotations

import asyncio
import secrets
from array import array
from collections import deque
from collections.abc import Sequence

from bankrmi.bench.load.order import LoadOrder
from bankrmi.errors import OperationFailed

__all__ = ["Resp", "command", "open_resp", "resp"]

_WAIT = b"*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$1\r\n0\r\n"


class Resp(asyncio.Protocol):
    """One connection; replies come in the order of the commands."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Future[bytes | None]] = deque()
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        while self._waiting:
            self._waiting.popleft().set_exception(OperationFailed(f"Redis hung up: {exc}"))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        place = 0
        while (end := data.find(b"\r\n", place)) >= 0:
            kind, line = data[place], data[place + 1 : end]
            after, value = end + 2, line
            if kind == 36 and line != b"-1":  # "$": a string of that many bytes.
                after = end + 4 + int(line)
                if len(data) < after:
                    break
                value = data[end + 2 : after - 2]
            self._settle(kind, value)
            place = after
        self._rest = data[place:]

    def _settle(self, kind: int, value: bytes) -> None:
        waiting = self._waiting.popleft()
        if kind == 45:  # "-": an error.
            waiting.set_exception(OperationFailed(f"Redis: {value.decode()}"))
        elif not waiting.done():
            waiting.set_result(value)

    async def ask(self, sent: bytes) -> bytes | None:
        """Send one command, and return its reply."""
        assert self._transport is not None
        reply = self._expect()
        self._transport.write(sent)
        return await reply

    async def ask_and_wait(self, sent: bytes) -> bytes | None:
        """Send a command with WAIT behind it; return its reply when both are there."""
        assert self._transport is not None
        reply, copies = self._expect(), self._expect()
        self._transport.write(sent + _WAIT)
        if await copies != b"1":
            raise OperationFailed("Redis: no replica has it")
        return await reply

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _expect(self) -> asyncio.Future[bytes | None]:
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future


def command(*parts: bytes) -> bytes:
    """Return a command as it is sent."""
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


class _RespCaller:
    def __init__(self, connection: Resp, *, loop: bool) -> None:
        self._connection = connection
        self._many = b"withdraw_in_a_loop" if loop else b"withdraw_each"
        self._session = secrets.token_hex(8).encode()
        self._sequence = 0

    def _next(self) -> bytes:
        self._sequence += 1
        return b"r:%s:%d" % (self._session, self._sequence)

    async def withdraw(self, account: int) -> object:
        call = command(b"FCALL", b"withdraw", b"2", b"a:%d" % account, self._next(), b"1")
        return await self._connection.ask_and_wait(call)

    async def withdraw_each(self, accounts: Sequence[int]) -> object:
        packed = array("i", accounts).tobytes()
        call = command(b"FCALL", self._many, b"1", self._next(), b"1", packed)
        return array("q", await self._connection.ask_and_wait(call) or b"")

    async def balance(self, account: int) -> object:
        return await self._connection.ask(command(b"GET", b"a:%d" % account))


async def open_resp(host: str, port: int) -> Resp:
    """Connect to a Redis server."""
    _, connection = await asyncio.get_running_loop().create_connection(Resp, host, port)
    return connection


async def resp(order: LoadOrder) -> list[_RespCaller]:
    """Connect each client."""
    host, port = order.where["host"], int(order.where["port"])
    shape = order.shape
    return [_RespCaller(await open_resp(host, port), loop=shape.loop) for _ in range(shape.clients)]
