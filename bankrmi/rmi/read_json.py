"""Reads JSON: values, nesting, long integers and fractions are counted before or while it is parsed.

Commas, colons and opening brackets are counted, also those within texts; that is no more than a few too
many. What is parsed is not walked through again: text without escapes is sound because it is UTF-8, and an
integer cannot be longer than what was looked for.
"""

from __future__ import annotations

import json
from itertools import accumulate
from typing import Any

from .plain import (
    INTEGER_DIGITS_AT_MOST,
    NESTING_AT_MOST,
    SMALL_BYTES,
    Bounds,
    ValueRefused,
    checked_integer,
    read_class,
    too_deep,
    too_many,
)

__all__ = ["nesting", "read_json"]

_FRACTIONS_AT_MOST = 2000
"""Up to a microsecond each, and longer texts more: counted by length, too."""
_FRACTION_CHARACTERS = 32
_ONLY_BRACKETS = bytes(set(range(256)) - set(b"[]{}()"))
_OPENING, _CLOSING = b"[{(", b"]})"
_STEPS = [1 if byte in _OPENING else -1 if byte in _CLOSING else 0 for byte in range(256)]
_DIGITS = bytes(0x30 if byte in b"0123456789" else 0x20 for byte in range(256))
_TOO_LONG = b"0" * (INTEGER_DIGITS_AT_MOST + 1)
_LONG, _LONG_AT_MOST = b"0" * 20, 1000
_ESCAPES_AT_MOST = 20_000
_ESCAPED_CHARACTERS_BYTES = 1 << 17
"""Messages with characters in two escapes are gone over twice; those over this size are refused."""


def read_json(payload: bytes | bytearray, bounds: Bounds) -> object:
    """Return the value; raises ValueRefused or one of the parser's errors."""
    if len(payload) > SMALL_BYTES:
        _check(payload, bounds)
    text = payload.decode()
    escapes = "\\" in text
    hook = read_class if escapes or "__class__" in text else None
    value: object = json.loads(
        text,
        object_hook=hook,
        parse_float=_fractions() if len(text) > SMALL_BYTES else None,
        parse_int=_integer if _LONG in payload.translate(_DIGITS) else None,
    )
    if escapes:
        _check_surrogates(text, value)
    return value


def _check(payload: bytes | bytearray, bounds: Bounds) -> None:
    lists, dicts = payload.count(b"["), payload.count(b"{")
    # A value is a comma, or the first one in its list; a pair in a dict is two, and a colon.
    items = payload.count(b",") + bounds.a_pair * payload.count(b":")
    if items + bounds.a_list * lists + bounds.a_dict * dicts > bounds.items:
        raise too_many(bounds.items)
    if lists + dicts > NESTING_AT_MOST and nesting(payload) > NESTING_AT_MOST:
        raise too_deep()
    digits = payload.translate(_DIGITS)
    if _TOO_LONG in digits:
        raise ValueRefused(f"a number of more than {INTEGER_DIGITS_AT_MOST} digits")
    if digits.count(_LONG) > _LONG_AT_MOST:
        raise ValueRefused("too many long numbers in one message")
    if payload.count(b"\\") > _ESCAPES_AT_MOST:
        raise ValueRefused("too many escaped characters in one message: send them as UTF-8")


def nesting(payload: bytes | bytearray) -> int:
    """Return how deep brackets are nested at the deepest place; brackets within texts count, too."""
    brackets = payload.translate(None, _ONLY_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _integer(text: str) -> int:
    return checked_integer(int(text))


def _fractions() -> Any:
    left = _FRACTIONS_AT_MOST * _FRACTION_CHARACTERS

    def read(text: str) -> float:
        nonlocal left
        left -= max(len(text), _FRACTION_CHARACTERS)
        if left < 0:
            raise ValueRefused("too many fractions in one message")
        return float(text)

    return read


def _check_surrogates(text: str, value: object) -> None:
    """Refuse half a character: it could never be sent on. (Whole ones, in two escapes, are fine.)"""
    if "\\ud" in text or "\\uD" in text:
        if len(text) > _ESCAPED_CHARACTERS_BYTES:
            raise ValueRefused("too many escaped characters in one message: send them as UTF-8")
        json.dumps(value, ensure_ascii=False).encode()
