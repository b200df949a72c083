"""What may be inside a message: plain values, and nothing that becomes a class.

Plain are None, bool, int, float, str, bytes, list, tuple, set and dict of those. Pyro's serializers build
exceptions, proxies and whatever was registered out of a dict with "__class__" in it; here such a dict is
refused, with one exception: a `Pyro5.core.URI` becomes its text, so that a stock
`ns.register(name, daemon.register(obj))` works.

Rule 1: reading raises `ValueRefused` and nothing else, whatever the bytes.
Rule 2: what was read can be written again in every serializer: no lone surrogates, no endless integers.
Rule 3: writing raises `TypeError` or `ValueError` for what is not plain; it never takes an object apart.
Assumption: the frame's size was limited before (literal_eval takes a second a megabyte).
"""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Mapping
from typing import Any, NoReturn

import msgpack
import serpent
from Pyro5.core import URI

from .frames import JSON, MSGPACK, SERPENT

__all__ = [
    "ITEMS_AT_MOST",
    "ValueRefused",
    "read_call",
    "read_form",
    "read_value",
    "write_call",
    "write_value",
]

ITEMS_AT_MOST = 1 << 14
"""Items in one msgpack list of a stranger. The parser reserves the space that a list announces, and lists
can be nested 500 deep: without a limit 1 MiB makes it reserve 4 GiB."""

_INTEGER_DIGITS_AT_MOST = 4300  # more of them Python does not turn into text, nor back
_INTEGER_BITS_AT_MOST = 14000
_LONG_INTEGER = 0x31  # Pyro's msgpack extension for integers of more than 64 bits
_SCALARS = frozenset({int, str, float, bool, bytes, type(None)})
_UNREADABLE = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, OverflowError, KeyError)

Call = tuple[str, str, list[object] | tuple[object, ...], dict[str, object]]


class ValueRefused(Exception):
    """The payload is broken, or holds something that is not a plain value."""


def read_call(serializer: int, payload: bytes | bytearray, items: int = ITEMS_AT_MOST) -> Call:
    """Return object id, method, arguments and keyword arguments of a call."""
    call: Any = read_value(serializer, payload, items)
    try:
        if type(call) is dict:  # as it is in json
            call = (call["object"], call["method"], call["params"], call["kwargs"])
        object_id, method, args, kwargs = call
    except (TypeError, ValueError, KeyError) as error:
        raise ValueRefused("the call is not made of four parts") from error
    # Stock Pyro sends None for "no arguments by keyword" in batches and property reads.
    kwargs = kwargs or {}
    if (
        type(object_id) is str
        and type(method) is str
        and type(args) in (list, tuple)
        and type(kwargs) is dict
        and (not kwargs or all(type(name) is str for name in kwargs))
    ):
        return object_id, method, args, kwargs
    raise ValueRefused("the call is not made of an object id, a method name and arguments")


def read_value(serializer: int, payload: bytes | bytearray, items: int = ITEMS_AT_MOST) -> object:
    """Return the one value in the payload."""
    try:
        if serializer == MSGPACK:
            return _read_msgpack(payload, items)
        return _READERS[serializer](payload)
    except ValueRefused:
        raise
    except _UNREADABLE as error:
        raise ValueRefused("the message cannot be read") from error


def read_form(payload: bytes | bytearray, items: int = ITEMS_AT_MOST) -> object:
    """Return what an answer in msgpack holds, dicts that stand for errors left as they are."""
    try:
        return msgpack.unpackb(
            payload, ext_hook=_read_extension, timestamp=2, max_array_len=items, max_map_len=items
        )
    except _UNREADABLE as error:
        raise ValueRefused("the answer cannot be read") from error


def write_value(serializer: int, value: object) -> bytes:
    """Return the value as a stock client reads it; sets become lists where there are none."""
    if serializer == MSGPACK:
        return msgpack.packb(value, default=_write_special)  # type: ignore[no-any-return]
    if serializer == JSON:
        return json.dumps(value, ensure_ascii=False, default=_write_special).encode()
    return serpent.dumps(_plain_for_serpent(value), module_in_classname=True)  # type: ignore[no-any-return]


