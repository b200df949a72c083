"""What a process did to its disk, and what it told others, in the order in which it did: plain values.

A file is a number, not a name: names come and go (`Named`, `Unnamed`, `Renamed`), and what was written stays
with the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bankrmi.replication.view import View

__all__ = [
    "Change",
    "DirectorySynced",
    "FileSynced",
    "MadeDirectory",
    "Named",
    "Operation",
    "Renamed",
    "Resized",
    "Told",
    "ToldEntry",
    "ToldEpoch",
    "ToldView",
    "Unnamed",
    "Written",
    "above",
]


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes at a place of a file."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resized:
    """The file is cut off, or grows by zeros."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Named:
    """A new, empty file."""

    path: str
    file: int


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A name is gone."""

    path: str


@dataclass(frozen=True, slots=True)
class Renamed:
    """A file has another name, in one step; what had that name before has none."""

    path: str
    to: str
    file: int


@dataclass(frozen=True, slots=True)
class MadeDirectory:
    """A new directory."""

    path: str


@dataclass(frozen=True, slots=True)
class FileSynced:
    """fsync or fdatasync of a file has returned.

    It covers the first `covers` of all changes to its content: what another thread changed after it had begun
    may be left out. None: all of them.
    """

    file: int
    covers: int | None = None


@dataclass(frozen=True, slots=True)
class DirectorySynced:
    """fsync of a directory has returned."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldEntry:
    """Somebody was told that all up to this entry is durable here."""

    action_id: int
    digest: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldEpoch:
    """Somebody saw this server act in an epoch."""

    history: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldView:
    """Somebody was told that this is the view."""

    view: View = field(compare=False)
    history: str
    epoch: int


Told = ToldEntry | ToldEpoch | ToldView

Change = Written | Resized | Named | Unnamed | Renamed | MadeDirectory
"""What a power loss can undo until it is synced."""

Operation = Change | FileSynced | DirectorySynced | Told


def above(path: str) -> str:
    """Return the directory that a path is in; the root is empty."""
    return path.rpartition("/")[0]
