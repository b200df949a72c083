"""`issued.txt`: every certificate that the authority has ever issued, one a line, noted before it is written.

    # serial number, role, name, end
    3f9c0aa1… server s1 2027-11-29T12:00:00Z

It is what `revoke` needs: the certificate that somebody has taken a copy of may have been renewed since.

Rule 1: a line that cannot be read is told, and nothing is written over it.
Rule 2: what has ended long ago is left out when another is added, so that the list does not grow for ever.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from bankrmi.certificates.identity import ROLES, Identity, in_hex, is_name
from bankrmi.certificates.private_files import read_file, write_file
from bankrmi.errors import ConfigurationError
from bankrmi.foreign_text import foreign

__all__ = ["add_issued", "read_all_issued"]

_HEADING = (
    b"# All that this authority has issued; `bankrmi cert revoke` needs it. Serial number, role, name, end:\n"
)
_KEPT_AFTER_ITS_END = timedelta(days=30)
_DATE = "%Y-%m-%dT%H:%M:%SZ"


def read_all_issued(file: Path) -> list[Identity]:
    """Return all that were issued, the oldest first; raise ConfigurationError if the list cannot be read."""
    lines = _content(file).decode("utf-8", errors="replace").splitlines()
    return [
        _holder(file, number, line)
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def add_issued(file: Path, holder: Identity) -> None:
    """Add one. Raises OperationFailed, ConfigurationError."""
    ended_before = datetime.now(UTC) - _KEPT_AFTER_ITS_END
    kept = [each for each in read_all_issued(file) if each.not_after > ended_before]
    lines = [
        f"{in_hex(each.serial)} {each.role} {each.name} {each.not_after.astimezone(UTC).strftime(_DATE)}\n"
        for each in (*kept, holder)
    ]
    write_file(file, _HEADING + "".join(lines).encode(), replace=True)


def _content(file: Path) -> bytes:
    try:
        return read_file(file)
    except FileNotFoundError:
        return b""


def _holder(file: Path, number: int, line: str) -> Identity:
    try:
        serial, role, name, when = line.split()
        end = datetime.strptime(when, _DATE).replace(tzinfo=UTC)
        if role not in ROLES or not is_name(name):
            raise ValueError
        return Identity(role=role, name=name, serial=int(serial, 16), not_after=end)
    except ValueError:
        raise ConfigurationError(
            f"{file} line {number}: a serial number, a role, a name and an end are expected, not "
            f"{foreign(line, 80)!r}"
        ) from None
