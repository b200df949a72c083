"""One switchover: a primary gives its lead to a member.  Rule V5.

Rule 1: while it is under way nothing is answered; it ends with a new epoch, whoever's.
Rule 2: the lead is given to a member that holds everything and can read the view, while it can be spoken to.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, assert_never

from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.code_versions import version_in_words
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
    is_proposable: bool = False
    """Whether the target has held everything: what is waited for since then is who keeps the view."""

    def wanted(self, view: View, target: PeerState, acknowledged: int, step: Step) -> View | Refusal | None:
        """Return the view to propose, or why there will be none; None until the target holds everything."""
        why = self.objection(target, step)
        if why:
            return self._given_up(why, step)
        if acknowledged < step.tip or target.matched < step.tip:
            return None
        assert target.start_id is not None
        self.is_proposable = True
        return view.handed_over_to(self.target, target.start_id).because(self.cause)

    def _given_up(self, why: str, step: Step) -> Refusal | None:
        """If no proposal can still win, it is over; else that is settled, by winning again if need be."""
        if step.proposals.settled:
            return Refusal(why)
        self.cancelled = why
        return None

    def objection(self, peer: PeerState, step: Step) -> str:
        """Return why this comes to nothing; empty while it may still come to something."""
        if self.cancelled:
            return self.cancelled
        if peer.standing is not Standing.MEMBER or not peer.linked or peer.start_id is None:
            return f"{self.target} is not in sync any more, or cannot be reached"
        if older := _too_old(self.target, self.before, step):
            return older
        if step.now_ms - self.since_ms > step.settings.switchover_timeout_ms:
            late = (
                "who keeps the view did not answer"
                if self.is_proposable
                else f"{self.target} did not catch up"
            )
            return f"{late} in time"
        return ""

    def outcome(self, view: View, _step: Step) -> Refusal | None:
        """This server leads in `view`: if it is another one, it won the lead back."""
        if (view.history, view.epoch) == (self.before.history, self.before.epoch):
            return None
        return Refusal(self.cancelled or "the lead was won back before it was given away")

    def left(self, view: View | None, _known: View | None, _step: Step) -> Reply:
        """This server stops leading, for `view` if it is known: return what to tell the operator."""
        if view is not None and view.primary == self.target:
            return Handed(self.before, view)
        return Refusal("another view was won meanwhile")


def begun(
    event: SwitchoverAsked, peers: Collection[PeerState], view: View, step: Step
) -> Switchover | Refusal:
    """Return a switchover to `event.target`, or to the member that holds most; or why there is none."""
    fit = [peer for peer in peers if not why_not(peer, view, step)]
    best = max(fit, key=lambda peer: peer.matched, default=None)
    target = event.target or (best.server if best is not None else None)
    if target is None:
        why = "there is no standby that is in sync and can be reached"
        reasons = [why_not(peer, view, step) for peer in peers]
        return Refusal(f"{why}: {'; '.join(reasons)}" if reasons else why)
    if target not in (peer.server for peer in fit):
        return Refusal(_why_not_to(target, peers, view, step))
    kind = CauseKind.STOP if event.stopping else CauseKind.SWITCHOVER
    cause = Cause(kind=kind, by=step.server, of=(step.server,), operator=event.operator)
    return Switchover(target, event.token, view, step.now_ms, cause)


def _too_old(target: str, view: View, step: Step) -> str:
    """Return why a server cannot lead this view; empty if it can read it, and the journal, and knows the
    state's version (S5)."""
    spoken, needs = step.links.protocol_with(target), max(view.needs_protocol, step.journal.needs_protocol)
    if spoken < needs:
        return f"{target} speaks bankrmi protocol {spoken}, this view needs {needs}: upgrade it"
    code, version = step.links.code_of(target), step.journal.version
    if code is not None and not code.may_lead(version):
        return (
            f"{target} has version {code.in_words} of what is served, and the state is of version "
            f"{version_in_words(version)}"
        )
    return ""


def _why_not_to(target: str, peers: Collection[PeerState], view: View, step: Step) -> str:
    if target == step.server:
        return f"{target} is the primary already"
    known = next((peer for peer in peers if peer.server == target), None)
    if known is None:
        return f"there is no server {target}: known are {', '.join(step.settings.servers)}"
    return why_not(known, view, step)


def why_not(peer: PeerState, view: View, step: Step) -> str:
    """Say why the lead cannot be given to this server; nothing if it can."""
    lag = f"{step.tip - peer.matched} of {step.tip} entries are not known to be on its disk"
    match peer.standing:
        case Standing.MEMBER if peer.lost_disk:
            return f"{peer.server} has lost the disk that was in sync"
        case Standing.MEMBER:
            gone = f"{peer.server} is in sync, and cannot be reached"
            return _too_old(peer.server, view, step) if peer.linked else gone
        case _ if not peer.linked:
            return f"{peer.server} is not in sync, and cannot be reached"
        case Standing.OUTSIDE:
            return f"{peer.server} is not in sync: it was not let in yet"
        case Standing.CATCHING_UP | Standing.MANDATORY:
            return f"{peer.server} is not in sync: it is joining, and {lag}"
        case _:
            assert_never(peer.standing)
