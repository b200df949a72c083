"""Ports of this machine that are ours for as long as we hold them, whether somebody listens there or not.

Rule 1: a port is held by a socket that is bound and never listens: the kernel refuses connections to it, as
        it should while its process is dead, and gives it to nobody else.
Rule 2: below the range from which the kernel takes ports for outgoing connections, so nobody who looks for a
        dead process connects to itself.
"""

from __future__ import annotations

import errno
import random
import socket

__all__ = ["HeldPort"]

_LOWEST, _HIGHEST = 12_000, 32_000
_HOST = "127.0.0.1"
_TAKEN = (errno.EADDRINUSE, errno.EACCES)


class HeldPort:
    """One port; whoever listens there has to reuse the address, as asyncio's servers do."""

    def __init__(self, host: str = _HOST, port: int | None = None) -> None:
        """Take this port, which somebody may hold already, if nobody listens there; else a free one.

        Raises OSError.
        """
        if port is None:
            self._family: socket.AddressFamily = socket.AF_INET
            self._holder, self.port = _held()
            self.host = host
            return
        [(family, _, _, _, found), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self._family, self.host, self.port = socket.AddressFamily(family), str(found[0]), port
        self._holder = self._bound()

    @property
    def address(self) -> str:
        """Return it as `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def listener(self) -> socket.socket:
        """Return a socket that listens there, and never blocks."""
        listening = self._bound()
        listening.listen(128)
        listening.setblocking(False)
        return listening

    def _bound(self) -> socket.socket:
        bound = socket.socket(self._family)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self.host, self.port))
        except OSError:
            bound.close()
            raise
        return bound

    def close(self) -> None:
        """Give it back."""
        self._holder.close()


def _held() -> tuple[socket.socket, int]:
    while True:
        port = random.randrange(_LOWEST, _HIGHEST)
        holder = socket.socket()
        try:
            holder.bind((_HOST, port))  # Fails if anybody else has it, in whatever way.
        except OSError as error:
            holder.close()
            if error.errno not in _TAKEN:
                raise
            continue
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return holder, port
