"""Planted bugs in who may read, and in when a server may lead.  Rules R1 to R5."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from bankrmi.replication import leading, reading
from bankrmi.replication.events import Probed, Seen
from bankrmi.replication.following import Follower
from bankrmi.replication.journal import Journal
from bankrmi.replication.leading import Leader
from bankrmi.replication.lease import Grants, binding_ms
from bankrmi.replication.messages import Acknowledged, Checkpoint
from bankrmi.replication.reading import ReadFacts
from bankrmi.replication.replica import Replica
from bankrmi.replication.settings import Settings
from bankrmi.replication.step import Step
from bankrmi.replication.view import View
from bankrmi.robustness.mutants.mutant import Mutant, Patch
from bankrmi.storage.journal import SqliteJournal

__all__ = ["MUTANTS"]

# -- R1, R2 ----------------------------------------------------------------------------------------


def _alone_by_the_view(self: Leader, step: Step) -> ReadFacts:
    facts = _facts(self, step)
    alone = self.view.in_sync == {step.server}
    return facts._replace(confirmed_at_ms=[], settled=True) if alone else facts


def _always(*_: object) -> bool:
    return True


def _never(*_: object) -> float:
    return inf


def _count_from_now(self: Leader, answer: Acknowledged, step: Step) -> None:
    peer = self.copies.peers.get(answer.server)
    before = peer.confirmed_at_ms if peer is not None else inf
    _take_acknowledgement(self, answer, step)
    if peer is not None and peer.confirmed_at_ms > before:
        peer.confirmed_at_ms = step.now_ms


_facts = Leader._facts
_take_acknowledgement = Leader.take_acknowledgement

# -- R3 --------------------------------------------------------------------------------------------


def _by_our_own_lease(self: Replica, message: Checkpoint) -> int:
    return binding_ms(self.settings.lease_ms, self.settings.drift_ms)


def _our_own_silence(self: Follower, settings: Settings) -> float:
    return settings.silence_ms


def _over_already(self: Grants) -> float:
    return -inf


def _gone_when_silent(self: Follower, view: View, step: Step) -> bool:
    return _primary_is_gone(self, view, step) or self.is_silent(step)


def _prove_for_any_epoch(self: Follower, event: Probed, view: View | None, step: Step) -> None:
    _probed(self, event if view is None else replace(event, epoch=view.epoch), view, step)


def _refused_whenever(self: Grants, server: str, address: str, begun_ms: float) -> None:
    _refused(self, server, address, inf)


def _answered_whenever(self: Grants, server: str, address: str, start_id: str, begun_ms: float) -> None:
    _answered(self, server, address, start_id, inf)


_primary_is_gone = Follower.primary_is_gone
_probed = Follower.probed
_refused = Grants.refused
_answered = Grants.answered

# -- R4 --------------------------------------------------------------------------------------------


def _changed_long_ago(self: SqliteJournal, query: object) -> int:
    return 0


# -- R5 --------------------------------------------------------------------------------------------


def _never_behind(self: Leader, seen: Seen | None, step: Step) -> bool:
    return False


def _whatever_was_seen(query: object, seen: Seen | None, journal: Journal, history: str) -> int:
    return journal.changed_at(query)


MUTANTS = (
    Mutant(
        name="read-without-lease",
        rule="R2",
        goes_wrong="a primary that is cut off shows a balance that its successor has changed",
        patches=(Patch(reading, "read_lease_ends_ms", _never),),
    ),
    Mutant(
        name="count-lease-from-answer",
        rule="R2",
        goes_wrong="an acknowledgement that was long on its way gives a lease that is over at its giver's",
        patches=(Patch(Leader, "take_acknowledgement", _count_from_now),),
    ),
    Mutant(
        name="read-alone-while-let-in-unsettled",
        rule="R1",
        goes_wrong="who was let in unheard has taken over, and the old primary reads as if it were alone",
        patches=(Patch(Leader, "_facts", _alone_by_the_view),),
    ),
    Mutant(
        name="take-over-before-lease-ended",
        rule="R3",
        goes_wrong="after a few missed heartbeats a standby leads; the primary still reads by its lease",
        patches=(
            Patch(Follower, "primary_is_gone", _gone_when_silent),
            Patch(Grants, "over_at_ms", _over_already),
        ),
    ),
    Mutant(
        name="lead-right-after-winning",
        rule="R3",
        goes_wrong="a server leads when it hears that it won, though the old primary still holds its lease",
        patches=(Patch(Grants, "over_at_ms", _over_already),),
    ),
    Mutant(
        name="lease-by-the-receivers-own-setting",
        rule="R3",
        goes_wrong="the primary counts a longer lease than its standby waits for, and reads when that leads",
        patches=(
            Patch(Replica, "_granted_by", _by_our_own_lease),
            Patch(Follower, "_silence_ms", _our_own_silence),
        ),
    ),
    Mutant(
        name="proof-of-death-against-later-epoch",
        rule="R3",
        goes_wrong="that a process was dead counts against the one that started since, and holds a lease",
        patches=(
            Patch(Follower, "probed", _prove_for_any_epoch),
            Patch(Grants, "refused", _refused_whenever),
            Patch(Grants, "answered", _answered_whenever),
        ),
    ),
    Mutant(
        name="read-before-acknowledged",
        rule="R4",
        goes_wrong="a read shows what is not acknowledged, and may be rolled back",
        patches=(Patch(SqliteJournal, "changed_at", _changed_long_ago),),
    ),
    Mutant(
        name="read-before-all-inherited-acknowledged",
        rule="R4",
        goes_wrong="a new primary says that a balance is older than what the old one has shown",
        patches=(Patch(Leader, "_all_inherited_is_acknowledged", property(_always)),),
        sizes=(3,),
    ),
    Mutant(
        name="ignore-behind",
        rule="R5",
        goes_wrong="a client whose lease was betrayed by a clock sees a balance older than one it has seen",
        patches=(
            Patch(Leader, "_is_behind", _never_behind),
            Patch(reading, "rests_on", _whatever_was_seen),
            Patch(leading, "rests_on", _whatever_was_seen),
        ),
        clocks_apart=True,
    ),
)
