"""Things that never change, each once; a number stands for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

__all__ = ["InternTable"]

_PLAIN = (int, str, bytes, type(None), Enum)


class InternTable:
    """Views, messages, replies, events: equal things have one number, whatever notes there are on them."""

    def __init__(self) -> None:
        self._things: list[Any] = []
        self._number_of: dict[Any, int] = {}
        self._known: dict[int, int] = {}  # By identity; the things live as long as this.

    def __getitem__(self, number: int) -> Any:
        return self._things[number]

    def number(self, thing: Any) -> int:
        """Return the number of a thing."""
        known = self._known.get(id(thing))
        if known is not None:
            return known
        consists_of = _consists_of(thing)
        number = self._number_of.get(consists_of)
        if number is None:
            number = self._number_of[consists_of] = len(self._things)
            self._things.append(thing)
            self._known[id(thing)] = number
        return number


def _consists_of(thing: Any) -> Any:
    """Return what a thing consists of, in a form that can be hashed."""
    if isinstance(thing, _PLAIN):
        return thing
    if is_dataclass(thing):
        compared = [field.name for field in fields(thing) if field.compare]
        return (type(thing), *[_consists_of(getattr(thing, name)) for name in compared])
    if isinstance(thing, Mapping):
        return (Mapping, *sorted(thing.items()))
    if isinstance(thing, frozenset):
        return (frozenset, *sorted(thing))
    if isinstance(thing, Sequence):
        named = type(thing) if hasattr(thing, "_fields") else Sequence
        return (named, *[_consists_of(one) for one in thing])
    raise TypeError(f"a {type(thing).__qualname__} may change, and cannot be kept")
