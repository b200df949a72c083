"""What a server's process remembers, as one value that can be compared and hashed; and back again.

Rule 1: every field of every object of the rules is in the value, found by looking, so that a field that is
        added tomorrow is, too.  What is left out is named below, each with its reason.
Rule 2: every float in the rules' memory is a moment of the server's own clock.  It is kept as its age,
        rounded down to a landmark: between two landmarks nothing falls due.  Lengths of time are integers.
Rule 3: what is never changed after it was made (views, messages, events, entries) is kept once, and stands
        in the value as a number.
Assumption: the rules' memory is a tree: whatever can change hangs in one place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from enum import Enum
from operator import attrgetter
from typing import Any

from bankrmi.replication.figures import Figures
from bankrmi.replication.pace import Pace
from bankrmi.replication.replica import Replica
from bankrmi.replication.takeover import Takeovers
from bankrmi.robustness.exhaustive.kept import InternTable

__all__ = ["NOW_MS", "MemoryCodec"]

NOW_MS = 1e6
"""What the clock says whenever a server is woken from a value; long after anything that it remembers."""

_LEFT_OUT: dict[str, Any] = {
    "journal": None,  # The disk is a value of its own.
    "settings": None,  # The same for ever, as no server comes or goes here.
    "_told": None,
    "_new_id": None,  # A function.
    "_now_ms": NOW_MS,  # Set by the next step.
    "_listened_ms": NOW_MS,  # Nobody is ever late here.
    "_pace": Pace(NOW_MS, 20.0),  # Only a lag of thousands of entries slows anybody down.
    "role_since_ms": NOW_MS,  # For people, as the next four: only the cause of a view is made of them.
    "_refused_at": None,
    "_answers_looks": False,
    "_last_word_ms": float("-inf"),  # As the next three: no operator pauses anything here, or takes over.
    "_looked_ms": float("-inf"),
    "_takeovers": Takeovers(),
    "_reads_at_once": None,  # Reckoned anew after each step.
    "pausing": None,
    "refused_at": None,
    "stopping": False,
    "figures": Figures(),  # For people.
    "_confirmed_epoch": 0,  # The few epochs that there are here are all believed unseen.
    "_probes": 0,  # Only how long to wait before the next look; here it may take any time.
}

_PLAIN = frozenset({int, str, bool, bytes, type(None)})
_LIST, _DICT, _DEQUE, _TUPLE, _KEPT = range(-5, 0)
"""What a tuple in a value stands for; from 0 on, it is an object of the class with that number."""


class MemoryCodec:
    """Turns replicas into values and back.

    `landmarks_ms` are the ages that make a difference.
    """

    def __init__(self, kept: InternTable, landmarks_ms: Sequence[float]) -> None:
        self._kept = kept
        self._landmarks = list(landmarks_ms)
        self._classes: list[_Class] = []
        self._class_number: dict[type, int] = {}

    def age(self, moment_ms: float, now_ms: float) -> float:
        """Return how long ago that was, as far as it makes a difference."""
        age = now_ms - moment_ms
        if age < 0:
            return float(round(age))
        return self._landmarks[bisect_right(self._landmarks, age) - 1]

    # -- to a value ------------------------------------------------------------------------------

    def value_of(self, replica: Replica, now_ms: float) -> tuple[Any, ...]:
        """Return everything that the replica remembers, at this moment."""
        class_number, classes = self._class_number, self._classes

        def value(thing: Any) -> Any:
            kind = type(thing)
            number = class_number.get(kind)
            if number is not None:
                held = classes[number].get(thing)
                return (number, *[one if type(one) in _PLAIN else value(one) for one in held])
            if kind is float:
                return self.age(thing, now_ms)
            if kind is list:
                return (_LIST, *[one if type(one) in _PLAIN else value(one) for one in thing])
            if kind is dict:
                return (
                    _DICT,
                    *[(key, one if type(one) in _PLAIN else value(one)) for key, one in thing.items()],
                )
            if kind is deque:
                return (_DEQUE, *map(value, thing))
            if kind is tuple:
                return (_TUPLE, *map(value, thing))
            if kind in _PLAIN:
                return thing
            if _never_changes(kind):
                return (_KEPT, self._kept.number(thing))
            self._learn(thing)
            return value(thing)

        whole: tuple[Any, ...] = value(replica)
        return whole

    def _learn(self, thing: Any) -> None:
        kind = type(thing)
        if not kind.__module__.startswith("bankrmi."):
            raise TypeError(f"the rules remember a {kind.__qualname__}, and nobody said what that is")
        self._class_number[kind] = len(self._classes)
        self._classes.append(_Class(thing, _LEFT_OUT))

    # -- and back --------------------------------------------------------------------------------

    def replica_of(self, value: tuple[Any, ...]) -> Replica:
        """Return a replica that remembers this, at NOW_MS; the journal and the settings are still to come."""
        kept, classes = self._kept, self._classes

        def thing(value: Any) -> Any:
            kind = type(value)
            if kind is float:
                return NOW_MS - value
            if kind is not tuple:
                return value
            number = value[0]
            if number >= 0:
                return an_object(classes[number], value)
            if number == _KEPT:
                return kept[value[1]]
            if number == _LIST:
                return [one if type(one) in _PLAIN else thing(one) for one in value[1:]]
            if number == _DICT:
                return {key: one if type(one) in _PLAIN else thing(one) for key, one in value[1:]}
            if number == _DEQUE:
                return deque([thing(one) for one in value[1:]])
            return tuple([thing(one) for one in value[1:]])

        def an_object(kind: _Class, value: tuple[Any, ...]) -> Any:
            made = kind.kind.__new__(kind.kind)
            kind.fill(made, [one if type(one) in _PLAIN else thing(one) for one in value[1:]])
            return made

        replica = thing(value)
        assert isinstance(replica, Replica)
        return replica


class _Class:
    """How to take an object of one class apart, and make it again."""

    __slots__ = ("_defaults", "_names", "_slotted", "get", "kind")

    def __init__(self, example: Any, left_out: dict[str, Any]) -> None:
        self.kind: Any = type(example)
        self._slotted = not hasattr(example, "__dict__")
        names: Sequence[str] = self.kind.__slots__ if self._slotted else list(vars(example))
        self._names = [name for name in names if name not in left_out]
        self._defaults = {name: left_out[name] for name in names if name in left_out}
        getter: Callable[[Any], Any] = attrgetter(*self._names)
        self.get = getter if len(self._names) > 1 else lambda thing: (getter(thing),)

    def fill(self, thing: Any, held: list[Any]) -> None:
        """Give a new object what it held."""
        if self._slotted:
            for name, one in zip(self._names, held, strict=True):
                setattr(thing, name, one)
            for name, one in self._defaults.items():
                setattr(thing, name, one)
        else:
            thing.__dict__.update(zip(self._names, held, strict=True))
            thing.__dict__.update(self._defaults)


def _never_changes(kind: type) -> bool:
    """Whether things of this kind are values: frozen dataclasses, named tuples, enumerations."""
    frozen = is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    return frozen or issubclass(kind, (tuple, Enum, frozenset))
