"""Which view a leader wants next: go on without the silent, let in who has caught up, settle what is open.

Rule 1: pure: facts in, the wanted view out.  Whether and when it is proposed, and what comes of it, is for
        the replica.
Rule 2: who is silent is left behind, never below `copies_min` (V2); and whose code cannot follow (S5).
"""

from __future__ import annotations

from dataclasses import replace

from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.copies import CopySet
from bankrmi.replication.peer import PeerState, Standing
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["wanted_view"]


def wanted_view(view: View, copies: CopySet, step: Step, *, enough: int, switching_over: bool) -> View | None:
    """Return the view to follow this one, if another is wanted (V2, V3, V6).

    `enough` is what a joiner has to hold. While the lead is being given away nobody is let in.
    """
    wanted = _going_on_alone(view, copies, step)
    if wanted is None and not switching_over:
        wanted = _letting_in(view, copies, enough)
    return wanted or _settling(view, step)


def _going_on_alone(view: View, copies: CopySet, step: Step) -> View | None:
    """V2, but never below `copies_min`."""
    timeout_ms = step.settings.checkpoint_timeout_ms
    silent = [
        peer
        for peer in copies.peers.values()
        if peer.lost_disk
        or (peer.standing is Standing.MEMBER and peer.is_silent(step.listened_ms, timeout_ms))
        or _cannot_follow(peer, step)
    ]
    if not silent:
        return None
    allowed = len(view.in_sync) - step.links.copies_min
    if allowed <= 0:
        return None
    # First a disk that is lost: it confirms nothing, however well its server does with another one.
    silent.sort(key=lambda peer: not peer.lost_disk)
    left = silent[:allowed]
    return view.without(frozenset(peer.server for peer in left)).because(_why_left(left, step))


def _cannot_follow(peer: PeerState, step: Step) -> bool:
    """S5: whether this member's code cannot do what is decided here; it confirms nothing of that."""
    if peer.standing is not Standing.MEMBER:
        return False
    code, own, version = step.links.code_of(peer.server), step.settings.code, step.journal.version
    if code is None or code == own or code.runs(version):  # Who has our code can do what we can.
        return False
    return own.runs(version) or not code.migrates(version)


def _why_left(left: list[PeerState], step: Step) -> Cause:
    """Return why the first of them is left, and who else for the same reason; the view shows who is left."""
    first, kind = left[0], _reason(left[0], step)
    alike = tuple(sorted(peer.server for peer in left if _reason(peer, step) is kind))
    cause = Cause(kind=kind, by=step.server, of=alike)
    if kind is CauseKind.CRASH:
        return replace(cause, address=first.refused_at)
    if kind is CauseKind.LEFT_BEHIND and not first.is_gone:
        return replace(cause, silent_ms=round(first.silent_ms(step.listened_ms)))
    return cause


def _reason(peer: PeerState, step: Step) -> CauseKind:
    if peer.lost_disk or (peer.leaving and not peer.stopping):
        return CauseKind.LOST_DISK
    if peer.stopping and (peer.leaving or peer.is_gone):
        return CauseKind.STOP
    if _cannot_follow(peer, step):
        return CauseKind.OTHER_VERSION
    if peer.is_gone and peer.server in step.settings.others:
        return CauseKind.CRASH
    return CauseKind.LEFT_BEHIND


def _letting_in(view: View, copies: CopySet, enough: int) -> View | None:
    """V3: a mandatory joiner that has all that this primary acknowledged, and began with."""
    for peer in copies.peers.values():
        if _has_everything(peer, enough):
            assert peer.incarnation is not None
            cause = Cause(kind=CauseKind.JOINED, by=view.primary, of=(peer.server,))
            return view.letting_in(peer.server, peer.incarnation).because(cause)
    return None


def _has_everything(peer: PeerState, enough: int) -> bool:
    return (
        peer.standing is Standing.MANDATORY
        and peer.confirmed_number > 0  # In this epoch.
        and peer.matched >= enough
    )


def _settling(view: View, step: Step) -> View | None:
    """V6: what is unsettled, and no longer wanted, is settled by another proposal from the same epoch."""
    if step.proposals.settled:
        return None
    return view.started_again(step.start_id).because(Cause(kind=CauseKind.SETTLED, by=step.server))
