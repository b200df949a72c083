"""What a server remembers and can make no difference any more is forgotten, so that more states are the same.

Rule 1: each clause says why nothing can come of what it forgets; without a reason it stays.
Rule 2: tests compare a search that forgets nothing: the same promises, the same bank as far as anyone sees.
"""

from __future__ import annotations

from bankrmi.replication.messages import Checkpoint, ViewNews
from bankrmi.replication.peers import Peer, Standing
from bankrmi.replication.primary import Primary
from bankrmi.replication.replica import Replica
from bankrmi.replication.standby import Standby

__all__ = ["comes_too_late", "forget", "renumber", "renumber_joins"]


def forget(replica: Replica) -> None:
    """Forget what can make no difference, whatever happens next."""
    replica.standby.acknowledged = 0  # Only shown to people.
    settings, primary = replica.settings, replica.primary
    if settings.lease_ms + settings.drift_ms == 0:
        replica.grants._granted.clear()  # Every lease is over as it is granted.
    if primary is None:
        return
    replica.standby = Standby(replica)  # A primary that steps down begins with a new one.
    for peer in primary.peers.values():
        if settings.lease_ms == 0:
            peer.confirmed_at_ms = float("-inf")  # Only leases are counted from it.
        if peer.standing is Standing.OUTSIDE:
            _forget_outsider(peer)


def _forget_outsider(peer: Peer) -> None:
    """It gets no checkpoints and nobody waits for it; `begin_epoch` begins all of this anew."""
    peer.unanswered.clear()
    peer.waiting_since_ms = None
    peer.last_sent_ms = float("-inf")


def renumber_joins(replica: Replica, *, own: bool, others: bool) -> bool:
    """Count requests to be let in from 1 again: the own ones, or the other's, of which none is on its way.

    The next one of the same process has a higher number in any case.
    """
    changed = False
    if own and replica.joiner._asked:
        replica.joiner._asked, changed = 0, True
    if others and replica.primary is not None:
        for peer in replica.primary.peers.values():
            if peer.join_number:
                peer.join_number, changed = 0, True
    return changed


def renumber(replica: Replica) -> bool:
    """Count messages from 1 again, as far as no number is waited for; return whether that changes anything.

    Nothing of this primary may be on its way.  Numbers are only ever compared with each other.
    """
    primary = replica.primary
    if primary is None:
        return False
    waited = [number for peer in primary.peers.values() for number in peer.unanswered]
    waited += [waiting.number for waiting in primary.answers._waiting if waiting.number]
    surplus = min([*waited, primary._number + 1]) - 2
    if surplus <= 0:
        return False
    _subtract(primary, surplus)
    return True


def _subtract(primary: Primary, surplus: int) -> None:
    primary._number -= surplus
    for peer in primary.peers.values():
        peer.unanswered = {number - surplus: at_ms for number, at_ms in peer.unanswered.items()}
        if peer.confirmed_number:
            peer.confirmed_number = max(1, peer.confirmed_number - surplus)
    primary.answers._waiting = [
        waiting._replace(number=waiting.number - surplus) if waiting.number else waiting
        for waiting in primary.answers._waiting
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
