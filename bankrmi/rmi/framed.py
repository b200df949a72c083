"""One connection of a caller as frames: taken out of what has arrived one by one, and sent; and how it ends.

    open ──frame refused, or a last word said──> draining ──> closed

Rule 1: what a frame says is nothing to this file: who is there, and what is done for them, is in `serving`.
Rule 2: one frame at a time is taken, and waits; what has arrived behind it is kept, and where that is much,
        the rest is left on the caller's side.
Rule 3: who is refused is told why, and gets to read it: what comes after that is read, and thrown away.
Rule 4: no timers; the daemon's sweep compares `waiting_since` with the clock.
"""

from __future__ import annotations

import asyncio

from bankrmi.errors import InvalidRequest

from .addresses import Address, notice_silent_deaths
from .complaints import complaints
from .failures import write_error
from .frames import (
    CONNECT,
    CONNECT_FAIL,
    EXCEPTION,
    INVOKE,
    JSON,
    MSGPACK,
    NO_CORRELATION,
    ONEWAY,
    RESULT,
    SERPENT,
    Frame,
    FrameReader,
    FrameRefused,
    frame_bytes,
)
from .limits import Limits, handshake_rules
from .refusals import refusals
from .values import write_value

__all__ = ["FramedConnection"]

_SERIALIZERS = (SERPENT, JSON, MSGPACK)
_SILENT_SECONDS = 60


class FramedConnection(asyncio.Protocol):
    """Takes frames, and sends them. What comes in is fed to `_reader` by who inherits this."""

    __slots__ = (
        "__weakref__",
        "_draining",
        "_frame",
        "_limits",
        "_loop",
        "_paused",
        "_piled",
        "_reader",
        "_stalled",
        "_transport",
        "active_at",
        "address",
        "deadline",
        "greeted",
        "lost",
        "waiting_since",
    )

    def __init__(self, limits: Limits, loop: asyncio.AbstractEventLoop, address: Address) -> None:
        self._limits = limits
        self._loop = loop
        self._transport: asyncio.Transport
        self._reader = FrameReader(handshake_rules(limits))
        self._frame: Frame | None = None  # whole, and waits for its turn
        self._draining = 0
        self._piled = limits.piled_bytes
        self._paused = self._stalled = False
        self.deadline = limits.message_deadline_ms / 1000
        self.address = address
        self.greeted = False
        """Whether the handshake is done."""
        self.lost = False
        self.active_at = self.waiting_since = loop.time()
        """When a whole message of it, or an answer to it, was last taken care of."""

    # --- called by the event loop ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP transport is one
        self._transport.set_write_buffer_limits(high=self._limits.unsent_bytes)
        notice_silent_deaths(transport.get_extra_info("socket"), within_seconds=_SILENT_SECONDS)

    def pause_writing(self) -> None:
        """The caller does not read its answers: no more calls for now, and the sweep counts the time."""
        self._stalled = True
        self.waiting_since = self._loop.time()

    def eof_received(self) -> bool:
        return False

    # --- reading --------------------------------------------------------------------------------------

    def _take(self) -> bool:
        """Take the next frame out of what has arrived, if it is whole; it is not looked into yet."""
        try:
            frame = self._frame = self._reader.take()
        except FrameRefused as refusal:
            self._refuse(refusal)
            return False
        if frame is None:
            self._wait_for_the_rest()
            return False
        self.waiting_since = 0.0
        self.active_at = self._loop.time()
        return True

    def _pile(self) -> None:
        """Keep what waits for its turn; when it is much, leave the rest to the caller's side."""
        if self._reader.pending > self._piled and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _wait_for_the_rest(self) -> None:
        """One deadline for the whole message: more of it arriving does not move it."""
        if self._reader.pending and not self.waiting_since:
            self.waiting_since = self._loop.time()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    # --- sending, and the end -------------------------------------------------------------------------

    def _send(
        self, kind: int, serializer: int, flags: int, sequence: int, payload: bytes, correlation: bytes
    ) -> None:
        if not self._transport.is_closing():  # What is written to a broken one, asyncio complains of.
            self._transport.write(frame_bytes(kind, serializer, flags, sequence, payload, correlation))

    def _refuse(self, refusal: FrameRefused) -> None:
        """Say why, if there is somebody to be told; then read no more of it."""
        refusals.count("bad_message")
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
        self._frame = None
        self._draining = self._limits.discarded_bytes
        self.waiting_since = self._loop.time()
        if self._transport.can_write_eof() and not self._transport.is_closing():
            try:
                self._transport.write_eof()
            except OSError:  # It is gone, and nobody has told us yet.
                self.abort()

    def _drain(self, count: int) -> None:
        self._draining -= count
        if self._draining <= 0:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self.lost = True
        self._transport.abort()
