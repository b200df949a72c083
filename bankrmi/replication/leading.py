"""Leading: one epoch after another, composed of copies, groups, reads and checkpoints.  Rules A1, A3, A5.

Rule 1: an answer leaves when what it rests on is acknowledged in this epoch: at once if it is (`_read`), else
        through `_release`.
Rule 2: this server's own disk is a copy like the others: what it does not hold durably is not acknowledged.
Rule 3: which view is wanted is said; whether and when it is proposed is for the replica.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from bankrmi.errors import BrokenInvariant
from bankrmi.replication import admission, membership
from bankrmi.replication.answers import Answers
from bankrmi.replication.believing import CONTRADICTION
from bankrmi.replication.checkpoints import Checkpoints
from bankrmi.replication.copies import CopySet
from bankrmi.replication.effects import IsBehind, IsBusy, Probe, Read
from bankrmi.replication.events import (
    ClientEvent,
    LinkChanged,
    OutcomeAsked,
    Probed,
    ReadArrived,
    RequestArrived,
    Seen,
)
from bankrmi.replication.groups import Groups
from bankrmi.replication.journal import Adopted, Journal
from bankrmi.replication.messages import (
    Acknowledged,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    Mismatch,
    ViewNews,
)
from bankrmi.replication.peer import PeerState
from bankrmi.replication.reading import NOT_AT_ONCE, ReadFacts, Reads, ReadsAtOnce, rests_on
from bankrmi.replication.step import Step
from bankrmi.replication.view import View
from bankrmi.replication.wishes import Asked, Wishes

__all__ = ["Leader", "adopt_own"]

STUCK_SILENCES = 20
"""A primary that is stuck without the witness sends something once in so many silences of a takeover: seldom
enough for others to take over, however wrong the clocks are."""


_LOOK_AGAIN_MS = 20.0
"""After a look that did not tell whether a process is gone."""


class Leader:
    """A server while it leads; a new epoch of its own goes on with the same object (`begin_epoch`)."""

    def __init__(self, view: View, step: Step) -> None:
        self.view = view
        self.copies = CopySet(step.settings.others, step.links)
        self.acknowledged = 0
        self.ever_acknowledged = 0
        self._answers = Answers()
        self._reads = Reads()
        self._groups = Groups(step)
        self._checkpoints = Checkpoints(view, step.journal.tip)
        self._wishes = Wishes()
        self._leavers: list[Any] = []  # Who asked to be taken out of `in_sync` (V10).

    # -- epochs ----------------------------------------------------------------------------------

    def begin_epoch(self, view: View, step: Step) -> None:
        """Lead `view`, whose adopting is durable; nothing is known to be acknowledged in it (A1)."""
        self.view = view
        self.acknowledged = 0
        self._checkpoints.begin_epoch(view, step.journal.tip)
        self.copies.go_by(step.settings.others, step.links)
        self.copies.begin_epoch(view, step.server, step.tip)
        self._reads.begin_epoch(self._answers)
        self._wishes.look(view, step)
        if view.retired_for is not None:
            self._send_on_all(view, step)
        self._read_held(step)
        for peer in self.copies.peers.values():
            if peer.tracked and peer.linked:
                self._send(peer, step)
            elif peer.tracked:
                self._look_for(peer, step)
        self._advance(step)

    def end(self, view: View | None, known: View | None, step: Step) -> None:
        """Step down, for `view` if that is why: everyone is sent to whoever leads in the view that is known.

        With the same request ids; and who waits for the view to move is told that it has, whatever it is now.
        """
        self._wishes.left(view, known, step)
        self._send_on_all(known, step)
        for waiting in self._answers.take_all():
            step.send_on(waiting.token, known, undecided=False)
        self.view_moved(step)

    def _send_on_all(self, known: View | None, step: Step) -> None:
        """Nothing of what waits to be decided, or read, is any more: send it to where that is done."""
        for token in [*self._groups.take_tokens(), *self._reads.take_tokens()]:
            step.send_on(token, known, undecided=True)

    def view_moved(self, step: Step) -> None:
        """Tell those who asked to be taken out that the view has moved, whatever became of it."""
        leavers, self._leavers = self._leavers, []
        for token in leavers:
            step.answer(token, None)

    # -- requests --------------------------------------------------------------------------------

    def asked(self, event: ClientEvent, step: Step) -> None:
        """Take a client's request into the next group; answer a read as soon as it may be.

        Retired, this server sends everybody to where the bank is (V14).
        """
        if self.view.retired_for is not None:
            step.send_on(event.token, self.view, undecided=True)
        elif isinstance(event, ReadArrived):
            self._read(event, step)
        elif not self.put(event, step.journal):
            is_behind = event.seen is not None and self._is_behind(event.seen, step.tip)
            step.answer(event.token, IsBehind(step.tip) if is_behind else IsBusy())

    def put(self, event: RequestArrived | OutcomeAsked, journal: Journal) -> bool:
        """Take a request into the next group, if there is room and it has seen no more than the journal."""
        seen = event.seen
        if self.view.retired_for is not None:
            return False
        return (seen is None or not self._is_behind(seen, journal.tip.action_id)) and self._groups.put(event)

    def _read(self, event: ReadArrived, step: Step) -> None:
        if self._wishes.keep_all_waiting:
            self._reads.hold(event)
            return
        if event.seen is not None and self._is_behind(event.seen, step.tip):
            step.answer(event.token, IsBehind(step.tip))
            return
        if not step.runs_its_state:
            step.answer(event.token, IsBusy())
            return
        at_once = self.reads_at_once(step).read(event.query, event.seen, step.journal, step.now_ms)
        if at_once is not None:
            step.answer(event.token, at_once)
            return
        reply = Read(self.view.history, step.tip, step.journal.read(event.query))
        action_id = rests_on(event.query, event.seen, step.journal, self.view.history)
        if self._facts(step).may_read:
            self._answers.add(action_id, event.token, reply)
        else:
            self._reads.add_unconfirmed(action_id, event.token, reply)

    def reads_at_once(self, step: Step) -> ReadsAtOnce:
        """R1, R2, R4, S5: return what reads are answered by, unless they have to wait."""
        if self._answers_nobody or not self._all_inherited_is_acknowledged or not step.runs_its_state:
            return NOT_AT_ONCE
        until_ms = self._facts(step).may_read_until_ms
        newest = min(step.tip, self.acknowledged)
        return ReadsAtOnce(until_ms, self.view.history, self.acknowledged, newest)

    def _is_behind(self, seen: Seen, tip: int) -> bool:
        """R5: has the caller seen more of this history than this copy, which ends at `tip`, holds?"""
        return seen[1] > tip and seen[0] == self.view.history

    def forget(self, tokens: Collection[Any]) -> None:
        """Nobody waits for these answers: what is not decided yet never will be."""
        self._groups.drop(tokens)
        self._answers.drop(tokens)
        self._reads.drop(tokens)

    def turn_away(self, tokens: Collection[Any], step: Step) -> None:
        """What of these is not decided yet never will be, and that is said while there is time."""
        for token in self._groups.drop(tokens):
            step.answer(token, IsBusy())

    # -- groups, and rounds of confirmation ------------------------------------------------------

    def may_form_group(self, tip: int, now_ms: float) -> bool:
        """Whether `proceed` would form a group now, with a journal that ends at `tip`: none is on its way."""
        return self.acknowledged >= tip and self._groups.may_form(now_ms) and not self._answers_nobody

    @property
    def reads_wait(self) -> bool:
        """Whether any read waits for a confirmation."""
        return self._reads.wait and not self._answers_nobody

    def may_go_on_reading(self, step: Step) -> bool:
        """Whether `proceed` would do something for the reads that wait."""
        facts = self._facts(step)
        return facts.may_read or self._may_confirm(facts)

    def proceed(self, time_us: int, step: Step) -> None:
        """Form the next group of all that has arrived, unless one is on its way; confirm reads."""
        if self._answers_nobody:
            return
        if self.may_form_group(step.tip, step.now_ms):
            self._form_group(time_us, step)
        if self._reads.wait:
            self._confirm_reads(step)

    def _form_group(self, time_us: int, step: Step) -> None:
        before = step.journal.tip
        group = self._groups.form(self.view, self._answers, time_us, step, self.copies.tracked)
        if group:
            self._checkpoints.begin_group(group, before)
            for peer in self.copies.peers.values():
                if peer.counts or (peer.tracked and not peer.unanswered):
                    self._send(peer, step)
            step.commit("group")
        self._advance(step)

    def _confirm_reads(self, step: Step) -> None:
        """Send what will confirm every read that waits for it; or do without, if there is a lease now."""
        facts = self._facts(step)
        if facts.may_read:
            number = 0
        elif self._may_confirm(facts):
            number = self._checkpoints.number + 1  # Whatever is sent from now on is newer than the reads.
            for peer in self.copies.required:
                self._send(peer, step)
        else:
            return
        self._reads.move_to(self._answers, number=number)
        self._release(step)

    def _may_confirm(self, facts: ReadFacts) -> bool:
        return facts.can_confirm and not self._answers.await_confirmation

    def _facts(self, step: Step) -> ReadFacts:
        settings = step.settings
        return ReadFacts(
            step.now_ms,
            settings.lease_ms,
            settings.drift_ms,
            self.copies.confirmed_at_ms,
            step.proposals.settled,
            self.copies.somebody_lost_a_disk,
        )

    # -- acknowledging ---------------------------------------------------------------------------

    def _advance(self, step: Step) -> None:
        """Find out what is acknowledged now."""
        if self.copies.too_few(self.view, step.links.copies_min):
            return
        known = self.copies.durable_everywhere(step.durable_tip)
        if known > self.acknowledged:
            self.acknowledged = known
            self.ever_acknowledged = max(self.ever_acknowledged, known)
        self._release(step)

    def _release(self, step: Step) -> None:
        """Let the answers go that rest on nothing more than what is acknowledged, and confirmed."""
        if not self._answers:
            return
        everything = self._checkpoints.number + 1  # Where nobody else counts, nothing waits for a message.
        confirmed = self.copies.confirmed_everywhere(everything)
        reads = self._all_inherited_is_acknowledged
        step.effects.extend(self._answers.released(self.acknowledged, confirmed, reads=reads))

    @property
    def _all_inherited_is_acknowledged(self) -> bool:
        """R4, R5: what this epoch began with may have been acknowledged before, and shown to callers."""
        return self.acknowledged >= self._checkpoints.base.action_id

    @property
    def may_be_folded(self) -> int:
        """Up to where records may be folded: acknowledged, and needed by nobody who is sent entries."""
        return min(
            [self.acknowledged, *(peer.resume_id - 1 for peer in self.copies.peers.values() if peer.tracked)]
        )

    def may_acknowledge_more(self, durable_tip: int) -> bool:
        """Whether more is acknowledged if this server's own disk holds so much."""
        return self.copies.durable_everywhere(durable_tip) > self.acknowledged

    def committed(self, step: Step) -> None:
        """This server's own disk holds more."""
        self._advance(step)

    def take_acknowledgement(self, answer: Acknowledged, step: Step) -> None:
        """A5: it counts only in this epoch, and only from the disk that the view or the let-in names."""
        peer = self.copies.peers.get(answer.server)
        if peer is None or not peer.tracked or not self._is_of_this_epoch(answer):
            return
        if answer.incarnation != peer.incarnation:
            return
        if self._is_contradiction(peer, answer, step):
            return
        gained = peer.acknowledged(answer.number, answer.matched)
        if not peer.counts:
            self._groups.gained(gained)
        self._checkpoints.send_more(peer, self.acknowledged, step)
        if peer.catch_up(step.tip):
            self._look_who_lags(step)
        self._advance(step)

    def _is_of_this_epoch(self, answer: Acknowledged) -> bool:
        return (answer.history, answer.epoch) == (self.view.history, self.view.epoch)

    def _is_contradiction(self, peer: PeerState, answer: Acknowledged, step: Step) -> bool:
        """Whether this cannot be, if both servers keep the rules: then it counts for nothing (A5).

        Said once an epoch. It stops nobody: what such a copy says does not spread, and it is left behind.
        """
        own, newest = step.journal.position(answer.matched), self._checkpoints.number
        is_folded = answer.matched < step.journal.anchor.action_id  # It is late: more is known to be there.
        is_ours = is_folded or (own is not None and own.digest == answer.digest)
        if is_ours and answer.number <= newest:
            return False
        if peer.contradicts():
            why = f"it holds another record than ours at action id {answer.matched}"
            if answer.number > newest:
                why = f"it acknowledges message {answer.number}, and {newest} were sent"
            step.report(CONTRADICTION, server=answer.server, why=why)
        return True

    def take_mismatch(self, answer: Mismatch, step: Step) -> None:
        """A3: the standby asks from further back."""
        peer = self.copies.peers.get(answer.server)
        if peer is None or not peer.tracked or answer.epoch != self.view.epoch:
            return
        if answer.number in peer.unanswered:
            peer.mismatched(answer.number, answer.tip, lowest=step.journal.anchor.action_id + 1)
            self._send(peer, step)

    def _send(self, peer: PeerState, step: Step) -> None:
        self._checkpoints.send(peer, self.acknowledged, step)

    # -- time ------------------------------------------------------------------------------------

    def hears_everybody(self, step: Step) -> bool:
        """Whether nobody who counts is silent; else it may be we who are alone."""
        return not self.copies.somebody_is_silent(step.listened_ms, step.settings.checkpoint_timeout_ms)

    def tick(self, step: Step, *, witness_silent_ms: float) -> None:
        """Send the heartbeat; give up joiners that are silent.

        Stuck without the witness it sends few: whoever the witness answers may lead then (V2). But some, to
        hear from those who follow another one already.
        """
        settings, listened_ms = step.settings, step.listened_ms
        timeout_ms = settings.checkpoint_timeout_ms
        self._look_who_lags(step)
        stuck = self._is_stuck(step, witness_silent_ms)
        for peer in self.copies.peers.values():
            peer.give_up_waiting(listened_ms, timeout_ms)
            every_ms = (
                STUCK_SILENCES * settings.silence_ms if stuck and peer.counts else settings.heartbeat_ms
            )
            if peer.tracked and step.now_ms - peer.last_sent_ms >= every_ms:
                self._send(peer, step)
            if peer.joins and step.proposals.settled and peer.is_silent(listened_ms, timeout_ms):
                self._give_up_joiner(peer, step)

    def _is_stuck(self, step: Step, witness_silent_ms: float) -> bool:
        """Whether nothing is acknowledged before the view changes, and the coordinator is silent (V2)."""
        if witness_silent_ms < step.settings.silence_ms:
            return False
        return self._wishes.keep_all_waiting or self._nothing_is_acknowledged(step)

    def _look_who_lags(self, step: Step) -> None:
        lagging = self.copies.somebody_lags(step.tip, step.settings.lag_noticed)
        self._groups.leave_room(step.now_ms, lagging=lagging)

    def _give_up_joiner(self, peer: PeerState, step: Step) -> None:
        named = self.view.incarnations.get(peer.server)
        peer.give_up_joining(named, tip=step.tip, newest_number=self._checkpoints.number)
        self._advance(step)

    # -- the view --------------------------------------------------------------------------------

    def wanted_view(self, step: Step) -> View | None:
        """Return the next view to propose, if any (V5, V12, V14, V2, V3, V6; then V11)."""
        view, wishes = self.view, self._wishes
        wishes.look(view, step)
        urgent = wishes.urgent(view, self.copies, self.acknowledged, step)
        self._read_held(step)
        giving_away = self.is_switching_over
        return (
            urgent
            or membership.wanted_view(
                view, self.copies, step, enough=self._enough, switching_over=giving_away
            )
            or wishes.patient(view)
        )

    @property
    def _enough(self) -> int:
        """What a joiner has to hold (V3): all that we acknowledged, and began with."""
        return max(self.ever_acknowledged, self._checkpoints.base.action_id)

    @property
    def is_switching_over(self) -> bool:
        """Whether the lead is being given away: no request is taken and no read answered (V5)."""
        return self._wishes.switchover is not None

    @property
    def _answers_nobody(self) -> bool:
        """Whether nothing is decided and nothing read: until a wish is over, or for good (V5, V14)."""
        return self._wishes.keep_all_waiting or self.view.retired_for is not None

    def begin_wish(self, asked: Asked, step: Step) -> None:
        """Do what an operator wants, as soon as it may be; from a switchover on, stop answering (V5)."""
        self._wishes.begin(asked, self.view, self.copies, step)

    def _read_held(self, step: Step) -> None:
        """Read what came while the lead was being given away, if it is no more."""
        if not self._wishes.keep_all_waiting:
            for event in self._reads.take_held():
                self._read(event, step)

    # -- other servers ---------------------------------------------------------------------------

    def admit(self, token: Any, request: JoinRequest, step: Step) -> None:
        """Answer a joiner; who is admitted gets checkpoints from now on."""
        peer = self.copies.peers.get(request.server)
        if peer is not None:
            self._checkpoints.can_read(peer, step)
        decided = admission.decide(request, peer, self.view, step)
        if peer is not None and decided.change is not None:
            peer.asked_to_join(decided.change, tip=step.tip, newest_number=self._checkpoints.number)
            if decided.change.resumes_at is not None:
                self._send(peer, step)
                self._advance(step)
        reply = JoinAnswer(
            server=step.server, number=request.number, outcome=decided.outcome, epoch=self.view.epoch
        )
        step.answer(token, reply)

    def take_leave(self, token: Any, request: LeaveRequest, step: Step) -> None:
        """V10: take a member out that is about to stop, if the view can do without it.

        Not for the word of a process that is gone already: whoever is there now wants to stay.
        """
        peer, members = self.copies.peers.get(request.server), self.view.in_sync
        is_there = step.links.start_id(request.server) in (None, request.start_id)
        can_do_without = request.server in members and len(members) > step.links.copies_min
        if peer is not None and is_there and can_do_without:
            peer.leaves()
            self._leavers.append(token)
        else:
            step.answer(token, None)

    def link_changed(self, event: LinkChanged, step: Step) -> None:
        """A connection is up: go on from what is known there.  Or lost: look whether the process is gone."""
        peer = self.copies.peers.get(event.server)
        if peer is None:
            return
        if event.up:
            peer.connected(event.start_id)
            step.send(peer.server, ViewNews(view=self.view))
            if peer.tracked:
                self._send(peer, step)
        elif peer.tracked:
            self._look_for(peer, step)
        else:
            peer.lost(step.now_ms)

    def _look_for(self, peer: PeerState, step: Step) -> None:
        """A copy that counts cannot be spoken to: it is silent from now on, unless its process is gone."""
        peer.lost(step.now_ms)
        if peer.server in step.settings.others:
            step.do(Probe(peer.server, self.view.epoch))

    def probed(self, event: Probed, step: Step) -> None:
        """A server whose connection was lost is gone if its address refuses a new one.

        While nobody answers there it is looked again: of a process that is being killed, connections may end
        before its address refuses.
        """
        peer = self.copies.peers.get(event.server)
        if peer is None:
            return
        if event.refused:
            peer.refused(event.address)
        elif event.start_id is None and peer.tracked and not peer.linked:
            step.do(Probe(peer.server, self.view.epoch, _LOOK_AGAIN_MS))

    # -- for people ------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """How many requests wait to be decided."""
        return len(self._groups)

    def can_acknowledge(self, step: Step) -> bool:
        """Whether what is asked for now is likely to be acknowledged before the view changes."""
        return not (self._nothing_is_acknowledged(step) or self._answers_nobody)

    def _nothing_is_acknowledged(self, step: Step) -> bool:
        """Whether there are too few copies, or one that counts confirms nothing, this one included."""
        if self.copies.too_few(self.view, step.links.copies_min) or step.commit_is_overdue:
            return True
        return self.copies.somebody_owes_an_answer(step.listened_ms, step.settings.checkpoint_timeout_ms)

    def lease_left_ms(self, step: Step) -> float:
        """Return for how long reads need no round trip."""
        return self._facts(step).lease_left_ms


def adopt_own(view: View, step: Step) -> int:
    """Adopt the epoch that was won; return the number of the commit that makes it durable (A2)."""
    adopted = Adopted(
        history=view.history,
        epoch=view.epoch,
        primary=step.server,
        start_id=step.start_id,
        granted_ms=0,  # All is over that was granted.
        retired_for=view.retired_for,
    )
    if step.journal.adopted is not None:
        step.adopt(adopted)
    elif view.in_sync == {step.server}:
        step.open(adopted)
    else:
        raise BrokenInvariant(f"an empty copy was named in {view!r}")
    return step.commit("lead")
