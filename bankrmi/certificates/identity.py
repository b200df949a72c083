"""What a certificate says about its holder: a role and a name, in one URI, like `bankrmi:server/s1` (ADR 29).

Rule 1: this file alone writes that URI and reads it; the subject is for people, and nothing rests on it.
Rule 2: exactly one such URI, exactly in this form: whatever is odd is nobody.
Assumption: who asks has the signature checked (`credentials`, `folder`): anybody can write such a URI.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from bankrmi.errors import AccessDenied
from bankrmi.foreign_text import foreign

__all__ = [
    "CLIENT",
    "LONGEST_NAME",
    "NOT_UNDERSTOOD",
    "OPERATOR",
    "ROLES",
    "SERVER",
    "CertificateRefused",
    "Identity",
    "in_hex",
    "is_name",
    "read_identity",
    "uri_of",
]

CLIENT, SERVER, OPERATOR = "client", "server", "operator"
ROLES = (SERVER, CLIENT, OPERATOR)

LONGEST_NAME = 64
_SCHEME = "bankrmi:"
_NAME = re.compile(rf"(?!-)[A-Za-z0-9_-]{{1,{LONGEST_NAME}}}")
_URI = re.compile(rf"{_SCHEME}(?P<role>{'|'.join(ROLES)})/(?P<name>{_NAME.pattern})")


NOT_UNDERSTOOD = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What reading a certificate may raise that is none, or an odd one."""


class CertificateRefused(AccessDenied):
    """Why the holder of a certificate is not let in: one sentence, for the log."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who holds a certificate."""

    role: str
    """`client`, `server` or `operator`."""
    name: str
    serial: int
    not_after: datetime
    """The end of the certificate, in UTC."""

    def __str__(self) -> str:
        return f"{self.role} {self.name}"


def is_name(name: str) -> bool:
    """Whether somebody can be called that."""
    return _NAME.fullmatch(name) is not None


def uri_of(role: str, name: str) -> str:
    """Return what a certificate of such a holder says."""
    uri = f"{_SCHEME}{role}/{name}"
    assert _URI.fullmatch(uri), uri
    return uri


def in_hex(serial: int) -> str:
    """Return a serial number as it is written everywhere: as OpenSSL does, in small letters."""
    digits = f"{serial:x}"
    return digits.zfill(len(digits) + len(digits) % 2)


def read_identity(certificate: x509.Certificate) -> Identity:
    """Return who holds the certificate; raise CertificateRefused if it does not say."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        ours = [uri for uri in uris if uri.startswith(_SCHEME)]
        serial, not_after = certificate.serial_number, certificate.not_valid_after_utc
    except x509.ExtensionNotFound:
        ours = []
    except NOT_UNDERSTOOD as error:
        raise CertificateRefused(f"the certificate cannot be understood: {foreign(error)}") from None
    if len(ours) != 1:
        raise CertificateRefused(
            f"the certificate {in_hex(certificate.serial_number)} says {len(ours) or 'no'} "
            f"{'roles' if ours else 'role'}, where one is needed"
        )
    found = _URI.fullmatch(ours[0])
    if found is None:
        raise CertificateRefused(f"the certificate {in_hex(serial)} has an unknown role: {foreign(ours[0])}")
    return Identity(role=found["role"], name=found["name"], serial=serial, not_after=not_after)
