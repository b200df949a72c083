"""What may be on a disk after the power was lost: what was synced, and any part of the rest.

The model, stricter than most file systems are:
- What a completed fsync or fdatasync of a file covers is there, its size included. What was written after it
  began, or never synced, is there or not, each write by itself, in whatever order.
- A sector of 512 bytes is old or new, never a mixture; a write of several may be torn between any two.
  Bytes of a sector that a write does not cover stay as they are (SQLite calls it "powersafe overwrite").
- Where a lost write would have made the file longer, the file may have grown all the same: the space then
  holds zeros, or what lay on the disk before.
- A new name, a rename, a removal is done or undone, each by itself, until the directory is synced. A rename
  is never half done. A file in a directory whose own name is lost, is lost.

Rule: a killed process is not a power loss: what was not synced stays pending, across processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bankrmi.robustness.power_loss.operations import (
    Change,
    DirectorySynced,
    FileSynced,
    MadeDirectory,
    Named,
    Operation,
    Renamed,
    Resized,
    Told,
    ToldEntry,
    ToldEpoch,
    ToldView,
    Unnamed,
    Written,
    above,
)

__all__ = ["DiskModel", "Interval", "content_changes", "intervals"]

content_changes = (Written, Resized)


@dataclass(slots=True)
class DiskModel:
    """What is certainly there, and what is pending."""

    names: dict[str, int] = field(default_factory=dict)
    directories: set[str] = field(default_factory=lambda: {""})
    files: dict[int, bytearray] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)
    _certain: dict[int, int] = field(default_factory=dict)
    """How many changes of each file's content are there for good."""

    def sync_file(self, file: int, covers: int | None) -> None:
        """Make the content of a file certain: the first `covers` of its changes, or (None) all of them."""
        content = self.files.setdefault(file, bytearray())
        certain = self._certain.get(file, 0)
        rest: list[Change] = []
        for change in self.pending:
            covered = covers is None or certain < covers
            if covered and isinstance(change, content_changes) and change.file == file:
                apply_to_content(content, change)
                certain += 1
            else:
                rest.append(change)
        self._certain[file] = certain
        self.pending = rest

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory certain."""
        rest: list[Change] = []
        for change in self.pending:
            if isinstance(change, content_changes) or above(change.path) != path:
                rest.append(change)
            else:
                apply_to_names(self.names, self.directories, change)
        self.pending = rest


def apply_to_content(content: bytearray, change: Written | Resized) -> None:
    """Write, or cut off, or let grow."""
    if isinstance(change, Resized):
        if change.size < len(content):
            del content[change.size :]
        else:
            content += bytes(change.size - len(content))
        return
    if change.offset > len(content):
        content += bytes(change.offset - len(content))
    content[change.offset : change.offset + len(change.data)] = change.data


def apply_to_names(
    names: dict[str, int], directories: set[str], change: Named | Unnamed | Renamed | MadeDirectory
) -> None:
    """Carry out one change of names, whatever became of those before it."""
    match change:
        case Named(path=path, file=file):
            names[path] = file
        case Unnamed(path=path):
            names.pop(path, None)
        case Renamed(path=path, to=to, file=file):
            names.pop(path, None)
            names[to] = file
        case MadeDirectory(path=path):
            directories.add(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The time between two syncs: what is certain does not change in it, only what is pending grows.

    Whatever a power loss at any moment in it can leave, one at its end can leave, too; and what was told by
    then includes what was told before. So its end stands for all its moments.
    """

    number: int
    disk: DiskModel
    """Goes on changing: to be looked at before the next interval is asked for."""
    pending: Sequence[Change]
    told: Sequence[Told]
    answers: int
    """How many of `told` were told in this interval."""


def intervals(operations: Sequence[Operation]) -> Iterator[Interval]:
    """Go through a recording, from sync to sync."""
    disk = DiskModel()
    told: list[Told] = []
    number = told_before = 0
    for operation in [*operations, None]:
        match operation:
            case FileSynced() | DirectorySynced() | None:
                yield Interval(
                    number=number,
                    disk=disk,
                    pending=list(disk.pending),
                    told=told,
                    answers=len(told) - told_before,
                )
                number, told_before = number + 1, len(told)
                if isinstance(operation, FileSynced):
                    disk.sync_file(operation.file, operation.covers)
                elif isinstance(operation, DirectorySynced):
                    disk.sync_directory(operation.path)
            case ToldEntry() | ToldEpoch() | ToldView():
                told.append(operation)
            case _:
                disk.pending.append(operation)
