"""One connection of a caller, from its handshake on: frames in, calls to the object, answers out.

    connected ──handshake──> serving ──frame refused──> draining ──> closed
        └────────────denied────────────────────────────────^

How frames come and go, and what draining is, is in `framed`.

Rule 1: nothing is believed before the handshake; after it the connection is bound to the object that
        the handshake named, and can reach nothing else but what `Pyro.Daemon` tells everybody.
Rule 2: a caller has one call in progress; what it sends meanwhile waits, unread if it is much. Only a ping
        that stands first is answered meanwhile: that is how a caller tells slow from dead.
Rule 3: an answer never leads straight into the next call: the object may be in the middle of something.
Rule 4: a message is read, and an answer that takes time is made, when it is the caller's turn (see `turn`);
        those of servers are in a line of their own, before all others. A call that has waited for too long
        by then is not read: that takes the time of those who came later, and whoever sent it is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Protocol

from Pyro5.core import DAEMON_NAME

from bankrmi.errors import AccessDenied, Busy

from .addresses import Address, expect_large_messages
from .batch import Batch
from .complaints import complaints
from .failures import write_error, write_unexpected_error
from .framed import FramedConnection
from .frames import (
    BATCH,
    CONNECT,
    CONNECT_FAIL,
    CONNECT_OK,
    EXCEPTION,
    INVOKE,
    ONEWAY,
    PING,
    RESULT,
    SERPENT,
    Frame,
    FrameRefused,
)
from .handshake import Binding, HandshakeDenied
from .limits import HANDSHAKE, Limits, call_bounds, serving_rules
from .long_answers import LongAnswer, too_large, write_slowly
from .objects import Call, Exposed, Peer, RemoteObject, begin
from .refusals import refusals
from .rounds import Rounds, now_ms
from .seats import NoSeat
from .secured import Secured
from .tls import TlsSession
from .turn import Line
from .values import CALL, ValueRefused, read_call, read_value, write_value

__all__ = ["Host", "ServedConnection", "metadata"]

_FOR_EVERYBODY = ("get_metadata", "ping")
_LARGE_ANSWER_BYTES = 1 << 18
"""After one of these the memory of all callers is looked at, and not only at the next sweep."""
_COUNTED_ANSWER_BYTES = 1 << 12
"""Of smaller ones there are no more than calls."""
_PINGS_AT_ONCE = 4
"""Of one caller that waits for an answer; what it sends beyond that waits, too."""
_UNREAD_RETRY_MS = 100
_STRANGER = Peer(address="")
_OURS = Line.OURS


class Host(Protocol):
    """The daemon, as its connections see it."""

    limits: Limits
    loop: asyncio.AbstractEventLoop
    daemon_object: RemoteObject
    rounds: Rounds

    def opened(self, connection: ServedConnection) -> bool: ...
    def admit(self, connection: ServedConnection, request: object) -> Binding: ...
    def fed(self, count: int) -> None: ...
    def closed(self, connection: ServedConnection) -> None: ...
    def free_memory(self) -> None: ...


class ServedConnection(FramedConnection):
    """Serves one caller."""

    __slots__ = (
        "_allowed",
        "_answer_bytes",
        "_bounds",
        "_for_servers",
        "_host",
        "_in_progress",
        "_object",
        "_object_id",
        "_tasks",
        "_unread_ms",
        "_working",
        "certificate",
        "is_in_line",
        "line",
        "packed_bytes",
        "peer",
        "waited_ms",
        "waits_since",
        "was_message",
    )

    def __init__(self, host: Host, address: Address) -> None:
        limits = host.limits
        super().__init__(limits, host.loop, address)
        self._host = host
        self._object: RemoteObject | None = None
        self._object_id = ""
        self._tasks: deque[Callable[[], None]] = deque()  # what goes on with a call, in its turn
        self._for_servers = False
        self._allowed = 1
        self._answer_bytes = limits.answer_bytes
        self._unread_ms = limits.unread_ms or inf
        self._bounds = CALL
        self._in_progress = 0
        self._working = False
        self.line = Line.GREETINGS
        self.is_in_line = False
        self.waits_since = self.waited_ms = 0.0
        self.was_message = False
        self.packed_bytes = 0
        """Of answers that are not complete yet."""
        self.peer = _STRANGER
        self.certificate = b""
        """What the caller has shown, in DER; nothing without TLS."""

    @property
    def busy(self) -> bool:
        """Whether a call is in progress, or waits for its turn; those of strangers may wait for long."""
        return self._in_progress > 0 or (self.line is not Line.STRANGERS and self.has_work)

    @property
    def held_bytes(self) -> int:
        """How much we keep for it: messages that wait or are not complete, answers that are not taken."""
        unsent = 0 if self.lost else self._transport.get_write_buffer_size()
        waits = 0 if self._frame is None else len(self._frame.payload)
        return self._reader.pending + waits + self.packed_bytes + unsent

    @property
    def connection(self) -> ServedConnection:
        """Itself: a call asks whoever it came from."""
        return self

    # --- TLS ------------------------------------------------------------------------------------------

    def secure(self, session: TlsSession) -> Secured:
        """Return what stands between the transport and this connection from now on."""
        return Secured(self, session, shaken=self._shown, refused=self._tls_refused, in_turn=self.in_turn)

    def _shown(self, certificate: bytes) -> None:
        self.certificate = certificate

    def _tls_refused(self, reason: str) -> None:
        refusals.count("tls")
        complaints.note("TLS refused", peer=self.address, reason=reason)

    # --- called by the event loop ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._host.opened(self):
            self.abort()

    def data_received(self, data: bytes) -> None:
        if self._draining:
            self._drain(len(data))
            return
        self._reader.feed(data)
        if self._frame is not None or self._in_progress >= self._allowed or self._stalled:
            self._answer_pings()
            self._pile()
        elif self._take():
            self._host.rounds.arrived(self)
        self._host.fed(len(data))

    def resume_writing(self) -> None:
        self._stalled = False
        if not self._draining:
            self.waiting_since = 0.0
        self._work_soon()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - how does not matter
        self.lost = True
        self._frame = None
        self._host.rounds.turn.forget(self)
        self._host.closed(self)

    # --- its turn -------------------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        """Whether there is something to do when its turn comes."""
        return self._frame is not None or bool(self._tasks)

    @property
    def has_answer(self) -> bool:
        """Whether the next thing to do is a piece of an answer."""
        return bool(self._tasks)

    def work(self) -> bool:
        """Do one thing: go on with a call, or begin the next one; return whether there is more to do."""
        self._working = True
        self.was_message = False
        try:
            if self._tasks:
                self._tasks.popleft()()
            elif self._frame is not None:
                frame, self._frame = self._frame, None
                if self.waited_ms > self._unread_ms and frame.kind == INVOKE and self.line is _OURS:
                    refusals.count("late")
                    self._answer_unread(frame, _too_late())
                else:
                    self.was_message = True
                    self._look_into(frame)
            if self._paused or self._reader.pending:
                if self._may_take:
                    self._take()
                else:
                    self._answer_pings()
        finally:
            self._working = False
        return self._frame is not None or bool(self._tasks)

    def in_turn(self, work: Callable[[], None]) -> None:
        """Do it when it is this caller's turn."""
        self._tasks.append(work)
        self._host.rounds.arrived(self)

    def charge(self, ms: float) -> None:
        """Note what a call will cost that is not done in the caller's turn; ours owe nothing."""
        if self.line is not _OURS:
            self._host.rounds.turn.charge(self.line, ms)

    # --- frames ---------------------------------------------------------------------------------------

    @property
    def _may_take(self) -> bool:
        return (
            self._frame is None
            and self._in_progress < self._allowed
            and not (self._stalled or self._draining or self.lost)
        )

    def _look_into(self, frame: Frame) -> None:
        if frame.kind == INVOKE:
            self._invoke(frame)
        elif frame.kind == PING:
            self._send(PING, frame.serializer, 0, frame.sequence, b"pong", frame.correlation)
        else:
            self._greet(frame)

    def _answer_pings(self) -> None:
        """A caller that waits for its answer may ask whether anybody is there, if he is one of ours."""
        if not self.peer.our_protocol:
            return
        for _ in range(_PINGS_AT_ONCE):
            if self._stalled or self._draining or self.lost or not self._reader.is_next(PING):
                return
            try:
                frame = self._reader.take()
            except FrameRefused as refusal:
                self._refuse(refusal)
                return
            if frame is None:
                return
            self._send(PING, frame.serializer, 0, frame.sequence, b"pong", frame.correlation)

    def _work_soon(self) -> None:
        """Go on with what waits, but not in the middle of whatever goes on now."""
        if self._may_take:
            self._take()
        if self.has_work:
            self._host.rounds.wait(self)

    # --- handshake ------------------------------------------------------------------------------------

    def _greet(self, frame: Frame) -> None:
        assert frame.kind == CONNECT
        try:
            request = read_value(frame.serializer, frame.payload, HANDSHAKE)
            binding = self._host.admit(self, request)
        except (HandshakeDenied, ValueRefused) as error:
            self._deny(frame, error)
            return
        meta = metadata(binding.target.exposed, frame.serializer)
        payload = write_value(frame.serializer, {"handshake": binding.greeting, "meta": meta})
        self._bind(binding)
        self._send(CONNECT_OK, frame.serializer, 0, frame.sequence, payload, frame.correlation)

    def _bind(self, binding: Binding) -> None:
        limits = self._limits
        self.peer = binding.peer
        self.line = _line_of(binding)
        self._object = binding.target
        self.greeted = True
        self._object_id = binding.object_id
        self._reader.rules = serving_rules(limits, for_servers=binding.for_servers)
        self._bounds = call_bounds(limits, for_servers=binding.for_servers)
        if binding.for_servers:
            self._for_servers = True
            self._answer_bytes = limits.server_message_bytes
            self._allowed = limits.server_calls_in_progress
            self._piled = limits.server_message_bytes
            self.deadline = limits.server_message_deadline_ms / 1000
            expect_large_messages(self._transport.get_extra_info("socket"))

    def _deny(self, frame: Frame, error: HandshakeDenied | ValueRefused) -> None:
        refusals.count("no_seat" if isinstance(error.__cause__, NoSeat) else "handshake")
        complaints.note("handshake denied", peer=self.address, reason=str(error))
        answer = error.answer if isinstance(error, HandshakeDenied) else str(error)
        self._send(
            CONNECT_FAIL,
            frame.serializer,
            0,
            frame.sequence,
            write_value(frame.serializer, answer),
            frame.correlation,
        )
        self._close_after_draining()

    # --- calls ----------------------------------------------------------------------------------------

    def _invoke(self, frame: Frame) -> None:
        _, serializer, flags, sequence, correlation, payload = frame
        self._in_progress += 1
        try:
            object_id, method, args, kwargs = read_call(serializer, payload, self._bounds)
        except ValueRefused as refused:
            self._in_progress -= 1
            self._refuse(
                FrameRefused(str(refused), kind=INVOKE, serializer=serializer, flags=flags, sequence=sequence)
            )
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
            batch = Batch(call, target, self, answer_bytes=self._answer_bytes)
            batch.start(at_most=self._limits.batched_calls)
        else:
            begin(target, call)

    def answered(self, call: Call, value: object, *, is_error: bool) -> None:
        """Send the answer, in this caller's turn. (Called by the call.)"""
        if self._working or self._for_servers:
            self._answer(call, value, is_error=is_error)
        else:
            self._tasks.append(partial(self._answer, call, value, is_error=is_error))
            self._host.rounds.arrived(self)

    def _answer(self, call: Call, value: object, *, is_error: bool) -> None:
        if call.flags & ONEWAY or self.lost or self._draining:  # Nobody is there to read it.
            self._end_call()
            return
        if type(value) is LongAnswer:
            done = partial(self._send_written, call)
            write_slowly(self, call.serializer, value, self._answer_bytes, done)
            return
        try:
            payload = write_value(call.serializer, value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            complaints.error("an answer cannot be sent", error, **call.in_log())
            payload, is_error = write_value(call.serializer, write_unexpected_error()), True
        self.send_answer(call, payload, is_error=is_error)

    def _send_written(self, call: Call, payload: bytes, error: object) -> None:
        if error is not None:
            payload = write_value(call.serializer, error)
        self.send_answer(call, payload, is_error=error is not None)

    def send_answer(self, call: Call, payload: bytes, *, is_error: bool) -> None:
        """Send an answer that is packed already; what is over the budget of an answer is refused."""
        self.active_at = self._loop.time()
        if not (call.flags & ONEWAY or self.lost or self._draining):
            size = len(payload)
            if size > self._answer_bytes and not call.flags & BATCH:
                form = write_error(too_large(size, self._answer_bytes))
                payload, is_error = write_value(call.serializer, form), True
                size = len(payload)
            flags = EXCEPTION if is_error else call.flags & BATCH
            self._send(RESULT, call.serializer, flags, call.sequence, payload, call.correlation)
            if size > _LARGE_ANSWER_BYTES:
                self._host.free_memory()
            elif size > _COUNTED_ANSWER_BYTES:
                self._host.fed(size)
        self._end_call()

    def _end_call(self) -> None:
        self._in_progress -= 1
        if not self._working:
            self._work_soon()

    def turn_away(self) -> int:
        """Tell the caller that there is no room for the call that waits; return how many bytes that frees.

        0 if no call waits, or nobody would hear of it.
        """
        frame = self._frame
        if frame is None or frame.kind != INVOKE or frame.flags & ONEWAY or self._draining or self.lost:
            return 0
        self._frame = None
        refusals.count("turned_away")
        self.waits_since = now_ms()  # For whatever it sends next.
        self._answer_unread(frame, _no_room())
        self._work_soon()
        return len(frame.payload)

    def _answer_unread(self, frame: Frame, error: Busy) -> None:
        if not frame.flags & ONEWAY:
            answer = write_value(frame.serializer, write_error(error))
            self._send(RESULT, frame.serializer, EXCEPTION, frame.sequence, answer, frame.correlation)

    # --- the end --------------------------------------------------------------------------------------

    def close(self) -> None:
        """Send what was answered, then close."""
        for _ in range(len(self._tasks)):
            self.work()
        self._transport.close()


def _line_of(binding: Binding) -> Line:
    if binding.for_servers:
        return Line.SERVERS
    return Line.OURS if binding.peer.our_protocol else Line.STRANGERS


def _no_room() -> Busy:
    return _unread("this server holds too many messages")


def _too_late() -> Busy:
    return _unread("this server has too much to do")


def _unread(why: str) -> Busy:
    return Busy(
        f"{why} and did not take this: ask again in {_UNREAD_RETRY_MS} ms",
        request_id=None,
        retry_ms=_UNREAD_RETRY_MS,
    )


def metadata(exposed: Exposed, serializer: int) -> dict[str, object]:
    """Return what Pyro's proxies want to know of an object: as sets where the serializer has them."""
    kind = set if serializer == SERPENT else sorted
    return {
        "methods": kind(exposed.methods),
        "oneway": kind(exposed.oneway),
        "attrs": kind(exposed.attributes),
    }
