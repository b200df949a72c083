"""Between a transport and a protocol: what comes and goes is TLS, and the protocol does not notice.

    transport ──bytes──> Secured ──what was said──> protocol
                            │ ^
                          TlsSession

Rule 1: the protocol has its transport from the first moment on: a connection that says nothing, or never ends
        its handshake, is counted like any other one, and cut like any other one.
Rule 2: a step of the handshake is made when it is the connection's turn, as its messages are read.
Rule 3: what the protocol writes before the handshake is done waits for it: that is one greeting.
Rule 4: to a server, whoever speaks Pyro's protocol without TLS gets through, to be told what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .tls import TlsEnded, TlsRefused, TlsSession

__all__ = ["Secured", "SecuredTransport"]

Work = Callable[[], None]
_PLAIN = b"PYRO"


class Secured(asyncio.Protocol):
    """One connection.  `shaken` is told the other side's certificate; `refused` why there will be none."""

    def __init__(
        self,
        inner: asyncio.Protocol,
        session: TlsSession,
        *,
        shaken: Callable[[bytes], None],
        refused: Callable[[str], None],
        in_turn: Callable[[Work], None] | None = None,
    ) -> None:
        """Without `in_turn` the handshake goes on whenever something arrives for it."""
        self._inner = inner
        self._session = session
        self._shaken = shaken
        self._refused = refused
        self._in_turn = in_turn
        self._is_server = in_turn is not None
        self._is_plain = self._has_turn = self._is_over = False
        self._is_open = False  # The handshake is done, and the end has not come.
        self._transport: asyncio.Transport
        self._held: list[bytes] = []

    # --- called by the event loop ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP transport is one
        self._inner.connection_made(SecuredTransport(self._transport, self))
        if not self._is_server:
            self._shake()

    def data_received(self, data: bytes) -> None:
        if self._is_open:
            self._take(data)
        elif self._is_plain:
            self._inner.data_received(data)
        elif not self._is_over:
            self._take_handshake(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._end()
        self._inner.connection_lost(error)
        self._session.forget()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    # --- within ---------------------------------------------------------------------------------------

    def _take_handshake(self, data: bytes) -> None:
        if self._is_server and self._session.is_new and data.startswith(_PLAIN):
            self._is_plain = True
            self._inner.data_received(data)
            return
        try:
            self._session.feed(data)
        except TlsRefused as refusal:
            self._refuse(refusal)
            return
        if self._in_turn is None:
            self._shake()
        elif not self._has_turn:
            self._has_turn = True
            self._in_turn(self._shake)

    def _shake(self) -> None:
        self._has_turn = False
        if self._is_over:
            return
        session = self._session
        try:
            session.shake()
        except TlsRefused as refusal:
            self._send_on()  # The alert that says so.
            self._refuse(refusal)
            return
        self._send_on()
        if session.shaken:
            self._shaken(session.certificate)
            self._is_open = not self._is_over
            held, self._held = self._held, []
            for data in held:
                self.write(data)
            if self._is_open:
                self._take(b"")  # What came right behind the handshake.

    def _take(self, data: bytes) -> None:
        session = self._session
        try:
            said = session.open(data)
        except TlsEnded:
            self._end()
            self._send_on()
            self._transport.close()
            return
        except TlsRefused as refusal:
            self._send_on()
            self._refuse(refusal)
            return
        if session.to_send.pending:
            self._send_on()
        if said:
            self._inner.data_received(said)

    def _refuse(self, refusal: TlsRefused) -> None:
        self._end()
        self._refused(str(refusal))
        self._transport.close()

    def _end(self) -> None:
        self._is_over = True
        self._is_open = False

    def _send_on(self) -> None:
        data = self._session.to_send.read()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    # --- called by the protocol, through its transport --------------------------------------------------

    def write(self, data: bytes) -> None:
        """Say it, once there is somebody to hear it."""
        if self._is_open:
            self._transport.write(self._session.seal(data))
        elif self._is_plain:
            self._transport.write(data)
        elif not self._is_over:
            self._held.append(data)

    def say_end(self) -> None:
        """Tell the other side that nothing more comes."""
        if self._is_open:
            self._session.end()
            self._send_on()

    @property
    def unsent(self) -> int:
        """How many bytes wait for the handshake, or for the other side to take them."""
        return self._transport.get_write_buffer_size() + sum(map(len, self._held))


class SecuredTransport(asyncio.Transport):
    """What the protocol takes for its transport."""

    def __init__(self, transport: asyncio.Transport, secured: Secured) -> None:
        super().__init__()
        self.below = transport
        self._secured = secured
        self.is_closing = transport.is_closing  # type: ignore[method-assign]  # For each message.
        self.write = secured.write  # type: ignore[assignment, method-assign]

    def abort(self) -> None:
        self.below.abort()

    def close(self) -> None:
        if not self.below.is_closing():
            self._secured.say_end()
        self.below.close()

    def can_write_eof(self) -> bool:
        return self.below.can_write_eof()

    def write_eof(self) -> None:
        self._secured.say_end()
        self.below.write_eof()

    def pause_reading(self) -> None:
        self.below.pause_reading()

    def resume_reading(self) -> None:
        self.below.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._secured.unsent

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.below.get_extra_info(name, default)
