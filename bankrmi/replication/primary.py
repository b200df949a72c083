"""Leading: group commit, acknowledging, reading, and who else holds what.  Rules A1, A4, V2, V3, V5, R1, R2, R4.

Rule 1: one group is on its way at a time; all that arrives meanwhile forms the next one.  No timers.
Rule 2: an answer leaves only through `_release`, when what it rests on is acknowledged in this epoch and,
        for a read without a lease, confirmed by a message sent after the read arrived.
Rule 3: in one step, answers come after the `Commit` of what they rest on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.effects import (
    Answer,
    Commit,
    Decided,
    Handed,
    IsBehind,
    IsStale,
    Probe,
    Read,
    Refusal,
    Reply,
    Send,
)
from bankrmi.replication.entry import Entry, Position
from bankrmi.replication.events import (
    LinkChanged,
    OutcomeAsked,
    Probed,
    ReadArrived,
    RequestArrived,
    Seen,
    SwitchoverAsked,
)
from bankrmi.replication.lease import holds_read_lease, read_lease_left_ms
from bankrmi.replication.messages import Acknowledged, Checkpoint, Mismatch, ViewNews
from bankrmi.replication.peers import UNANSWERED_LIMIT, Peer, Standing
from bankrmi.replication.view import View

if TYPE_CHECKING:
    from bankrmi.replication.replica import Replica

__all__ = ["Primary"]


class _Waiting(NamedTuple):
    """An answer that rests on the entry `action_id`, and on the confirmation of message `number`."""

    action_id: int
    number: int
    token: Any
    reply: Reply


@dataclass(slots=True)
class _Switchover:
    target: str
    token: Any
    before: View
    since_ms: float
    cancelled: str = ""


class Primary:
    """A server while it leads; a new epoch of its own goes on with the same object (`begin_epoch`)."""

    def __init__(self, replica: Replica, view: View) -> None:
        self.replica = replica
        self.view = view
        self.base: Position = replica.journal.tip
        self.peers = {
            name: Peer(name, linked=name in replica.links, start_id=replica.links.get(name))
            for name in replica.settings.others
        }
        self.queue: deque[RequestArrived | OutcomeAsked] = deque()
        self.acknowledged = 0
        self.ever_acknowledged = 0
        self.switchover: _Switchover | None = None
        self._waiting: list[_Waiting] = []
        self._unconfirmed: list[_Waiting] = []
        self._held_reads: list[ReadArrived] = []
        self._number = 0
        self._group: list[Entry] = []
        self._required: list[Peer] = []

    # -- epochs ----------------------------------------------------------------------------------

    def begin_epoch(self, view: View) -> None:
        """Lead `view`, just adopted and committed; nothing is known to be acknowledged in it (A1)."""
        self.view = view
        self.base = tip = self.replica.journal.tip
        self.acknowledged = 0
        self._group = []
        for peer in self.peers.values():
            self._begin_peer(peer, tip.action_id)
        self._unconfirmed += [waiting for waiting in self._waiting if waiting.number]
        self._waiting = [waiting for waiting in self._waiting if not waiting.number]
        self._count_required()
        if self.switchover is not None:
            self._resume(self.switchover.cancelled or "the lead was won back before it was given away")
        for peer in self.peers.values():
            if peer.tracked:
                self._send(peer)
        self.advance()

    def _begin_peer(self, peer: Peer, tip: int) -> None:
        incarnation = self.view.incarnations.get(peer.server)
        peer.lost_disk = peer.lost_disk and incarnation not in (None, peer.incarnation)
        if incarnation is not None and not peer.lost_disk:
            peer.incarnation = incarnation
            peer.begin_epoch(Standing.MEMBER, tip)
        elif peer.standing in (Standing.CATCHING_UP, Standing.MANDATORY):
            peer.begin_epoch(Standing.CATCHING_UP, tip)
        else:
            peer.begin_epoch(Standing.OUTSIDE, tip)

    def _count_required(self) -> None:
        self._required = [peer for peer in self.peers.values() if peer.counts]

    # -- requests --------------------------------------------------------------------------------

    def accept(self, event: RequestArrived | OutcomeAsked) -> None:
        """Take a client's request into the next group."""
        if self._is_behind(event.seen):
            self.replica.effects.append(Answer(event.token, IsBehind(self.replica.journal.tip.action_id)))
        else:
            self.queue.append(event)

    def _is_behind(self, seen: Seen | None) -> bool:
        """R5: has the caller seen more of this history than this copy holds?"""
        return (
            seen is not None and seen[0] == self.view.history and seen[1] > self.replica.journal.tip.action_id
        )

    @property
    def has_work(self) -> bool:
        """Whether `proceed` would do something now."""
        if self.switchover is not None:
            return False
        if self.queue and self.acknowledged >= self.replica.journal.tip.action_id:
            return True
        return bool(self._unconfirmed) and (self._may_read() or self._may_confirm())

    def proceed(self, time_us: int) -> None:
        """Form the next group of all that has arrived, unless one is on its way."""
        if self.switchover is not None:
            return
        if self.queue and self.acknowledged >= self.replica.journal.tip.action_id:
            self._form_group(time_us)
        if self._unconfirmed:
            self._confirm_reads()

    def _form_group(self, time_us: int) -> None:
        group: list[Entry] = []
        limit = self.replica.settings.group_operations
        while self.queue and len(group) < limit:
            group += self._decide(self.queue.popleft(), time_us)
        if group:
            self._group = group
            for peer in self.peers.values():
                if peer.counts or (peer.tracked and not peer.unanswered):
                    self._send(peer)
            self.replica.effects.append(Commit("group"))
        self.advance()

    def _decide(self, event: RequestArrived | OutcomeAsked, time_us: int) -> list[Entry]:
        """Return the new entries of a request; none if it was decided before (O1) or is stale (O2)."""
        journal = self.replica.journal
        session, sequence = event.request
        newest = journal.newest(session)
        if newest is not None and newest >= sequence:
            recorded = journal.recorded(session, sequence)
            if recorded:
                self._wait(recorded[-1].action_id, event.token, self._recorded(event, recorded))
            else:
                newer = journal.recorded(session, newest)
                self._wait(newer[-1].action_id, event.token, IsStale(newest))
            return []
        if isinstance(event, OutcomeAsked):
            entries = journal.cancel(self.view.epoch, event.request, time_us)
        else:
            entries = journal.decide(self.view.epoch, event.request, event.operations, time_us)
        self._wait(entries[-1].action_id, event.token, Decided(self.view.history, entries))
        return entries

    def _recorded(self, event: RequestArrived | OutcomeAsked, recorded: list[Entry]) -> Reply:
        """The recorded outcome is the answer; but an id that is used for something else is a mistake."""
        cancelled = not recorded[0].operation
        if isinstance(event, RequestArrived) and not cancelled:
            if [entry.operation for entry in recorded] != list(event.operations):
                return Refusal("this request id was used before, for another operation")
        return Decided(self.view.history, recorded)

    # -- reads -----------------------------------------------------------------------------------

    def read(self, event: ReadArrived) -> None:
        """Answer from the own copy under a lease, else after a round trip (R1, R2, R4)."""
        if self.switchover is not None:
            self._held_reads.append(event)
            return
        tip = self.replica.journal.tip.action_id
        if self._is_behind(event.seen):
            self.replica.effects.append(Answer(event.token, IsBehind(tip)))
            return
        reply = Read(self.view.history, tip, self.replica.journal.read(event.query))
        waiting = _Waiting(tip, 0, event.token, reply)
        if not self._may_read():
            self._unconfirmed.append(waiting)
        elif self.acknowledged >= tip:
            self.replica.effects.append(Answer(event.token, reply))
        else:
            self._waiting.append(waiting)

    def _may_read(self) -> bool:
        if self._somebody_lost_a_disk():
            return False
        if not self._required:
            return self.replica.proposals.settled  # R1
        settings = self.replica.settings
        confirmed = [peer.confirmed_at_ms for peer in self._required]
        return holds_read_lease(self.replica.now_ms, settings.lease_ms, settings.drift_ms, confirmed)

    def read_lease_left_ms(self) -> float:
        """Return how long reads need no round trip, for the status."""
        settings = self.replica.settings
        confirmed = [peer.confirmed_at_ms for peer in self._required]
        return read_lease_left_ms(self.replica.now_ms, settings.lease_ms, settings.drift_ms, confirmed)

    def _confirm_reads(self) -> None:
        """Send what will confirm every read that has arrived; one such round is on its way at a time."""
        if self._may_read():
            self._waiting += self._unconfirmed
            self._unconfirmed = []
            self._release()
        elif self._may_confirm():
            number = self._number + 1
            for peer in self._required:
                self._send(peer)
            self._waiting += [waiting._replace(number=number) for waiting in self._unconfirmed]
            self._unconfirmed = []

    def _may_confirm(self) -> bool:
        if not self._required or self._somebody_lost_a_disk():
            return False
        return not any(waiting.number for waiting in self._waiting)

    def _somebody_lost_a_disk(self) -> bool:
        return any(peer.lost_disk for peer in self.peers.values())

    # -- acknowledging ---------------------------------------------------------------------------

    def _wait(self, action_id: int, token: Any, reply: Reply) -> None:
        self._waiting.append(_Waiting(action_id, 0, token, reply))

    def advance(self) -> None:
        """Find out what is acknowledged now; called only when all that is written is committed, too."""
        if len(self.view.in_sync) < self.replica.settings.copies_min or self._somebody_lost_a_disk():
            return
        known = min([self.replica.journal.tip.action_id, *(peer.matched for peer in self._required)])
        if known > self.acknowledged:
            self.acknowledged = known
            self.ever_acknowledged = max(self.ever_acknowledged, known)
        self._release()

    def _release(self) -> None:
        confirmed = min((peer.confirmed_number for peer in self._required), default=self._number)
        acknowledged = self.acknowledged
        still: list[_Waiting] = []
        for waiting in self._waiting:
            if waiting.action_id <= acknowledged and waiting.number <= confirmed:
                self.replica.effects.append(Answer(waiting.token, waiting.reply))
            else:
                still.append(waiting)
        self._waiting = still

    def take_acknowledgement(self, answer: Acknowledged) -> None:
        """A5: it counts only in this epoch, and only from the disk that the view or the let-in names."""
        peer = self.peers.get(answer.server)
        if (
            peer is None
            or not peer.tracked
            or (answer.history, answer.epoch) != (self.view.history, self.view.epoch)
            or answer.incarnation != peer.incarnation
        ):
            return
        own = self.replica.journal.position(answer.matched)
        if own is None or own.digest != answer.digest:
            raise BrokenInvariant(
                f"{answer.server} holds another entry than ours at action id {answer.matched}"
            )
        peer.acknowledged(answer.number, answer.matched)
        tip = self.replica.journal.tip.action_id
        if peer.next_id <= tip and not peer.unanswered:
            self._send(peer)
        if peer.standing is Standing.CATCHING_UP and peer.next_id > tip:
            peer.standing = Standing.MANDATORY
            self._count_required()
        self.advance()

    def take_mismatch(self, answer: Mismatch) -> None:
        """A3: the standby asks from further back."""
        peer = self.peers.get(answer.server)
        if (
            peer is None
            or not peer.tracked
            or answer.epoch != self.view.epoch
            or answer.number not in peer.unanswered
        ):
            return
        peer.mismatched(answer.number, answer.tip)
        self._send(peer)

    # -- sending ---------------------------------------------------------------------------------

    def _send(self, peer: Peer) -> None:
        if not peer.linked or len(peer.unanswered) >= UNANSWERED_LIMIT:
            return
        journal = self.replica.journal
        entries: list[Entry] = []
        if peer.next_id <= journal.tip.action_id:
            if self._group and self._group[0].action_id == peer.next_id:
                entries = self._group
            else:
                entries = journal.entries(peer.next_id - 1, self.replica.settings.catch_up_operations)
        previous = journal.position(peer.next_id - 1)
        if previous is None:
            raise BrokenInvariant(f"action id {peer.next_id - 1} is missing from our own journal")
        self._number += 1
        message = Checkpoint(
            history=self.view.history,
            epoch=self.view.epoch,
            primary=self.replica.settings.server,
            start_id=self.replica.start_id,
            number=self._number,
            previous=previous,
            base=self.base,
            acknowledged=self.acknowledged,
            entries=entries,
        )
        peer.sent(self._number, len(entries), self.replica.now_ms)
        self.replica.effects.append(Send(peer.server, message))

    def tick(self) -> None:
        """Send the beacon; give up joiners that are silent and whose let-in is not under way (V3)."""
        now_ms, settings = self.replica.now_ms, self.replica.settings
        timeout_ms = settings.checkpoint_timeout_ms
        if any(peer.is_silent(now_ms, timeout_ms) for peer in self._required):
            self.replica.poll_view(5 * settings.beacon_ms)  # Perhaps it is we who are alone.
        for peer in self.peers.values():
            peer.give_up_waiting(now_ms, timeout_ms)
            if peer.tracked and now_ms - peer.last_sent_ms >= settings.beacon_ms:
                self._send(peer)
            joining = peer.standing in (Standing.CATCHING_UP, Standing.MANDATORY)
            if joining and self.replica.proposals.settled and peer.is_silent(now_ms, timeout_ms):
                peer.standing = Standing.OUTSIDE
                self._count_required()
                self.advance()

    def joined(self, peer: Peer) -> None:
        """A joiner was admitted: it gets checkpoints from now on."""
        self._count_required()
        self._send(peer)
        self.advance()

    def link_changed(self, event: LinkChanged) -> None:
        """A connection is up: go on from what is known there.  Or lost: look whether the process is gone."""
        peer = self.peers.get(event.server)
        if peer is None:
            return
        if event.up:
            if peer.start_id != event.start_id:
                peer.join_number = 0
            peer.linked, peer.gone, peer.start_id = True, False, event.start_id
            self.replica.effects.append(Send(peer.server, ViewNews(view=self.view)))
            if peer.tracked:
                self._send(peer)
        else:
            peer.lost(self.replica.now_ms)
            if peer.tracked:
                self.replica.effects.append(Probe(peer.server, self.view.epoch))

    def probed(self, event: Probed) -> None:
        """A server whose connection was lost is gone if its address refuses a new one."""
        peer = self.peers.get(event.server)
        if peer is not None and event.refused and not peer.linked:
            peer.gone = True

    # -- what view to want -----------------------------------------------------------------------

    def wanted_view(self) -> View | None:
        """Return the next view to propose, if any (V5, V2, V3, V6)."""
        return self._handing_over() or self._going_on_alone() or self._letting_in() or self._settling()

    def _handing_over(self) -> View | None:
        move = self.switchover
        if move is None or move.cancelled:
            return None
        target = self.peers[move.target]
        tip = self.replica.journal.tip.action_id
        if target.standing is not Standing.MEMBER or not target.linked or target.start_id is None:
            return self._give_up_switchover(f"{move.target} is not in sync, or cannot be reached")
        if self.replica.now_ms - move.since_ms > self.replica.settings.switchover_timeout_ms:
            return self._give_up_switchover(f"{move.target} did not catch up in time")
        if self.acknowledged >= tip and target.matched >= tip:
            return self.view.handed_over_to(move.target, target.start_id)
        return None

    def _give_up_switchover(self, why: str) -> View | None:
        """If nothing was proposed yet, go on; else the lead has to be won again before it is used (V5)."""
        assert self.switchover is not None
        if self.replica.proposals.settled:
            self._resume(why)
        else:
            self.switchover.cancelled = why
        return None

    def _resume(self, why: str) -> None:
        """The switchover came to nothing, and the lead is ours beyond doubt: serve again."""
        self._tell_operator(Refusal(why))
        held, self._held_reads = self._held_reads, []
        for event in held:
            self.read(event)

    def _tell_operator(self, reply: Reply) -> None:
        if self.switchover is not None and self.switchover.token is not None:
            self.replica.effects.append(Answer(self.switchover.token, reply))
        self.switchover = None

    def _going_on_alone(self) -> View | None:
        settings, now_ms = self.replica.settings, self.replica.now_ms
        silent = [
            peer
            for peer in self.peers.values()
            if peer.standing is Standing.MEMBER and peer.is_silent(now_ms, settings.checkpoint_timeout_ms)
        ]
        allowed = len(self.view.in_sync) - settings.copies_min
        if not silent or allowed <= 0:
            return None
        return self.view.without(frozenset(peer.server for peer in silent[:allowed]))

    def _letting_in(self) -> View | None:
        if self.switchover is not None:
            return None
        for peer in self.peers.values():
            enough = max(self.ever_acknowledged, self.base.action_id)
            if peer.standing is Standing.MANDATORY and peer.confirmed_number and peer.matched >= enough:
                assert peer.incarnation is not None
                return self.view.letting_in(peer.server, peer.incarnation)
        return None

    def _settling(self) -> View | None:
        if self.replica.proposals.settled:
            return None
        return self.view.started_again(self.replica.start_id)

    # -- what operators want ---------------------------------------------------------------------

    def begin_switchover(self, event: SwitchoverAsked) -> None:
        """V5: from now on no request is taken and no read answered, until the epoch has moved."""
        if self.switchover is not None:
            self.replica.effects.append(Answer(event.token, Refusal("a switchover is under way already")))
            return
        members = [peer for peer in self.peers.values() if peer.standing is Standing.MEMBER and peer.linked]
        best = max(members, key=lambda peer: peer.matched, default=None)
        target = event.target or (best.server if best is not None else None)
        if target == self.replica.settings.server:
            self.replica.effects.append(Answer(event.token, Refusal(f"{target} is the primary already")))
        elif target is None or target not in {peer.server for peer in members}:
            named = f"{target} is" if target else "there is"
            why = f"{named} no standby that is in sync and can be reached"
            self.replica.effects.append(Answer(event.token, Refusal(why)))
        else:
            self.switchover = _Switchover(target, event.token, self.view, self.replica.now_ms)

    def end(self, view: View | None) -> None:
        """Step down: everyone is sent to whoever leads now, with the same request ids."""
        move = self.switchover
        if move is not None and view is not None and view.primary == move.target:
            self._tell_operator(Handed(move.before, view))
        elif move is not None:
            self._tell_operator(Refusal("another view was won meanwhile"))
        tokens = [event.token for event in self.queue]
        tokens += [waiting.token for waiting in self._waiting + self._unconfirmed]
        tokens += [read.token for read in self._held_reads]
        self.queue.clear()
        self._waiting, self._unconfirmed, self._held_reads = [], [], []
        for token in tokens:
            self.replica.answer_not_leading(token)
