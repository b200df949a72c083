"""TLS as bytes in and bytes out: no socket, no event loop, no thread.

    raw bytes ──open──> TlsSession ──> what the other side said
    what we say ──seal──> TlsSession ──> raw bytes

Before, there is the handshake: `feed` and `shake`.

Rule 1: whoever owns a session moves its bytes, and decides when a step of the handshake, which takes a
        millisecond of the processor, is made.
Rule 2: until the handshake is done, only so many bytes are taken; after it no more is kept than a record.
Rule 3: both sides show a certificate, or there is no connection. Whose it is, its owner judges.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import datetime
from typing import Protocol

__all__ = ["TlsCredentials", "TlsEnded", "TlsIdentity", "TlsRefused", "TlsSession", "reason_of"]

_HANDSHAKE_BYTES = 16 << 10
"""From one side, until it is done. With certificates of the usual size it takes two thousand."""
_RECORD_BYTES = 1 << 14

_ALERTS = {
    "TLSV1_ALERT_UNKNOWN_CA": "does not believe the authority of the certificate that it was shown",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "says that the certificate that it was shown has ended",
    "SSLV3_ALERT_BAD_CERTIFICATE": "does not take the certificate that it was shown",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "does not take the certificate that it was shown",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "wants to be shown a certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "speaks other versions of TLS",
}
"""What the other side means by the alerts that a mistake of ours brings about."""


class TlsIdentity(Protocol):
    """Whom a certificate names."""

    @property
    def role(self) -> str:
        """One of those of a handshake."""

    @property
    def name(self) -> str:
        """Of a server, the one of the configuration."""

    @property
    def serial(self) -> int:
        """By which it is revoked."""

    @property
    def not_after(self) -> datetime:
        """When it ends."""


class TlsCredentials(Protocol):
    """What a process shows, and whom it believes."""

    def server_context(self) -> ssl.SSLContext:
        """Return what a caller is let in by."""

    def client_context(self) -> ssl.SSLContext:
        """Return what others are called by."""

    def identity_of(self, der: bytes) -> TlsIdentity:
        """Return whom a certificate names; raises AccessDenied if it counts for nothing (any more)."""


class TlsRefused(Exception):
    """There will be no connection; the message says why."""


class TlsEnded(Exception):
    """The other side has ended it in good order."""


class TlsSession:
    """One side of one connection."""

    __slots__ = ("_incoming", "_session", "_taken", "shaken", "to_send")

    def __init__(self, context: ssl.SSLContext, *, serves: bool) -> None:
        self._incoming = ssl.MemoryBIO()
        self.to_send = ssl.MemoryBIO()
        """What is to be sent now, by its own doing: steps of the handshake, an alert, the end."""
        self._session = context.wrap_bio(self._incoming, self.to_send, server_side=serves)
        self._taken = 0
        self.shaken = False
        """Whether the handshake is done."""

    def feed(self, data: bytes) -> None:
        """Take what has arrived for the handshake.  Raises TlsRefused for one that never comes to its end."""
        self._taken += len(data)
        if self._taken > _HANDSHAKE_BYTES:
            raise TlsRefused(f"its handshake is longer than {_HANDSHAKE_BYTES} bytes")
        self._incoming.write(data)

    def shake(self) -> None:
        """Go on with the handshake as far as what has arrived allows.  Raises TlsRefused."""
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise TlsRefused(reason_of(error)) from error
        self.shaken = True

    @property
    def is_new(self) -> bool:
        """Whether nothing has arrived yet."""
        return self._taken == 0

    @property
    def certificate(self) -> bytes:
        """What the other side has shown, in DER; empty if nothing."""
        return self._session.getpeercert(binary_form=True) or b""

    def open(self, data: bytes) -> bytes:
        """Take what has arrived after the handshake; return what the other side said, as far as it is whole.

        Raises TlsEnded, TlsRefused.
        """
        incoming = self._incoming
        incoming.write(data)
        # What was said is shorter than the record that brings it, and no record is longer than this.
        at_most = len(data) if 0 < len(data) < _RECORD_BYTES else _RECORD_BYTES
        try:
            piece = self._session.read(at_most)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLZeroReturnError:
            raise TlsEnded from None
        except ssl.SSLError as error:
            raise TlsRefused(reason_of(error)) from error
        if not piece:
            raise TlsEnded
        if len(piece) < at_most and not incoming.pending:
            return piece  # To ask in vain costs an exception, and that more than the decryption.
        return piece + self._rest()

    def _rest(self) -> bytes:
        pieces: list[bytes] = []
        while self._incoming.pending or self._session.pending():
            try:
                piece = self._session.read(_RECORD_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                break  # First what was said before.
            except ssl.SSLError as error:
                raise TlsRefused(reason_of(error)) from error
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces)

    def seal(self, data: bytes) -> bytes:
        """Return the bytes that say this to the other side."""
        self._session.write(data)
        return self.to_send.read()

    def end(self) -> None:
        """Say that nothing more comes."""
        with suppress(ssl.SSLError):  # It waits for the other side to say so, too; we do not.
            self._session.unwrap()

    def forget(self) -> None:
        """Give back what it holds, which is 50 KB and more; it is used no more.

        Whoever refers to it refers to each other, too, and would keep that until the garbage collector comes.
        """
        del self._session, self._incoming, self.to_send


def reason_of(error: ssl.SSLError) -> str:
    """Return what OpenSSL says, in the words that there are for it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    said = (error.reason or str(error)).replace("_", " ").lower()
    meant = _ALERTS.get(error.reason or "")
    return said if meant is None else f"the other side {meant} ({said})"
