"""The bank's authority at work: it makes itself, and certificates; it renews them and takes them back.

Rule 1: a certificate is noted in `issued.txt` before it is written: `revoke` knows all that exist.
Rule 2: a key takes its place before its certificate, and neither before both are on the disk.
Rule 3: `renew` keeps the key, so that one file changes, in one step, and no secret has to travel again. A new
        key is another certificate: revoke the old one, and create it again.
Rule 4: whoever was revoked is not renewed: the key may be in other hands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bankrmi.certificates import forms
from bankrmi.certificates.folder import (
    AUTHORITY,
    Authority,
    Files,
    Issued,
    check_key,
    issued_file,
    read_authority,
    read_issued,
    read_key,
    revoked_file,
)
from bankrmi.certificates.identity import SERVER, Identity
from bankrmi.certificates.issued import add_issued, read_all_issued
from bankrmi.certificates.private_files import make_folder, owned, write_file, write_files
from bankrmi.certificates.revocations import add_revoked, read_revoked
from bankrmi.errors import ConfigurationError
from bankrmi.moments import end_in_words

__all__ = ["Made", "create", "create_authority", "renew", "renew_authority", "revocable", "revoke"]


@dataclass(frozen=True, slots=True)
class Made:
    """What a command has written."""

    files: Files
    holder: Identity | None
    """None: the authority itself."""
    ends: datetime


def create_authority(folder: Path, *, days: int) -> Made:
    """Make the folder, and an authority in it, that is trusted for so many days.

    Raises ConfigurationError if there is one already: all that it has issued would count for nothing.
    """
    make_folder(folder)
    files = Files.of(folder, AUTHORITY)
    with owned(folder):
        if files.certificate.exists():
            raise ConfigurationError(
                f"{files.certificate} is there already, and with another authority all that this one has "
                "issued would count for nothing: name another --folder, or move this one away"
            )
        if files.key.exists():
            raise ConfigurationError(
                f"{files.key} is there, an authority's key without its certificate: if ca.pem is elsewhere, "
                "copy it here; if a command was interrupted and nothing was ever issued, remove the key"
            )
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = forms.authority(key, forms.new_authority_name(), forms.dates(days))
        _write(files, key, certificate)
    return Made(files=files, holder=None, ends=certificate.not_valid_after_utc)


def create(
    folder: Path, role: str, name: str, *, days: int, addresses: Sequence[str] = (), overwrite: bool = False
) -> Made:
    """Make a key and a certificate; ConfigurationError if there is one that is not to be overwritten."""
    files = Files.of(folder, f"{role}-{name}")
    authority, signer = _signer(folder)
    with owned(folder):
        if not overwrite:
            _check_absent(files)
        key = ec.generate_private_key(ec.SECP256R1())
        request = forms.CertificateRequest(
            role=role, name=name, key=key.public_key(), addresses=tuple(addresses), dates=forms.dates(days)
        )
        certificate, holder = forms.issue(request, *signer)
        _check_end(authority, certificate, days)
        add_issued(issued_file(folder), holder)
        _write(files, key, certificate, replace=overwrite)
    return Made(files=files, holder=holder, ends=holder.not_after)


def renew(folder: Path, role: str, name: str, *, days: int, addresses: Sequence[str] = ()) -> Made:
    """Issue the same certificate with another end, and with other addresses if any are given."""
    files = Files.of(folder, f"{role}-{name}")
    authority, signer = _signer(folder)
    with owned(folder):
        before = read_issued(folder, role, name, authority)
        if before.holder.serial in read_revoked(revoked_file(folder)).serials:
            raise ConfigurationError(
                f"{files.certificate} is revoked, and its key may be in other hands: make a new one with "
                f"`bankrmi cert create-{role} {name} --overwrite`"
            )
        certificate, holder = forms.issue(_request_again(before, days, addresses), *signer)
        _check_end(authority, certificate, days)
        add_issued(issued_file(folder), holder)
        write_file(files.certificate, certificate.public_bytes(Encoding.PEM), replace=True)
    return Made(files=files, holder=holder, ends=holder.not_after)


def renew_authority(folder: Path, *, days: int) -> Made:
    """Give the authority another end; all that it has issued goes on to count."""
    files = Files.of(folder, AUTHORITY)
    with owned(folder):
        certificate, key = _read_signer(folder, read_authority(folder, ended=True))
        renewed = forms.authority(key, certificate.subject, forms.dates(days))
        write_file(files.certificate, renewed.public_bytes(Encoding.PEM), replace=True)
    return Made(files=files, holder=None, ends=renewed.not_valid_after_utc)


def revocable(folder: Path, role: str, name: str) -> list[Identity]:
    """Return every certificate of that holder that counts until it is revoked."""
    authority = read_authority(folder)
    known = {
        holder.serial: holder
        for holder in read_all_issued(issued_file(folder))
        if (holder.role, holder.name) == (role, name)
    }
    if Files.of(folder, f"{role}-{name}").certificate.exists():
        holder = read_issued(folder, role, name, authority).holder
        known.setdefault(holder.serial, holder)
    if not known:
        raise ConfigurationError(f"{folder} knows of no certificate of {role} {name}")
    revoked = read_revoked(revoked_file(folder)).serials
    now = datetime.now(UTC)
    return [holder for holder in known.values() if holder.serial not in revoked and holder.not_after > now]


def revoke(folder: Path, holders: list[Identity]) -> Path:
    """Revoke certificates; return the list that has to get to every machine."""
    with owned(folder):
        add_revoked(revoked_file(folder), holders, f"revoked on {datetime.now(UTC):%Y-%m-%d}")
    return revoked_file(folder)


def _signer(folder: Path) -> tuple[Authority, tuple[x509.Certificate, ec.EllipticCurvePrivateKey]]:
    authority = read_authority(folder)
    return authority, _read_signer(folder, authority)


def _read_signer(folder: Path, authority: Authority) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the authority that new certificates are of: the first one in its file, with its key."""
    files = Files.of(folder, AUTHORITY)
    certificate = authority.certificates[0]
    if not files.key.exists():
        raise ConfigurationError(
            f"{files.key} is missing, the authority's key: certificates are made where it is, in the folder "
            "of `bankrmi cert create-ca`"
        )
    check_key(files, certificate)
    key = read_key(files.key)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(f"{files.key} is not a key on an elliptic curve, as `create-ca` makes it")
    return certificate, key


