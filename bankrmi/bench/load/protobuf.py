"""Protocol buffers, as far as etcd's messages need them: written field by field, read as (number, value)."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["field", "fields", "first", "number"]

_BYTES = 2
_VARINT = 0
_SIZES = {1: 8, 5: 4}


def number(place: int, value: int) -> bytes:
    """Write a field that is a number."""
    return _varint(place << 3 | _VARINT) + _varint(value)


def field(place: int, *value: bytes) -> bytes:
    """Write a field that is bytes, or a message."""
    whole = b"".join(value)
    return _varint(place << 3 | _BYTES) + _varint(len(whole)) + whole


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a message in order."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _read_varint(message, at)
            yield key >> 3, value
        else:
            size, at = _read_varint(message, at) if kind == _BYTES else (_SIZES[kind], at)
            yield key >> 3, message[at : at + size]
            at += size


def first(message: bytes, place: int) -> int | bytes | None:
    """Return the first field of that number."""
    return next((value for key, value in fields(message) if key == place), None)


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
