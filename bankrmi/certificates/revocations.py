"""`revoked.txt`: serial numbers of certificates that count for nothing any more, one a line.

    # what follows a # is for people
    3f9c0aa1…                  # server s1, 2026-11-29

Rule 1: what was revoked stays so until a list that can be read whole says otherwise: a file that is gone,
        or has a line that is none, takes nothing back.
Rule 2: the lines that can be read count, whatever the others are.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from bankrmi.certificates.identity import Identity, in_hex
from bankrmi.certificates.private_files import read_file, write_file
from bankrmi.errors import ConfigurationError
from bankrmi.foreign_text import foreign

__all__ = ["Revoked", "add_revoked", "read_again", "read_revoked"]

_log = logging.getLogger(__name__)
_SERIAL = re.compile(r"[0-9A-Fa-f]{1,40}")  # 20 bytes are the most that a serial number has.
_SHOWN_MISTAKES = 3
_HEADING = b"# Certificates that count for nothing any more. Copy this file to every machine of the bank.\n"


@dataclass(frozen=True, slots=True)
class Revoked:
    """What a list says."""

    serials: frozenset[int] = frozenset()
    mistakes: tuple[str, ...] = ()


def read_revoked(file: Path) -> Revoked:
    """Return what the file says, nothing if there is none; raise ConfigurationError for what is no list."""
    try:
        found = _parsed(file, read_file(file))
    except FileNotFoundError:
        return Revoked()
    if found.mistakes:
        raise ConfigurationError(_told(found))
    return found


def read_again(file: Path, known: Revoked) -> Revoked:
    """Return what the file says by now; what is wrong with it is logged, and then nothing is taken back."""
    try:
        found = _parsed(file, read_file(file))
        why = _told(found) if found.mistakes else ""
    except FileNotFoundError:
        found, why = Revoked(), f"{file} is gone" if known.serials else ""
    except ConfigurationError as error:
        found, why = Revoked(), error.message
    if not why:
        return found
    _log.warning("what was revoked stays so (%d in all): %s", len(known.serials | found.serials), why)
    return Revoked(serials=known.serials | found.serials)


def add_revoked(file: Path, holders: list[Identity], remark: str) -> None:
    """Add certificates to the list. Raises ConfigurationError if it cannot be read, OperationFailed."""
    read_revoked(file)
    try:
        before = read_file(file)
    except FileNotFoundError:
        before = _HEADING
    if before and not before.endswith(b"\n"):
        before += b"\n"
    lines = [f"{in_hex(holder.serial)}  # {holder}, {remark}\n" for holder in holders]
    write_file(file, before + "".join(lines).encode(), replace=True)


def _parsed(file: Path, content: bytes) -> Revoked:
    serials: set[int] = set()
    mistakes: list[str] = []
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
        written = line.partition("#")[0].strip().removeprefix("\ufeff").replace(":", "")
        if _SERIAL.fullmatch(written):
            serials.add(int(written, 16))
        elif written:
            mistakes.append(f"{file} line {number}: {foreign(written, 50)!r} is not a serial number in hex")
    return Revoked(serials=frozenset(serials), mistakes=tuple(mistakes))


def _told(found: Revoked) -> str:
    more = len(found.mistakes) - _SHOWN_MISTAKES
    return "; ".join([*found.mistakes[:_SHOWN_MISTAKES], *([f"{more} more"] if more > 0 else [])])
