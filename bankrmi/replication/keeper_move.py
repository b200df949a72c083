"""A move of the view to another keeper: from where, when, by whom.  A note on the view that was moved.

Rule 1: as a cause, it is no part of what a view is (ADR 30): nothing is compared, decided or refused by it,
        and one that cannot be read is left out.
Rule 2: it stays on the view that was moved, and goes to no later one: a view has those moves alone that came
        between it and the next. They are few and short, whoever wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bankrmi.replication.fields import identifier, number, or_none

__all__ = ["MOVES_AT_MOST", "PLACE_AT_MOST", "KeeperMove", "moves_of"]

MOVES_AT_MOST = 5
"""The newest ones are kept."""
PLACE_AT_MOST = 200
_OF_ETCD = "etcd:"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperMove:
    """One move.

    `keeper` is the id of the one that was left, `place` where it was asked then: a witness's address, or the
    addresses of etcd. `moved_us` is by the clock of whoever moved it, in microseconds since 1970.
    """

    keeper: str
    place: str
    moved_us: int | None = None
    operator: str | None = None

    @property
    def was_etcd(self) -> bool:
        """Whether etcd was left, and no witness."""
        return self.keeper.startswith(_OF_ETCD)

    @property
    def left(self) -> str:
        """Return who was left, in words."""
        return f"{'etcd' if self.was_etcd else 'the witness'} at {self.place}"

    def to_wire(self) -> dict[str, Any]:
        """Return the plain form."""
        return {
            "keeper": self.keeper,
            "place": self.place,
            "moved_us": self.moved_us,
            "operator": self.operator,
        }


def moves_of(form: Any) -> tuple[KeeperMove, ...]:
    """Return the moves of a plain form, oldest first; what cannot be read is none."""
    if not isinstance(form, list | tuple):
        return ()
    read = (_move_of(one) for one in form[-MOVES_AT_MOST:])
    return tuple(one for one in read if one is not None)


def _move_of(form: Any) -> KeeperMove | None:
    if not isinstance(form, Mapping):
        return None
    try:
        return KeeperMove(
            keeper=identifier(form.get("keeper")),
            place=identifier(form.get("place")),
            moved_us=or_none(number)(form.get("moved_us")),
            operator=or_none(identifier)(form.get("operator")),
        )
    except ValueError:
        return None
