"""One connection of a caller, from its handshake on: frames in, calls to the object, answers out.

    connected ──handshake──> serving ──frame refused──> draining ──> closed
        └────────────denied────────────────────────────────^

Rule 1: nothing is believed before the handshake; after it the connection is bound to the object that
        the handshake named, and can reach nothing else but what `Pyro.Daemon` tells everybody.
Rule 2: a caller has one call in progress; what it sends meanwhile waits, unread if it is much.
Rule 3: an answer never leads straight into the next call: the object may be in the middle of something.
Rule 4: no timers; the daemon's sweep compares `waiting_since` with the clock.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from Pyro5.core import DAEMON_NAME

from bankrmi.errors import AccessDenied, InvalidRequest

from .addresses import joined, notice_silent_deaths
from .batch import Batch
from .complaints import complaints
from .failures import write_error, write_unexpected_error
from .frames import (
    BATCH,
    CONNECT,
    CONNECT_FAIL,
    CONNECT_OK,
    EXCEPTION,
    INVOKE,
    JSON,
    MSGPACK,
    NO_CORRELATION,
    ONEWAY,
    PING,
    RESULT,
    SERPENT,
    Frame,
    FrameReader,
    FrameRefused,
    frame_bytes,
)
from .handshake import Admission, HandshakeDenied
from .limits import Limits, handshake_rules, serving_rules
from .objects import Call, Exposed, Peer, RemoteObject, begin
from .values import ValueRefused, read_call, read_value, write_value

__all__ = ["Host", "ServedConnection", "metadata"]

_SERIALIZERS = (SERPENT, JSON, MSGPACK)
_FOR_EVERYBODY = ("get_metadata", "ping")
_SILENT_SECONDS = 60
_FRAMES_AT_ONCE = 32
"""Of one caller, before it is everybody else's turn."""
_STRANGER = Peer(address="")


class Host(Protocol):
    """The daemon, as its connections see it."""

    limits: Limits
    loop: asyncio.AbstractEventLoop
    daemon_object: RemoteObject

    def opened(self, connection: ServedConnection) -> bool: ...
    def admit(self, connection: ServedConnection, request: object) -> Admission: ...
    def closed(self, connection: ServedConnection) -> None: ...


