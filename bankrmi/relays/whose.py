"""Which of the bank's processes a connection comes from."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from bankrmi.socket_owners import endpoint, inode_of, socket_owners

__all__ = ["process_at_the_other_end"]


def process_at_the_other_end(connection: socket.socket, pids: Mapping[str, int]) -> str | None:
    """Return which of these processes has the other end of a connection; None if none has, or it is over."""
    try:
        there, here = endpoint(*connection.getpeername()[:2]), endpoint(*connection.getsockname()[:2])
    except OSError:
        return None
    inode = inode_of(there, here)
    if inode is None:
        return None
    owner = socket_owners([inode], pids.values()).get(inode)
    return next((name for name, pid in pids.items() if pid == owner), None)
