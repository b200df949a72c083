"""One switchover: a primary gives its lead to a member.  Rule V5.

Rule 1: while it is under way nothing is answered; it ends with a new epoch, whoever's.
Rule 2: the lead is given to a member that holds everything and can read the view, while it can be spoken to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.effects import Handed, Refusal, Reply
from bankrmi.replication.events import SwitchoverAsked
from bankrmi.replication.peer import PeerState, Standing
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["Switchover", "begun"]


@dataclass(slots=True)
class Switchover:
    """The lead is to go to `target`.  `cancelled`: why it will not, though a proposal may still win (V6)."""

    target: str
    token: Any
    before: View
    since_ms: float
    cause: Cause
    cancelled: str = ""

    def objection(self, peer: PeerState, step: Step) -> str:
        """Return why this comes to nothing; empty while it may still come to something."""
        if self.cancelled:
            return self.cancelled
        if peer.standing is not Standing.MEMBER or not peer.linked or peer.start_id is None:
            return f"{self.target} is not in sync any more, or cannot be reached"
        if older := _too_old(self.target, self.before, step):
            return older
        if step.now_ms - self.since_ms > step.settings.switchover_timeout_ms:
            return f"{self.target} did not catch up in time"
        return ""

    def outcome(self, view: View | None) -> Reply:
        """This server stops leading, for `view` if it is known: return what to tell the operator."""
        if view is not None and view.primary == self.target:
            return Handed(self.before, view)
        return Refusal("another view was won meanwhile")


def begun(event: SwitchoverAsked, members: list[PeerState], view: View, step: Step) -> Switchover | Refusal:
    """Return a switchover to `event.target`, or to the member that holds most; or why there is none."""
    reachable = {peer.server: peer for peer in members if peer.linked}
    able = [peer for peer in reachable.values() if not _too_old(peer.server, view, step)]
    best = max(able, key=lambda peer: peer.matched, default=None)
    target = event.target or (best.server if best is not None else None)
    if target == step.server:
        return Refusal(f"{target} is the primary already")
    if target is None:
        return Refusal("there is no standby that is in sync and can be reached")
    if target not in reachable:
        return Refusal(f"{target} is not in sync, or cannot be reached")
    if older := _too_old(target, view, step):
        return Refusal(older)
    kind = CauseKind.STOP if event.stopping else CauseKind.SWITCHOVER
    cause = Cause(kind=kind, by=step.server, of=(step.server,), operator=event.operator)
    return Switchover(target, event.token, view, step.now_ms, cause)


def _too_old(target: str, view: View, step: Step) -> str:
    """Return why a server cannot lead this view; empty if it can read it."""
    spoken, needs = step.links.protocol_with(target), view.needs_protocol
    return (
        ""
        if spoken >= needs
        else f"{target} speaks bankrmi protocol {spoken}, this view needs {needs}: upgrade it"
    )
