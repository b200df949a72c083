"""Coming back: a server outside `in_sync` shows its tail, and the primary finds what both have.

Rule 1: the tail thins out (1, 2, 4, 8, ... operations apart) and always ends at action id 0, so it is short
        however long the journal is; the checkpoints that follow find the exact place (A3).
Rule 2: nothing in common, or an empty disk: a copy of the database, never an empty start.
Rule 3: a copy as well where it is faster, if nothing is lost by it; offered once to a process, since a copy
        may fail for reasons of its own, and entries are always another way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bankrmi.replication.effects import Answer, FetchCopy, InstallCopy, Send
from bankrmi.replication.journal import Adopted, Journal
from bankrmi.replication.messages import JoinAnswer, JoinRequest
from bankrmi.replication.peers import Standing
from bankrmi.replication.primary import Primary
from bankrmi.replication.record import Position
from bankrmi.replication.view import View

if TYPE_CHECKING:
    from bankrmi.replication.replica import Replica

__all__ = ["Joiner", "admit", "newest_common", "tail_of"]

COPY_IS_FASTER = 8
"""A byte of the database is copied and verified in an eighth of the time that a record's byte takes to be
applied, or less (measured: a twelfth)."""

GAP_BYTES = 72
"""What an operation takes in the database."""

COPY_AGAIN_MS = 500.0
"""A pause after a copy that failed: what made it fail (a full disk, say) is likely still there."""


def tail_of(journal: Journal) -> list[Position]:
    """Return positions from the tip down, thinning out, to action id 0; nothing if the copy is empty."""
    if journal.adopted is None:
        return []
    tail = []
    action_id, step = journal.tip.action_id, 1
    while action_id > 0:
        position = journal.before(action_id + 1)
        assert position is not None
        if position.action_id == 0:
            break
        tail.append(position)
        action_id, step = min(action_id - step, position.action_id - 1), step * 2
    opening = journal.position(0)
    assert opening is not None
    return [*tail, opening]


def newest_common(journal: Journal, tail: list[Position]) -> int | None:
    """Return the newest action id of the tail at which both journals are the same; None if there is none."""
    for position in tail:
        if journal.position(position.action_id) == position:
            return position.action_id
    return None


def admit(primary: Primary, token: Any, request: JoinRequest) -> None:
    """Answer a joiner, as the primary: checkpoints will come, or it needs a copy, or it has to wait."""
    replica = primary.replica
    peer = primary.peers.get(request.server)

    def answer(outcome: str) -> None:
        reply = JoinAnswer(
            server=replica.settings.server,
            number=request.number,
            outcome=outcome,
            epoch=primary.view.epoch,
        )
        replica.effects.append(Answer(token, reply))

    if peer is None or request.server not in replica.settings.others:
        answer("unknown")
        return
    if replica.links.get(request.server) != request.start_id or request.number <= peer.join_number:
        answer("wait")
        return
    peer.join_number = request.number
    another_disk = peer.incarnation != request.incarnation
    if peer.standing is Standing.MANDATORY and another_disk and not replica.proposals.settled:
        answer("wait")  # V3: the disk that the view may name by now counts until that is settled.
        return
    peer.start_id = request.start_id
    if peer.standing is Standing.MEMBER and another_disk:
        # It lost its disk: the member that the view names is no more (V8).  Where the view can do without,
        # it is taken out first; else (`copies_min`) nothing is acknowledged until the new one replaces it.
        if len(primary.view.in_sync) > replica.copies_min:
            peer.leaving = True
            answer("wait")
            return
        primary.lost_its_disk(peer)
    common = newest_common(replica.journal, list(request.tail))
    if common is None:
        answer("copy")
        return
    offered = peer.tracked or peer.copy_offered_to == request.start_id
    if not offered and _copy_is_faster(primary, request, common):
        peer.copy_offered_to = request.start_id
        answer("copy")
        return
    if not peer.tracked or another_disk:
        peer.incarnation = request.incarnation
        peer.matched = 0
        peer.resume_id = common + 1
        peer.begin_epoch(Standing.CATCHING_UP, replica.journal.tip.action_id)
        primary.joined(peer)
    answer("checkpoints")


def _copy_is_faster(primary: Primary, request: JoinRequest, common: int) -> bool:
    """Whether so much is missing that the whole database is there sooner; and nothing there would be lost."""
    journal, settings = primary.replica.journal, primary.replica.settings
    gap = journal.tip.action_id - common
    if gap < settings.copy_from_operations or request.tail[0].action_id != common:
        return False
    return COPY_IS_FASTER * GAP_BYTES * gap > journal.size_bytes


class Joiner:
    """A server outside `in_sync`, on its way back in."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._asked_ms = float("-inf")
        self._asked = 0
        self._pause_ms = replica.settings.beacon_ms
        self._copying = False
        self._copied_view: View | None = None
        self._admitted: tuple[str, int] | None = None

    @property
    def is_copying(self) -> bool:
        """Whether a copy of the primary's database is asked for, or on its way."""
        return self._copying

    @property
    def is_admitted(self) -> bool:
        """Whether the primary has said, in its epoch, that it will send what is missing."""
        view = self.replica.view
        return view is not None and self._admitted == (view.history, view.epoch)

    def tick(self) -> None:
        """Ask the primary to be let in, until it has admitted us in its epoch, and whenever it falls silent.

        Hearing it is not enough: it may speak to the disk that this server has lost. Only the answer to the
        newest request counts, so the pause grows until an answer fits into it.
        """
        replica = self.replica
        view = replica.view
        if self._awaits_copy() or view is None or view.primary not in replica.links:
            return
        admitted = self._admitted == (view.history, view.epoch) and not replica.standby.is_silent()
        if admitted or replica.now_ms - self._asked_ms < self._pause_ms:
            return
        self._asked_ms = replica.now_ms
        if self._asked:
            self._wait_longer()
        self._asked += 1
        adopted = replica.journal.adopted
        request = JoinRequest(
            server=replica.settings.server,
            incarnation=replica.journal.incarnation,
            start_id=replica.start_id,
            number=self._asked,
            history=adopted.history if adopted is not None else None,
            tail=tail_of(replica.journal),
        )
        replica.effects.append(Send(view.primary, request))

    def _wait_longer(self) -> None:
        """Up to the time in which a checkpoint has to be answered: who is farther away counts as silent."""
        self._pause_ms = min(2 * self._pause_ms, self.replica.settings.checkpoint_timeout_ms)

    def begin_again(self) -> None:
        """Another primary, or another connection to it: how long it takes to answer is not known."""
        self._pause_ms = self.replica.settings.beacon_ms

    def answered(self, answer: JoinAnswer) -> None:
        """The primary answered: fetch a copy, or wait for checkpoints, or look who leads now.

        A late answer to an older request, or to one of a server that is a member by now, is none.
        """
        replica = self.replica
        view = replica.view
        if answer.number != self._asked or not self._outside():
            return
        self.begin_again()
        if answer.outcome == "not_primary":
            replica.viewing.read()
        elif answer.outcome == "checkpoints" and view is not None and view.primary == answer.server:
            self._admitted = (view.history, answer.epoch)
        elif (
            answer.outcome == "copy"
            and view is not None
            and view.primary == answer.server
            and not self._awaits_copy()
        ):
            self._copying = True
            self._copied_view = view
            replica.effects.append(FetchCopy(view.primary))

    def _awaits_copy(self) -> bool:
        """Whether a copy is on its way that could still be put in place.

        One of a view before could not; and its source may be silent for ever.
        """
        return self._copying and self._copied_view == self.replica.view

    def _outside(self) -> bool:
        view = self.replica.view
        own = (self.replica.settings.server, self.replica.journal.incarnation)
        return view is not None and not view.names(*own)

    def copy_ended(self, *, fetched: bool) -> None:
        """A copy is here, or none: install it if it is still what we need; ask again in any case.

        Meanwhile another server may lead, and may have let us in with the journal that we have:
        then the copy, which is older, must not take its place.
        """
        view, own = self._copied_view, self.replica.journal.adopted
        self._copying = False
        if not fetched or view is None:
            self._asked_ms = self.replica.now_ms + COPY_AGAIN_MS
            return
        self._asked_ms = float("-inf")
        same_view = self.replica.view == view and (own is None or own.epoch <= view.epoch)
        still_wanted = same_view and self._outside()
        adopted = Adopted(
            history=view.history,
            epoch=view.epoch,
            primary=view.primary,
            start_id=view.start_id,
            granted_ms=self.replica.grants.longest_ms(self.replica.now_ms),
        )
        self.replica.effects.append(InstallCopy(adopted if still_wanted else None))
