"""Accepting connections: as fast as they can be looked after, and no faster.

What is not accepted waits in the system's queue, where it costs nothing and is told nothing. asyncio's own
accepting goes on until it runs out of files, and then says so in the log, for each connection, each second.

Rule 1: only a few are accepted at once, so that what they say is read before more come.
Rule 2: while there is no room nothing is accepted; nobody is turned away for coming in a crowd.
Rule 3: whatever `accept` fails with, it is tried again after a pause: no busy loop, no flood of log lines.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from bankrmi.errors import BankError, ConfigurationError, OperationFailed
from bankrmi.readiness import AWAITS

from .addresses import Address, host_and_port, joined
from .complaints import complaints
from .lost_descriptors import keep_out_of_use

__all__ = ["Acceptor", "listening_socket"]

_BACKLOG = 4096
"""Connections that wait in the system to be accepted; it may allow fewer (net.core.somaxconn)."""
_UNREAD_BYTES = 1 << 18
"""How much of a connection waits in the system until it is read.  Left alone, that grows to tens of megabytes
for each, and what callers that are long gone left behind would be dealt with for minutes."""
_ACCEPTED_AT_ONCE = 8
_PAUSE_SECONDS = 0.02
_FAILED_PAUSE_SECONDS = 0.25
_NOBODY_LEFT = frozenset({errno.EAGAIN, errno.EWOULDBLOCK})
_OF_THAT_CONNECTION = frozenset(
    {
        errno.ECONNABORTED,
        errno.EINTR,
        errno.EPERM,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.ETIMEDOUT,
    }
)
"""What went wrong with a connection before it was accepted (accept(2)); the next one may be fine."""


class Acceptor:
    """Accepts connections from a listening socket and has a protocol made for each.

    `has_room(coming)` is asked before each, with how many are accepted and have no protocol yet;
    `out_of_files` is called when the process cannot open one more.
    """

    def __init__(
        self,
        listening: socket.socket,
        make_protocol: Callable[[Address], asyncio.Protocol],
        has_room: Callable[[int], bool],
        out_of_files: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._make_protocol = make_protocol
        self._has_room = has_room
        self._out_of_files = out_of_files
        self._coming: set[asyncio.Task[None]] = set()
        self._paused: asyncio.TimerHandle | None = None
        self._loop.add_reader(listening.fileno(), self._accept)

    @property
    def listens(self) -> bool:
        """Whether the port still answers."""
        return self._listening.fileno() >= 0

    @property
    def coming(self) -> int:
        """How many are accepted and have no protocol yet."""
        return len(self._coming)

    def close(self) -> None:
        """Stop listening: from now on the port refuses."""
        if not self.listens:
            return
        if self._paused is not None:
            self._paused.cancel()
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()

    def go_on(self) -> None:
        """There may be room again."""
        if self._paused is not None and self.listens:
            self._paused.cancel()
            self._paused = None
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listening.fileno())
        self._paused = self._loop.call_later(seconds, self.go_on)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if not self._has_room(len(self._coming)):
                self._pause(_PAUSE_SECONDS)
                return
            try:
                accepted, where = self._listening.accept()
            except OSError as error:
                if error.errno in _NOBODY_LEFT:
                    return
                if error.errno not in _OF_THAT_CONNECTION:
                    self._cannot_accept(error)
                    return
                continue
            accepted.setblocking(False)
            task = self._loop.create_task(self._take_on(accepted, joined(*where[:2])))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    async def _take_on(self, accepted: socket.socket, address: Address) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: self._make_protocol(address), accepted)
        except OSError:  # It is gone, or the system has no memory for it.
            accepted.close()
        except RuntimeError as error:
            keep_out_of_use(accepted, error)

    def _cannot_accept(self, error: OSError) -> None:
        complaints.note("connections cannot be accepted", reason=error.strerror or str(error))
        if error.errno in (errno.EMFILE, errno.ENFILE):
            self._out_of_files()
        self._pause(_FAILED_PAUSE_SECONDS)


async def listening_socket(address: Address) -> socket.socket:
    """Return a socket bound to the address.

    Raises ConfigurationError for what cannot be, OperationFailed for what may be another time.
    """
    host, port = host_and_port(address)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise ConfigurationError(f"cannot listen on {address}: {host!r} is not the name of a host") from error
    except OSError as error:
        raise OperationFailed(
            f"cannot listen on {address}: the name {host!r} does not resolve ({error.strerror})",
            **{AWAITS: f"the name {host}"},
        ) from error
    found.sort(key=lambda one: one[0] != socket.AF_INET)  # "localhost" means 127.0.0.1
    family, kind, protocol, _, where = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNREAD_BYTES)
        listening.setblocking(False)
        listening.bind(where)
        # Listen here already: a port taken between bind and listen is the same mistake.
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise _refusal(address, error) from error
    return listening


def _refusal(address: Address, error: OSError) -> BankError:
    """A port may be free the next time; this machine may get an address that it does not have yet."""
    sentence = f"cannot listen on {address}: {_reason(error)}"
    match error.errno:
        case errno.EADDRINUSE:
            return OperationFailed(sentence)
        case errno.EADDRNOTAVAIL:
            return OperationFailed(sentence, **{AWAITS: "an address"})
        case _:
            return ConfigurationError(sentence)


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "another process has taken this port"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have that address, or not yet"
        case errno.EACCES:
            return "this port needs more rights"
        case _:
            return error.strerror or str(error)
