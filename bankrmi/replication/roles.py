"""What a server can be: five values, of which it is one at a time; and what people call them.

Rule 1: what cannot be together cannot be said: who leads has a leader's memory, everyone else a follower's;
        only who has just won holds a view that is not led yet; only who knows nothing can be fenced.
Rule 2: `office` changes it, and nobody else.
Rule 3: who has won an epoch, and waits for its adopting to be durable, stays what it was until then.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from bankrmi.replication.events import ClientEvent, Happening
from bankrmi.replication.following import Follower
from bankrmi.replication.leading import Leader
from bankrmi.replication.view import View

__all__ = [
    "LEGAL_ROLE_CHANGES",
    "Adopting",
    "Following",
    "Joining",
    "Leading",
    "Role",
    "Starting",
    "State",
    "Won",
]


class Role(Enum):
    """What a server is, for people and for the tags of its name."""

    STARTING = "starting"
    JOINING = "joining"
    STANDBY = "standby"
    PRIMARY = "primary"


LEGAL_ROLE_CHANGES = {
    Role.STARTING: frozenset({Role.JOINING, Role.STANDBY, Role.PRIMARY}),
    Role.JOINING: frozenset({Role.STANDBY, Role.STARTING}),
    Role.STANDBY: frozenset({Role.PRIMARY, Role.JOINING, Role.STARTING}),
    Role.PRIMARY: frozenset({Role.STANDBY}),  # Deposed: what it did not share is rolled back.
}
"""STARTING again: the witness has lost its memory, and nobody knows who may lead (V9)."""


@dataclass(slots=True)
class Starting:
    """It does not know what it is; `still`: nobody does, and it answers nobody until there is a view (V9)."""

    follower: Follower
    fenced: bool = False
    role = Role.STARTING


@dataclass(slots=True)
class Joining:
    """The view does not name it, or another disk of it."""

    follower: Follower
    role = Role.JOINING


@dataclass(slots=True)
class Following:
    """The view names it, and somebody else leads; or it led, and does not know who does now."""

    follower: Follower
    role = Role.STANDBY


@dataclass(slots=True)
class Won:
    """It has won this view, and waits until the leases that it granted are over (R3).

    `role` is what it was before: people are told nothing until it leads.
    """

    follower: Follower
    view: View
    role: Role


@dataclass(slots=True)
class Leading:
    """It leads."""

    leader: Leader
    role = Role.PRIMARY


State = Starting | Joining | Following | Won | Leading


@dataclass(slots=True)
class Adopting:
    """This server has won a view, and adopts it with this commit; what comes before that is durable waits."""

    view: View
    commit: int
    held: list[Happening] = field(default_factory=list)

    def drop(self, tokens: Collection[Any]) -> list[Any]:
        """Give these callers up, as far as they wait here; return their tokens."""
        kept: list[Happening] = []
        dropped: list[Any] = []
        for event in self.held:
            if isinstance(event, ClientEvent) and event.token in tokens:
                dropped.append(event.token)
            else:
                kept.append(event)
        self.held = kept
        return dropped
