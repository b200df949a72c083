"""The view: who leads, and which copies hold every acknowledged entry.  Values and legal changes only.

Rule 1: a view changes only into one whose epoch is one higher, and exactly one proposal wins.
Rule 2: every way to change it is a function of this file, named after its rule (V1 to V9 in design.md).
Rule 3: a member is named together with its incarnation; a server with a wiped disk is another member (V8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["View"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One record of the witness.

    `start_id` names the process of the primary that won it, `incarnations` the disks of the members.
    `handed_over_by` is the primary of the epoch before if it gave the lead away by itself (V5).
    """

    history: str
    epoch: int
    primary: str
    start_id: str
    in_sync: frozenset[str]
    incarnations: Mapping[str, str] = field(default_factory=dict)
    handed_over_by: str | None = None
    forced: bool = False

    def __post_init__(self) -> None:
        if self.primary not in self.in_sync:
            raise ValueError(f"the primary {self.primary} is not in sync in {self!r}")
        if self.in_sync != set(self.incarnations):
            raise ValueError(f"incarnations and in_sync name different servers in {self!r}")

    def names(self, server: str, incarnation: str) -> bool:
        """Return whether this disk of this server is a member."""
        return self.incarnations.get(server) == incarnation

    @classmethod
    def first(cls, *, history: str, server: str, start_id: str, incarnation: str) -> View:
        """V9: the first view of a new bank."""
        return cls(
            history=history,
            epoch=1,
            primary=server,
            start_id=start_id,
            in_sync=frozenset({server}),
            incarnations={server: incarnation},
        )

    def taken_over_by(self, server: str, start_id: str) -> View:
        """V1: a member leads; the primary that is gone is no longer in sync."""
        return self._next(server, start_id, {name for name in self.in_sync if name != self.primary})

    def started_again(self, start_id: str) -> View:
        """V4, V6, and the resuming of V5: the same primary, the same members, an epoch of its own."""
        return self._next(self.primary, start_id, set(self.in_sync))

    def without(self, silent: frozenset[str]) -> View:
        """V2: the primary goes on without those that do not acknowledge."""
        return self._next(self.primary, self.start_id, set(self.in_sync - silent))

    def letting_in(self, server: str, incarnation: str) -> View:
        """V3: a joiner that holds everything becomes a member."""
        members = {**self.incarnations, server: incarnation}
        return replace(self._next(self.primary, self.start_id, set(members), members))

    def handed_over_to(self, server: str, start_id: str) -> View:
        """V5: the primary, which answers nobody any more, gives the lead to a member."""
        return replace(self._next(server, start_id, set(self.in_sync)), handed_over_by=self.primary)

    def _next(
        self, primary: str, start_id: str, in_sync: set[str], incarnations: Mapping[str, str] | None = None
    ) -> View:
        known = self.incarnations if incarnations is None else incarnations
        return View(
            history=self.history,
            epoch=self.epoch + 1,
            primary=primary,
            start_id=start_id,
            in_sync=frozenset(in_sync),
            incarnations={name: known[name] for name in sorted(in_sync)},
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the plain form that crosses the wire and lies on the witness's disk."""
        return {
            "history": self.history,
            "epoch": self.epoch,
            "primary": self.primary,
            "start_id": self.start_id,
            "in_sync": sorted(self.in_sync),
            "incarnations": dict(self.incarnations),
            "handed_over_by": self.handed_over_by,
            "forced": self.forced,
        }

    @classmethod
    def from_wire(cls, form: Mapping[str, Any]) -> View:
        """Return the view of a plain form; raise ValueError, KeyError or TypeError if it is none."""
        return cls(
            history=str(form["history"]),
            epoch=int(form["epoch"]),
            primary=str(form["primary"]),
            start_id=str(form["start_id"]),
            in_sync=frozenset(form["in_sync"]),
            incarnations=dict(form["incarnations"]),
            handed_over_by=form.get("handed_over_by"),
            forced=bool(form.get("forced", False)),
        )
