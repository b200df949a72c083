"""Two types that tell time, or draw, and can't be changed: what stands in their place while an update runs.

`datetime` is written in C: nothing can be put in the place of `datetime.now`. So the names by which a class
reaches it lead elsewhere meanwhile: to a type that is `datetime` for whoever asks, makes real ones, and does
not look at a clock. `random.Random` likewise: with a seed it is what it is, without one it draws.

Assumption: who is told what was asked for raises an exception if an update runs. What is imported by one
keeps what it found, and goes on with it when none does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

__all__ = ["watched_datetime", "watched_random"]


class _StandsFor(type):
    """The type of a type that stands for its base: whatever is one of those is one of these."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, cls.__bases__[0])

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, cls.__bases__[0])

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is cls.__bases__[0]

    def __hash__(cls) -> int:
        return hash(cls.__bases__[0])

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.__bases__[0](*args, **kwargs)


def watched_datetime(tell: Callable[[str, str], None]) -> type[datetime]:
    """Return what stands for `datetime`; `tell` is told what it was asked for, and what to use."""

    class WatchedDatetime(datetime, metaclass=_StandsFor):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            tell("datetime.now", "self.now")
            return datetime.now(tz)

        @classmethod
        def utcnow(cls) -> Any:
            tell("datetime.utcnow", "self.now")
            return datetime.utcnow()

        @classmethod
        def today(cls) -> Any:
            tell("datetime.today", "self.now")
            return datetime.today()

        @classmethod
        def fromtimestamp(cls, timestamp: float, tz: tzinfo | None = None) -> Any:
            if tz is None:
                tell("datetime.fromtimestamp without a time zone", "tz=timezone.utc")
            return datetime.fromtimestamp(timestamp, tz)

    return WatchedDatetime


def watched_random(tell: Callable[[str, str], None]) -> type[random.Random]:
    """Return what stands for `random.Random`; `tell` is told what it was asked for, and what to use."""
    original = random.Random

    class WatchesItsSeed(_StandsFor):
        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            if not [seed for seed in (*args, *kwargs.values()) if seed is not None]:
                tell("random.Random without a seed", "self.random")
            return original(*args, **kwargs)

    class WatchedRandom(random.Random, metaclass=WatchesItsSeed):
        pass

    return WatchedRandom
