"""The daemon: serves remote objects to Pyro clients from the event loop.

It owns the listening socket and all connections, and sees to the limits that concern more than one of
them: `seats` says who may be connected, `accepting` lets in. What one connection may do is in `serving`.

Rule 1: the listening socket is closed last, when nobody is answered any more (design, R3): whoever finds
        the port refusing, may conclude that this server acknowledges nothing.
Rule 2: idling keeps nobody out, before the handshake or after it; and who is cut for it, was told nothing
        wrong: our clients connect again with their next call.
Rule 3: what callers have sent, in part or as wholes that wait, is bounded in bytes for all together, and for
        servers apart from them.
Assumption: one daemon belongs to one event loop and is used in its thread only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from Pyro5.core import DAEMON_NAME

from bankrmi.errors import AccessDenied, OperationFailed

from .accepting import Acceptor, listening_socket
from .addresses import Address, joined
from .complaints import complaints
from .daemon_object import DaemonObject
from .handshake import Binding, HandshakeDenied, Registered, binding, claimed_name
from .limits import Limits
from .objects import RemoteObject
from .open_files import allow_files, plan_seats
from .refusals import Reason, refusals
from .rounds import Rounds
from .seats import NoSeat, SeatPlan, Seats, origin
from .serving import ServedConnection
from .tls import TlsCredentials, TlsIdentity, TlsSession

__all__ = ["Daemon", "rounds_of"]

_seconds = time.monotonic  # The event loop's own clock may count whole milliseconds; seats need a finer one.

_CLOSING_SECONDS = 0.5
_NO_SEAT_RETRY_MS = 1000
"""Whoever finds no seat comes again after this long: hundreds who came ten times a second would leave no time
for those who have one."""


class Daemon:
    """Serves objects at one address. `greeting()` is what callers are answered in the handshake.

    `servers` are the names of those who may call as servers, and for whom seats are reserved.
    """

    def __init__(
        self,
        limits: Limits,
        greeting: Callable[[], Mapping[str, object]],
        rounds: Rounds | None = None,
        servers: Collection[str] = (),
        credentials: TlsCredentials | None = None,
    ) -> None:
        """With `credentials` callers come over TLS, and are who their certificates say they are."""
        self.limits = limits
        self.rounds = rounds_of(limits) if rounds is None else rounds
        """By which callers take turns; shared with the other daemons of this event loop."""
        self.address: Address = ""
        """Where it listens; with port 0 asked for, the port that it got."""
        self._greeting = greeting
        self._servers = frozenset(servers)
        self._credentials = credentials
        self._objects: dict[str, Registered] = {}
        self.daemon_object: RemoteObject = DaemonObject(self._objects)
        self._objects[DAEMON_NAME] = Registered(target=self.daemon_object)
        self._seats: Seats[ServedConnection] = Seats(plan_seats(limits, self._servers, None))
        self._files: int | None = None  # That connections may take, where that is a limit.
        self._leaving: set[ServedConnection] = set()
        self._refusing = False
        self._acceptor: Acceptor | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._all_closed = asyncio.Event()
        self._fed_bytes = 0
        self.held_bytes = self.held_for_servers_bytes = 0
        """Of messages and answers of callers, and of servers, when memory was last looked after."""

    @property
    def seats(self) -> SeatPlan:
        """How many connections there may be, of which kind."""
        return self._seats.plan

    def register(
        self,
        object_id: str,
        obj: RemoteObject,
        *,
        for_servers: bool = False,
        of_any_bank: bool = False,
        roles: Collection[str] = (),
    ) -> None:
        """Serve the object: to those roles only, or to everybody.

        `for_servers` means to those servers that are known by name; and `of_any_bank` to others as well, but
        only as to any caller.
        """
        assert object_id not in self._objects, f"{object_id} is registered already"
        allowed = frozenset(roles) or frozenset({"server"} if for_servers else ())
        self._objects[object_id] = Registered(
            target=obj, roles=allowed, for_servers=for_servers, of_any_bank=of_any_bank
        )

    async def listen(self, address: Address, *, daemons: int = 1, own_files: int = 0) -> None:
        """Begin to serve. `daemons` of this process share the files that it may open, less `own_files`.

        Raises OperationFailed if the port is taken or too few files may be open, ConfigurationError if the
        address cannot be had.
        """
        self.loop = asyncio.get_running_loop()
        self.rounds.use(self.loop)
        listening = await listening_socket(address)
        try:
            seats, servers = daemons * self.seats.total, daemons * len(self._servers)
            files = allow_files(seats, servers, own_files, daemons=daemons)
            self._files = None if files is None else files // daemons
            self._seats = Seats(plan_seats(self.limits, self._servers, self._files))
        except BaseException:
            listening.close()
            raise
        self.address = joined(*listening.getsockname()[:2])
        self._acceptor = Acceptor(listening, self._connection, self._has_room, self._out_of_files)
        self._sweep()

    def know(self, servers: Collection[str]) -> None:
        """These are the servers from now on, with seats of their own; who is none any more is cut off.

        Where too few files may be open for more seats, who comes has those of other callers.
        """
        gone, self._servers = self._servers - frozenset(servers), frozenset(servers)
        for server in gone:
            self.cut_off(server)
        try:
            self._seats.change(plan_seats(self.limits, self._servers, self._files))
        except OperationFailed as failed:
            complaints.note("no seats for another server", why=failed.message)

    def cut_off(self, server: str) -> None:
        """End the connections that were made in this server's name; it may come again."""
        for connection in self._connections():
            if claimed_name(connection.peer) == server:
                connection.abort()

    def cut_refused(self) -> None:
        """End connections whose certificate counts no more: revoked, ended, of no authority any more."""
        if self._credentials is None:
            return
        for connection in self._connections():
            if connection.greeted and connection.certificate:
                try:
                    self._credentials.identity_of(connection.certificate)
                except AccessDenied as refused:
                    self._cut(connection, "certificate", str(refused))

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
        if self._acceptor is not None:
            self._acceptor.close()

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._seats) + len(self._leaving)

    def connections_by_kind(self) -> dict[str, int]:
        """Return how many there are of each of `seats.KINDS`."""
        return self._seats.by_kind()

    # --- called by the connections --------------------------------------------------------------------

    def opened(self, connection: ServedConnection) -> bool:
        """Note a new connection; False if it is not wanted."""
        if self._refusing:
            self._leaving.add(connection)
            return False
        host = origin(connection.address)
        self._make_room(self._seats.arrive(connection, host, _seconds()))
        return True

    def admit(self, connection: ServedConnection, request: object) -> Binding:
        """Return what the caller gets, or raise HandshakeDenied."""
        if self._refusing:
            raise HandshakeDenied("this server is stopping")
        identity = None if self._credentials is None else self._identified(connection, self._credentials)
        admitted = binding(
            request, connection.address, self._objects, self._greeting(), self._servers, identity
        )
        peer = admitted.peer
        host, now = origin(connection.address), _seconds()
        try:
            makes_room = self._seats.finish(connection, host, peer.role, claimed_name(peer), now)
        except NoSeat as refusal:
            retry_ms = _NO_SEAT_RETRY_MS if peer.our_protocol else None
            raise HandshakeDenied(str(refusal), retry_ms=retry_ms) from refusal
        self._make_room(makes_room)
        self._let_in()
        return admitted

    def _connection(self, address: Address) -> asyncio.Protocol:
        """Return the protocol of one who comes."""
        connection = ServedConnection(self, address)
        if self._credentials is None:
            return connection
        return connection.secure(TlsSession(self._credentials.server_context(), serves=True))

    def _identified(self, connection: ServedConnection, credentials: TlsCredentials) -> TlsIdentity:
        if not connection.certificate:
            raise HandshakeDenied("this bank is called over TLS, with a certificate of its own authority")
        try:
            return credentials.identity_of(connection.certificate)
        except AccessDenied as refused:
            raise HandshakeDenied(str(refused)) from refused

    def fed(self, count: int) -> None:
        """Note that `count` bytes have arrived, or are to be sent: after some, memory is looked after."""
        self._fed_bytes += count
        if self._fed_bytes >= self.limits.held_bytes >> 3:
            self.free_memory()

    def closed(self, connection: ServedConnection) -> None:
        """Forget the connection."""
        self._seats.leave(connection)
        self._leaving.discard(connection)
        if self._refusing and not self.connections:
            self._all_closed.set()
        self._let_in()

    # --- room -------------------------------------------------------------------------------------------

    def _has_room(self, coming: int) -> bool:
        if self._refusing:  # They are closed at once, so that nobody takes silence for a slow server.
            return True
        if self.connections + coming >= self.seats.total:
            return False
        return not self._seats.crowded(coming, _seconds())

    def _let_in(self) -> None:
        if self._acceptor is not None:
            self._acceptor.go_on()

    def _out_of_files(self) -> None:
        self._make_room(self._seats.longest_idle())

    def _make_room(self, connection: ServedConnection | None) -> None:
        """Cut it, and stop counting it at once: the loop may tell only after the next one has come."""
        if connection is not None:
            refusals.count("makes_room")
            self._seats.leave(connection)
            self._leaving.add(connection)
            connection.abort()

    # --- within -----------------------------------------------------------------------------------------

    def free_memory(self) -> None:
        """Many large messages that nobody finishes must not add up, whoever sends them.

        One half of the budget is for servers, so that nobody else can take it up. Within each half it goes by
        who holds most. Whose call is whole, and waits, is told `busy`; who sent a part, or reads not, is cut.
        """
        self._fed_bytes = 0
        budget = self.limits.held_bytes >> 1
        connections = [one for one in self._connections() if not one.lost]
        of_servers = {one for one in connections if self._seats.reserved_for_servers(one)}
        others = set(connections) - of_servers
        self.held_for_servers_bytes = sum(one.held_bytes for one in of_servers)
        self.held_bytes = sum(one.held_bytes for one in others)
        for holders, held in ((of_servers, self.held_for_servers_bytes), (others, self.held_bytes)):
            if held > budget:
                self._cut_largest(sorted(holders, key=lambda one: one.held_bytes), held - budget)

    def _cut_largest(self, holders: list[ServedConnection], too_much: int) -> None:
        while too_much > 0:
            largest = holders.pop()
            if freed := largest.turn_away():
                too_much -= freed
                continue
            too_much -= largest.held_bytes
            self._cut(largest, "held_bytes", "too much is held for callers")

    # --- within -----------------------------------------------------------------------------------------

    def _cut(self, connection: ServedConnection, counts_as: Reason, reason: str) -> None:
        refusals.count(counts_as)
        complaints.note("connection cut", peer=connection.address, reason=reason)
        connection.abort()

    def _connections(self) -> list[ServedConnection]:
        return [*self._seats, *self._leaving]

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
                self._cut(connection, "slow_message", "its message is overdue")
        self.free_memory()
        self._sweep_timer = self.loop.call_later(self.limits.sweep_ms / 1000, self._sweep)


def rounds_of(limits: Limits) -> Rounds:
    """Return the turns by which the callers of one event loop are served."""
    return Rounds(strangers_share=limits.strangers_percent / 100)
