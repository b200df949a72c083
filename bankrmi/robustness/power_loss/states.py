"""Choosing what of the pending changes survives: directed ways first, then whatever a seed draws.

Rule: a state is named by interval, way and seed, and is built the same again from these.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from bankrmi.robustness.power_loss.disk import DiskModel, Interval, apply_to_content, apply_to_names
from bankrmi.robustness.power_loss.operations import Change, Resized, Written, above

__all__ = ["SECTOR_BYTES", "WAYS", "Fate", "State", "Surviving", "build", "draw"]

SECTOR_BYTES = 512


class Fate(Enum):
    """What becomes of one pending change."""

    LOST = "lost"
    DONE = "done"
    TORN = "torn"
    """Of a write: some of its sectors."""
    ZEROS = "zeros"
    """Of a write beyond the end: the file has grown, and holds zeros there."""
    STALE = "stale"
    """As before, but it holds what lay on the disk before."""


Fates = list[Fate]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One disk after a power loss: files and directories by their paths."""

    files: dict[str, bytes]
    directories: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surviving:
    """Which of the pending changes survived, and how."""

    way: str
    seed: str
    fates: tuple[Fate, ...]


def _is_content(change: Change) -> bool:
    return isinstance(change, Written | Resized)


def _nothing(pending: Sequence[Change], _: random.Random) -> Fates:
    return [Fate.LOST] * len(pending)


def _everything(pending: Sequence[Change], _: random.Random) -> Fates:
    return [Fate.DONE] * len(pending)


def _beginning(pending: Sequence[Change], chance: random.Random) -> Fates:
    end = chance.randint(0, len(pending))
    return [Fate.DONE] * end + [Fate.LOST] * (len(pending) - end)


def _beginning_and_torn(pending: Sequence[Change], chance: random.Random) -> Fates:
    fates = _beginning(pending, chance)
    if Fate.LOST in fates:
        fates[fates.index(Fate.LOST)] = Fate.TORN
    return fates


def _only_the_last(pending: Sequence[Change], _: random.Random) -> Fates:
    return [Fate.LOST] * (len(pending) - 1) + [Fate.DONE]


def _only_one(pending: Sequence[Change], chance: random.Random) -> Fates:
    fates = _nothing(pending, chance)
    fates[chance.randrange(len(fates))] = Fate.DONE
    return fates


def _all_but_one(pending: Sequence[Change], chance: random.Random) -> Fates:
    fates = _everything(pending, chance)
    fates[chance.randrange(len(fates))] = chance.choice((Fate.LOST, Fate.TORN, Fate.ZEROS, Fate.STALE))
    return fates


def _names_lost(pending: Sequence[Change], _: random.Random) -> Fates:
    return [Fate.DONE if _is_content(change) else Fate.LOST for change in pending]


def _contents_lost(pending: Sequence[Change], chance: random.Random) -> Fates:
    lost = chance.choice((Fate.LOST, Fate.ZEROS, Fate.STALE))
    return [lost if _is_content(change) else Fate.DONE for change in pending]


def _some(pending: Sequence[Change], chance: random.Random) -> Fates:
    share = chance.choice((0.1, 0.5, 0.9))
    return [Fate.DONE if chance.random() < share else Fate.LOST for _ in pending]


def _anything(pending: Sequence[Change], chance: random.Random) -> Fates:
    return chance.choices(list(Fate), weights=(4, 4, 2, 1, 1), k=len(pending))


def _one_name(pending: Sequence[Change], chance: random.Random) -> Fates:
    """All names but one are as they were, or the other way round; all contents are there."""
    names = [index for index, change in enumerate(pending) if not _is_content(change)]
    rest, one = chance.sample((Fate.LOST, Fate.DONE), 2)
    chosen = chance.choice(names) if names else -1
    return [
        Fate.DONE if _is_content(change) else one if index == chosen else rest
        for index, change in enumerate(pending)
    ]


WAYS: dict[str, Callable[[Sequence[Change], random.Random], Fates]] = {
    "nothing": _nothing,
    "everything": _everything,
    "a beginning": _beginning,
    "a beginning, the next torn": _beginning_and_torn,
    "only the last": _only_the_last,
    "only one": _only_one,
    "all but one": _all_but_one,
    "contents without names": _names_lost,
    "names without contents": _contents_lost,
    "one name": _one_name,
    "some": _some,
    "anything": _anything,
}


def draw(interval: Interval, way: str, seed: str) -> Surviving:
    """Draw what survives; the same seed draws the same."""
    chance = random.Random(f"{seed}/{interval.number}/{way}")
    pending = interval.pending
    fates = WAYS[way](pending, chance) if pending else []
    for index, change in enumerate(pending):
        if not isinstance(change, Written) and fates[index] not in (Fate.LOST, Fate.DONE):
            fates[index] = chance.choice((Fate.LOST, Fate.DONE))
    return Surviving(way=way, seed=seed, fates=tuple(fates))


def build(interval: Interval, surviving: Surviving) -> State:
    """Return the disk."""
    disk = interval.disk
    names, directories = dict(disk.names), set(disk.directories)
    contents: dict[int, bytearray] = {}
    chance = random.Random(f"{surviving.seed}/{interval.number}/sectors")
    for change, fate in zip(interval.pending, surviving.fates, strict=True):
        if fate is Fate.LOST:
            continue
        if isinstance(change, Written | Resized):
            content = _content(disk, contents, change.file)
            for part in _parts(change, fate, content, chance):
                apply_to_content(content, part)
        else:
            apply_to_names(names, directories, change)
    there = frozenset(path for path in directories if _is_reached(path, directories))
    files = {
        path: bytes(contents[file] if file in contents else disk.files.get(file, b""))
        for path, file in names.items()
        if above(path) in there
    }
    return State(files=files, directories=there)


def _content(disk: DiskModel, contents: dict[int, bytearray], file: int) -> bytearray:
    if file not in contents:
        contents[file] = bytearray(disk.files.get(file, b""))
    return contents[file]


def _is_reached(path: str, directories: set[str]) -> bool:
    while path:
        if path not in directories:
            return False
        path = above(path)
    return True


def _parts(
    change: Written | Resized, fate: Fate, content: bytearray, chance: random.Random
) -> list[Written | Resized]:
    """Return what a surviving change really writes."""
    if isinstance(change, Resized) or fate is Fate.DONE:
        return [change]
    if fate is Fate.TORN:
        return [piece for piece in _sectors(change) if chance.random() < 0.5]
    grown = change.offset + len(change.data) - len(content)
    if grown <= 0:
        return []
    old = bytes(grown)
    if fate is Fate.STALE:
        old = (
            chance.randbytes(grown)
            if chance.random() < 0.5 or not content
            else _older(content, grown, chance)
        )
    return [Written(change.file, len(content), old)]


def _older(content: bytearray, size: int, chance: random.Random) -> bytes:
    """Return bytes that look as if they belonged there: a piece of the same file."""
    start = chance.randrange(len(content))
    return bytes(content[start : start + size]).ljust(size, b"\0")


def _sectors(change: Written) -> list[Written]:
    pieces, start, end = [], change.offset, change.offset + len(change.data)
    while start < end:
        stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
        piece = change.data[start - change.offset : stop - change.offset]
        pieces.append(Written(change.file, start, piece))
        start = stop
    return pieces
