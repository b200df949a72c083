"""Bugs planted in production's rules, each one changed function, for the exhaustive search to find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bankrmi.replication import reading
from bankrmi.replication.correspondence import Correspondence
from bankrmi.replication.effects import Decided, Propose
from bankrmi.replication.entry import Entry
from bankrmi.replication.events import CoordinatorSilent, Event, OutcomeAsked, Probed, RequestArrived
from bankrmi.replication.membership import Membership
from bankrmi.replication.messages import Checkpoint
from bankrmi.replication.peers import Peer, Standing
from bankrmi.replication.primary import Primary
from bankrmi.replication.proposals import Proposals
from bankrmi.replication.replica import Replica
from bankrmi.replication.standby import Standby
from bankrmi.replication.view import View
from bankrmi.replication.viewing import Viewing
from bankrmi.storage import journal as storage
from bankrmi.storage.journal import SqliteJournal

Plant = Callable[[pytest.MonkeyPatch], None]


def acknowledge_before_the_standby(patch: pytest.MonkeyPatch) -> None:
    """A1 off: what is in the own journal is taken for acknowledged."""

    def advance(self: Primary) -> None:
        self.acknowledged = self.replica.journal.tip.action_id
        self.ever_acknowledged = max(self.ever_acknowledged, self.acknowledged)
        self.release()

    patch.setattr(Primary, "advance", advance)


def lead_again_without_a_fresh_epoch(patch: pytest.MonkeyPatch) -> None:
    """V4 off: a primary that starts again takes the epoch of the process before it for its own."""
    step = Replica.step

    def careless(self: Replica, event: Event, *, now_ms: float) -> Any:
        view = getattr(event, "view", None)
        if isinstance(view, View) and view.primary == self.settings.server and self.primary is None:
            self.start_id = view.start_id
        return step(self, event, now_ms=now_ms)

    patch.setattr(Replica, "step", careless)


def take_over_without_winning(patch: pytest.MonkeyPatch) -> None:
    """V1 off: to propose is taken for having won."""
    reconsider = Replica._reconsider

    def rash(self: Replica) -> None:
        before = len(self.effects)
        reconsider(self)
        for effect in self.effects[before:]:
            if isinstance(effect, Propose) and self.primary is None:
                self.viewing.learn(effect.view)

    patch.setattr(Replica, "_reconsider", rash)


def go_on_alone_before_the_view_says_so(patch: pytest.MonkeyPatch) -> None:
    """V2 off: who is silent, or gone, is not waited for."""
    count_required, probed = Primary.count_required, Primary.probed

    def without_the_gone(self: Primary) -> None:
        count_required(self)
        self.required = [peer for peer in self.required if not peer.gone]

    def and_count(self: Primary, event: Probed) -> None:
        probed(self, event)
        self.count_required()
        self.advance()

    patch.setattr(Primary, "count_required", without_the_gone)
    patch.setattr(Primary, "probed", and_count)


def guess_that_a_lost_proposal_won(patch: pytest.MonkeyPatch) -> None:
    """V6 off: silence is taken for consent."""
    wanted: dict[tuple[int, str], View] = {}
    proposed, take_silence = Proposals.proposed, Viewing.take_silence

    def remember(self: Proposals, view: View) -> None:
        wanted[view.epoch, view.primary] = view
        proposed(self, view)

    def guess(self: Viewing, event: CoordinatorSilent) -> None:
        take_silence(self, event)
        if event.proposal:
            epoch = self._replica.proposals._epoch
            self.learn(wanted[epoch, self._replica.settings.server])

    patch.setattr(Proposals, "proposed", remember)
    patch.setattr(Viewing, "take_silence", guess)


def guess_that_a_lost_proposal_failed(patch: pytest.MonkeyPatch) -> None:
    """V6 off: a proposal whose answer was lost is taken for lost itself."""
    patch.setattr(Proposals, "settled", property(lambda self: not self._under_way))


def forget_request_ids(patch: pytest.MonkeyPatch) -> None:
    """O1 off, and the database does not mind either."""
    patch.setattr(SqliteJournal, "newest", lambda *_: None)
    patch.setattr(storage, "_TABLES", storage._TABLES.replace("UNIQUE", ""))


def roll_back_because_a_late_message_ends_earlier(patch: pytest.MonkeyPatch) -> None:
    """A3 off: whatever is above the last entry of a message is removed."""
    bring_in = Standby._bring_in

    def shortening(self: Standby, message: Checkpoint) -> None:
        bring_in(self, message)
        through = message.previous.action_id + len(message.entries)
        if self.replica.journal.tip.action_id > through:
            self._roll_back(through, "planted")

    patch.setattr(Standby, "_bring_in", shortening)


def never_roll_back(patch: pytest.MonkeyPatch) -> None:
    """A3 off the other way."""
    patch.setattr(Standby, "_roll_back", lambda *_: None)


def give_a_recorded_outcome_before_it_is_acknowledged(patch: pytest.MonkeyPatch) -> None:
    """A1 off for retries."""
    decide = Primary._decide

    def eager(self: Primary, event: RequestArrived | OutcomeAsked, time_us: int) -> list[Entry]:
        recorded = self.replica.journal.recorded(*event.request)
        if recorded:
            self.answers.add(0, event.token, Decided(self.view.history, recorded))
            return []
        return decide(self, event, time_us)

    patch.setattr(Primary, "_decide", eager)
    patch.setattr(Primary, "_may_form_group", lambda self: bool(self._queue))


def let_in_too_early(patch: pytest.MonkeyPatch) -> None:
    """V3 off: a joiner is proposed before it has everything."""

    def letting_in(self: Membership) -> View | None:
        for peer in self._primary.peers.values():
            if peer.standing in (Standing.CATCHING_UP, Standing.MANDATORY) and peer.incarnation:
                return self._primary.view.letting_in(peer.server, peer.incarnation)
        return None

    patch.setattr(Membership, "_letting_in", letting_in)


def count_acknowledgements_of_other_epochs(patch: pytest.MonkeyPatch) -> None:
    """A5 off: an epoch begins with what was confirmed in the one before."""
    begin_epoch = Peer.begin_epoch

    def generous(self: Peer, standing: Standing, tip: int) -> None:
        matched = self.matched
        begin_epoch(self, standing, tip)
        self.matched = max(matched, min(tip, self.resume_id - 1))

    patch.setattr(Peer, "begin_epoch", generous)


def read_without_a_lease(patch: pytest.MonkeyPatch) -> None:
    """R2 off: a primary answers from its own copy."""
    patch.setattr(reading, "holds_read_lease", lambda *_: True)


def acknowledge_epochs_that_are_over(patch: pytest.MonkeyPatch) -> None:
    """A2 off: who was superseded is acknowledged all the same."""
    take = Correspondence._take_checkpoint

    def tolerant(self: Correspondence, token: Any, message: Checkpoint) -> None:
        adopted = self._replica.journal.adopted
        if adopted is not None and message.epoch < adopted.epoch:
            self._replica.standby.take(token, message)
        else:
            take(self, token, message)

    patch.setattr(Correspondence, "_take_checkpoint", tolerant)
