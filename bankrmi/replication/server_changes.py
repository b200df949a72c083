"""Servers come, go and move while the bank runs, on an operator's word.  Rule V12.

Rule 1: only the primary changes which servers there are, one at a time, and never itself.
Rule 2: whoever goes, or lives elsewhere from then on, is in sync no longer, and never below `copies_min`.
Rule 3: nobody changes them while a server that is connected could not read what the view says of them.
Rule 4: who asked hears what became of it: it was done, it was not, or nobody knows yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.effects import Refusal, Reply, ServersChanged
from bankrmi.replication.events import ServersAsked
from bankrmi.replication.step import Step
from bankrmi.replication.view import ADDED, View

__all__ = ["ANSWERED_WITHIN_MS", "SERVERS_AT_MOST", "ServerChange", "begun"]

SINCE_PROTOCOL = ADDED["servers"].since
"""The version of the protocol that has servers in the view."""

SERVERS_AT_MOST = 16
"""More copies than that make no bank safer, and each of them slower."""

ANSWERED_WITHIN_MS = 10_000.0
"""So long the witness is waited for; who asked is told then that nobody knows."""

_IN_DOUBT = "it may be done yet: look with `bankrmi history` before it is tried again"


@dataclass(slots=True)
class ServerChange:
    """One server is to come, to go, or to live elsewhere."""

    asked: ServersAsked
    before: View
    since_ms: float

    @property
    def token(self) -> Any:
        """Who asked."""
        return self.asked.token

    def wanted(self, view: View, step: Step) -> View | Refusal:
        """Return the view to propose, or why there is none any more."""
        why = _objection(self.asked, view, step)
        if why:
            return Refusal(why)
        if step.now_ms - self.since_ms >= ANSWERED_WITHIN_MS:
            return self._given_up(step)
        asked, servers = self.asked, step.settings.where_all_live()
        cause = Cause(
            kind=asked.kind,
            by=step.server,
            of=(asked.server,),
            address=asked.address,
            operator=asked.operator,
        )
        if asked.kind is CauseKind.REMOVED:
            del servers[asked.server]
            return view.removing(asked.server, servers).because(cause)
        assert asked.address is not None
        is_new = asked.kind is CauseKind.ADDED
        servers[asked.server] = asked.address
        changed = view.adding(asked.server, servers) if is_new else view.moving(asked.server, servers)
        return changed.because(cause)

    def _given_up(self, step: Step) -> Refusal:
        """Return what to tell when the witness was not heard."""
        why = "the witness does not answer, and no view changes without it"
        return Refusal(f"{why}; nothing was changed" if step.proposals.settled else f"{why}; {_IN_DOUBT}")

    def outcome(self, view: View, _step: Step) -> Reply | None:
        """Return what to tell when this view was won; None if it is still to be done."""
        if self._is_done(view.servers):
            return ServersChanged(self.before, view)
        return None

    def left(self, _view: View | None, known: View | None, _step: Step) -> Reply:
        """Return what to tell when this server leads no more; `known` is the newest view known."""
        done = known is not None and known.epoch == self.before.epoch + 1 and self._is_done(known.servers)
        if known is not None and done:
            return ServersChanged(self.before, known)
        return Refusal(f"another server leads, or is about to; {_IN_DOUBT}")

    def _is_done(self, servers: Mapping[str, str] | None) -> bool:
        return servers is not None and servers.get(self.asked.server) == self.asked.address


def begun(event: ServersAsked, view: View, step: Step) -> ServerChange | Refusal:
    """Return the change that was asked for, or why there is none."""
    why = _objection(event, view, step)
    return Refusal(why) if why else ServerChange(event, view, step.now_ms)


def _objection(asked: ServersAsked, view: View, step: Step) -> str:
    """Return why this cannot be; nothing if it can."""
    servers = step.settings.where_all_live()
    why = _of_versions(step) or _of_address(asked, servers)
    if why:
        return why
    match asked.kind:
        case CauseKind.ADDED:
            return _to_adding(asked, servers)
        case CauseKind.REMOVED:
            return _to_removing(asked, view, servers, step)
        case _:
            return _to_moving(asked, view, servers, step)


def _of_versions(step: Step) -> str:
    """A version before cannot read a view that names servers (ADR 36), and stays outside until upgraded.

    Who is not connected is not waited for: it may be gone for good, and this be its removal.
    """
    return step.links.why_not_yet(SINCE_PROTOCOL, step.links.servers)


def _of_address(asked: ServersAsked, servers: Mapping[str, str]) -> str:
    if asked.address is None:
        return ""
    taken = next((name for name, at in servers.items() if at == asked.address and name != asked.server), None)
    return f"{asked.address} is the address of {taken}: only one can listen there" if taken else ""


def _to_adding(asked: ServersAsked, servers: Mapping[str, str]) -> str:
    if asked.server in servers:
        at = servers[asked.server]
        more = "" if at == asked.address else "; `bankrmi server move` gives it another address"
        return f"{asked.server} is a server of the bank already, at {at}{more}"
    if len(servers) >= SERVERS_AT_MOST:
        return f"the bank has {len(servers)} servers, and can have no more"
    return ""


def _to_removing(asked: ServersAsked, view: View, servers: Mapping[str, str], step: Step) -> str:
    if asked.server not in servers:
        return _unknown(asked, servers)
    if asked.server == step.server:
        return f"{asked.server} is the primary: `bankrmi switchover` first, then remove it"
    if len(servers) - 1 < step.links.copies_min:
        return (
            f"the bank would have {len(servers) - 1} servers, and copies_min is {step.links.copies_min}: "
            "add another one first"
        )
    return _below_copies_min(asked, view, step)


def _to_moving(asked: ServersAsked, view: View, servers: Mapping[str, str], step: Step) -> str:
    if asked.server not in servers:
        return _unknown(asked, servers)
    if servers[asked.server] == asked.address:
        return f"{asked.server} is at {asked.address} already"
    if asked.server == step.server:
        return f"{asked.server} is the primary: `bankrmi switchover` first, then move it"
    return _below_copies_min(asked, view, step)


def _unknown(asked: ServersAsked, servers: Mapping[str, str]) -> str:
    return f"there is no server {asked.server}: there are {', '.join(servers)}"


def _below_copies_min(asked: ServersAsked, view: View, step: Step) -> str:
    left, least = len(view.in_sync - {asked.server}), step.links.copies_min
    if asked.server not in view.in_sync or left >= least:
        return ""
    return (
        f"without {asked.server} {left} would be in sync, and copies_min is {least}: add another server first"
    )