def _check_absent(files: Files) -> None:
    if files.certificate.exists():
        raise ConfigurationError(
            f"{files.certificate} is there already: `bankrmi cert renew {files.certificate.stem}` gives it "
            "another end; --overwrite makes a new key and a new certificate, and the one before counts until "
            "it is revoked"
        )
    if files.key.exists():
        raise ConfigurationError(
            f"{files.key} is there without its certificate, as after a command that was interrupted: "
            "--overwrite makes both anew"
        )


def _request_again(before: Issued, days: int, addresses: Sequence[str]) -> forms.CertificateRequest:
    key = before.certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ConfigurationError(f"the key of {before.holder} is of a kind that `bankrmi cert` does not make")
    if addresses and before.holder.role != SERVER:
        raise ConfigurationError(f"{before.holder} has no addresses: only servers have")
    return forms.CertificateRequest(
        role=before.holder.role,
        name=before.holder.name,
        key=key,
        addresses=tuple(addresses) or forms.addresses_of(before.certificate),
        dates=forms.dates(days),
    )


def _check_end(authority: Authority, certificate: x509.Certificate, days: int) -> None:
    end = authority.certificates[0].not_valid_after_utc
    if certificate.not_valid_after_utc > end:
        left = max(0, (end - datetime.now(UTC)).days)
        raise ConfigurationError(
            f"the authority itself {end_in_words(left)}, before these {days} are over: say --days {left}, or "
            f"`bankrmi cert renew {AUTHORITY}` first"
        )


def _write(
    files: Files, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, *, replace: bool = False
) -> None:
    keys_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem = certificate.public_bytes(Encoding.PEM)
    write_files([(files.key, keys_pem), (files.certificate, pem)], replace=replace)
