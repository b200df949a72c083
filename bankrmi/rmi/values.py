"""What may be inside a message: plain values, and nothing that becomes a class.

Pyro's serializers build exceptions, proxies and whatever was registered out of a dict with "__class__" in
it; here such a dict is refused, with one exception (see `plain`), so that a stock
`ns.register(name, daemon.register(obj))` works.

Rule 1: reading raises `ValueRefused` and nothing else, whatever the bytes.
Rule 2: what was read can be written again in every serializer: no lone surrogates, no endless integers.
Rule 3: writing raises `TypeError` or `ValueError` for what is not plain; it never takes an object apart.
Rule 4: what a message may contain is bounded before it is built: values over all its lists, and nesting.
Assumption: the frame's size was limited before.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, NoReturn

import msgpack
import serpent
from Pyro5.core import URI

from .frames import JSON, MSGPACK
from .plain import CALL, ITEMS_AT_MOST, Bounds, ValueRefused
from .read_json import read_json
from .read_msgpack import LONG_INTEGER, read_msgpack
from .read_serpent import read_serpent

__all__ = [
    "CALL",
    "ITEMS_AT_MOST",
    "Bounds",
    "ValueRefused",
    "join_values",
    "pack_list_header",
    "read_call",
    "read_form",
    "read_value",
    "write_call",
    "write_value",
]

_KEPT_BYTES = 1 << 17
"""A packer keeps the room that its largest value took."""
_SCALARS = frozenset({int, str, float, bool, bytes, type(None)})
_UNREADABLE = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, OverflowError, KeyError)
_SERPENT_HEADER: bytes = serpent.dumps(None).partition(b"None")[0]
pack_list_header = msgpack.Packer().pack_array_header

Call = tuple[str, str, list[object] | tuple[object, ...], dict[str, object]]


def read_call(serializer: int, payload: bytes | bytearray, bounds: Bounds = CALL) -> Call:
    """Return object id, method, arguments and keyword arguments of a call."""
    call: Any = read_value(serializer, payload, bounds)
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


def read_value(serializer: int, payload: bytes | bytearray, bounds: Bounds = CALL) -> object:
    """Return the one value in the payload, if it holds no more than that."""
    try:
        if serializer == MSGPACK:
            return read_msgpack(payload, bounds)
        return read_json(payload, bounds) if serializer == JSON else read_serpent(payload, bounds)
    except ValueRefused:
        raise
    except _UNREADABLE as error:
        raise ValueRefused("the message cannot be read") from error


def read_form(payload: bytes | bytearray, bounds: Bounds = CALL) -> object:
    """Return what an answer in msgpack holds, dicts that stand for errors left as they are."""
    try:
        return read_msgpack(payload, bounds, classes=False)
    except ValueRefused:
        raise
    except _UNREADABLE as error:
        raise ValueRefused("the answer cannot be read") from error


def write_value(serializer: int, value: object) -> bytes:
    """Return the value as a stock client reads it; sets become lists where there are none."""
    if serializer == MSGPACK:
        return _packed(value)
    if serializer == JSON:
        return json.dumps(value, ensure_ascii=False, default=_write_special).encode()
    return serpent.dumps(_plain_for_serpent(value), module_in_classname=True)  # type: ignore[no-any-return]


def join_values(serializer: int, written: list[bytes]) -> bytes:
    """Return the list of values that were written one by one."""
    if serializer == MSGPACK:
        header: bytes = pack_list_header(len(written))
        return header + b"".join(written)
    if serializer == JSON:
        return b"[" + b",".join(written) + b"]"
    return _SERPENT_HEADER + b"[" + b",".join(one.removeprefix(_SERPENT_HEADER) for one in written) + b"]"


def write_call(
    object_id: str, method: str, args: tuple[object, ...] | list[object], kwargs: Mapping[str, object]
) -> bytes:
    """Return a call in msgpack, the serializer between our own parties."""
    return _packed((object_id, method, args, kwargs))


def _packed(value: object) -> bytes:
    content: bytes = _packers.pack(value)
    if len(content) > _KEPT_BYTES:
        _packers.renew()
    return content


def _write_special(value: object) -> object:
    """Return a plain value for what the serializers do not know and Pyro has a form for."""
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, URI):
        return _uri_form(value)
    if type(value) is int:
        return msgpack.ExtType(LONG_INTEGER, str(value).encode())
    raise TypeError(f"{type(value).__name__} is not a plain value")


class _Packers(threading.local):
    """One for each thread: to make one takes longer than to pack a small value."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.pack = msgpack.Packer(default=_write_special, autoreset=True).pack


_packers = _Packers()


def _uri_form(uri: URI) -> dict[str, object]:
    return {"__class__": "Pyro5.core.URI", "state": list(uri.__getstate__())}


def _plain_for_serpent(value: object) -> object:
    """Return the value if it is plain; serpent would write out the attributes of any object."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is dict:
        return {key: _plain_for_serpent(item) for key, item in value.items()}  # type: ignore[attr-defined]
    if kind is list:
        return [_plain_for_serpent(item) for item in value]  # type: ignore[attr-defined]
    if isinstance(value, tuple):  # one with names for its places, too
        return tuple(map(_plain_for_serpent, value))
    if kind in (set, frozenset):
        return set(value)  # type: ignore[call-overload]
    if isinstance(value, URI):
        return _uri_form(value)
    return _not_plain(value)


def _not_plain(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} is not a plain value")
