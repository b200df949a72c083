"""A folder of certificates: which file is whose, and whether what is in it can be used.

    ca.pem  ca.key                  the bank's authority; the key belongs on no server
    server-s1.pem  server-s1.key    and so on, for each role and name
    revoked.txt                     see `revocations`
    issued.txt                      see `issued`
    audit.txt                       see `record`

Rule 1: what cannot be used is told with its file and what to do, before any connection could fail for it.
Rule 2: whoever is in the folder was named by the authority in `ca.pem`: the names of files prove nothing.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from bankrmi.certificates.identity import (
    NOT_UNDERSTOOD,
    ROLES,
    SERVER,
    CertificateRefused,
    Identity,
    is_name,
    read_identity,
)
from bankrmi.certificates.private_files import read_file, read_secret
from bankrmi.errors import ConfigurationError

__all__ = [
    "AUTHORITY",
    "Authority",
    "Files",
    "Issued",
    "check_dates",
    "check_folder",
    "check_key",
    "day",
    "holders_in",
    "issued_file",
    "name_of_the_only",
    "read_authority",
    "read_issued",
    "read_key",
    "revoked_file",
]

AUTHORITY = "ca"
_AUTHORITIES_AT_MOST = 8


@dataclass(frozen=True, slots=True)
class Files:
    """The certificate and the key of one holder."""

    certificate: Path
    key: Path

    @staticmethod
    def of(folder: Path, stem: str) -> Files:
        """Return those called `stem`: `ca`, or role and name."""
        return Files(certificate=folder / f"{stem}.pem", key=folder / f"{stem}.key")


@dataclass(frozen=True, slots=True)
class Authority:
    """Whom the bank trusts: its authority, and while that is changed for another, both."""

    pem: bytes
    certificates: tuple[x509.Certificate, ...] = field(compare=False)

    def issuer_of(self, certificate: x509.Certificate) -> x509.Certificate | None:
        """Return who has signed it; None if it was nobody of these."""
        for issuer in self.certificates:
            try:
                certificate.verify_directly_issued_by(issuer)
            except (InvalidSignature, *NOT_UNDERSTOOD):
                continue
            return issuer
        return None


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate of the authority's."""

    pem: bytes
    certificate: x509.Certificate
    issuer: x509.Certificate
    holder: Identity
    ends: datetime
    """Its own end, or the authority's if that comes first."""


def revoked_file(folder: Path) -> Path:
    """Return the list of what was revoked."""
    return folder / "revoked.txt"


def issued_file(folder: Path) -> Path:
    """Return the list of what was issued."""
    return folder / "issued.txt"


def day(when: datetime) -> str:
    """Return a date as people are shown it."""
    return when.astimezone(UTC).strftime("%Y-%m-%d")


def holders_in(folder: Path) -> list[tuple[str, str]]:
    """Return role and name of each certificate that the folder has a file for, servers first."""
    try:
        stems = sorted(file.stem for file in folder.glob("*.pem"))
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be read ({error.strerror})") from error
    found = [(role, name) for stem in stems for role, _, name in [stem.partition("-")]]
    return sorted(
        ((role, name) for role, name in found if role in ROLES and is_name(name)),
        key=lambda holder: (ROLES.index(holder[0]), holder[1]),
    )


def name_of_the_only(folder: Path, role: str) -> str:
    """Return the name of the only holder with that role; raise ConfigurationError unless there is one."""
    check_folder(folder)
    names = [name for found, name in holders_in(folder) if found == role]
    if len(names) == 1:
        return names[0]
    if not names:
        raise ConfigurationError(f"{folder} has no certificate of {_article(role)}: {_remedy(role, 'NAME')}")
    raise ConfigurationError(
        f"{folder} has certificates of several {role}s ({', '.join(names[:10])}): say which, as "
        f"certificates.{role} in the configuration"
    )


