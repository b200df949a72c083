"""A daemon of ours that answers what it is told, and callers of it, or of a stock one.

python -m bankrmi.bench.load.echo serve
python -m bankrmi.bench.load.echo call URI CONNECTIONS SECONDS
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import sys
import time

from bankrmi.bench.load.order import BEGUN
from bankrmi.rmi import Call, Daemon, Exposed, Limits, handshake
from bankrmi.rmi.frames import CONNECT, INVOKE, MSGPACK, frame_bytes
from bankrmi.rmi.values import write_call, write_value

__all__ = ["main"]

_OBJECT = "bench.echo"
_SIZE_AT = struct.Struct("!I")
_ARGUMENTS = (2, 10, "session:12")


class _Echo:
    exposed = Exposed(methods=frozenset({"echo"}))

    def invoke(self, call: Call) -> None:
        call.answer(call.args)


async def _serve() -> None:
    daemon = Daemon(Limits(), dict)
    daemon.register(_OBJECT, _Echo())
    await daemon.listen("127.0.0.1:0")
    _say(f"{BEGUN} PYRO:{_OBJECT}@{daemon.address}")
    await asyncio.Event().wait()


def _call(uri: str, connections: int, seconds: float) -> int:
    """Return how many calls were answered."""
    object_id, _, address = uri.removeprefix("PYRO:").partition("@")
    host, _, port = address.rpartition(":")
    hello = write_value(MSGPACK, {"handshake": handshake("client"), "object": object_id})
    call = frame_bytes(INVOKE, MSGPACK, 0, 1, write_call(object_id, "echo", _ARGUMENTS, {}))
    epoll, callers = select.epoll(), {}
    for _ in range(connections):
        caller = socket.create_connection((host, int(port)))
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        caller.sendall(frame_bytes(CONNECT, MSGPACK, 0, 0, hello))
        caller.recv(4096)
        callers[caller.fileno()] = caller
        epoll.register(caller, select.EPOLLIN)
    for caller in callers.values():
        caller.sendall(call)
    answered, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for number, _ in epoll.poll(1):
            answer = callers[number].recv(4096)
            assert len(answer) == 40 + _SIZE_AT.unpack_from(answer, 12)[0]
            callers[number].send(call)
            answered += 1
    return answered


def main() -> None:
    """Serve until killed, or call for a while and tell how often."""
    if sys.argv[1] == "serve":
        asyncio.run(_serve())
    else:
        _say(str(_call(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
