"""Reads msgpack: what a list announces is believed when it is there, and values are counted over all lists.

The parser reserves the space that a list announces before it has read what is in it, and lists can be
nested a thousand deep: 3 KiB would make it reserve 130 MB. So a message is walked through first without
building anything, which takes a nanosecond a byte; after that all lists together announce no more than
there is. Then each list and dict is counted as it is completed: by size alone, a message within the limit
could hold a million of them.
"""

from __future__ import annotations

from typing import Any

import msgpack

from .plain import (
    INTEGER_DIGITS_AT_MOST,
    SMALL_BYTES,
    Bounds,
    ValueRefused,
    checked_integer,
    read_class,
    too_deep,
    too_many,
)

__all__ = ["LONG_INTEGER", "read_msgpack"]

LONG_INTEGER = 0x31  # Pyro's msgpack extension for integers of more than 64 bits

_LONG_INTEGERS = 1000
_UNCOUNTED_BYTES = 4096
"""Up to this many bytes cannot hold enough values to be worth counting: 0.4 ms at the most."""


def read_msgpack(payload: bytes | bytearray, bounds: Bounds, *, classes: bool = True) -> object:
    """Return the value; with `classes` a dict with "__class__" is refused, else left as it is."""
    if len(payload) > SMALL_BYTES:
        return _read_large(payload, bounds, classes=classes)
    # A key is on the wire as it is, so where these bytes do not occur, there is no such dict, and
    # the parser needs not call back for each.
    hook = read_class if classes and b"__class__" in payload else None
    # Timestamps (ext -1) are read as integers: the only ones that the parser makes classes of by itself.
    return msgpack.unpackb(payload, object_hook=hook, ext_hook=_read_extension, timestamp=2)


def _read_large(payload: bytes | bytearray, bounds: Bounds, *, classes: bool) -> object:
    _walk_through(payload)
    reads_classes = classes and b"__class__" in payload
    items, a_list, a_dict, a_pair = bounds
    more_of_list = a_list - 1
    if len(payload) <= min(_UNCOUNTED_BYTES, items):
        hook = read_class if reads_classes else None
        return msgpack.unpackb(payload, object_hook=hook, ext_hook=_read_extension, timestamp=2)
    left = items
    long_integers = _LONG_INTEGERS

    def count_list(value: list[Any]) -> list[Any]:
        nonlocal left
        left -= len(value) + more_of_list
        if left < 0:
            raise too_many(items)
        return value

    def count_dict(value: dict[Any, Any]) -> dict[Any, Any]:
        nonlocal left
        left -= a_pair * len(value) + a_dict
        if left < 0:
            raise too_many(items)
        return value

    def count_and_read_class(value: dict[Any, Any]) -> object:
        return read_class(count_dict(value))

    def count_extension(code: int, data: bytes) -> int:
        nonlocal long_integers
        long_integers -= 1
        if long_integers < 0:
            raise ValueRefused(f"more than {_LONG_INTEGERS} long integers in one message")
        return _read_extension(code, data)

    most_pairs = items // a_pair
    try:
        return msgpack.unpackb(
            payload,
            list_hook=count_list,
            object_hook=count_and_read_class if reads_classes else count_dict,
            ext_hook=count_extension,
            timestamp=2,
            max_map_len=most_pairs,
        )
    except ValueError as error:
        if "max_map_len" in str(error):  # A dict is counted as a whole only when it has been built.
            raise too_many(items) from error
        raise


def _walk_through(payload: bytes | bytearray) -> None:
    """Raise unless the payload is one whole value; nothing is built, no space reserved."""
    walker = msgpack.Unpacker(max_buffer_size=len(payload))
    walker.feed(payload)
    try:
        walker.skip()
    except msgpack.OutOfData as error:
        raise ValueRefused("the message cannot be read: it ends too early") from error
    except msgpack.StackError as error:
        raise too_deep() from error
    if walker.tell() != len(payload):
        raise ValueRefused("the message cannot be read: something follows its end")


def _read_extension(code: int, data: bytes) -> int:
    if code == LONG_INTEGER and len(data) <= INTEGER_DIGITS_AT_MOST:
        return checked_integer(int(data))
    raise ValueRefused(f"a msgpack extension of type {code} is not a plain value")
