"""The copies of a leader's peers: who counts, what is durable everywhere, whether there are too few.

Rule: nothing is acknowledged, and nothing read, without each copy that counts (A1, R2).
"""

from __future__ import annotations

from collections.abc import Iterable

from bankrmi.replication.links import LinkTable
from bankrmi.replication.peer import COUNTING, PeerState, Standing
from bankrmi.replication.view import View

__all__ = ["CopySet"]


class CopySet:
    """What one leader knows of the others' copies."""

    def __init__(self, others: Iterable[str], links: LinkTable) -> None:
        self.peers = {name: _peer(name, links) for name in others}

    def go_by(self, others: Iterable[str], links: LinkTable) -> None:
        """V12: these are the other servers from now on."""
        known = self.peers
        self.peers = {name: known.get(name) or _peer(name, links) for name in others}

    def begin_epoch(self, view: View, server: str, tip: int) -> None:
        """A new epoch is led, by `server`.

        Who is in sync, and none of the servers that we know, counts (A1) until the view can do without it.
        """
        for stranger in view.in_sync - self.peers.keys() - {server}:
            self.peers[stranger] = PeerState(stranger, gone=True)
        for peer in self.peers.values():
            stopping = view.cause is not None and view.cause.is_stop_of(peer.server)
            peer.begin_epoch(view.incarnations.get(peer.server), tip, stopping=stopping)

    @property
    def required(self) -> list[PeerState]:
        """Those that count."""
        return [peer for peer in self.peers.values() if peer.standing in COUNTING]

    @property
    def members(self) -> list[PeerState]:
        """Those whose disk the view names."""
        return [peer for peer in self.peers.values() if peer.standing is Standing.MEMBER]

    @property
    def somebody_lost_a_disk(self) -> bool:
        """Whether a member that the view names can confirm nothing any more."""
        return True in [peer.lost_disk for peer in self.peers.values()]

    def too_few(self, view: View, copies_min: int) -> bool:
        """Whether nothing may be acknowledged, however much is confirmed."""
        return len(view.in_sync) < copies_min or self.somebody_lost_a_disk

    @property
    def tracked(self) -> list[str]:
        """The servers that get checkpoints."""
        return [peer.server for peer in self.peers.values() if peer.tracked]

    # -- what is confirmed -----------------------------------------------------------------------

    def durable_everywhere(self, own: int) -> int:
        """Return the newest action id that every copy that counts holds durably; this one holds `own`."""
        newest = own
        for peer in self.peers.values():
            if peer.matched < newest and peer.standing in COUNTING:
                newest = peer.matched
        return newest

    def confirmed_everywhere(self, everything: int) -> int:
        """Return the newest message that all who count have confirmed; `everything` if nobody counts."""
        confirmed = [peer.confirmed_number for peer in self.peers.values() if peer.standing in COUNTING]
        return min(confirmed, default=everything)

    @property
    def confirmed_at_ms(self) -> list[float]:
        """When the newest message was sent that each one that counts has confirmed in this epoch."""
        return [peer.confirmed_at_ms for peer in self.peers.values() if peer.standing in COUNTING]

    # -- silence ---------------------------------------------------------------------------------

    def somebody_is_silent(self, listened_ms: float, timeout_ms: float) -> bool:
        """Whether one that counts is silent, or wants to leave."""
        return any(peer.is_silent(listened_ms, timeout_ms) for peer in self.required)

    def somebody_owes_an_answer(self, listened_ms: float, timeout_ms: float) -> bool:
        """Whether one that counts confirms nothing."""
        return any(peer.owes_an_answer(listened_ms, timeout_ms) for peer in self.required)

    def somebody_lags(self, tip: int, noticed: int) -> bool:
        """Whether a joiner lags by more than `noticed` entries."""
        return any(
            peer.linked and peer.standing is Standing.CATCHING_UP and peer.lag(tip) > noticed
            for peer in self.peers.values()
        )


def _peer(name: str, links: LinkTable) -> PeerState:
    return PeerState(name, linked=name in links, start_id=links.start_id(name))
