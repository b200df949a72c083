"""Which view a leader wants next: go on without the silent, let in who has caught up, settle what is open.

Rule 1: pure: facts in, the wanted view out.  Whether and when it is proposed, and what comes of it, is for
        the replica.
Rule 2: who is silent is left behind, never below `copies_min` (V2).
"""

from __future__ import annotations

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
    ]
    if not silent:
        return None
    allowed = len(view.in_sync) - step.links.copies_min
    if allowed <= 0:
        return None
    # First a disk that is lost: it confirms nothing, however well its server does with another one.
    silent.sort(key=lambda peer: not peer.lost_disk)
    return view.without(frozenset(peer.server for peer in silent[:allowed]))


def _letting_in(view: View, copies: CopySet, enough: int) -> View | None:
    """V3: a mandatory joiner that has all that this primary acknowledged, and began with."""
    for peer in copies.peers.values():
        if _has_everything(peer, enough):
            assert peer.incarnation is not None
            return view.letting_in(peer.server, peer.incarnation)
    return None


def _has_everything(peer: PeerState, enough: int) -> bool:
    return (
        peer.standing is Standing.MANDATORY
        and peer.confirmed_number > 0  # In this epoch.
        and peer.matched >= enough
    )


def _settling(view: View, step: Step) -> View | None:
    """V6: what is unsettled, and no longer wanted, is settled by another proposal from the same epoch."""
    return None if step.proposals.settled else view.started_again(step.start_id)
