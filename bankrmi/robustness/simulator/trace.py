"""What happened in a simulated world, as values; `chart` makes pictures of it.

Rule: to record costs next to nothing, so it is always done; nothing is formatted here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["COMMITTED", "Arrival", "Happening", "Loss", "Note"]

COMMITTED = "has on its disk all up to"
"""Of a server; noted only where somebody wants to see it."""


class Note(NamedTuple):
    """Something happened to one party."""

    now_ms: float
    who: str
    sentence: str
    details: tuple[Any, ...] = ()

    def at(self, now_ms: float) -> Note:
        """Return the same at another time."""
        return self._replace(now_ms=now_ms)


class Arrival(NamedTuple):
    """A message arrived."""

    now_ms: float
    sent_ms: float
    sender: str
    receiver: str
    what: Any

    def at(self, now_ms: float) -> Arrival:
        """Return the same at another time."""
        return Arrival(now_ms, *self[1:])


class Loss(NamedTuple):
    """A message was sent, and got lost."""

    now_ms: float
    sender: str
    receiver: str
    what: Any

    def at(self, now_ms: float) -> Loss:
        """Return the same at another time."""
        return self._replace(now_ms=now_ms)


Happening = Note | Arrival | Loss
