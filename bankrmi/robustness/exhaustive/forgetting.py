"""What a server remembers and can make no difference any more is forgotten, so that more states are the same.

Rule 1: each clause says why nothing can come of what it forgets; without a reason it stays.
Rule 2: tests compare a search that forgets nothing: the same promises, the same bank as far as anyone sees.
"""

from __future__ import annotations

from bankrmi.replication.leading import Leader
from bankrmi.replication.messages import Checkpoint, ViewNews
from bankrmi.replication.peer import PeerState, Standing
from bankrmi.replication.replica import Replica

__all__ = [
    "CHECKPOINTS",
    "OTHERS_JOINING",
    "OWN_JOINING",
    "comes_too_late",
    "forget",
    "renumber",
    "surplus",
]


def forget(replica: Replica) -> None:
    """Forget what can make no difference, whatever happens next."""
    settings, primary = replica.settings, replica.primary
    replica._commits.asked = 0  # Here a commit is durable as it is asked for: none is under way.
    replica._joiner._pause_ms = settings.heartbeat_ms  # A moment or two later: other orders hold that, too.
    if settings.lease_ms + settings.drift_ms == 0:
        replica.grants._granted.clear()  # Every lease is over as it is granted.
    if primary is None:
        replica._office.party.acknowledged = 0  # Only shown to people, and what exports wait for.
        return
    for peer in primary.copies.peers.values():
        if settings.lease_ms == 0:
            peer.confirmed_at_ms = float("-inf")  # Only leases are counted from it.
        if peer.standing is Standing.OUTSIDE:
            _forget_outsider(peer)


def _forget_outsider(peer: PeerState) -> None:
    """It gets no checkpoints and nobody waits for it; `begin_epoch` begins all of this anew."""
    peer.unanswered.clear()
    peer.on_the_way.clear()
    peer.waiting_since_ms = None
    peer.last_sent_ms = float("-inf")


CHECKPOINTS, OWN_JOINING, OTHERS_JOINING = 1, 2, 4
"""What is counted: a primary's checkpoints, the requests to be let in of this server, those of the other."""


def surplus(replica: Replica) -> int:
    """Return what can be counted anew as soon as none of it is on its way: a sum of the numbers above."""
    counted = OWN_JOINING if replica._joiner._asked else 0
    primary = replica.primary
    if primary is not None:
        counted += CHECKPOINTS if _surplus(primary) > 0 else 0
        counted += OTHERS_JOINING if any(peer.join_number for peer in primary.copies.peers.values()) else 0
    return counted


def renumber(replica: Replica, counted: int) -> None:
    """Count anew.  Numbers are only ever compared with each other, and the next one is higher in any case."""
    primary = replica.primary
    if counted & OWN_JOINING:
        replica._joiner._asked = 0
    if counted & OTHERS_JOINING and primary is not None:
        for peer in primary.copies.peers.values():
            peer.join_number = 0
    if counted & CHECKPOINTS and primary is not None:
        _subtract(primary, _surplus(primary))


def _surplus(primary: Leader) -> int:
    """Return by how much a primary's numbers are higher than they need be: 1 is for what was confirmed."""
    waited = [number for peer in primary.copies.peers.values() for number in peer.unanswered]
    waited += [waiting.number for waiting in primary._answers._waiting if waiting.number]
    return min([*waited, primary._checkpoints.number + 1]) - 2


def _subtract(primary: Leader, by: int) -> None:
    primary._checkpoints.number -= by
    for peer in primary.copies.peers.values():
        peer.unanswered = {number - by: at_ms for number, at_ms in peer.unanswered.items()}
        peer.on_the_way = {number - by: size for number, size in peer.on_the_way.items()}
        if peer.confirmed_number:
            peer.confirmed_number = max(1, peer.confirmed_number - by)
        peer.lost_disk_number = max(0, peer.lost_disk_number - by)
    primary._answers._waiting = [
        waiting._replace(number=waiting.number - by) if waiting.number else waiting
        for waiting in primary._answers._waiting
    ]


def comes_too_late(replica: Replica, message: object) -> bool:
    """Whether a message that nobody hears the answer of can do nothing here any more: epochs only grow."""
    adopted, view = replica.journal.adopted, replica.view
    if adopted is None:
        return False
    if isinstance(message, Checkpoint):
        return message.history == adopted.history and message.epoch < adopted.epoch
    if isinstance(message, ViewNews):
        known = max(adopted.epoch - 1, view.epoch if view is not None else 0)
        return message.view.epoch <= known
    return False
