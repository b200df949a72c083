"""Who is known in a folder of certificates, for a person: by a name that was typed, and in a list.

Rule: what is wrong with one file hides no other; it is said in the place of its state.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from bankrmi.certificates.folder import (
    AUTHORITY,
    Authority,
    Files,
    check_key,
    day,
    holders_in,
    issued_file,
    read_authority,
    read_issued,
    revoked_file,
)
from bankrmi.certificates.forms import addresses_of
from bankrmi.certificates.identity import Identity, in_hex
from bankrmi.certificates.issued import read_all_issued
from bankrmi.certificates.revocations import read_revoked
from bankrmi.errors import ConfigurationError

__all__ = ["Listed", "holder_called", "listed"]

_SHOWN_NAMES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One certificate, as far as it is known."""

    role: str
    """`authority`, or what its holder is."""
    name: str
    state: str
    """`valid`, `revoked`, `ended`, `not yet valid`; or what is wrong with the file."""
    serial: str | None = None
    begins: datetime | None = None
    ends: datetime | None = None
    addresses: tuple[str, ...] = ()
    key: str = ""
    """`here`, `elsewhere`; or what is wrong with it."""

    @property
    def days_left(self) -> int | None:
        """Days until it ends, rounded; negative after that."""
        return None if self.ends is None else round((self.ends - datetime.now(UTC)) / timedelta(days=1))


def holder_called(folder: Path, written: str) -> tuple[str, str] | None:
    """Return role and name of whom `written` means: a name, or `server-s1`; None is the authority (`ca`).

    Raises ConfigurationError if nobody, or more than one, is called that.
    """
    if written == AUTHORITY:
        return None
    issued = [(holder.role, holder.name) for holder in read_all_issued(issued_file(folder))]
    known = list(dict.fromkeys([*holders_in(folder), *issued]))
    found = [(role, name) for role, name in known if f"{role}-{name}" == written] or [
        (role, name) for role, name in known if name == written
    ]
    if len(found) == 1:
        return found[0]
    stems = ", ".join(f"{role}-{name}" for role, name in (found or known)[:_SHOWN_NAMES]) or "none at all"
    if found:
        raise ConfigurationError(f"more than one is called {written} in {folder}: say which of {stems}")
    raise ConfigurationError(f"{folder} has no certificate of {written!r:.80}: there are {stems}")


def listed(folder: Path, *, with_earlier: bool = False) -> list[Listed]:
    """Return the authority, and every holder in the folder.

    `with_earlier`: also what was issued, is not in its file any more, and counts until its end.

    Raises ConfigurationError if there is no folder with an authority, or a list in it cannot be read.
    """
    authority = read_authority(folder, ended=True)
    revoked = read_revoked(revoked_file(folder)).serials
    rows = [_authority_listed(folder, certificate) for certificate in authority.certificates]
    rows += [_listed(folder, role, name, authority, revoked) for role, name in holders_in(folder)]
    if with_earlier:
        shown = {row.serial for row in rows}
        issued = read_all_issued(issued_file(folder))
        rows += [_earlier(holder, revoked) for holder in issued if in_hex(holder.serial) not in shown]
    return rows


def _authority_listed(folder: Path, certificate: x509.Certificate) -> Listed:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Listed(
        role="authority",
        name=str(names[0].value).removeprefix("authority ") if names else "-",
        state=_state_by_dates(certificate),
        serial=in_hex(certificate.serial_number),
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
        key=_key_of(Files.of(folder, AUTHORITY), certificate),
    )


def _listed(folder: Path, role: str, name: str, authority: Authority, revoked: frozenset[int]) -> Listed:
    try:
        found = read_issued(folder, role, name, authority)
    except ConfigurationError as error:
        return Listed(role=role, name=name, state=error.message)
    certificate = found.certificate
    return Listed(
        role=role,
        name=name,
        state="revoked" if certificate.serial_number in revoked else _state_by_dates(certificate),
        serial=in_hex(certificate.serial_number),
        begins=certificate.not_valid_before_utc,
        ends=found.ends,
        addresses=addresses_of(certificate),
        key=_key_of(Files.of(folder, f"{role}-{name}"), certificate),
    )


def _earlier(holder: Identity, revoked: frozenset[int]) -> Listed:
    ended = holder.not_after < datetime.now(UTC)
    return Listed(
        role=holder.role,
        name=holder.name,
        state="revoked" if holder.serial in revoked else "ended" if ended else "valid, issued earlier",
        serial=in_hex(holder.serial),
        ends=holder.not_after,
        key="elsewhere",
    )


def _key_of(files: Files, certificate: x509.Certificate) -> str:
    if not files.key.exists():
        return "elsewhere"
    try:
        check_key(files, certificate)
    except ConfigurationError as error:
        return error.message
    return "here"


def _state_by_dates(certificate: x509.Certificate) -> str:
    now = datetime.now(UTC)
    if now < certificate.not_valid_before_utc:
        return f"not valid before {day(certificate.not_valid_before_utc)}"
    return "ended" if now > certificate.not_valid_after_utc else "valid"
