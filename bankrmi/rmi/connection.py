"""A connection for callers without an event loop: blocking, one call at a time, each with a deadline.

Rule 1: the deadline covers the whole call, not each piece of it that trickles in.
Rule 2: what is raised tells whether anything was sent (see `failures`).
Rule 3: after a failure the connection is closed: an answer that comes late is never taken for another's.
Assumption: one thread at a time; two calls at once are the caller's mistake.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from .addresses import Address, host_and_port
from .failures import (
    AnswerOverdue,
    ConnectDenied,
    ConnectFailed,
    ConnectionLost,
    NotConnected,
    connect_failure,
    denial,
)
from .frames import (
    CONNECT,
    CONNECT_OK,
    INVOKE,
    MSGPACK,
    RESULT,
    Frame,
    FrameReader,
    FrameRefused,
    frame_bytes,
)
from .handshake import HandshakeDenied, credentials_of, server_of, spoken_on
from .limits import HANDSHAKE, Limits, calling_rules, greeting_rules
from .link import read_answer
from .tls import TlsCredentials, reason_of
from .values import ValueRefused, read_value, write_call, write_value

__all__ = ["Connection", "connect"]

_LIMITS = Limits()
_READ_BYTES = 1 << 16


def connect(
    address: Address,
    object_id: str,
    handshake: Mapping[str, object],
    timeout: float,
    limits: Limits = _LIMITS,
) -> Connection:
    """Return a connection to the object, handshake done. Raises a NotConnected in `timeout` seconds."""
    deadline = time.monotonic() + timeout
    connected = _connected_socket(address, deadline)
    credentials = credentials_of(handshake)
    if credentials is not None:
        connected = _secured(connected, address, object_id, credentials, deadline)
    connection = Connection(connected, address, object_id, limits)
    try:
        connection.greet(handshake, deadline)
    except BaseException:
        connection.close()
        raise
    return connection


class Connection:
    """Calls one remote object. Made by `connect`."""

    def __init__(self, connected: socket.socket, address: Address, object_id: str, limits: Limits) -> None:
        self.address = address
        self.object_id = object_id
        self.greeting: Mapping[str, Any] = {}
        """What the server said of itself in the handshake."""
        self.protocol = 0
        """The version of our protocol that is spoken; 0 with a daemon of Pyro's own."""
        self._socket: socket.socket | None = connected
        self._limits = limits
        self._reader = FrameReader(greeting_rules(limits))
        self._sequence = 0

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether it is of no use any more; the other side may have closed it meanwhile, to make room."""
        if self._socket is not None and _says_something(self._socket):
            self.close()
        return self._socket is None

    def close(self) -> None:
        """Close it; again does nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def call(
        self,
        method: str,
        args: tuple[object, ...] | list[object] = (),
        kwargs: Mapping[str, object] | None = None,
        *,
        timeout: float,
    ) -> Any:
        """Return what the call is answered with, in `timeout` seconds.

        Raises the error that it was answered with (`bankrmi.errors`, RemoteError), NotConnected if
        the connection was closed before, ConnectionLost, or AnswerOverdue.
        """
        if self._socket is None or self._reader.pending:
            self.close()  # a server that answers before it is asked is of no use
            raise NotConnected(f"not connected to {self.address}")
        deadline = time.monotonic() + timeout
        payload = write_call(self.object_id, method, args, kwargs or {})
        self._sequence = (self._sequence + 1) & 0xFFFF
        try:
            frame = self._exchange(INVOKE, payload, deadline)
            if frame.kind != RESULT or frame.sequence != self._sequence:
                raise FrameRefused("not the answer to what was asked")
            answer = read_answer(frame, self._limits)
        except TimeoutError:
            self.close()
            raise AnswerOverdue(f"no answer from {self.address} in {timeout:g} s") from None
        except (OSError, FrameRefused, ValueRefused) as error:
            self.close()
            raise ConnectionLost(f"connection to {self.address} lost: {error}") from error
        except BaseException:
            self.close()  # interrupted: the answer is still to come
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer

    def greet(self, handshake: Mapping[str, object], deadline: float) -> None:
        """Do the handshake; raises NotConnected. (Called by `connect`.)"""
        request = {"handshake": dict(handshake), "object": self.object_id}
        try:
            frame = self._exchange(CONNECT, write_value(MSGPACK, request), deadline)
            value = read_value(frame.serializer, frame.payload, HANDSHAKE)
        except TimeoutError:
            raise ConnectFailed(f"no answer from {self.address}").because("timeout") from None
        except (OSError, FrameRefused, ValueRefused) as error:
            if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
                # What we show is judged only when our part of the handshake of TLS 1.3 is done.
                raise ConnectDenied(f"no TLS with {self.address}: {reason_of(error)}") from error
            raise ConnectFailed(f"no handshake with {self.address}: {error}").because("reset") from error
        if frame.kind != CONNECT_OK:
            raise denial(self.address, value)
        greeting = value.get("handshake") if isinstance(value, dict) else None
        self.greeting = greeting if isinstance(greeting, dict) else {}
        try:
            self.protocol = spoken_on(self.greeting, self.address)
        except HandshakeDenied as why_not:
            raise ConnectDenied(str(why_not)) from why_not
        for_servers = handshake.get("role") == "server"
        self._reader.rules = calling_rules(self._limits, for_servers=for_servers)

    def _exchange(self, kind: int, payload: bytes, deadline: float) -> Frame:
        connected, reader = self._socket, self._reader
        assert connected is not None
        connected.settimeout(_left(deadline))
        connected.sendall(frame_bytes(kind, MSGPACK, 0, self._sequence, payload))
        while True:
            connected.settimeout(_left(deadline))
            data = connected.recv(_READ_BYTES)
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "closed by the other side")
            reader.feed(data)
            frame = reader.take()
            if frame is not None:
                return frame


