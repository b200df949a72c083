"""The view: who leads, and which copies hold every acknowledged entry.  Values and legal changes only.

Rule 1: a view changes only into one whose epoch is one higher, and exactly one proposal wins.
Rule 2: every way to change it is a function of this file, named after its rule (V1 to V14 in design.md).
Rule 3: a member is named together with its incarnation; a server with a wiped disk is another member (V8).
Rule 4: why it changed, when it was written, and whether it was moved to another keeper, are notes on it, and
        no part of it: nothing is compared by them (ADR 30).
Rule 5: a view with anything in it that a version does not know cannot be read there, so nobody makes a next
        one of it who would drop that (ADR 36). It says which version that needs; notes need none.
Rule 6: which servers there are, and where each lives, is in the view from the first change of that on, and
        stays there (V12, ADR 33). Before, each server's configuration says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bankrmi import protocol_versions
from bankrmi.replication.cause import Cause
from bankrmi.replication.fields import (
    AddedField,
    Check,
    epoch,
    flag,
    identifier,
    names,
    names_to_ids,
    number,
    optional,
    or_none,
)
from bankrmi.replication.keeper_move import MOVES_AT_MOST, KeeperMove, moves_of
from bankrmi.replication.pause import Pause, reason_of

__all__ = ["ADDED", "View"]

ADDED: dict[str, AddedField] = {
    "paused": AddedField(since=2, before=None),
    "servers": AddedField(since=2, before=None),
    "retired_for": AddedField(since=2, before=None),
}
"""The fields that are not of version 1 of the protocol, notes aside: since when each is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One record of the witness.

    `start_id` names the process of the primary that won it, `incarnations` the disks of the members.
    `handed_over_by` is the primary of the epoch before if it gave the lead away by itself (V5).
    `paused`: nobody takes over by himself (V11); it stays so from view to view, until an operator ends it.
    `cause` says why the view changed, and who proposed it; `written_us` when its keeper wrote it, in
    microseconds since 1970 by that one's clock. None: not known, as of a view that a version before made.
    `moves` are those to another keeper while this was the view.
    `servers` are all of the bank, in sync or not, each with the address at which others call it. None: those
    of the configuration.
    `retired_for`: the database that keeps the bank now, in words; nobody here answers clients (V14).
    """

    history: str
    epoch: int
    primary: str
    start_id: str
    in_sync: frozenset[str]
    incarnations: Mapping[str, str] = field(default_factory=dict)
    handed_over_by: str | None = None
    forced: bool = False
    paused: Pause | None = None
    servers: Mapping[str, str] | None = None
    retired_for: str | None = None
    cause: Cause | None = field(default=None, compare=False)
    written_us: int | None = field(default=None, compare=False)
    moves: tuple[KeeperMove, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.primary not in self.in_sync:
            raise ValueError(f"is not a view: the primary {self.primary} is not in sync")
        if self.in_sync != set(self.incarnations):
            raise ValueError("is not a view: incarnations and in_sync name different servers")
        if self.servers is None:
            return
        if not self.in_sync <= self.servers.keys():
            raise ValueError("is not a view: it has a server in sync that is none of its servers")
        if len(set(self.servers.values())) < len(self.servers):
            raise ValueError("is not a view: two of its servers have one address")

    @property
    def needs_protocol(self) -> int:
        """The oldest version of the protocol that has all that this view says."""
        added = [one.since for name, one in ADDED.items() if getattr(self, name) != one.before]
        return max(added, default=1)

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

    def taken_over_by_force(self, server: str, start_id: str, *, incarnation: str, history: str) -> View:
        """V7: an operator's word lets a server lead that may lack what was acknowledged, in a new history."""
        members = {server: incarnation}
        return replace(self._next(server, start_id, set(members), members), history=history, forced=True)

    def paused_by(self, pause: Pause | None) -> View:
        """V11: the primary stays; from now on nobody takes over by himself, or (None) does so again."""
        return replace(self._next(self.primary, self.start_id, set(self.in_sync)), paused=pause)

    def resumed(self) -> View:
        """V11: the same view, and takeover is automatic again in it."""
        return replace(self, paused=None)

    def retiring(self, retired_for: str | None) -> View:
        """V14: the primary stays; nobody answers clients from now on, or (None) it does again."""
        again = self._next(self.primary, self.start_id, set(self.in_sync))
        return replace(again, retired_for=retired_for)

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

    def adding(self, server: str, servers: Mapping[str, str]) -> View:
        """V12: there is one server more; `servers` are all that there are then. It joins as any (V3)."""
        assert server in servers
        return replace(self.started_again(self.start_id), servers=dict(servers))

    def removing(self, server: str, servers: Mapping[str, str]) -> View:
        """V12: there is one server less, and it is not in sync any more; `servers` are all that are left."""
        assert server not in servers
        assert server != self.primary
        return replace(self.without(frozenset({server})), servers=dict(servers))

    def moving(self, server: str, servers: Mapping[str, str]) -> View:
        """V12: a server lives elsewhere, as `servers` have it; what lived where it was is not in sync."""
        assert server in servers
        assert server != self.primary
        return replace(self.without(frozenset({server})), servers=dict(servers))

    def because(self, cause: Cause) -> View:
        """Return the same view, with why it is wanted."""
        return replace(self, cause=cause)

    def moved(self, move: KeeperMove) -> View:
        """Return the same view, with a note that it was moved to another keeper."""
        return replace(self, moves=(*self.moves, move)[-MOVES_AT_MOST:])

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
            paused=self.paused,
            servers=self.servers,
            retired_for=self.retired_for,
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the plain form that crosses the wire and lies on the witness's disk.

        A view that says nothing new has the form that it always had.
        """
        form = {
            "history": self.history,
            "epoch": self.epoch,
            "primary": self.primary,
            "start_id": self.start_id,
            "in_sync": sorted(self.in_sync),
            "incarnations": dict(self.incarnations),
            "handed_over_by": self.handed_over_by,
            "forced": self.forced,
            "cause": None if self.cause is None else self.cause.to_wire(),
            "written_us": self.written_us,
        }
        for name, added in ADDED.items():
            if (value := getattr(self, name)) != added.before:
                form[name] = value.to_wire() if isinstance(value, Pause) else value
        if self.moves:
            form["moves"] = [one.to_wire() for one in self.moves]
        if self.needs_protocol > 1:
            form["needs_protocol"] = self.needs_protocol
        return form

    @classmethod
    def from_wire(cls, form: Any) -> View:
        """Return the view of a plain form; raises ValueError if it is not one, whatever it is."""
        if not isinstance(form, Mapping):
            raise ValueError("is not a view: a dictionary, as `View.to_wire` makes it")
        _check_can_be_read(form.get("needs_protocol", 1))
        read: dict[str, Any] = {}
        for name, check in _CHECKS.items():
            if name not in form and name in ADDED:
                read[name] = ADDED[name].before
                continue
            if name not in form and name not in _MAY_BE_MISSING:
                raise ValueError(f"is not a view: it has no {name}")
            try:
                read[name] = check(form.get(name, _MAY_BE_MISSING.get(name)))
            except ValueError as error:
                raise ValueError(f"is not a view: {name} {error}") from None
        return cls(**read)


_CHECKS: Mapping[str, Check] = {
    "history": identifier,
    "epoch": epoch,
    "primary": identifier,
    "start_id": identifier,
    "in_sync": names,
    "incarnations": names_to_ids,
    "handed_over_by": optional(identifier),
    "forced": flag,
    "paused": Pause.from_wire,
    "servers": optional(names_to_ids),
    "retired_for": reason_of,
    "cause": Cause.from_wire,
    "written_us": or_none(number),
    "moves": moves_of,
}
_MAY_BE_MISSING: Mapping[str, Any] = {
    "handed_over_by": None,
    "forced": False,
    "cause": None,
    "written_us": None,
    "moves": None,
}


def _check_can_be_read(needs: object) -> None:
    if type(needs) is not int or not 1 <= needs < 1 << 31:
        raise ValueError("is not a view: needs_protocol is not a version")
    if needs > protocol_versions.NEWEST:
        raise ValueError(
            f"is not a view that this version can read: it needs bankrmi protocol {needs}, and this process "
            f"speaks up to {protocol_versions.NEWEST}: upgrade this process"
        )