class ServedConnection(asyncio.Protocol):
    """Serves one caller."""

    __slots__ = (
        "__weakref__",
        "_allowed",
        "_draining",
        "_host",
        "_in_progress",
        "_items",
        "_object",
        "_object_id",
        "_paused",
        "_piled",
        "_reader",
        "_stalled",
        "_transport",
        "_working",
        "address",
        "deadline",
        "lost",
        "peer",
        "waiting_since",
    )

    def __init__(self, host: Host) -> None:
        limits = host.limits
        self._host = host
        self._reader = FrameReader(handshake_rules(limits))
        self._object: RemoteObject | None = None
        self._object_id = ""
        self._transport: asyncio.Transport
        self._allowed = 1
        self._items = limits.items
        self._in_progress = 0
        self._draining = 0
        self._piled = limits.piled_bytes
        self._paused = self._stalled = self._working = False
        self.deadline = limits.message_deadline_ms / 1000
        self.address = ""
        self.peer = _STRANGER
        self.lost = False
        self.waiting_since = host.loop.time()

    @property
    def held_bytes(self) -> int:
        """How much of its messages we keep and cannot use yet."""
        return self._reader.pending

    @property
    def connection(self) -> ServedConnection:
        """Itself: a call asks whoever it came from."""
        return self

    @property
    def greeted(self) -> bool:
        """Whether the handshake is done."""
        return self._object is not None

    # --- called by the event loop ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP transport is one
        self._transport.set_write_buffer_limits(high=self._host.limits.unsent_bytes)
        notice_silent_deaths(transport.get_extra_info("socket"), within_seconds=_SILENT_SECONDS)
        host, port, *_ = transport.get_extra_info("peername") or ("?", 0)
        self.address = joined(host, port)
        if not self._host.opened(self):
            self.abort()

    def data_received(self, data: bytes) -> None:
        if self._draining:
            self._drain(len(data))
            return
        reader = self._reader
        reader.feed(data)
        if self._in_progress < self._allowed and not self._stalled:
            self._work()
        else:
            self._pile()

    def pause_writing(self) -> None:
        """The caller does not read its answers: no more calls for now, and the sweep counts the time."""
        self._stalled = True
        self.waiting_since = self._host.loop.time()

    def resume_writing(self) -> None:
        self._stalled = False
        if not self._draining:
            self.waiting_since = 0.0
        self._work_soon()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - how does not matter
        self.lost = True
        self._host.closed(self)

    # --- frames ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Take frames as long as calls may begin."""
        reader = self._reader
        self._working = True
        try:
            for _ in range(_FRAMES_AT_ONCE):
                if self._in_progress >= self._allowed or self._stalled or self._draining or self.lost:
                    return
                frame = reader.take()
                if frame is None:
                    self._wait_for_the_rest()
                    return
                self.waiting_since = 0.0
                if frame.kind == INVOKE:
                    self._invoke(frame)
                elif frame.kind == PING:
                    self._send(PING, frame.serializer, 0, frame.sequence, b"pong", frame.correlation)
                else:
                    self._greet(frame)
            self._pile()
            self._work_soon()
        except FrameRefused as refusal:
            self._refuse(refusal)
        finally:
            self._working = False

    def _pile(self) -> None:
        """Keep what waits for its turn; when it is much, leave the rest to the caller's side."""
        if self._reader.pending > self._piled and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _wait_for_the_rest(self) -> None:
        """One deadline for the whole message: more of it arriving does not move it."""
        if self._reader.pending and not self.waiting_since:
            self.waiting_since = self._host.loop.time()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _work_soon(self) -> None:
        if (self._reader.pending or self._paused) and not self.lost:
            self._host.loop.call_soon(self._work)

    # --- handshake ------------------------------------------------------------------------------------

    def _greet(self, frame: Frame) -> None:
        assert frame.kind == CONNECT
        try:
            request = read_value(frame.serializer, frame.payload, self._host.limits.items)
            admission = self._host.admit(self, request)
        except (HandshakeDenied, ValueRefused) as error:
            self._deny(frame, str(error))
            return
        meta = metadata(admission.target.exposed, frame.serializer)
        payload = write_value(frame.serializer, {"handshake": admission.greeting, "meta": meta})
        self._bind(admission)
        self._send(CONNECT_OK, frame.serializer, 0, frame.sequence, payload, frame.correlation)

    def _bind(self, admission: Admission) -> None:
        limits = self._host.limits
        self.peer = admission.peer
        self._object = admission.target
        self._object_id = admission.object_id
        self._reader.rules = serving_rules(limits, for_servers=admission.for_servers)
        if admission.for_servers:
            self._allowed = limits.server_calls_in_progress
            self._items = limits.server_items
            self._piled = limits.server_message_bytes
            self.deadline = limits.server_message_deadline_ms / 1000

    def _deny(self, frame: Frame, reason: str) -> None:
        complaints.note("handshake denied", peer=self.address, reason=reason)
        self._send(
            CONNECT_FAIL,
            frame.serializer,
            0,
            frame.sequence,
            write_value(frame.serializer, reason),
            frame.correlation,
        )
        self._close_after_draining()

    # --- calls ----------------------------------------------------------------------------------------

    def _invoke(self, frame: Frame) -> None:
        _, serializer, flags, sequence, correlation, payload = frame
        self._in_progress += 1
        try:
            object_id, method, args, kwargs = read_call(serializer, payload, self._items)
        except ValueRefused as refused:
            call = Call(self, self.peer, "", (), {}, serializer, flags, sequence, correlation)
            call.fail(InvalidRequest(str(refused)))
            return
        call = Call(self, self.peer, method, tuple(args), kwargs, serializer, flags, sequence, correlation)
        target = self._object
        if object_id != self._object_id:
            if object_id != DAEMON_NAME or method not in _FOR_EVERYBODY:
                call.fail(AccessDenied(f"this connection is for {self._object_id} and nothing else"))
                return
            target = self._host.daemon_object
        assert target is not None, "a call was taken before the handshake"
        if flags & BATCH:
            Batch(call, target).start(at_most=self._host.limits.batched_calls)
        else:
            begin(target, call)

    def answered(self, call: Call, value: object, *, is_error: bool) -> None:
        """Send the answer, and go on with what came meanwhile. (Called by the call.)"""
        self._in_progress -= 1
        if not (call.flags & ONEWAY or self.lost or self._draining):
            flags = EXCEPTION if is_error else call.flags & BATCH
            try:
                payload = write_value(call.serializer, value)
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                complaints.error("an answer cannot be sent", error, method=call.method)
                payload, flags = write_value(call.serializer, write_unexpected_error()), EXCEPTION
            self._send(RESULT, call.serializer, flags, call.sequence, payload, call.correlation)
        if not self._working:
            self._work_soon()

    # --- sending and closing --------------------------------------------------------------------------

    def _send(
        self, kind: int, serializer: int, flags: int, sequence: int, payload: bytes, correlation: bytes
    ) -> None:
        self._transport.write(frame_bytes(kind, serializer, flags, sequence, payload, correlation))

    def _refuse(self, refusal: FrameRefused) -> None:
        """Say why, if there is somebody to be told; then read no more of it."""
        complaints.note("message refused", peer=self.address, reason=str(refusal))
        serializer = refusal.serializer if refusal.serializer in _SERIALIZERS else SERPENT
        if refusal.kind == CONNECT and not self.greeted:
            kind, flags, answer = CONNECT_FAIL, 0, write_value(serializer, str(refusal))
        elif refusal.kind == INVOKE and self.greeted and not refusal.flags & ONEWAY:
            error = write_error(InvalidRequest(str(refusal)))
            kind, flags, answer = RESULT, EXCEPTION, write_value(serializer, error)
        else:
            self.abort()
            return
        self._send(kind, serializer, flags, refusal.sequence, answer, NO_CORRELATION)
        self._close_after_draining()

    def _close_after_draining(self) -> None:
        """Let the caller finish its sentence: closing on unread bytes would reset what we said."""
        self._draining = self._host.limits.discarded_bytes
        self.waiting_since = self._host.loop.time()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _drain(self, count: int) -> None:
        self._draining -= count
        if self._draining <= 0:
            self.abort()

    def close(self) -> None:
        """Send what was answered, then close."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.lost = True
        self._transport.abort()


def metadata(exposed: Exposed, serializer: int) -> dict[str, object]:
    """Return what Pyro's proxies want to know of an object: as sets where the serializer has them."""
    kind = set if serializer == SERPENT else sorted
    return {
        "methods": kind(exposed.methods),
        "oneway": kind(exposed.oneway),
        "attrs": kind(exposed.attributes),
    }
