"""Leading: group commit and acknowledging.  Rules A1, A3, A4, A5, O1, O2, O4.

Rule 1: one group is on its way at a time; all that arrives meanwhile forms the next one.  No timers.
Rule 2: an answer leaves only through `release`, when what it rests on is acknowledged in this epoch.
Rule 3: in one step, answers come after the `Commit` of what they rest on.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.answers import Answers
from bankrmi.replication.believing import CONTRADICTION
from bankrmi.replication.effects import (
    Answer,
    Commit,
    Decided,
    IsBehind,
    IsBusy,
    IsStale,
    Probe,
    Refusal,
    Reply,
    Report,
    Send,
)
from bankrmi.replication.events import LinkChanged, OutcomeAsked, Probed, RequestArrived, Seen
from bankrmi.replication.membership import Membership
from bankrmi.replication.messages import Acknowledged, Checkpoint, Mismatch, ViewNews
from bankrmi.replication.pace import Pace
from bankrmi.replication.peers import UNANSWERED_LIMIT, Peer, Standing
from bankrmi.replication.queue import OPERATION_BYTES, RequestQueue
from bankrmi.replication.reading import Reads
from bankrmi.replication.record import Position, Record, size_of
from bankrmi.replication.view import View

if TYPE_CHECKING:
    from bankrmi.replication.replica import Replica

__all__ = ["Primary"]

QUEUE_LIMIT = 65_536
"""Requests that may wait for the next group, whatever they cost; who counts their bytes stands before us."""

STUCK_SILENCES = 20
"""A primary that is stuck without the witness sends something once in so many silences of a takeover: seldom
enough for others to take over, however wrong the clocks are."""

CATCH_UP_WINDOW_BYTES = 1 << 20
"""Of older records that may be on their way to one server; the message that exceeds it is the last one."""

SENT_AT_ONCE = 2
"""Messages of older records that one answer calls forth: they are read from the disk, and others wait."""


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
        self.required: list[Peer] = []
        self.acknowledged = 0
        self.ever_acknowledged = 0
        self.answers = Answers()
        self.membership = Membership(self)
        self.reads = Reads(self)
        self._queue = RequestQueue()
        self._pace = Pace(replica.now_ms, replica.settings.usual_per_ms)
        self._lagging = False  # A joiner does, so far that groups leave it room.
        self._group: list[Record] = []
        self._number = 0

    # -- epochs ----------------------------------------------------------------------------------

    def begin_epoch(self, view: View) -> None:
        """Lead `view`, just adopted and committed; nothing is known to be acknowledged in it (A1)."""
        self.view = view
        self.base = tip = self.replica.journal.tip
        self.acknowledged = 0
        self._group = []
        for stranger in view.in_sync - self.peers.keys() - {self.replica.settings.server}:
            # In sync, and not in our configuration: it counts (A1) until the view can do without it.
            self.peers[stranger] = Peer(stranger, gone=True)
        for peer in self.peers.values():
            self._begin_peer(peer, tip.action_id)
        self.count_required()
        self.reads.begin_epoch()
        self.membership.begin_epoch()
        for peer in self.peers.values():
            if peer.tracked and peer.linked:
                self.send(peer)
            elif peer.tracked:
                self._look_for(peer)
        self.advance()

    def _look_for(self, peer: Peer) -> None:
        """A copy that counts cannot be spoken to: it is silent from now on, unless its process is gone."""
        peer.lost(self.replica.now_ms)
        if peer.server in self.replica.settings.others:
            self.replica.effects.append(Probe(peer.server, self.view.epoch))

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

    def count_required(self) -> None:
        """Note who counts: nothing is acknowledged, and nothing read, without them."""
        self.required = [peer for peer in self.peers.values() if peer.counts]

    def somebody_lost_a_disk(self) -> bool:
        """Whether a member that the view names can confirm nothing any more."""
        return any(peer.lost_disk for peer in self.peers.values())

    def nothing_is_acknowledged(self) -> bool:
        """Whether there are too few copies, or one that counts confirms nothing."""
        listened_ms, timeout_ms = self.replica.listened_ms, self.replica.settings.checkpoint_timeout_ms
        return self._has_too_few_copies() or any(
            peer.owes_an_answer(listened_ms, timeout_ms) for peer in self.required
        )

    def can_acknowledge(self) -> bool:
        """Whether what is asked for now is likely to be acknowledged before the view changes."""
        return not (self.nothing_is_acknowledged() or self.membership.switching_over)

    def _has_too_few_copies(self) -> bool:
        return len(self.view.in_sync) < self.replica.copies_min or self.somebody_lost_a_disk()

    # -- requests --------------------------------------------------------------------------------

    def accept(self, event: RequestArrived | OutcomeAsked) -> None:
        """Take a client's request into the next group."""
        if self.is_behind(event.seen):
            self.replica.effects.append(Answer(event.token, IsBehind(self.replica.journal.tip.action_id)))
        elif len(self._queue) >= QUEUE_LIMIT:
            self.replica.effects.append(Answer(event.token, IsBusy()))
        else:
            self._queue.put(event)

    def forget(self, tokens: Collection[Any]) -> None:
        """Nobody waits for these answers: what is not decided yet never will be."""
        self._queue.drop(tokens)
        self.answers.drop(tokens)
        self.reads.drop(tokens)

    def turn_away(self, tokens: Collection[Any]) -> None:
        """What of these is not decided yet never will be, and that is said while there is time."""
        self.replica.effects += [Answer(token, IsBusy()) for token in self._queue.drop(tokens)]

    def is_behind(self, seen: Seen | None) -> bool:
        """R5: has the caller seen more of this history than this copy holds?"""
        return (
            seen is not None and seen[0] == self.view.history and seen[1] > self.replica.journal.tip.action_id
        )

    @property
    def has_work(self) -> bool:
        """Whether `proceed` would do something now."""
        if self.membership.switching_over:
            return False
        return self._may_form_group() or self.reads.have_work

    def _may_form_group(self) -> bool:
        if not self._queue or self.acknowledged < self.replica.journal.tip.action_id:
            return False
        return not self._lagging or self._pace.may_decide(self.replica.now_ms)

    def _look_who_lags(self) -> None:
        """Note whether a joiner lags so far that groups have to leave it room."""
        tip, noticed = self.replica.journal.tip.action_id, self.replica.settings.lag_noticed
        self._lagging = any(
            peer.linked and peer.standing is Standing.CATCHING_UP and peer.lag(tip) > noticed
            for peer in self.peers.values()
        )
        if not self._lagging:
            self._pace.nobody_lags(self.replica.now_ms)

    def proceed(self, time_us: int) -> None:
        """Form the next group of all that has arrived, unless one is on its way; confirm reads."""
        if self.membership.switching_over:
            return
        if self._may_form_group():
            self._form_group(time_us)
        self.reads.confirm()

    def _form_group(self, time_us: int) -> None:
        group: list[Record] = []
        room = self.replica.settings.group_room
        requests = self._queue.take(room)
        for place, request in enumerate(requests):
            decided = self._decided_before(request)
            if decided is None:
                group.append(self._decide(request, time_us))
                continue
            self.answers.add(*decided)
            room -= _read_for(decided[2])
            if room <= 0:  # What was decided before costs reading, and nobody knew how much.
                self._queue.put_back(requests[place + 1 :])
                break
        if group:
            self._group = group
            self._pace.decided(sum(record.operation_count for record in group))
            for peer in self.peers.values():
                if peer.counts or (peer.tracked and not peer.unanswered):
                    self.send(peer)
            self.replica.effects.append(Commit("group"))
        self.advance()

    def _decide(self, event: RequestArrived | OutcomeAsked, time_us: int) -> Record:
        """Return the record of a request that is new."""
        journal = self.replica.journal
        if isinstance(event, OutcomeAsked):
            record = journal.cancel(self.view.epoch, event.request, time_us)
        else:
            record = journal.decide(self.view.epoch, event.request, event.count, event.operations, time_us)
        self.answers.add(record.action_id, event.token, Decided(self.view.history, record))
        return record

    def _decided_before(self, event: RequestArrived | OutcomeAsked) -> tuple[int, Any, Reply] | None:
        """Return what to answer if the journal decides it: the action id it rests on, whom, what."""
        journal = self.replica.journal
        session, sequence = event.request
        newest = journal.newest(session)
        if newest is None or newest < sequence:
            return None
        recorded = journal.recorded(session, sequence)
        if recorded is not None:
            return recorded.action_id, event.token, self._recorded(event, recorded)
        newer = journal.recorded(session, newest)
        if newer is None:
            raise BrokenInvariant(f"request {session}:{newest} is missing from our own journal")
        return newer.action_id, event.token, IsStale(newest)

    def _recorded(self, event: RequestArrived | OutcomeAsked, recorded: Record) -> Reply:
        """The recorded outcome is the answer; but an id that is used for something else is a mistake."""
        is_another = isinstance(event, RequestArrived) and recorded.operations != event.operations
        if is_another and not recorded.cancelled:
            return Refusal("this request id was used before, for another operation")
        return Decided(self.view.history, recorded)

    # -- acknowledging ---------------------------------------------------------------------------

    def advance(self) -> None:
        """Find out what is acknowledged now; called only when all that is written is committed, too."""
        if self._has_too_few_copies():
            return
        known = self._durable_everywhere()
        if known > self.acknowledged:
            self.acknowledged = known
            self.ever_acknowledged = max(self.ever_acknowledged, known)
        self.release()

    def _durable_everywhere(self) -> int:
        """Return the newest action id that every copy that counts holds durably, this one included."""
        return min([self.replica.journal.tip.action_id, *(peer.matched for peer in self.required)])

    def release(self) -> None:
        """Let the answers go that rest on nothing more than what is acknowledged, and confirmed."""
        everything = self._number + 1  # Nobody else counts any more: not even what could not be sent waits.
        confirmed = min((peer.confirmed_number for peer in self.required), default=everything)
        self.replica.effects.extend(self.answers.released(self.acknowledged, confirmed))

    def take_acknowledgement(self, answer: Acknowledged) -> None:
        """A5: it counts only in this epoch, and only from the disk that the view or the let-in names."""
        peer = self.peers.get(answer.server)
        if peer is None or not peer.tracked or not self._is_of_this_epoch(answer):
            return
        if answer.incarnation != peer.incarnation:
            return
        if self._is_contradiction(peer, answer):
            return
        if peer.lost_disk and peer.standing is Standing.MEMBER and answer.number > peer.lost_disk_number:
            peer.lost_disk = False  # The disk that the view names confirms what was sent since: it was away.
        gained = peer.acknowledged(answer.number, answer.matched)
        if self._lagging and not peer.counts:
            self._pace.gained(gained)
        self._send_more(peer)
        if peer.standing is Standing.CATCHING_UP and peer.next_id > self.replica.journal.tip.action_id:
            peer.standing = Standing.MANDATORY
            self.count_required()
            self._look_who_lags()
        self.advance()

    def _is_contradiction(self, peer: Peer, answer: Acknowledged) -> bool:
        """Whether this cannot be, if both servers keep the rules: then it counts for nothing (A5).

        Said once an epoch. It stops nobody: what such a copy says does not spread, and it is left behind.
        """
        own = self.replica.journal.position(answer.matched)
        if own is not None and own.digest == answer.digest and answer.number <= self._number:
            return False
        if not peer.contradicted:
            peer.contradicted = True
            why = f"it holds another record than ours at action id {answer.matched}"
            if answer.number > self._number:
                why = f"it acknowledges message {answer.number}, and {self._number} were sent"
            self.replica.effects.append(Report(CONTRADICTION, {"server": answer.server, "why": why}))
        return True

    def lost_its_disk(self, peer: Peer) -> None:
        """A member says that it has another disk than the view names (V8)."""
        peer.lost_disk, peer.lost_disk_number = True, self._number

    def _is_of_this_epoch(self, answer: Acknowledged) -> bool:
        return (answer.history, answer.epoch) == (self.view.history, self.view.epoch)

    def take_mismatch(self, answer: Mismatch) -> None:
        """A3: the standby asks from further back."""
        peer = self.peers.get(answer.server)
        if peer is None or not peer.tracked or answer.epoch != self.view.epoch:
            return
        if answer.number in peer.unanswered:
            peer.mismatched(answer.number, answer.tip)
            self.send(peer)

    # -- sending ---------------------------------------------------------------------------------

    def send_to_required(self) -> int:
        """Send something to everybody who counts; return the number from which on a message is newer."""
        number = self._number + 1
        for peer in self.required:
            self.send(peer)
        return number

    def _send_more(self, peer: Peer) -> None:
        """Keep a copy that lags supplied: a few messages are on the way, and few are read at a time."""
        for _ in range(SENT_AT_ONCE):
            if peer.next_id > self.replica.journal.tip.action_id or not peer.has_room(CATCH_UP_WINDOW_BYTES):
                return
            self.send(peer)

    def send(self, peer: Peer) -> None:
        """Send what the server does not have yet; nothing new makes it a beacon."""
        if not peer.linked or len(peer.unanswered) >= UNANSWERED_LIMIT:
            return
        previous = self.replica.journal.before(peer.next_id)
        if previous is None:
            raise BrokenInvariant(f"action id {peer.next_id - 1} is missing from our own journal")
        records = self._records_after(previous.action_id)
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
            lease_ms=self.replica.settings.lease_ms,
            drift_ms=self.replica.settings.drift_ms,
            records=records,
        )
        size = sum(map(size_of, records))
        peer.sent(self._number, message.through, self.replica.now_ms, size=size)
        self.replica.effects.append(Send(peer.server, message))

    def _records_after(self, action_id: int) -> list[Record]:
        if action_id >= self.replica.journal.tip.action_id:
            return []
        if self._group and self._group[0].first_id == action_id + 1:
            return self._group
        settings = self.replica.settings
        return self.replica.journal.records(
            action_id, settings.catch_up_operations, at_most_bytes=settings.catch_up_bytes
        )

    def tick(self) -> None:
        """Send the beacon; look whether it is we who are alone; give up joiners that are silent.

        Stuck without the witness it sends few: whoever the witness answers may lead then (V2). But some, to
        hear from those who follow another one already.
        """
        now_ms, settings = self.replica.now_ms, self.replica.settings
        listened_ms, timeout_ms = self.replica.listened_ms, settings.checkpoint_timeout_ms
        self._look_who_lags()
        if any(peer.is_silent(listened_ms, timeout_ms) for peer in self.required):
            self.replica.viewing.poll(5 * settings.beacon_ms)
        else:
            self.replica.viewing.look_for_news()
        stuck = self.membership.is_stuck
        for peer in self.peers.values():
            peer.give_up_waiting(listened_ms, timeout_ms)
            every_ms = STUCK_SILENCES * settings.silence_ms if stuck and peer.counts else settings.beacon_ms
            if peer.tracked and now_ms - peer.last_sent_ms >= every_ms:
                self.send(peer)
            joining = peer.standing in (Standing.CATCHING_UP, Standing.MANDATORY)
            if joining and self.replica.proposals.settled and peer.is_silent(listened_ms, timeout_ms):
                self._give_up_joiner(peer)

    def _give_up_joiner(self, peer: Peer) -> None:
        """V3: mandatory until the let-in is settled, not longer.

        If it was to take the place of a disk that the view names, that one is waited for again (V8).
        """
        peer.standing = Standing.OUTSIDE
        if peer.lost_disk:
            peer.incarnation, peer.matched = self.view.incarnations[peer.server], 0
            peer.begin_epoch(Standing.MEMBER, self.replica.journal.tip.action_id)
            peer.lost_disk_number = self._number
        self.count_required()
        self.advance()

    # -- other servers ---------------------------------------------------------------------------

    def joined(self, peer: Peer) -> None:
        """A joiner was admitted: it gets checkpoints from now on."""
        self.count_required()
        self.send(peer)
        self.advance()

    def link_changed(self, event: LinkChanged) -> None:
        """A connection is up: go on from what is known there.  Or lost: look whether the process is gone."""
        peer = self.peers.get(event.server)
        if peer is None:
            return
        if event.up:
            if peer.start_id != event.start_id:
                peer.join_number, peer.leaving = 0, False
            peer.linked, peer.gone, peer.start_id = True, False, event.start_id
            self.replica.effects.append(Send(peer.server, ViewNews(view=self.view)))
            if peer.tracked:
                self.send(peer)
        elif peer.tracked:
            self._look_for(peer)
        else:
            peer.lost(self.replica.now_ms)

    def probed(self, event: Probed) -> None:
        """A server whose connection was lost is gone if its address refuses a new one."""
        peer = self.peers.get(event.server)
        if peer is not None and event.refused and not peer.linked:
            peer.gone = True

    def end(self, view: View | None) -> None:
        """Step down: everyone is sent to whoever leads now, with the same request ids."""
        self.membership.end(view)
        for token in [*self._queue.take_tokens(), *self.reads.take_tokens()]:
            self.replica.answer_not_leading(token, undecided=True)
        for waiting in self.answers.take_all():
            self.replica.answer_not_leading(waiting.token, undecided=False)


def _read_for(reply: Reply) -> int:
    """Return what it cost to read what was decided before, for an answer."""
    return OPERATION_BYTES * reply.record.operation_count if isinstance(reply, Decided) else OPERATION_BYTES
