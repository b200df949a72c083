"""The least that two Python processes can do for a withdrawal: what no server in Python can be faster than.

    python -m bankrmi.bench.load.floor LOG              the standby
    python -m bankrmi.bench.load.floor LOG ADDRESS      the primary, with the standby's address

The same messages, on the same event loop; refused if short, the request's id remembered, on both disks
before it is answered. Nothing else: it checks nothing, limits nothing, has no view and no lease, and its log
is never read again. Writes `begun ADDRESS` when it serves.

Rule: whatever makes it faster belongs here, if both disks still have a withdrawal before it is answered.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from typing import Any

import msgpack

from bankrmi import protocol_versions
from bankrmi.bank.forms import WITHDRAW
from bankrmi.bench.load.order import ACCOUNTS, BEGUN, OPENING
from bankrmi.event_loop import run
from bankrmi.rmi.frames import CONNECT, CONNECT_OK, HEADER_BYTES, MSGPACK, RESULT, frame_bytes

__all__ = ["OBJECT", "main"]

OBJECT = "bankrmi.account.floor"
"""Named as an account object is, so that the same clients send the same bytes."""

_AHEAD_BYTES = 1 << 26
_KIND, _SEQUENCE, _SIZE = 6, 10, 12
"""Where these are in a header of Pyro's protocol."""
_size_of = struct.Struct("!I").unpack_from
_sequence_of = struct.Struct("!H").unpack_from
_SIZED = struct.Struct("!I")
_pack, _unpack = msgpack.packb, msgpack.unpackb

_Withdrawal = tuple[int, int, int]


class _Log:
    """A file that is longer than its content, so that a sync writes data alone; it begins anew at its end."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        for place in range(0, _AHEAD_BYTES, 1 << 20):
            os.pwrite(self._file, bytes(1 << 20), place)
        os.fsync(self._file)
        self._end = 0

    def write(self, content: bytes) -> None:
        if self._end + len(content) > _AHEAD_BYTES:
            self._end = 0
        os.pwrite(self._file, content, self._end)
        self._end += len(content)

    def sync(self) -> None:
        os.fdatasync(self._file)


class _Bank:
    """Balances, and the newest request of each session with its outcomes."""

    def __init__(self) -> None:
        self.balances = [OPENING] * (ACCOUNTS + 1)
        self.newest: dict[str, tuple[str, list[int]]] = {}

    def decide(self, request_id: str, operations: list[_Withdrawal]) -> list[int]:
        """Do it once; return what is on each account then, or -1 where it is short."""
        session = request_id.partition(":")[0]
        known = self.newest.get(session)
        if known is not None and known[0] == request_id:
            return known[1]
        balances, outcomes = self.balances, []
        for _, account, amount in operations:
            left = balances[account] - amount
            if left < 0:
                outcomes.append(-1)
            else:
                balances[account] = left
                outcomes.append(left)
        self.newest[session] = request_id, outcomes
        return outcomes


class _Standby(asyncio.Protocol):
    """Writes what the primary sends, syncs it, and does the same."""

    def __init__(self, bank: _Bank, log: _Log) -> None:
        self._bank = bank
        self._log = log
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        data, groups = self._held + data, 0
        place = 0
        while len(data) - place >= 4 and len(data) >= (end := place + 4 + _size_of(data, place)[0]):
            group = data[place + 4 : end]
            self._log.write(group)
            for request_id, operations, _ in _unpack(group):
                self._bank.decide(request_id, operations)
            groups, place = groups + 1, end
        self._held = data[place:]
        if groups:
            self._log.sync()
            self._transport.write(bytes(groups))


class _Primary(asyncio.Protocol):
    """Decides what has come in meanwhile as one group; the next one begins when both disks have this one."""

    def __init__(self, bank: _Bank, log: _Log) -> None:
        self._bank = bank
        self._log = log
        self._standby: Any = None
        self._waiting: list[tuple[Any, int, str, list[_Withdrawal], bool]] = []
        self._under_way: list[tuple[Any, int, object]] = []
        self._soon = asyncio.get_running_loop().call_soon

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The standby is there."""
        self._standby = transport

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - one byte for the group under way
        """The standby has the group."""
        for caller, sequence, answer in self._under_way:
            caller.write(frame_bytes(RESULT, MSGPACK, 0, sequence, _pack(answer)))
        self._under_way = []
        if self._waiting:
            self._form()

    def asked(self, caller: Any, sequence: int, call: list[Any]) -> None:
        _, method, args, _ = call
        if method == "balance":
            caller.write(frame_bytes(RESULT, MSGPACK, 0, sequence, _pack(self._bank.balances[args[0]])))
            return
        if method == "withdraw":
            account, amount, request_id = args
            self._waiting.append((caller, sequence, request_id, [(WITHDRAW, account, amount)], False))
        else:
            packed, request_id = args
            self._waiting.append((caller, sequence, request_id, _unpack(packed), True))
        if not self._under_way and len(self._waiting) == 1:
            self._soon(self._form)

    def _form(self) -> None:
        if self._under_way:
            return
        waiting, self._waiting = self._waiting, []
        group = []
        for caller, sequence, request_id, operations, is_batch in waiting:
            outcomes = self._bank.decide(request_id, operations)
            group.append((request_id, operations, outcomes))
            answer = _pack(outcomes) if is_batch else outcomes[0]
            self._under_way.append((caller, sequence, answer))
        content = _pack(group)
        self._standby.write(_SIZED.pack(len(content)) + content)
        self._log.write(content)
        self._log.sync()


class _Caller(asyncio.Protocol):
    """One client; what it sends is believed."""

    def __init__(self, primary: _Primary) -> None:
        self._primary = primary
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        data = self._held + data
        place = 0
        while len(data) - place >= HEADER_BYTES:
            end = place + HEADER_BYTES + _size_of(data, place + _SIZE)[0]
            if end > len(data):
                break
            sequence = _sequence_of(data, place + _SEQUENCE)[0]
            if data[place + _KIND] == CONNECT:
                greeting = _pack({"handshake": {"protocol": protocol_versions.stated()}, "meta": {}})
                self._transport.write(frame_bytes(CONNECT_OK, MSGPACK, 0, sequence, greeting))
            else:
                self._primary.asked(self._transport, sequence, _unpack(data[place + HEADER_BYTES : end]))
            place = end
        self._held = data[place:]


async def _serve(log: str, standby: str | None) -> None:
    loop, bank = asyncio.get_running_loop(), _Bank()
    if standby is None:
        server = await loop.create_server(lambda: _Standby(bank, _Log(log)), "127.0.0.1", 0)
    else:
        host, _, port = standby.rpartition(":")
        primary = _Primary(bank, _Log(log))
        await loop.create_connection(lambda: primary, host, int(port))
        server = await loop.create_server(lambda: _Caller(primary), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    sys.stdout.write(f"{BEGUN} {host}:{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    run(_serve(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))


if __name__ == "__main__":
    main()
