"""A link: one connection to a remote object, for whoever lives in the event loop.

    opened ──> greeted (on_up) ──> lost (on_lost, once)
       └──────────────────────────────^

Calls are pipelined: each goes out at once, and its answer is recognized by its sequence number. Answers
are given to a callback, so a call costs no task and no timer.

Rule 1: every call that was sent gets exactly one answer: a value, an error, or `ConnectionLost`.
Rule 2: `on_lost` comes once, after the last of those, and tells what happened in one word; only
        ECONNREFUSED from every address of the host is "refused".
Rule 3: a link is used once; who wants another try opens another.
Assumption: whoever waits, counts the time; only connecting has a deadline here.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from .addresses import Address, host_and_port, notice_silent_deaths
from .failures import (
    AnswerOverdue,
    ConnectDenied,
    ConnectFailed,
    ConnectionLost,
    NotConnected,
    connect_failure,
    denial,
    read_error,
)
from .frames import (
    CONNECT,
    CONNECT_OK,
    EXCEPTION,
    INVOKE,
    MSGPACK,
    ONEWAY,
    PING,
    RESULT,
    Frame,
    FrameReader,
    FrameRefused,
    frame_bytes,
)
from .handshake import HandshakeDenied, credentials_of, server_of, spoken_on
from .limits import HANDSHAKE, Limits, calling_rules, greeting_rules
from .lost_descriptors import keep_out_of_use, leave_to_loop
from .secured import Secured, SecuredTransport
from .tls import TlsSession
from .values import Bounds, ValueRefused, read_form, read_value, write_call, write_value

__all__ = ["Answered", "Link", "open_link"]

Answered = Callable[[object], None]
"""Given the value, or an exception: one of `bankrmi.errors`, `RemoteError`, or a `Failure`."""

_LIMITS = Limits()
_SEQUENCES = 1 << 16

SILENT_SECONDS = 8
"""How soon a link to a machine that lost its power is lost, too: whoever comes back there waits for it."""


class Link(asyncio.Protocol):
    """Calls one remote object. `on_up(greeting)` and `on_lost(reason)` tell how the connection fares."""

    def __init__(
        self,
        address: Address,
        object_id: str,
        handshake: Mapping[str, object],
        on_up: Callable[[Mapping[str, Any]], None],
        on_lost: Callable[[str], None],
        *,
        limits: Limits = _LIMITS,
    ) -> None:
        self.address = address
        self.object_id = object_id
        self.up = False
        self.failure: Exception | None = None
        """Why the connection is gone, or never was."""
        self.certificate = b""
        """What the other side has shown, in DER; nothing without TLS."""
        self.protocol = 0
        """The version of our protocol that is spoken, once it is up; 0 with a daemon of Pyro's own."""
        self._handshake = handshake
        self._on_up = on_up
        self._on_lost = on_lost
        self._limits = limits
        self._credentials = credentials_of(handshake)
        self._for_servers = handshake.get("role") == "server"
        self._reader = FrameReader(greeting_rules(limits))
        self._transport: asyncio.Transport | None = None
        self._pending: dict[int, Answered] = {}
        self._pings: deque[Callable[[], None]] = deque()
        self._socket: socket.socket | None = None
        self._looking: select.poll | None = None
        self._sequence = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._lost = False

    # --- used by the owner ----------------------------------------------------------------------------

    def open(self, timeout: float = 5.0) -> None:
        """Begin to connect; the handshake has to be done after `timeout` seconds."""
        host_and_port(self.address)  # a broken address is the owner's mistake, raised to him
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(timeout, self._end, ConnectFailed("no answer").because("timeout"))
        self._connecting = loop.create_task(self._connect())

    def call(
        self,
        method: str,
        args: tuple[object, ...] | list[object],
        on_answer: Answered,
        kwargs: Mapping[str, object] | None = None,
    ) -> None:
        """Send the call now. Raises NotConnected if the link is not up; then nothing was sent."""
        if not self.up:
            raise NotConnected(f"not connected to {self.address}")
        payload = write_call(self.object_id, method, args, kwargs or {})
        self._pending[self._next_sequence()] = on_answer
        self._send(INVOKE, payload)

    def tell(self, method: str, args: tuple[object, ...] | list[object]) -> None:
        """Send a oneway call, to which there is no answer. Raises NotConnected."""
        if not self.up:
            raise NotConnected(f"not connected to {self.address}")
        payload = write_call(self.object_id, method, args, {})
        self._next_sequence()
        self._send(INVOKE, payload, ONEWAY)

    def ping(self, on_pong: Callable[[], None]) -> None:
        """Ask for a sign of life; it comes even while calls wait for their answers. Raises NotConnected."""
        if not self.up:
            raise NotConnected(f"not connected to {self.address}")
        self._pings.append(on_pong)
        self._send(PING, b"ping")

    async def ask(self, method: str, args: tuple[object, ...] | list[object], timeout: float) -> Any:
        """Call and wait for the value; raises what the call was answered with, or AnswerOverdue."""
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def settle(value: object) -> None:
            if answer.done():
                return
            if isinstance(value, Exception):
                answer.set_exception(value)
            else:
                answer.set_result(value)

        self.call(method, args, settle)
        try:
            return await asyncio.wait_for(answer, timeout)
        except TimeoutError:
            raise AnswerOverdue(f"no answer from {self.address} in {timeout:g} s") from None

    def close(self) -> None:
        """Close the connection; pending calls are answered with ConnectionLost, on_lost("closed")."""
        self._end(NotConnected("closed on this side"))

    def abandon(self) -> None:
        """Let go of it without a word to its event loop, which is gone, or another process's.

        Nobody is told anything; the connection is closed, but for what another process holds of it.
        """
        self._lost, self.up = True, False
        self._pending, self._deadline, self._connecting = {}, None, None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._transport is not None:
            below = (
                self._transport.below if isinstance(self._transport, SecuredTransport) else self._transport
            )
            with suppress(AttributeError):  # Else it complains, when it is collected, that nobody closed it.
                below._sock = None  # type: ignore[attr-defined]
            self._transport = None

    @property
    def has_news(self) -> bool:
        """Whether something has arrived that was not read yet: on an idle link, that it is of no use."""
        if self._socket is None or self._socket.fileno() < 0:
            return True
        if self._looking is None:
            self._looking = select.poll()
            self._looking.register(self._socket, select.POLLIN)
        return bool(self._looking.poll(0))

    @property
    def pending(self) -> int:
        """How many calls have no answer yet."""
        return len(self._pending)

    @property
    def unsent_bytes(self) -> int:
        """How much the other side has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    # --- connecting -----------------------------------------------------------------------------------

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            connected = await _connected_socket(self.address)
            if self._lost:
                connected.close()
                return
            self._socket = connected
            transport, _ = await loop.create_connection(self._protocol, sock=connected)
            if transport.is_closing():
                leave_to_loop(connected, loop)
        except NotConnected as failure:
            self._end(failure)
        except (OSError, UnicodeError) as error:
            self._end(connect_failure(self.address, [error]))
        except Exception as error:  # no thread left to resolve a name in, say
            self._end(ConnectFailed(f"cannot connect to {self.address}: {error}"))

    def _protocol(self) -> asyncio.Protocol:
        """Return what the transport talks to: this link, or what makes TLS of it."""
        if self._credentials is None:
            return self
        session = TlsSession(self._credentials.client_context(), serves=False)
        return Secured(self, session, shaken=self._shown, refused=self._tls_refused)

    def _shown(self, certificate: bytes) -> None:
        """Look at the other side's certificate before anything is said."""
        assert self._credentials is not None
        try:
            server_of(self._credentials, certificate, self.object_id)
            self.certificate = certificate
        except HandshakeDenied as why_not:
            self._end(ConnectDenied(f"{self.address} is not who it should be: {why_not}"))

    def _tls_refused(self, reason: str) -> None:
        self._end(ConnectDenied(f"no TLS with {self.address}: {reason}"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP transport is one
        if self._lost:
            transport.close()
            return
        request = {"handshake": dict(self._handshake), "object": self.object_id}
        self._send(CONNECT, write_value(MSGPACK, request))

    # --- called by the event loop ---------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        try:
            while not self._lost and (frame := reader.take()) is not None:
                if frame.kind == RESULT:
                    self._take_result(frame)
                elif not self.up:
                    self._take_greeting(frame)
                elif self._pings:
                    self._pings.popleft()()
        except (FrameRefused, ValueRefused) as error:
            self._end(self._broken(f"{self.address} sent what cannot be read: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        self._end(self._broken(f"{self.address} closed the connection" + (f": {error}" if error else "")))

    # --- within ---------------------------------------------------------------------------------------

    def _take_greeting(self, frame: Frame) -> None:
        value = read_value(frame.serializer, frame.payload, HANDSHAKE)
        if frame.kind != CONNECT_OK:
            self._end(denial(self.address, value))
            return
        said = value.get("handshake") if isinstance(value, dict) else None
        greeting = said if isinstance(said, dict) else {}
        try:
            self.protocol = spoken_on(greeting, self.address)
        except HandshakeDenied as why_not:
            self._end(ConnectDenied(str(why_not)))
            return
        if self._deadline is not None:
            self._deadline.cancel()
        self._reader.rules = calling_rules(self._limits, for_servers=self._for_servers)
        self.up = True
        self._on_up(greeting)

    def _take_result(self, frame: Frame) -> None:
        on_answer = self._pending.pop(frame.sequence, None)
        if on_answer is None:
            raise FrameRefused("an answer that nobody asked for")
        on_answer(read_answer(frame, self._limits))

    def _next_sequence(self) -> int:
        assert len(self._pending) < _SEQUENCES - 1, "more calls in progress than there are numbers"
        sequence = (self._sequence + 1) % _SEQUENCES
        while sequence in self._pending:
            sequence = (sequence + 1) % _SEQUENCES
        self._sequence = sequence
        return sequence

    def _send(self, kind: int, payload: bytes, flags: int = 0) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():  # What is written to a broken one, asyncio complains of.
            self._transport.write(frame_bytes(kind, MSGPACK, flags, self._sequence, payload))

    def _broken(self, message: str) -> Exception:
        if self.up:
            return ConnectionLost(message)
        return ConnectFailed(message).because("reset")

    def _end(self, failure: Any) -> None:
        """The link is over: tell everybody, once."""
        if self._lost:
            return
        self._lost, self.up, self.failure = True, False, failure
        if self._deadline is not None:
            self._deadline.cancel()
        if self._connecting is not None and self._transport is None:
            self._connecting.cancel()
        if self._transport is not None:
            self._transport.abort()
        pending, self._pending = self._pending, {}
        for on_answer in pending.values():
            on_answer(ConnectionLost(str(failure)))
        self._on_lost(failure.reason)


def read_answer(frame: Frame, limits: Limits) -> object:
    """Return the value in a result, or the exception that it stands for. Raises ValueRefused."""
    if frame.flags & EXCEPTION:
        if len(frame.payload) > limits.error_bytes:
            raise ValueRefused(f"an error of {len(frame.payload)} bytes is over {limits.error_bytes}")
        return read_error(read_form(frame.payload, HANDSHAKE))
    return read_value(frame.serializer, frame.payload, Bounds(limits.server_items))


async def open_link(
    address: Address,
    object_id: str,
    handshake: Mapping[str, object],
    timeout: float,
    on_lost: Callable[[str], None] = lambda _: None,
    *,
    limits: Limits = _LIMITS,
) -> Link:
    """Return a link that is up, or raise the NotConnected that says why there is none."""
    settled = asyncio.get_running_loop().create_future()

    def settle(_: object) -> None:
        if not settled.done():
            settled.set_result(None)

    def lost(reason: str) -> None:
        if settled.done():
            on_lost(reason)
        settle(reason)

    link = Link(address, object_id, handshake, settle, lost, limits=limits)
    link.open(timeout)
    try:
        await settled
    except asyncio.CancelledError:
        link.close()
        raise
    if link.failure is not None:
        raise link.failure
    return link


async def _connected_socket(address: Address) -> socket.socket:
    """Return a socket connected to the first address of the host that accepts.

    Not asyncio's own connecting: with several addresses it does not tell whether all have refused.
    """
    loop = asyncio.get_running_loop()
    host, port = host_and_port(address)
    failures: list[OSError] = []
    for family, kind, protocol, _, where in await _resolved(host, port):
        trying = socket.socket(family, kind, protocol)
        try:
            trying.setblocking(False)
            trying.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            notice_silent_deaths(trying, within_seconds=SILENT_SECONDS)
            await loop.sock_connect(trying, where)
        except OSError as error:
            trying.close()
            failures.append(error)
        except RuntimeError as error:
            keep_out_of_use(trying, error)
            failures.append(OSError(str(error)))
        except BaseException:
            trying.close()
            raise
        else:
            return trying
    raise connect_failure(address, failures)


async def _resolved(host: str, port: int) -> list[Any]:
    try:
        # A numeric address is known at once, without a thread.
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
