"""Servers that do what no daemon of ours does, for callers to cope with."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behaviour = Callable[[socket.socket], None]


@contextmanager
def strange_server(behave: Behaviour) -> Iterator[str]:
    """Yield the address of a server that treats each connection so, and then closes it."""
    listening = socket.create_server(("127.0.0.1", 0))
    stopping = threading.Event()

    def serve() -> None:
        while True:
            connected, _ = listening.accept()
            with connected:
                if stopping.is_set():
                    return
                connected.settimeout(10)
                behave(connected)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        stopping.set()
        socket.create_connection(listening.getsockname()).close()
        thread.join()
        listening.close()


def closes(connected: socket.socket) -> None:
    """Close after the handshake came."""
    connected.recv(1 << 16)


def resets(connected: socket.socket) -> None:
    """Accept, and reset at once."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def says_nothing(connected: socket.socket) -> None:
    """Be silent until the caller leaves."""
    while connected.recv(1 << 16):
        pass


def says(what: bytes) -> Behaviour:
    """Answer with these bytes, then be silent."""

    def answer(connected: socket.socket) -> None:
        connected.recv(1 << 16)
        connected.sendall(what)
        says_nothing(connected)

    return answer


def free_address() -> str:
    """Return an address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"
