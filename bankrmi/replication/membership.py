"""Which view a primary wants next: hand over, go on without the silent, let in who has caught up.

Rule 1: this file only wants; whether and when it is proposed, and what comes of it, is for the replica.
Rule 2: while a switchover is under way nothing is answered; it ends with a new epoch, whoever's (V5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bankrmi.replication.effects import Answer, Handed, Refusal, Reply
from bankrmi.replication.events import SwitchoverAsked
from bankrmi.replication.peers import Peer, Standing
from bankrmi.replication.view import View

if TYPE_CHECKING:
    from bankrmi.replication.primary import Primary

__all__ = ["Membership"]


@dataclass(slots=True)
class _Switchover:
    target: str
    token: Any
    before: View
    since_ms: float
    cancelled: str = ""


class Membership:
    """What one primary wants of the view."""

    def __init__(self, primary: Primary) -> None:
        self._primary = primary
        self._replica = primary.replica
        self._switchover: _Switchover | None = None

    @property
    def switching_over(self) -> bool:
        """Whether the lead is being given away: no request is taken and no read answered (V5)."""
        return self._switchover is not None

    @property
    def is_stuck(self) -> bool:
        """Whether nothing is acknowledged before the view changes, and the coordinator is silent (V2)."""
        if self._replica.viewing.unanswered_ms < self._replica.settings.silence_ms:
            return False
        wants_a_view = self._replica.proposals.unheard and self._primary.nothing_is_acknowledged()
        return self.switching_over or wants_a_view

    def wanted_view(self) -> View | None:
        """Return the next view to propose, if any (V5, V2, V3, V6)."""
        return self._handing_over() or self._going_on_alone() or self._letting_in() or self._settling()

    # -- V5 --------------------------------------------------------------------------------------

    def begin_switchover(self, event: SwitchoverAsked) -> None:
        """Stop answering, and give the lead to `event.target`, or to the member that holds most."""
        members = {peer.server: peer for peer in self._members() if peer.linked}
        best = max(members.values(), key=lambda peer: peer.matched, default=None)
        target = event.target or (best.server if best is not None else None)
        why = ""
        if self._switchover is not None:
            why = "a switchover is under way already"
        elif target == self._replica.settings.server:
            why = f"{target} is the primary already"
        elif target is None:
            why = "there is no standby that is in sync and can be reached"
        elif target not in members:
            why = f"{target} is not in sync, or cannot be reached"
        if why:
            self._answer(event.token, Refusal(why))
        elif target is not None:
            self._switchover = _Switchover(target, event.token, self._primary.view, self._replica.now_ms)

    def _handing_over(self) -> View | None:
        move = self._switchover
        if move is None:
            return None
        if move.cancelled:
            self._give_up(move.cancelled)
            return None
        primary, target = self._primary, self._primary.peers[move.target]
        tip = self._replica.journal.tip.action_id
        if target.standing is not Standing.MEMBER or not target.linked or target.start_id is None:
            self._give_up(f"{move.target} is not in sync any more, or cannot be reached")
        elif self._replica.now_ms - move.since_ms > self._replica.settings.switchover_timeout_ms:
            self._give_up(f"{move.target} did not catch up in time")
        elif primary.acknowledged >= tip and target.matched >= tip:
            return primary.view.handed_over_to(move.target, target.start_id)
        return None

    def _give_up(self, why: str) -> None:
        """If no proposal can still win, go on; else that has to be settled, by winning again if need be."""
        assert self._switchover is not None
        if self._replica.proposals.settled:
            self._resume(why)
        else:
            self._switchover.cancelled = why

    def begin_epoch(self) -> None:
        """The lead is ours in a new epoch: a switchover that was under way came to nothing."""
        if self._switchover is not None:
            why = self._switchover.cancelled or "the lead was won back before it was given away"
            self._resume(why)

    def _resume(self, why: str) -> None:
        self._end(Refusal(why))
        self._primary.reads.resume()

    def end(self, view: View | None) -> None:
        """This server stops leading, for `view` if it is known."""
        if self._switchover is None:
            return
        if view is not None and view.primary == self._switchover.target:
            self._end(Handed(self._switchover.before, view))
        else:
            self._end(Refusal("another view was won meanwhile"))

    def _end(self, reply: Reply) -> None:
        assert self._switchover is not None
        self._answer(self._switchover.token, reply)
        self._switchover = None

    def _answer(self, token: Any, reply: Reply) -> None:
        if token is not None:
            self._replica.effects.append(Answer(token, reply))

    # -- V2, V3, V6 ------------------------------------------------------------------------------

    def _members(self) -> list[Peer]:
        return [peer for peer in self._primary.peers.values() if peer.standing is Standing.MEMBER]

    def _going_on_alone(self) -> View | None:
        """V2, but never below `copies_min`."""
        settings, view = self._replica.settings, self._primary.view
        listened_ms = self._replica.listened_ms
        # A disk that is lost confirms nothing, however well its server does with another one.
        silent = [peer for peer in self._primary.peers.values() if peer.lost_disk]
        silent += [
            peer for peer in self._members() if peer.is_silent(listened_ms, settings.checkpoint_timeout_ms)
        ]
        silent = [peer for place, peer in enumerate(silent) if peer not in silent[:place]]
        allowed = len(view.in_sync) - self._replica.copies_min
        if not silent or allowed <= 0:
            return None
        return view.without(frozenset(peer.server for peer in silent[:allowed]))

    def _letting_in(self) -> View | None:
        """V3: a mandatory joiner that has all that this primary acknowledged, and began with."""
        primary = self._primary
        if self._switchover is not None:
            return None
        for peer in primary.peers.values():
            if self._has_everything(peer):
                assert peer.incarnation is not None
                return primary.view.letting_in(peer.server, peer.incarnation)
        return None

    def _has_everything(self, peer: Peer) -> bool:
        enough = max(self._primary.ever_acknowledged, self._primary.base.action_id)
        return (
            peer.standing is Standing.MANDATORY
            and peer.confirmed_number > 0  # In this epoch.
            and peer.matched >= enough
        )

    def _settling(self) -> View | None:
        """V6: what is unsettled, and wanted no more, is settled by another proposal from the same epoch."""
        if self._replica.proposals.settled:
            return None
        return self._primary.view.started_again(self._replica.start_id)
