"""What a leader answers who asks to be let in: checkpoints will come, or a copy first, or wait.  V3, V8.

Rule 1: nothing is changed here: what the request changes of its peer comes back with the outcome.
Rule 2: nothing in common, or an empty disk: a copy of the database, never an empty start. What is below the
        anchor of either counts for nothing: nobody can tell what the other one holds there.
Rule 3: a copy as well where it is faster, if nothing is lost by it; offered once to a process, since a copy
        may fail for reasons of its own, and entries are always another way.
Rule 4: who speaks less than the view needs, or the journal (V13), is let in when it was upgraded; its own log
        says why it waits, or ours. So is whose code does not know the version of the state (S5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bankrmi.replication.code_versions import CodeVersions, with_version
from bankrmi.replication.journal import Journal
from bankrmi.replication.messages import JoinRequest
from bankrmi.replication.peer import JoinChange, PeerState, Standing
from bankrmi.replication.record import Position
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["JoinDecision", "decide", "newest_common"]

COPY_IS_FASTER = 8
"""A byte of the database is copied and verified in an eighth of the time that an entry's byte takes to be
applied, or less (measured: a twelfth)."""

GAP_BYTES = 72
"""What an entry takes in the database."""


@dataclass(frozen=True, slots=True)
class JoinDecision:
    """The outcome, as `messages.JOIN_OUTCOMES` has them; and what the request changes, if it counts."""

    outcome: str
    change: JoinChange | None = None


def decide(request: JoinRequest, peer: PeerState | None, view: View, step: Step) -> JoinDecision:
    """Return what to answer a joiner."""
    if peer is None or request.server not in step.settings.others:
        return JoinDecision("unknown")
    if step.links.start_id(request.server) != request.start_id or request.number <= peer.join_number:
        return JoinDecision("wait")
    if step.links.protocol_with(request.server) < max(view.needs_protocol, step.journal.needs_protocol):
        return JoinDecision("wait")  # It cannot read the view, or the journal: it could not take over (V13).
    code = step.links.code_of(request.server)
    if code is None or not _may_follow(code, step):
        return JoinDecision("wait")  # S5: nor could it do what is decided here.
    another_disk = peer.incarnation != request.incarnation
    heard = JoinChange(number=request.number, incarnation=request.incarnation)
    if peer.standing is Standing.MANDATORY and another_disk and not step.proposals.settled:
        return JoinDecision("wait", heard)  # V3: the disk that the view may name by now counts until then.
    lost_disk = peer.standing is Standing.MEMBER and another_disk
    if lost_disk and len(view.in_sync) > step.links.copies_min:
        # The member that the view names is gone (V8). Where the view can do without it, it is taken out
        # first; else (`copies_min`) nothing is acknowledged until the new disk replaces it.
        return JoinDecision("wait", replace(heard, leaves=True))
    return _on_its_way(request, peer, replace(heard, lost_disk=lost_disk), step)


def _on_its_way(request: JoinRequest, peer: PeerState, heard: JoinChange, step: Step) -> JoinDecision:
    """Return whether entries are the way back, or a copy."""
    common = newest_common(step.journal, list(request.tail))
    if common is None or not _knows_all_since(common, request.server, step):
        return JoinDecision("copy", heard)
    offered = peer.tracked or peer.copy_offered_to == request.start_id
    if not offered and _copy_is_faster(request, common, step):
        return JoinDecision("copy", replace(heard, copy_offered=True))
    if peer.tracked and peer.incarnation == request.incarnation:
        return JoinDecision("checkpoints", heard)  # They are coming already.
    return JoinDecision("checkpoints", replace(heard, resumes_at=common + 1))


def _may_follow(code: CodeVersions, step: Step) -> bool:
    """Whether this code can do what is decided from now on: calls, or first of all a migration (S6)."""
    version = step.journal.version
    return code.runs(version) or (code.migrates(version) and not step.settings.code.runs(version))


def _knows_all_since(common: int, server: str, step: Step) -> bool:
    """Whether the server's code can do again what was decided since, every migration as well (S5); what is in
    a copy is done."""
    code = step.links.code_of(server)
    if code is None:
        return False
    at, version = common, step.journal.version_at(common)
    for action_id, service, target in step.journal.migrations_since(common):
        if action_id > at + 1 and not code.runs(version):
            return False
        if not code.makes(service, target, version):
            return False
        at, version = action_id, with_version(version, service, target)
    return step.tip == at or code.runs(version)


def newest_common(journal: Journal, tail: list[Position]) -> int | None:
    """Return the newest action id of the tail at which both journals are the same; None if there is none."""
    for position in tail:
        if journal.position(position.action_id) == position:
            return position.action_id
    return None


def _copy_is_faster(request: JoinRequest, common: int, step: Step) -> bool:
    """Whether so much is missing that the whole database is there sooner; and nothing there would be lost."""
    gap = step.tip - common
    if gap < step.settings.copy_from_operations or request.tail[0].action_id != common:
        return False
    return COPY_IS_FASTER * GAP_BYTES * gap > step.journal.size_bytes
