"""What a process shows of itself in a handshake, and whom it believes to be who.

Rule 1: both ends show a certificate, over TLS 1.3, and only the bank's authority is trusted.
Rule 2: a handshake proves that the other end has a key, and `identity_of` says whose, and whether that counts
        now. No host name is compared: a server is who its certificate says, wherever it is.
Rule 3: no session is resumed, so each connection is proved anew, by what counts then.
Rule 4: files that change are taken for connections from then on; what cannot be used is not taken.
Assumption: `look` is called every second or so, by one thread.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from bankrmi.certificates.folder import (
    AUTHORITY,
    Authority,
    Files,
    check_dates,
    check_folder,
    check_key,
    day,
    name_of_the_only,
    read_authority,
    read_issued,
    revoked_file,
)
from bankrmi.certificates.forms import addresses_of
from bankrmi.certificates.identity import (
    NOT_UNDERSTOOD,
    ROLES,
    SERVER,
    CertificateRefused,
    Identity,
    in_hex,
    read_identity,
)
from bankrmi.certificates.revocations import Revoked, read_again, read_revoked
from bankrmi.certificates.trial import refusal
from bankrmi.certificates.watched import WatchedFiles
from bankrmi.errors import ConfigurationError

__all__ = ["WARN_DAYS", "Credentials"]

_log = logging.getLogger(__name__)
WARN_DAYS = 30
"""An end that is nearer is told in the log, once a day."""
_DAY_S = 86_400.0
_VOUCHED_AT_MOST = 1024


@dataclass(frozen=True, slots=True)
class _Material:
    """What was made of one state of the files; equal if their content is."""

    pem: bytes
    authority: Authority
    own: Identity
    ends: datetime
    hosts: tuple[str, ...]
    server: ssl.SSLContext = field(compare=False)
    client: ssl.SSLContext = field(compare=False)


class Credentials:
    """Those of one process, from files that may change while it runs."""

    def __init__(
        self, folder: Path, role: str, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read them; see `of`."""
        check_folder(folder)
        files = Files.of(folder, f"{role}-{name}")
        self._folder = folder
        self._clock = clock
        self._told_at: float | None = None
        self._told_of_the_end = False
        self._vouching: Authority | None = None
        self._vouched: dict[bytes, tuple[Identity, datetime]] = {}
        """Whom that authority names in which certificate: many connections show the same one."""
        self._known = read_revoked(revoked_file(folder))
        self._revoked = WatchedFiles([revoked_file(folder)], self._read_revoked, clock)
        self._material = WatchedFiles(
            [folder / f"{AUTHORITY}.pem", files.certificate, files.key],
            lambda: self._read(role, name, files),
            clock,
        )

    @classmethod
    def of(cls, folder: Path, role: str, name: str = "") -> Credentials:
        """Return the credentials of `name` in that role; without a name, of the only one in the folder.

        Raises ConfigurationError, one sentence, if anything about the files is not as it has to be.
        """
        assert role in ROLES, role
        return cls(folder, role, name or name_of_the_only(folder, role))

    @property
    def own(self) -> Identity:
        """Who this process is."""
        return self._material.value.own

    @property
    def days_left(self) -> float:
        """Days until the own certificate ends, or the authority's if that comes first; negative after it."""
        return (self._material.value.ends - datetime.now(UTC)).total_seconds() / _DAY_S

    @property
    def ends_first(self) -> str:
        """What has to be renewed before that: `ca` if the authority ends first, else role and name."""
        value = self._material.value
        return f"{value.own.role}-{value.own.name}" if value.ends == value.own.not_after else AUTHORITY

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names and addresses at which its certificate says that it is reached."""
        return self._material.value.hosts

    def why_not(self) -> str:
        """Say why the own certificate counts no more; nothing while it does.

        By the list as it is now: the others look at theirs when it is their time, and may have cut us off.
        """
        self._look_at_revoked()
        if self.is_revoked(self.own.serial):
            return f"the certificate of {self.own} is revoked"
        if self.days_left <= 0:
            return f"the certificate of {self.own}, or its authority's, has ended"
        return ""

    def problems(self) -> list[str]:
        """Return what is wrong with the files by now; what was read before stays in use."""
        found = [self._material.problem] if self._material.problem else []
        if self.is_revoked(self.own.serial):
            found.append(f"the certificate of {self.own} is revoked")
        try:
            read_revoked(revoked_file(self._folder))
        except ConfigurationError as error:
            found.append(error.message)
        return found

    def server_context(self) -> ssl.SSLContext:
        """Return what new connections of callers begin with; the caller has to show a certificate."""
        return self._material.value.server

    def client_context(self) -> ssl.SSLContext:
        """Return what new connections to others begin with; they have to show a certificate of a server."""
        return self._material.value.client

    def identity_of(self, der: bytes) -> Identity:
        """Return who holds a certificate, and counts now; raise CertificateRefused.

        Asked again of a connection that goes on, when `look` has found something, it refuses whoever was
        revoked since, has ended, or is of an authority that is trusted no more. The first time takes 0.2 ms.
        """
        identity, begins = self._vouched_for(der)
        if self.is_revoked(identity.serial):
            raise CertificateRefused(f"the certificate of {identity} is revoked ({in_hex(identity.serial)})")
        now = datetime.now(UTC)
        if now > identity.not_after:
            raise CertificateRefused(f"the certificate of {identity} ended on {day(identity.not_after)}")
        if now < begins:
            raise CertificateRefused(f"the certificate of {identity} counts from {begins:%Y-%m-%d %H:%M} on")
        return identity

    def is_revoked(self, serial: int) -> bool:
        """Whether a certificate of this number counts for nothing any more."""
        return serial in self._revoked.value.serials

    def look(self) -> bool:
        """Read anew what has changed on the disk; return whether anything is different from now on.

        To be called every second or so. Where nothing has changed it takes four `stat`, and nothing waits.
        """
        revoked, material = self._look_at_revoked(), self._material.look()
        self._tell_of_the_end()
        return revoked or material

    def _look_at_revoked(self) -> bool:
        changed = self._revoked.look()
        if changed and self.is_revoked(self.own.serial):
            _log.error("the own certificate is revoked: nobody takes it any more: %s", self.own)
        return changed

    def _vouched_for(self, der: bytes) -> tuple[Identity, datetime]:
        """Return whom the authority names in it, and from when on; read once, while the authority stays."""
        authority = self._material.value.authority
        if authority != self._vouching or len(self._vouched) >= _VOUCHED_AT_MOST:
            self._vouching, self._vouched = authority, {}
        if der not in self._vouched:
            try:
                certificate = x509.load_der_x509_certificate(der)
            except NOT_UNDERSTOOD:
                raise CertificateRefused("that is no certificate") from None
            identity = read_identity(certificate)
            if authority.issuer_of(certificate) is None:
                raise CertificateRefused(
                    f"the certificate of {identity} was not issued by the bank's authority"
                )
            self._vouched[der] = identity, certificate.not_valid_before_utc
        return self._vouched[der]

    def _tell_of_the_end(self) -> None:
        now, left = self._clock(), self.days_left
        has_ended = left <= 0
        if left >= WARN_DAYS or not (has_ended > self._told_of_the_end or self._is_due(now)):
            return
        self._told_at, self._told_of_the_end = now, has_ended
        stem = self.ends_first
        (_log.error if has_ended else _log.warning)(
            "the certificate %s %s on %s: `bankrmi cert renew %s` where ca.key is, and copy %s.pem here",
            *(stem, "ended" if has_ended else "ends", day(self._material.value.ends), stem, stem),
        )

    def _is_due(self, now: float) -> bool:
        return self._told_at is None or now - self._told_at >= _DAY_S

    def _read_revoked(self) -> Revoked:
        self._known = read_again(revoked_file(self._folder), self._known)
        return self._known

    def _read(self, role: str, name: str, files: Files) -> _Material:
        authority = read_authority(self._folder)
        issued = read_issued(self._folder, role, name, authority)
        check_dates(self._folder, issued)
        check_key(files, issued.certificate)
        if self.is_revoked(issued.holder.serial):
            raise ConfigurationError(
                f"{files.certificate} is revoked, by {revoked_file(self._folder)}: "
                f"make another with `bankrmi cert create-{role} {name} --overwrite`"
            )
        trusted = authority.pem.decode("ascii", errors="replace")
        server = _context(ssl.PROTOCOL_TLS_SERVER, files, trusted)
        client = _context(ssl.PROTOCOL_TLS_CLIENT, files, trusted)
        _try(role, files, trusted, server)
        return _Material(
            pem=issued.pem,
            authority=authority,
            own=issued.holder,
            ends=issued.ends,
            hosts=addresses_of(issued.certificate),
            server=server,
            client=client,
        )


def _try(role: str, files: Files, trusted: str, server: ssl.SSLContext) -> None:
    """Raise ConfigurationError if nobody would take this certificate."""
    client = _context(ssl.PROTOCOL_TLS_CLIENT, files, trusted)
    if role != SERVER:  # It is not for being called; whether it is for calling, the other end says.
        client.verify_mode = ssl.CERT_NONE
    if why := refusal(server, client):
        raise ConfigurationError(
            f"{files.certificate} would be refused by everybody ({why}): make it with `bankrmi cert`"
        )


def _context(protocol: int, files: Files, trusted: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # `identity_of` is what is asked who somebody is.
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(cadata=trusted)
        context.load_cert_chain(files.certificate, files.key, password="")  # Else OpenSSL would ask for one.
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{files.certificate} or its key cannot be used: {getattr(error, 'reason', None) or error}"
        ) from error
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0  # Rule 3.
    return context
