"""Addresses that nobody else uses while a test runs.

Rule 1: below the range from which the kernel takes ports for outgoing connections: a killed server's port
        is taken by nobody before it is back, and nobody who looks for it connects to itself.
Rule 2: several test runs at once do not meet, whoever's they are: a port is held by the kernel (a socket with
        a name of its own that is not a file), and not by a file that would belong to the first user of this
        machine.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["own_addresses"]

_LOWEST, _HIGHEST = 12_000, 32_000


@contextmanager
def own_addresses(count: int) -> Iterator[list[str]]:
    """Give `count` addresses for the time of the context."""
    with ExitStack() as held:
        yield [f"127.0.0.1:{_own_port(held)}" for _ in range(count)]


def _own_port(held: ExitStack) -> int:
    while True:
        port = random.randrange(_LOWEST, _HIGHEST)
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if _is_held_by(holder, port) and _is_free(port):
            held.enter_context(holder)
            return port
        holder.close()


def _is_held_by(holder: socket.socket, port: int) -> bool:
    """Take the name of the port, which ends with the process; False if somebody has it."""
    try:
        holder.bind(f"\0bankrmi-test-port-{port}")
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as trying:
        try:
            trying.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
