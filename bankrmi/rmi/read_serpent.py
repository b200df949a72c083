"""Reads serpent: the literals of Python that serpent writes, and no others.

Not by `ast.literal_eval`, which builds a syntax tree (a second a megabyte), takes sums, chains of minus
signs and adjoining texts, and goes looking for a good error message for what is not a literal. This reader
splits the text once, and goes over the pieces once; each costs about the same.

    value   None, True, False, number, 'text', "text", b'bytes', [value, …], (value, …), {value, …},
            {value: value, …}; spaces and line ends between; a first line that begins with #
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable

from .plain import (
    INTEGER_DIGITS_AT_MOST,
    NESTING_AT_MOST,
    Bounds,
    ValueRefused,
    checked_integer,
    read_class,
    too_deep,
    too_many,
)

__all__ = ["SERPENT_ITEMS_AT_MOST", "read_serpent"]

SERPENT_ITEMS_AT_MOST = 4_000
"""Commas, colons and twice the opening brackets: a batch of 800 operations has 4 000."""

_FRACTIONS_AT_MOST = 500

_ESCAPED_TEXTS_AT_MOST = 256
"""Python's own reader takes ten times as long for one of them."""

# A quote that is not closed takes the rest with it, so that the text is gone over once.
_PIECES = re.compile(
    r"""[bB]?'[^'\\\n]*(?:\\.[^'\\\n]*)*'|[bB]?"[^"\\\n]*(?:\\.[^"\\\n]*)*"|[\[\](){},:]|[^\s\[\](){},:'"]+|['"].*""",
    re.DOTALL,
)
_NAMES: dict[str, object] = {"None": None, "True": True, "False": False}
_QUOTES = frozenset("'\"")
_OPENING = frozenset("[({")
_MAY_BEGIN_NUMBERS = frozenset("0123456789-+.")
_MAY_END_NUMBERS = frozenset("0123456789.")


def read_serpent(payload: bytes | bytearray, bounds: Bounds) -> object:
    """Return the value; raises ValueRefused, or ValueError or TypeError for what is not one."""
    items = min(bounds.items, SERPENT_ITEMS_AT_MOST)
    separators = payload.count(b",") + payload.count(b":")
    brackets = payload.count(b"[") + payload.count(b"(") + payload.count(b"{")
    if separators + 2 * brackets > items:
        raise too_many(items)
    if payload.startswith(b"#"):
        payload = payload[payload.find(b"\n") + 1 :]
    text = payload.decode()
    if len(payload.split(None, 3 * items)) > 3 * items:
        raise too_many(items)
    pieces = _PIECES.findall(text)
    if len(pieces) > 3 * items:
        raise too_many(items)
    if "\\" not in text:
        return _Reader(pieces).whole()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a strange backslash in a stranger's text is not our warning
        return _Reader(pieces).whole()


class _Reader:
    """Goes over the pieces of one text."""

    __slots__ = ("_depth", "_escaped", "_fractions", "_known", "_next")

    def __init__(self, pieces: list[str]) -> None:
        pieces.reverse()
        self._next: Callable[[], str] = pieces.pop
        pieces.insert(0, "")  # the end: it is not a value, and closes nothing
        self._known: dict[str, object] = dict(_NAMES)  # what the same pieces came to before
        self._depth = 0
        self._escaped = self._fractions = 0

    def whole(self) -> object:
        value = self._value(self._next())
        if self._next():
            raise ValueRefused("the message cannot be read: something follows its end")
        return value

    def _value(self, piece: str) -> object:
        if piece in self._known:
            return self._known[piece]
        first = piece[:1]
        if first in _MAY_BEGIN_NUMBERS:
            scalar = self._known[piece] = self._number(piece)
            return scalar
        if first in _QUOTES or piece[1:2] in _QUOTES:
            text = self._known[piece] = self._text(piece)
            return text
        if first in _OPENING:
            self._depth += 1
            if self._depth > NESTING_AT_MOST:
                raise too_deep()
            value = self._list() if first == "[" else self._tuple() if first == "(" else self._dict()
            self._depth -= 1
            return value
        raise ValueRefused("the message cannot be read: it is not what serpent writes")

    def _list(self) -> list[object]:
        found: list[object] = []
        self._values_until("]", found)
        return found

    def _tuple(self) -> object:
        found: list[object] = []
        closed_after_comma = self._values_until(")", found)
        return found[0] if len(found) == 1 and not closed_after_comma else tuple(found)

    def _values_until(self, end: str, found: list[object]) -> bool:
        """Add values until the end; return whether a comma came just before it."""
        take, value, known = self._next, self._value, self._known
        piece = take()
        while piece != end:
            found.append(known[piece] if piece in known else value(piece))
            piece = take()
            if piece == end:
                return False
            if piece != ",":
                raise ValueRefused("the message cannot be read: there is no comma between two values")
            piece = take()
        return True

    def _dict(self) -> object:
        piece = self._next()
        if piece == "}":
            return {}
        first = self._value(piece)
        piece = self._next()
        if piece != ":":
            return self._set(first, piece)
        found = {_key(first): self._value(self._next())}
        piece = self._next()
        while piece == "," and (piece := self._next()) != "}":
            key = self._value(piece)
            if self._next() != ":":
                break
            found[_key(key)] = self._value(self._next())
            piece = self._next()
        if piece != "}":
            raise ValueRefused("the message cannot be read: a dict has no end")
        return read_class(found)

    def _set(self, first: object, piece: str) -> set[object]:
        found = [first]
        if piece == ",":
            self._values_until("}", found)
        elif piece != "}":
            raise ValueRefused("the message cannot be read: there is no comma between two values")
        return set(map(_key, found))

    def _text(self, piece: str) -> str | bytes:
        if piece[-1] not in _QUOTES or "\n" in piece.replace("\\\n", "") or len(piece) < 2:
            raise ValueRefused("the message cannot be read: a text has no end")
        if "\\" not in piece and piece[0] in _QUOTES:
            return piece[1:-1]
        self._escaped += 1
        if self._escaped > _ESCAPED_TEXTS_AT_MOST:
            raise ValueRefused(f"more than {_ESCAPED_TEXTS_AT_MOST} texts with backslashes in one message")
        text = ast.literal_eval(piece)
        if isinstance(text, str):
            text.encode()  # half a character raises; it could never be sent on
            return text
        if isinstance(text, bytes):
            return text
        raise ValueRefused("the message cannot be read: it is not what serpent writes")

    def _number(self, piece: str) -> int | float:
        if len(piece) > INTEGER_DIGITS_AT_MOST or piece[-1] not in _MAY_END_NUMBERS or not piece.isascii():
            raise ValueRefused("the message cannot be read: this is not a number, or too long a one")
        try:
            value = int(piece)
        except ValueError:
            self._fractions += 1
            if self._fractions > _FRACTIONS_AT_MOST:
                raise ValueRefused("too many fractions in one message") from None
            return float(piece)
        return checked_integer(value)


def _key(value: object) -> object:
    """Return what may be a key, or in a set: of tuples, too, any number fall upon each other."""
    if type(value) is tuple:
        raise ValueRefused("the message cannot be read: keys of dicts and members of sets are single values")
    return value