def _secured(
    connected: socket.socket, address: Address, object_id: str, credentials: TlsCredentials, deadline: float
) -> socket.socket:
    """Return the socket with TLS in it, once the other side has shown whose it is.  Raises NotConnected."""
    secured = connected
    try:
        connected.settimeout(_left(deadline))
        secured = credentials.client_context().wrap_socket(connected, suppress_ragged_eofs=False)
        server_of(credentials, secured.getpeercert(binary_form=True) or b"", object_id)
    except BaseException as error:
        secured.close()
        match error:
            case TimeoutError():
                raise ConnectFailed(f"no answer from {address}").because("timeout") from None
            case ssl.SSLError():
                raise ConnectDenied(f"no TLS with {address}: {reason_of(error)}") from error
            case HandshakeDenied():
                raise ConnectDenied(f"{address} is not who it should be: {error}") from error
            case OSError():
                raise ConnectFailed(f"no handshake with {address}: {error}").because("reset") from error
        raise
    return secured


def _says_something(idle: socket.socket) -> bool:
    """Whether the other side has sent anything, its end included, though nothing was asked."""
    poll = select.poll()
    poll.register(idle, select.POLLIN | select.POLLERR | select.POLLHUP)
    return bool(poll.poll(0))


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _resolved(host: str, port: int, deadline: float) -> list[Any]:
    """Return what the host's name stands for, in time: the system itself knows no deadline for that."""
    with suppress(socket.gaierror):  # A numeric address is known at once.
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    found: SimpleQueue[list[Any] | OSError | UnicodeError] = SimpleQueue()

    def resolve() -> None:
        try:
            found.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as unresolved:
            found.put(unresolved)

    Thread(target=resolve, name="resolver", daemon=True).start()
    try:
        answer = found.get(timeout=_left(deadline))
    except Empty:
        raise TimeoutError(f"{host} was not resolved in time") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _connected_socket(address: Address, deadline: float) -> socket.socket:
    """Return a socket connected to the first address of the host that accepts, or raise NotConnected."""
    host, port = host_and_port(address)
    failures: list[OSError] = []
    try:
        for family, kind, protocol, _, where in _resolved(host, port, deadline):
            trying = socket.socket(family, kind, protocol)
            try:
                trying.settimeout(_left(deadline))
                trying.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                trying.connect(where)
            except OSError as error:
                trying.close()
                failures.append(error)
            else:
                return trying
    except (OSError, UnicodeError) as unresolved:
        raise connect_failure(address, [unresolved]) from unresolved
    raise connect_failure(address, failures)
