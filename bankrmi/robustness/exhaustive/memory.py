"""What a server's process remembers, as one value that can be compared and hashed; and back again.

Rule 1: every field of every object of the rules is in the value, found by looking, so that a field that is
        added tomorrow is, too.  What is left out is named below, each with its reason.
Rule 2: every float in the rules' memory is a moment of the server's own clock (lengths of time are named
        below).  It is kept as its age, rounded down to a landmark: between two landmarks nothing falls due.
Rule 3: what is never changed after it was made (views, messages, events, entries) is kept once, and stands
        in the value as a number.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from bankrmi.replication.replica import Replica

__all__ = ["NOW_MS", "Kept", "Memory"]

NOW_MS = 1e6
"""What the clock says whenever a server is woken from a value; long after anything that it remembers."""

_LEFT_OUT: dict[str, Any] = {
    "journal": None,  # The disk is a value of its own.
    "settings": None,  # The same for ever.
    "new_id": None,  # A function.
    "_handlers": None,  # Functions.
    "now_ms": NOW_MS,  # Set by the next step.
    "effects": None,  # Of the step that is over.
    "role_since_ms": NOW_MS,  # For people.
    "_probes": 0,  # Only how long to wait before the next look; here it may take any time.
}
_LENGTHS = frozenset({"_length_ms"})

_PLAIN = frozenset({int, str, bool, bytes, type(None)})
_AGAIN, _LIST, _DICT, _DEQUE, _TUPLE, _KEPT, _LENGTH = range(-7, 0)
"""What a tuple in a value stands for; from 0 on, it is an object of the class with that number."""


class Kept:
    """Things that never change, each once; a number stands for it."""

    def __init__(self) -> None:
        self._things: list[Any] = []
        self._number_of: dict[Any, int] = {}
        self._known: dict[int, int] = {}  # By identity; the things live as long as this.

    def __getitem__(self, number: int) -> Any:
        return self._things[number]

    def number(self, thing: Any) -> int:
        """Return the number of a thing; equal things have one number."""
        known = self._known.get(id(thing))
        if known is not None:
            return known
        plain = _plain(thing)
        number = self._number_of.get(plain)
        if number is None:
            number = self._number_of[plain] = len(self._things)
            self._things.append(thing)
            self._known[id(thing)] = number
        return number


def _plain(thing: Any) -> Any:
    """Return what a thing consists of, in a form that can be hashed."""
    if type(thing) in _PLAIN or isinstance(thing, Enum):
        return thing
    if is_dataclass(thing):
        return (type(thing), *(_plain(getattr(thing, field.name)) for field in fields(thing)))
    if isinstance(thing, Mapping):
        return (Mapping, *sorted(thing.items()))
    if isinstance(thing, frozenset):
        return (frozenset, *sorted(thing))
    if isinstance(thing, Sequence):
        named = type(thing) if hasattr(thing, "_fields") else Sequence
        return (named, *map(_plain, thing))
    return thing


class Memory:
    """Turns replicas into values and back.  `landmarks_ms` are the ages that make a difference."""

    def __init__(self, kept: Kept, landmarks_ms: Sequence[float]) -> None:
        self._kept = kept
        self._landmarks = list(landmarks_ms)
        self._classes: list[type] = []
        self._class_number: dict[type, int] = {}
        self._attributes: list[tuple[str, ...]] = []
        self._defaults: list[tuple[tuple[str, Any], ...]] = []

    def age(self, moment_ms: float, now_ms: float) -> float:
        """Return how long ago that was, as far as it makes a difference."""
        age = now_ms - moment_ms
        if age < 0:
            return float(round(age))
        return self._landmarks[bisect_right(self._landmarks, age) - 1]

    # -- to a value ------------------------------------------------------------------------------

    def value_of(self, replica: Replica, now_ms: float) -> tuple[Any, ...]:
        """Return everything that the replica remembers, at this moment."""
        seen: dict[int, int] = {}

        def value(thing: Any) -> Any:
            kind = type(thing)
            if kind in _PLAIN:
                return thing
            if kind is float:
                return self.age(thing, now_ms)
            if kind is tuple:
                return (_TUPLE, *map(value, thing))
            if kind is list:
                return (_LIST, *map(value, thing))
            if kind is dict:
                return (_DICT, *((key, value(held)) for key, held in thing.items()))
            if kind is deque:
                return (_DEQUE, *map(value, thing))
            number = self._class_number.get(kind)
            if number is None:
                if _never_changes(kind):
                    return (_KEPT, self._kept.number(thing))
                number = self._learn(thing)
            known = seen.get(id(thing))
            if known is not None:
                return (_AGAIN, known)
            seen[id(thing)] = len(seen)
            return (number, *[
                (_LENGTH, getattr(thing, name)) if name in _LENGTHS else value(getattr(thing, name))
                for name in self._attributes[number]
            ])

        whole: tuple[Any, ...] = value(replica)
        return whole

    def _learn(self, thing: Any) -> int:
        kind = type(thing)
        if not kind.__module__.startswith("bankrmi."):
            raise TypeError(f"the rules remember a {kind.__qualname__}, and nobody said what that is")
        names = vars(thing) if hasattr(thing, "__dict__") else kind.__slots__  # type: ignore[attr-defined]
        number = self._class_number[kind] = len(self._classes)
        self._classes.append(kind)
        self._attributes.append(tuple(name for name in names if name not in _LEFT_OUT))
        self._defaults.append(tuple((name, _LEFT_OUT[name]) for name in names if name in _LEFT_OUT))
        return number

    # -- and back --------------------------------------------------------------------------------

    def replica_of(self, value: tuple[Any, ...]) -> Replica:
        """Return a replica that remembers this, at NOW_MS; the journal and the settings are still to come."""
        made: list[Any] = []
        kept = self._kept

        def thing(value: Any) -> Any:
            kind = type(value)
            if kind is float:
                return NOW_MS - value
            if kind is not tuple:
                return value
            number = value[0]
            if number >= 0:
                return an_object(number, value)
            if number == _AGAIN:
                return made[value[1]]
            if number == _KEPT:
                return kept[value[1]]
            if number == _TUPLE:
                return tuple([thing(held) for held in value[1:]])
            if number == _LIST:
                return [thing(held) for held in value[1:]]
            if number == _DICT:
                return {key: thing(held) for key, held in value[1:]}
            if number == _DEQUE:
                return deque([thing(held) for held in value[1:]])
            return value[1]

        def an_object(number: int, value: tuple[Any, ...]) -> Any:
            kind = self._classes[number]
            made_now = kind.__new__(kind)
            made.append(made_now)
            for name, held in zip(self._attributes[number], value[1:], strict=True):
                setattr(made_now, name, thing(held))
            for name, default in self._defaults[number]:
                setattr(made_now, name, default)
            return made_now

        replica = thing(value)
        assert isinstance(replica, Replica)
        replica._handlers = replica._event_handlers()
        return replica


def _never_changes(kind: type) -> bool:
    """Whether things of this kind are values: frozen dataclasses, named tuples, enumerations."""
    frozen = is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    return frozen or issubclass(kind, (tuple, Enum, frozenset))
