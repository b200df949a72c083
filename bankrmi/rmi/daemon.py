"""The daemon: serves remote objects to Pyro clients from the event loop.

It owns the listening socket and all connections, and sees to the limits that concern more than one of
them. What one connection may do is in `serving`.

Rule 1: the listening socket is closed last, when nobody is answered any more (design, R3): whoever finds
        the port refusing, may conclude that this server acknowledges nothing.
Rule 2: who does not finish a handshake gives way to who comes later, so idling keeps nobody out.
Rule 3: servers get in when clients have used up all connections.
Assumption: one daemon belongs to one event loop and is used in its thread only.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

import structlog
from Pyro5.core import DAEMON_NAME

from bankrmi.errors import BankError, ConfigurationError, OperationFailed
from bankrmi.readiness import AWAITS

from .addresses import Address, host_and_port, joined
from .complaints import complaints
from .daemon_object import DaemonObject
from .handshake import Admission, HandshakeDenied, Registered, admission
from .limits import Limits
from .objects import RemoteObject
from .serving import ServedConnection

__all__ = ["Daemon"]

log = structlog.get_logger("bankrmi.rmi")

_BACKLOG = 1024
_ACCEPTED_AT_ONCE = 8
"""Accepted before what those connections sent is read: of a crowd that arrives at once, few are ever
without a handshake, and only who idles runs into the limits for those."""
_CLOSING_SECONDS = 0.5
_OTHER_FILES = 128
"""Open files that are not connections of callers."""


class Daemon:
    """Serves objects at one address. `greeting()` is what callers are answered in the handshake."""

    def __init__(self, limits: Limits, greeting: Callable[[], Mapping[str, object]]) -> None:
        self.limits = limits
        self.address: Address = ""
        """Where it listens; with port 0 asked for, the port that it got."""
        self._greeting = greeting
        self._objects: dict[str, Registered] = {}
        self.daemon_object: RemoteObject = DaemonObject(self._objects)
        self._objects[DAEMON_NAME] = Registered(target=self.daemon_object)
        self._unfinished: dict[ServedConnection, str] = {}  # in order of arrival, with the host
        self._clients: set[ServedConnection] = set()
        self._servers: set[ServedConnection] = set()
        self._leaving: set[ServedConnection] = set()
        self._refusing = False
        self._server: asyncio.Server | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._all_closed = asyncio.Event()

    def register(
        self,
        object_id: str,
        obj: RemoteObject,
        *,
        for_servers: bool = False,
        roles: Collection[str] = (),
    ) -> None:
        """Serve the object: to those roles only, or to everybody; `for_servers` means to servers."""
        assert object_id not in self._objects, f"{object_id} is registered already"
        allowed = frozenset(roles) or frozenset({"server"} if for_servers else ())
        self._objects[object_id] = Registered(target=obj, roles=allowed, for_servers=for_servers)

    async def listen(self, address: Address) -> None:
        """Begin to serve. Raises OperationFailed if the port is taken, ConfigurationError if the
        address cannot be had."""
        self.loop = asyncio.get_running_loop()
        listening = await _listening_socket(address)
        _allow_files(self.limits.connections + self.limits.server_connections + self.limits.unfinished)
        self._server = await self.loop.create_server(
            lambda: ServedConnection(self), sock=listening, backlog=_ACCEPTED_AT_ONCE
        )
        # asyncio accepts as many connections in one go as its backlog; the kernel's is to be longer.
        listening.listen(_BACKLOG)
        self.address = joined(*listening.getsockname()[:2])
        self._sweep()

    def refuse_new(self) -> None:
        """Take no new connection from now on; those that exist are still served."""
        self._refusing = True

    async def close(self) -> None:
        """Send what was answered, close the connections, and then the listening socket."""
        self.refuse_new()
        for connection in self._connections():
            connection.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wait_until_alone(), _CLOSING_SECONDS)
        for connection in self._connections():
            connection.abort()
        await self._wait_until_alone()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._connections())

    # --- called by the connections --------------------------------------------------------------------

    def opened(self, connection: ServedConnection) -> bool:
        """Note a new connection; False if it is not wanted."""
        host = connection.address.rpartition(":")[0]
        if self._refusing:
            self._leaving.add(connection)
            return False
        of_this_host = [other for other, its_host in self._unfinished.items() if its_host == host]
        if len(of_this_host) >= self.limits.unfinished_per_address:
            self._evict(of_this_host[0])
        elif len(self._unfinished) >= self.limits.unfinished:
            self._evict(next(iter(self._unfinished)))
        self._unfinished[connection] = host
        return True

    def admit(self, connection: ServedConnection, request: object) -> Admission:
        """Return what the caller gets, or raise HandshakeDenied."""
        if self._refusing:
            raise HandshakeDenied("this server is stopping")
        admitted = admission(request, connection.address, self._objects, self._greeting())
        role = admitted.peer.role
        group = self._servers if role == "server" else self._clients
        limit = self.limits.server_connections if role == "server" else self.limits.connections
        if len(group) >= limit:
            raise HandshakeDenied(f"this server has {limit} connections, and that is its limit")
        self._unfinished.pop(connection, None)
        group.add(connection)
        return admitted

    def closed(self, connection: ServedConnection) -> None:
        """Forget the connection."""
        self._unfinished.pop(connection, None)
        self._clients.discard(connection)
        self._servers.discard(connection)
        self._leaving.discard(connection)
        if self._refusing and not self.connections:
            self._all_closed.set()

    # --- within -----------------------------------------------------------------------------------------

    def _free_memory(self) -> None:
        """Many large messages that nobody finishes must not add up; servers may send what they need."""
        holders = sorted([*self._unfinished, *self._clients], key=lambda one: one.held_bytes)
        held = sum(one.held_bytes for one in holders)
        while held > self.limits.held_bytes:
            largest = holders.pop()
            held -= largest.held_bytes
            self._cut(largest, "too much is held for callers")

    def _cut(self, connection: ServedConnection, reason: str) -> None:
        complaints.note("connection cut", peer=connection.address, reason=reason)
        connection.abort()

    def _evict(self, connection: ServedConnection) -> None:
        """Cut it, and count it no more at once: the loop may tell only after the next one has come."""
        del self._unfinished[connection]
        self._leaving.add(connection)
        connection.abort()

    def _connections(self) -> list[ServedConnection]:
        return [*self._unfinished, *self._clients, *self._servers, *self._leaving]

    async def _wait_until_alone(self) -> None:
        while self.connections:
            self._all_closed.clear()
            await self._all_closed.wait()

    def _sweep(self) -> None:
        """Cut whoever is overdue; one look at all instead of a timer for each message."""
        now = self.loop.time()
        for connection in self._connections():
            since = connection.waiting_since
            if since and now - since > connection.deadline:
                self._cut(connection, "its message is overdue")
        self._free_memory()
        self._sweep_timer = self.loop.call_later(self.limits.sweep_ms / 1000, self._sweep)


def _allow_files(sockets: int) -> None:
    """Raise this process's limit of open files, as far as it may, so that the sockets fit in."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sockets + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
        if granted < wanted:
            log.warning("fewer connections than configured: open files are limited", files=granted)


async def _listening_socket(address: Address) -> socket.socket:
    """Return a socket bound to the address.

    Raises ConfigurationError for what cannot be, OperationFailed for what may be another time.
    """
    host, port = host_and_port(address)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise ConfigurationError(f"cannot listen on {address}: {host!r} is no name of a host") from error
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
