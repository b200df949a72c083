"""One call of gRPC at a time on a connection of its own: the little of HTTP/2 that this takes.

Rule 1: headers are sent as literals, and those of answers are not read: an answer without a message failed.
Rule 2: a call has to fit into one frame (16 kB), so the windows of flow control never close on us.
"""

from __future__ import annotations

import asyncio
import struct

from bankrmi.errors import OperationFailed

__all__ = ["LONGEST_MESSAGE", "Grpc", "open_grpc"]

LONGEST_MESSAGE = 16_000
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_HEAD = 9
_WIDE = (1 << 31) - 1
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_GRPC_HEAD = struct.Struct("!BI")


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def _headers(path: str, authority: str) -> bytes:
    """POST, http, and four literals that nobody is to remember."""

    def text(value: str) -> bytes:
        return bytes((len(value),)) + value.encode()

    return (
        b"\x83\x86"
        + (b"\x04" + text(path))
        + (b"\x01" + text(authority))
        + (b"\x0f\x10" + text("application/grpc"))
        + (b"\x00" + text("te") + text("trailers"))
    )


class Grpc(asyncio.Protocol):
    """A connection to a gRPC server."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._stream = -1
        self._message = b""
        self._rest = b""
        self._known: dict[str, bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        wide = struct.pack("!HI", 4, _WIDE)
        transport.write(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, wide)
            + _frame(_WINDOW, 0, 0, struct.pack("!I", _WIDE - 65_535))
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was lost: {exc}")

    async def ask(self, path: str, message: bytes) -> bytes:
        """Call a method; return its message."""
        assert self._transport is not None
        assert self._answer is None, "one call at a time"
        assert len(message) <= LONGEST_MESSAGE
        if path not in self._known:
            self._known[path] = _headers(path, self._authority)
        self._stream += 2
        self._message = b""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(
            _frame(_HEADERS, _END_HEADERS, self._stream, self._known[path])
            + _frame(_DATA, _END_STREAM, self._stream, _GRPC_HEAD.pack(0, len(message)) + message)
        )
        try:
            return await self._answer
        finally:
            self._answer = None

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        at = 0
        while len(data) - at >= _HEAD:
            size = int.from_bytes(data[at : at + 3], "big")
            end = at + _HEAD + size
            if len(data) < end:
                break
            self._take(data[at + 3], data[at + 4], data[at + _HEAD : end])
            at = end
        self._rest = data[at:]

    def _take(self, kind: int, flags: int, payload: bytes) -> None:
        assert self._transport is not None
        if kind == _DATA:
            self._message += payload
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._transport.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind in (_RESET, _GOAWAY):
            self._fail(f"the server refused (frame {kind}, {payload!r:.80})")
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            self._settle()

    def _settle(self) -> None:
        if not self._message:
            self._fail("the server answered without a message")
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result(self._message[_GRPC_HEAD.size :])

    def _fail(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(OperationFailed(f"{self._authority}: {why}"))


async def open_grpc(host: str, port: int) -> Grpc:
    """Connect to a server that speaks gRPC without certificates."""
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Grpc(f"{host}:{port}"), host, port
    )
    return connection
