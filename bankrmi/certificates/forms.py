"""What stands in a certificate: whose it is, from when to when, and what it is for.

Rule 1: keys are on the curve P-256: every library and device that speaks TLS takes them (ADR 29).
Rule 2: a client's certificate is no server's, for OpenSSL too: it is for clients only.
Rule 3: the authority issues certificates of holders, and no further authorities.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bankrmi.certificates.identity import SERVER, Identity, uri_of
from bankrmi.errors import ConfigurationError

__all__ = [
    "CertificateRequest",
    "Dates",
    "addresses_of",
    "authority",
    "checked_addresses",
    "dates",
    "issue",
    "new_authority_name",
]

_BEFOREHAND = timedelta(hours=1)
"""By so much the clocks of other machines may be behind ours."""
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
                   r"(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*")  # fmt: skip
_ADDRESSES_AT_MOST = 100


@dataclass(frozen=True, slots=True)
class Dates:
    """From when to when."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """A certificate that is wanted."""

    role: str
    name: str
    key: ec.EllipticCurvePublicKey
    addresses: tuple[str, ...]
    dates: Dates


def dates(days: int) -> Dates:
    """Return so many days from now on, begun a little earlier."""
    now = datetime.now(UTC).replace(microsecond=0)
    return Dates(begin=now - _BEFOREHAND, end=now + timedelta(days=days))


def checked_addresses(written: str) -> tuple[str, ...]:
    """Return the hosts of `HOST,HOST`; raise ConfigurationError, saying which is none."""
    hosts = [host.strip() for host in written.split(",") if host.strip()]
    if not hosts:
        raise ConfigurationError("an address is needed: the host's name or IP address, as clients call it")
    if len(hosts) > _ADDRESSES_AT_MOST:
        raise ConfigurationError(f"{len(hosts)} addresses are too many: {_ADDRESSES_AT_MOST} at most")
    return tuple(dict.fromkeys(_checked_host(host) for host in hosts))


def _checked_host(host: str) -> str:
    bare = host.removeprefix("[").removesuffix("]")
    try:
        number = ipaddress.ip_address(bare)
    except ValueError:
        pass
    else:
        if number.is_unspecified or number.is_multicast:
            raise ConfigurationError(f"{host} is not an address that others could call")
        return str(number)
    without_port, colon, _ = host.rpartition(":")
    if colon:
        raise ConfigurationError(f"{host!r:.80} is not a host: leave the port out, like {without_port:.70}")
    if not _HOST.fullmatch(host) or host.replace(".", "").isdigit():
        raise ConfigurationError(f"{host!r:.80} is not the name of a host, nor an IP address")
    return host.lower()


def addresses_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the hosts that a certificate names."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    numbers = [str(number) for number in names.get_values_for_type(x509.IPAddress)]
    return (*names.get_values_for_type(x509.DNSName), *numbers)


def new_authority_name() -> x509.Name:
    """Return a name that no other authority has, so that two of them can be told apart."""
    return _subject(f"authority {secrets.token_hex(8)}")


def authority(key: ec.EllipticCurvePrivateKey, name: x509.Name, when: Dates) -> x509.Certificate:
    """Return the certificate of an authority, signed by itself."""
    builder = _begun(name, name, key.public_key(), key.public_key(), when)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(for_authority=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def issue(
    request: CertificateRequest, issuer: x509.Certificate, issuers_key: ec.EllipticCurvePrivateKey
) -> tuple[x509.Certificate, Identity]:
    """Return a certificate as requested, and who its holder is."""
    subject = _subject(f"{request.role} {request.name}")
    builder = _begun(subject, issuer.subject, request.key, issuers_key.public_key(), request.dates)
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if request.role == SERVER:  # Servers are each other's clients, and the witness's.
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri_of(request.role, request.name))]
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(for_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([*names, *map(_general_name, request.addresses)]), critical=False
        )
        .sign(issuers_key, hashes.SHA256())
    )
    holder = Identity(
        role=request.role,
        name=request.name,
        serial=certificate.serial_number,
        not_after=certificate.not_valid_after_utc,
    )
    return certificate, holder


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuers_key: ec.EllipticCurvePublicKey,
    when: Dates,
) -> x509.CertificateBuilder:
    """What all certificates have; strict verifiers want the two identifiers."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(when.begin)
        .not_valid_after(when.end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuers_key), critical=False)
    )


def _subject(name: str) -> x509.Name:
    """Return a subject, which is for people: X.509 has room for 64 characters of it."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "bankrmi"),
            x509.NameAttribute(NameOID.COMMON_NAME, name[:64]),
        ]
    )


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _usage(*, for_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not for_authority,
        key_cert_sign=for_authority,
        crl_sign=for_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
