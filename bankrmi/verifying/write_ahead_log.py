"""Has a write-ahead log lost anything that was committed?  What its bytes prove, beyond what SQLite reads.

SQLite reads a log up to the first frame whose checksum is wrong, and takes the rest for what a power loss
left of a commit under way. That is right for a torn end, and silent about a flipped bit in the middle: every
later commit is gone then, though its sync was waited for. The two can be told apart: a frame is written only
after the commit before it was synced, and its checksum continues that of the frame before. So a frame that
continues a *later* commit, beyond the place where SQLite stops, proves that the disk has lost synced bytes.

Rule: what is told as damage cannot come from a power loss, if the disk keeps what it has synced.
Not seen: damage in the newest commit, which looks like one that was torn.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Log", "read_log"]

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGICS = {0x377F0682: "<", 0x377F0683: ">"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What there is in a log."""

    frames: int
    """That SQLite uses: to the end of the newest whole commit."""
    damaged_at: int | None
    """The first frame (from 1; 0 is the header) that was synced and is damaged, as later ones prove."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    number: int
    commits: bool
    checksum: tuple[int, int]
    content: bytes


def read_log(path: Path) -> Log:
    """Look at a log; a missing or empty one holds nothing."""
    data = path.read_bytes() if path.exists() else b""
    if len(data) < _HEADER.size:
        return Log(frames=0, damaged_at=None)
    magic, _, page, _, salt_1, salt_2, *checksum = _HEADER.unpack_from(data)
    order = _MAGICS.get(magic)
    sound = order is not None and _summed(data[:24], order, (0, 0)) == tuple(checksum)
    if not sound:
        return Log(frames=0, damaged_at=0 if _holds_commits(data) else None)
    assert order is not None
    return _read_frames(list(_frames(data, page, (salt_1, salt_2))), order, (checksum[0], checksum[1]))


def _frames(data: bytes, page: int, salts: tuple[int, int]) -> Iterator[_Frame]:
    """Give the frames of this generation of the log, one after the other, sound or not."""
    for number, start in enumerate(
        range(_HEADER.size, len(data) - page - _FRAME.size + 1, page + _FRAME.size), 1
    ):
        _, size, salt_1, salt_2, *checksum = _FRAME.unpack_from(data, start)
        content = data[start : start + 8] + data[start + _FRAME.size : start + _FRAME.size + page]
        if (salt_1, salt_2) == salts:
            yield _Frame(
                number=number, commits=size > 0, checksum=(checksum[0], checksum[1]), content=content
            )


def _read_frames(frames: list[_Frame], order: str, seed: tuple[int, int]) -> Log:
    used, broken = 0, None
    before = seed
    for expected, frame in enumerate(frames, 1):
        if frame.number != expected or _summed(frame.content, order, before) != frame.checksum:
            broken = expected
            break
        before = frame.checksum
        if frame.commits:
            used = frame.number
    if broken is None:
        return Log(frames=used, damaged_at=None)
    by_number = {frame.number: frame for frame in frames}
    for frame in frames[broken - 1 :]:
        following = by_number.get(frame.number + 1)
        if (
            frame.commits
            and following is not None
            and _summed(following.content, order, frame.checksum) == following.checksum
        ):
            return Log(frames=used, damaged_at=broken)
    return Log(frames=used, damaged_at=None)


def _holds_commits(data: bytes) -> bool:
    """Whether a log whose header is damaged holds a commit: the header is synced before any frame is."""
    for page in (4096, 512, 1024, 2048, 8192, 16384, 32768, 65536):
        for start in range(_HEADER.size, len(data) - page - _FRAME.size + 1, page + _FRAME.size):
            checksum = _FRAME.unpack_from(data, start)[4:]
            if not any(checksum):
                continue  # Zeros, by which the log was made longer ahead.
            next_start = start + page + _FRAME.size
            following = data[next_start : next_start + page + _FRAME.size]
            if len(following) < page + _FRAME.size:
                break
            content = following[:8] + following[_FRAME.size :]
            if any(_summed(content, order, checksum) == _FRAME.unpack_from(following)[4:] for order in "<>"):
                return True
    return False


def _summed(data: bytes, order: str, seed: tuple[int, ...]) -> tuple[int, int]:
    """Return SQLite's checksum of the bytes, continued from `seed`."""
    one, two = seed
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for index in range(0, len(words), 2):
        one = (one + words[index] + two) & 0xFFFFFFFF
        two = (two + words[index + 1] + one) & 0xFFFFFFFF
    return one, two