def write_call(
    object_id: str, method: str, args: tuple[object, ...] | list[object], kwargs: Mapping[str, object]
) -> bytes:
    """Return a call in msgpack, the serializer between our own parties."""
    return msgpack.packb((object_id, method, args, kwargs), default=_write_special)  # type: ignore[no-any-return]


# --- msgpack ------------------------------------------------------------------------------------------


def _read_msgpack(payload: bytes | bytearray, items: int) -> object:
    # A key is on the wire as it is, so where these bytes do not occur, there is no such dict, and
    # the parser needs not call back for each.
    hook = _read_class if b"__class__" in payload else None
    # Timestamps (ext -1) are read as integers: the only ones that the parser makes classes of by itself.
    return msgpack.unpackb(
        payload,
        object_hook=hook,
        ext_hook=_read_extension,
        timestamp=2,
        max_array_len=items,
        max_map_len=items,
    )


def _read_extension(code: int, data: bytes) -> int:
    if code == _LONG_INTEGER and len(data) <= _INTEGER_DIGITS_AT_MOST:
        return int(data)
    raise ValueRefused(f"a msgpack extension of type {code} is not a plain value")


def _write_special(value: object) -> object:
    """Return a plain value for what the serializers do not know and Pyro has a form for."""
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, URI):
        return _uri_form(value)
    if type(value) is int:
        return msgpack.ExtType(_LONG_INTEGER, str(value).encode())
    raise TypeError(f"{type(value).__name__} is not a plain value")


# --- json and serpent ---------------------------------------------------------------------------------


def _read_json(payload: bytes | bytearray) -> object:
    # Counted before it is parsed: a megabyte of empty lists would keep us for a tenth of a second.
    if payload.count(b",") > 4 * ITEMS_AT_MOST:
        raise ValueRefused("too many values in one message")
    return _checked(json.loads(payload.decode()))


def _read_serpent(payload: bytes | bytearray) -> object:
    # Not serpent.loads: it switches the garbage collector on, also where the process runs without.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a strange backslash in a stranger's text is not our warning
        return _checked(ast.literal_eval(payload.decode()))


_READERS = {JSON: _read_json, SERPENT: _read_serpent}


def _checked(value: object) -> object:
    """Return the value with URIs as text; raise ValueRefused for what is not plain."""
    kind = type(value)
    if kind is str:
        if not value.isascii():  # type: ignore[attr-defined]
            value.encode()  # type: ignore[attr-defined]  # a lone surrogate raises; it could never be sent on
        return value
    if kind is int:
        if value.bit_length() > _INTEGER_BITS_AT_MOST:  # type: ignore[attr-defined]
            raise ValueRefused("an integer is too long")
        return value
    if kind in _SCALARS:
        return value
    if kind is dict:
        return _read_class({_checked(key): _checked(item) for key, item in value.items()})  # type: ignore[attr-defined]
    if kind in (list, tuple, set):
        return kind(map(_checked, value))  # type: ignore[call-overload]
    raise ValueRefused(f"{kind.__name__} is not a plain value")


def _read_class(value: dict[object, object]) -> object:
    if "__class__" not in value:
        return value
    if value["__class__"] == "Pyro5.core.URI":
        return _uri_text(value.get("state"))
    raise ValueRefused("objects of classes are not accepted, only plain values")


def _uri_text(state: object) -> str:
    """Return the URI as text, without Pyro's own parser: it is a regular expression."""
    match state:
        case (str(protocol), str(name), None, str(host), int(port)):
            return f"{protocol}:{name}@{host}:{port}"
        case (str(protocol), str(name), str(path), None, None):
            return f"{protocol}:{name}@./u:{path}"
        case _:
            raise ValueRefused("this is not a URI")


def _uri_form(uri: URI) -> dict[str, object]:
    return {"__class__": "Pyro5.core.URI", "state": list(uri.__getstate__())}


def _plain_for_serpent(value: object) -> object:
    """Return the value if it is plain; serpent would write out the attributes of any object."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is dict:
        return {key: _plain_for_serpent(item) for key, item in value.items()}  # type: ignore[attr-defined]
    if kind in (list, tuple):
        return kind(map(_plain_for_serpent, value))  # type: ignore[call-overload]
    if kind in (set, frozenset):
        return set(value)  # type: ignore[call-overload]
    if isinstance(value, URI):
        return _uri_form(value)
    return _not_plain(value)


def _not_plain(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} is not a plain value")
