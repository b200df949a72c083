"""Addresses that nobody else uses while a test runs.

Rule 1: below the range from which the kernel takes ports for outgoing connections: a killed server's port
        is taken by nobody before it is back, and nobody who looks for it connects to itself.
Rule 2: a lock file for each port: several test runs at once do not meet.
"""

from __future__ import annotations

import fcntl
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

__all__ = ["own_addresses"]

_LOCKS = Path(tempfile.gettempdir()) / "bankrmi-test-ports"
_LOWEST, _HIGHEST = 12_000, 32_000


@contextmanager
def own_addresses(count: int) -> Iterator[list[str]]:
    """Give `count` addresses for the time of the context."""
    _LOCKS.mkdir(exist_ok=True)
    with ExitStack() as held:
        yield [f"127.0.0.1:{_own_port(held)}" for _ in range(count)]


def _own_port(held: ExitStack) -> int:
    while True:
        port = random.randrange(_LOWEST, _HIGHEST)
        lock = (_LOCKS / str(port)).open("w")
        if _locked(lock) and _is_free(port):
            held.enter_context(lock)
            return port
        lock.close()


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
