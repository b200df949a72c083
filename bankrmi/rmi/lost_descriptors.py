"""Descriptors that are closed once, and those that the event loop believes to be in use though they are not.

A transport of uvloop closes the descriptor of the socket that it was made of. Where the connection ends
before uvloop has noted that socket, the socket does not hear of it, and closes the descriptor once more when
it is collected (MagicStack/uvloop#738). By then it may be somebody else's: that transport is dead, and does
not know. From then on uvloop refuses every socket that gets this number ("File descriptor 17 is used by
transport"), and the system gives the lowest free one: the process reaches nobody, and nobody gets in.

Rule 1: who gave a socket to the loop, and sees it end early, says so (`leave_to_loop`).
Rule 2: who is refused for a number keeps it for ever, and ends the connection: the next socket gets another.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from .complaints import complaints

__all__ = ["keep_out_of_use", "leave_to_loop"]

_kept: list[socket.socket] = []
"""As many as descriptors were closed by somebody else: none, if that is never done."""


def leave_to_loop(given: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
    """The loop closes what it was given: the socket must not, unless the loop does it through the socket."""
    if type(loop).__module__.partition(".")[0] == "uvloop":
        given.detach()


def keep_out_of_use(refused: socket.socket, why: RuntimeError) -> None:
    """The event loop has refused this socket for its number; any other reason is raised."""
    if "is used by transport" not in str(why):
        refused.close()
        raise why
    complaints.note("a descriptor is lost to the event loop", reason=str(why))
    with suppress(OSError):
        refused.shutdown(socket.SHUT_RDWR)
    _kept.append(refused)
