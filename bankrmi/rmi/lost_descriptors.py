"""Descriptors that the event loop believes to be in use, though they were closed: kept out of use for ever.

Where a connection ends while uvloop takes a socket over, its descriptor can be closed twice
(MagicStack/uvloop#738, #653). The second time it belongs to somebody else: that transport is dead, and does
not know. From then on uvloop refuses every socket that gets this number ("File descriptor 17 is used by
transport"), and the system gives the lowest free one: the server reaches nobody, and nobody gets in.

Rule: who is refused so keeps the number for ever, and ends the connection: the next socket gets another one.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from .complaints import complaints

__all__ = ["keep_out_of_use"]

_kept: list[socket.socket] = []


def keep_out_of_use(refused: socket.socket, why: RuntimeError) -> None:
    """The event loop has refused this socket for its number."""
    complaints.note("a descriptor is lost to the event loop", reason=str(why))
    with suppress(OSError):
        refused.shutdown(socket.SHUT_RDWR)
    _kept.append(refused)