def check_folder(folder: Path) -> None:
    """Raise ConfigurationError if there is no such folder, or everybody may change what is in it."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no folder {folder} with certificates: `bankrmi cert create-ca` makes it"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{folder} cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(f"{folder} is not a folder, where certificates should be")
    if found.st_mode & 0o002:
        raise ConfigurationError(f"{folder} can be written by everybody: chmod 700 {folder}")


def read_authority(folder: Path, *, ended: bool = False) -> Authority:
    """Return whom the bank trusts; raise ConfigurationError if that cannot be used.

    One of several may have ended. With `ended` no dates are looked at, as for renewing it.
    """
    check_folder(folder)
    file = folder / f"{AUTHORITY}.pem"
    try:
        pem = read_file(file)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{file} is missing, the certificate of the bank's authority: copy it from where "
            "`bankrmi cert create-ca` made it"
        ) from None
    found = _certificates(file, pem)
    if len(found) > _AUTHORITIES_AT_MOST:
        raise ConfigurationError(f"{file} holds {len(found)} certificates: the bank has one authority")
    for certificate in found:
        if not _may_issue(certificate):
            raise ConfigurationError(
                f"{file} holds a certificate that is not an authority's: copy ca.pem from where "
                "`bankrmi cert create-ca` made it"
            )
    if not ended and not any(map(_counts_now, found)):
        _check_dates(file, found[0], "the authority")
    return Authority(pem=pem, certificates=tuple(found))


def read_issued(folder: Path, role: str, name: str, authority: Authority) -> Issued:
    """Return the certificate in the file of that holder.

    Its dates are not looked at: one that has ended can be renewed.

    Raises ConfigurationError if it is missing, or none that the authority made for this holder.
    """
    file = Files.of(folder, f"{role}-{name}").certificate
    try:
        pem = read_file(file)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{file} is missing, the certificate of {role} {name}: {_remedy(role, name)}"
        ) from None
    certificate, *others = _certificates(file, pem)
    if others:
        raise ConfigurationError(f"{file} holds several certificates: one is expected, of {role} {name}")
    issuer = authority.issuer_of(certificate)
    if issuer is None:
        raise ConfigurationError(
            f"{file} was not issued by the authority in {folder / f'{AUTHORITY}.pem'}: both have to come "
            "from the same `bankrmi cert create-ca`"
        )
    try:
        holder = read_identity(certificate)
    except CertificateRefused as refused:
        raise ConfigurationError(f"{file} cannot be used: {refused}") from None
    if (holder.role, holder.name) != (role, name):
        raise ConfigurationError(f"{file} holds the certificate of {holder}, and not of {role} {name}")
    ends = min(certificate.not_valid_after_utc, issuer.not_valid_after_utc)
    return Issued(pem=pem, certificate=certificate, issuer=issuer, holder=holder, ends=ends)


def check_dates(folder: Path, issued: Issued) -> None:
    """Raise ConfigurationError if the certificate counts no more, or not yet, or the authority behind it."""
    _check_dates(folder / f"{AUTHORITY}.pem", issued.issuer, "the authority")
    holder = issued.holder
    file = Files.of(folder, f"{holder.role}-{holder.name}").certificate
    _check_dates(file, issued.certificate, str(holder), remedy=f"{holder.role}-{holder.name}")


def read_key(file: Path) -> PrivateKeyTypes:
    """Return a private key; raise FileNotFoundError, or ConfigurationError if it is none, or no secret."""
    content = read_secret(file)
    try:
        return load_pem_private_key(content, password=None)
    except TypeError:
        raise ConfigurationError(
            f"{file} is locked with a password, which nobody is there to type: "
            f"`openssl pkey -in {file} -out FILE` writes it without one"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{file} is no private key, or only a part of one: copy it again") from None


def check_key(files: Files, certificate: x509.Certificate) -> None:
    """Raise ConfigurationError unless the key is there, a secret, and that of the certificate."""
    try:
        key = read_key(files.key)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{files.key} is missing, the private key of {files.certificate.name}: copy it from where the "
            "certificate was made"
        ) from None
    if _public(key.public_key()) != _public(certificate.public_key()):
        raise ConfigurationError(
            f"{files.key} is not the private key of {files.certificate.name}: copy both from one place"
        )


def _public(key: object) -> bytes:
    form: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return form


def _certificates(file: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(pem)
        for certificate in found:
            certificate.public_key()
    except NOT_UNDERSTOOD:
        raise ConfigurationError(f"{file} is no certificate, or only a part of one: copy it again") from None
    return found


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, *NOT_UNDERSTOOD):
        return False
    return constraints.ca


def _counts_now(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc


def _check_dates(file: Path, certificate: x509.Certificate, whose: str, remedy: str = AUTHORITY) -> None:
    now = datetime.now(UTC)
    if now < certificate.not_valid_before_utc:
        raise ConfigurationError(
            f"{file} does not count before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, and here "
            f"it is {now:%Y-%m-%d %H:%M}: is the clock right?"
        )
    if now > certificate.not_valid_after_utc:
        raise ConfigurationError(
            f"{file} ended on {day(certificate.not_valid_after_utc)}, the certificate of {whose}: "
            f"`bankrmi cert renew {remedy}` where ca.key is, and copy it here"
        )


def _article(role: str) -> str:
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role}"


def _remedy(role: str, name: str) -> str:
    address = " --address HOST" if role == SERVER else ""
    command = f"bankrmi cert create-{role} {name}{address}"
    return f"make it with `{command}` where ca.key is, and copy it with its key"
