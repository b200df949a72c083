"""Pyro's wire protocol (502), as far as bytes go: pure, no sockets, no clock.

A reader is fed with bytes as they come and gives back whole frames. It judges a frame by its 40-byte
header, before the rest has arrived: what is too large, compressed or of an unknown kind is refused
without ever being held, so that a stranger can cost us no more memory than the rules allow.

Rule 1: every line that looks at a header lives in this file.
Rule 2: nothing is decompressed, and no annotation is looked at; they are only counted and skipped.
Rule 3: the rules in force when a frame is *taken* are those that it is judged by, so a caller that
        takes one frame at a time can change them after a handshake, whatever arrived with it.
Assumption: who is told `FrameRefused` takes no further frame from that reader.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "BATCH",
    "COMPRESSED",
    "CONNECT",
    "CONNECT_FAIL",
    "CONNECT_OK",
    "CORRELATED",
    "EXCEPTION",
    "HEADER_BYTES",
    "INVOKE",
    "JSON",
    "KEEP_SERIALIZED",
    "MARSHAL",
    "MSGPACK",
    "NO_CORRELATION",
    "ONEWAY",
    "PING",
    "RESULT",
    "SERPENT",
    "Frame",
    "FrameReader",
    "FrameRefused",
    "Rules",
    "frame_bytes",
]

CONNECT, CONNECT_OK, CONNECT_FAIL, INVOKE, RESULT, PING = 1, 2, 3, 4, 5, 6
EXCEPTION, COMPRESSED, ONEWAY, BATCH, ITEM_STREAM, KEEP_SERIALIZED, CORRELATED = 1, 2, 4, 8, 16, 32, 64
SERPENT, MARSHAL, JSON, MSGPACK = 1, 2, 3, 4

WIRE_VERSION = 502
HEADER_BYTES = 40
NO_CORRELATION = bytes(16)
_MAGIC = 0x4DC5
_PREFIX = b"PYRO" + WIRE_VERSION.to_bytes(2, "big")
_HEADER = struct.Struct("!4sHBBHHII16sHH")
_header_of = _HEADER.unpack_from
_pack_header = _HEADER.pack
_new = tuple.__new__
"""Makes a tuple with names for its places in one call, and not in two."""
_SERIALIZER_NAMES = {SERPENT: "serpent", MARSHAL: "marshal", JSON: "json", MSGPACK: "msgpack"}


class Frame(NamedTuple):
    """One whole message. A tuple and not a dataclass: it is made once for every call."""

    kind: int
    serializer: int
    flags: int
    sequence: int
    correlation: bytes
    payload: bytes | bytearray


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a frame may be, on one connection, now."""

    kinds: frozenset[int]
    payload_bytes: Mapping[int, int]
    """How large by serializer, annotations included; a serializer that is not in here is refused."""
    annotation_bytes: int = 4096
    ping_bytes: int = 4096
    """A ping is not serialized, whatever its header says."""


class FrameRefused(Exception):
    """A frame breaks the rules; what follows it on the connection cannot be read.

    `kind` is 0 where not even the header was one of ours, so that there is nobody to be answered.
    """

    def __init__(
        self, message: str, *, kind: int = 0, serializer: int = 0, flags: int = 0, sequence: int = 0
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.serializer = serializer
        self.flags = flags
        self.sequence = sequence


def frame_bytes(
    kind: int,
    serializer: int,
    flags: int,
    sequence: int,
    payload: bytes,
    correlation: bytes = NO_CORRELATION,
) -> bytes:
    """Return the frame as it goes onto the wire; a correlation id of zeros means none."""
    if correlation != NO_CORRELATION:
        flags |= CORRELATED
    return (
        _pack_header(
            b"PYRO",
            WIRE_VERSION,
            kind,
            serializer,
            flags,
            sequence,
            len(payload),
            0,
            correlation,
            0,
            _MAGIC,
        )
        + payload
    )


class FrameReader:
    """Takes bytes in pieces of any size, gives frames one at a time."""

    __slots__ = ("_data", "_start", "rules")

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._data: bytes | bytearray = b""
        self._start = 0

    @property
    def pending(self) -> int:
        """How many bytes were fed that no frame was made of yet."""
        return len(self._data) - self._start

    def feed(self, data: bytes) -> None:
        """Add what arrived. The usual case, a whole frame and nothing before it, copies nothing."""
        if self._start == len(self._data):
            self._data = data
            self._start = 0
            return
        held = self._data
        if not isinstance(held, bytearray):
            held = self._data = bytearray(memoryview(held)[self._start :])
        elif self._start:
            del held[: self._start]
        self._start = 0
        held += data

    def is_next(self, kind: int) -> bool:
        """Whether what was fed begins with a header of this kind."""
        data, start = self._data, self._start
        return len(data) - start >= HEADER_BYTES and _header_of(data, start)[2] == kind

    def take(self) -> Frame | None:
        """Return the next frame, or None until more was fed. Raises FrameRefused."""
        data, start = self._data, self._start
        available = len(data) - start
        if available < HEADER_BYTES:
            if available:
                self._check_prefix(bytes(data[start : start + 6]))
            return None
        header = _header_of(data, start)
        tag, version, kind, serializer, flags, sequence, size, annotations, correlation, _, magic = header
        if tag != b"PYRO" or version != WIRE_VERSION or magic != _MAGIC:
            raise FrameRefused("not a message of Pyro's protocol 502")
        rules = self.rules
        if (
            kind not in rules.kinds
            or flags & (COMPRESSED | KEEP_SERIALIZED)
            or annotations > rules.annotation_bytes
            or size + annotations > rules.payload_bytes.get(serializer, -1)
        ):
            self._check(kind, serializer, flags, sequence, size, annotations)
        body = start + HEADER_BYTES + annotations
        end = body + size
        if end > len(data):
            return None
        if end == len(data):
            self._data = b""
            self._start = 0
        else:
            self._start = end
        return _new(Frame, (kind, serializer, flags, sequence, correlation, data[body:end]))

    def _check_prefix(self, prefix: bytes) -> None:
        """Refuse what is not Pyro at its first byte, rather than wait for forty of them."""
        if not _PREFIX.startswith(prefix):
            raise FrameRefused("not a message of Pyro's protocol 502")

    def _check(
        self, kind: int, serializer: int, flags: int, sequence: int, size: int, annotations: int
    ) -> None:
        """Raise with the reason, if there is one; called only where the quick test found something."""
        rules = self.rules
        limit = rules.ping_bytes if kind == PING else rules.payload_bytes.get(serializer)
        reason = None
        if kind not in rules.kinds:
            reason = f"a message of kind {kind} is not expected here"
        elif limit is None:
            reason = f"the {_SERIALIZER_NAMES.get(serializer, serializer)} serializer is not accepted"
        elif flags & COMPRESSED:
            reason = "compressed messages are not accepted"
        elif flags & KEEP_SERIALIZED:
            reason = "serialized blobs are not accepted"
        elif annotations > rules.annotation_bytes:
            reason = f"annotations of {annotations} bytes are over the limit of {rules.annotation_bytes}"
        elif size + annotations > limit:
            reason = f"a message of {size + annotations} bytes is over the limit of {limit}"
        if reason is not None:
            raise FrameRefused(reason, kind=kind, serializer=serializer, flags=flags, sequence=sequence)
