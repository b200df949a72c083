"""Planted bugs in what is acknowledged, and in what a standby keeps.  Rules A1, A2, A3, A5."""

from __future__ import annotations

from collections.abc import Sequence

from bankrmi.replication import admission, matching
from bankrmi.replication.copies import CopySet
from bankrmi.replication.effects import Reply
from bankrmi.replication.events import OutcomeAsked, RequestArrived
from bankrmi.replication.following import Follower
from bankrmi.replication.groups import Groups
from bankrmi.replication.journal import Adopted, Journal
from bankrmi.replication.leading import Leader
from bankrmi.replication.messages import Acknowledged, Checkpoint
from bankrmi.replication.reading import ReadsAtOnce
from bankrmi.replication.record import Position, Record
from bankrmi.replication.replica import Replica
from bankrmi.replication.step import Step
from bankrmi.replication.view import View
from bankrmi.robustness.mutants.mutant import Mutant, Patch

__all__ = ["MUTANTS"]

# -- A1 --------------------------------------------------------------------------------------------


def _durable_here(self: CopySet, own: int) -> int:
    return own


def _decided_and_given(
    self: Groups, event: RequestArrived | OutcomeAsked, view: View, step: Step
) -> tuple[int, object, Reply] | None:
    decided = _decided_before(self, event, view, step)
    return None if decided is None else (0, *decided[1:])


def _newest_is_acknowledged(self: Leader, step: Step) -> ReadsAtOnce:
    acknowledged, self.acknowledged = self.acknowledged, step.tip
    at_once = _reads_at_once(self, step)
    self.acknowledged = acknowledged
    return at_once


_decided_before = Groups._decided_before
_reads_at_once = Leader.reads_at_once

# -- A2 --------------------------------------------------------------------------------------------


def _adopt_nothing(self: Replica, adopted: Adopted, step: Step) -> None:
    self._give_way(f"{adopted.primary} leads epoch {adopted.epoch}", step)


# -- A3 --------------------------------------------------------------------------------------------


def _keep(self: Follower, to: int, why: str, step: Step) -> None:
    pass


def _keep_what_is_known_acknowledged(self: Replica, adopted: Adopted, step: Step) -> None:
    _adopt(self, adopted, step)
    follower = self._office.party
    if isinstance(follower, Follower) and 0 < follower.acknowledged < step.tip:
        follower._roll_back(follower.acknowledged, "nobody said that it was acknowledged", step)


def _shorten(self: Follower, message: Checkpoint, step: Step) -> None:
    _bring_in(self, message, step)
    if step.tip > message.through:
        self._roll_back(message.through, "the primary's message ends here", step)


def _holds_that_id(journal: Journal, position: Position) -> bool:
    return position.action_id <= journal.tip.action_id


def _without_known_ids(journal: Journal, records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.first_id > journal.tip.action_id]


def _newest_common_id(journal: Journal, tail: list[Position]) -> int | None:
    common = [position.action_id for position in tail if position.action_id <= journal.tip.action_id]
    return common[0] if common else None


_adopt = Replica._adopt
_bring_in = Follower._bring_in

# -- A5 --------------------------------------------------------------------------------------------


def _of_any_epoch(self: Leader, answer: Acknowledged) -> bool:
    return answer.history == self.view.history


MUTANTS = (
    Mutant(
        name="acknowledge-before-standby",
        rule="A1",
        goes_wrong="a withdrawal is confirmed, the primary dies, and the standby never heard of it",
        patches=(Patch(CopySet, "durable_everywhere", _durable_here),),
    ),
    Mutant(
        name="give-recorded-outcome-before-acknowledged",
        rule="A1",
        goes_wrong="a retry is told an outcome that only the primary holds, and that dies with it",
        patches=(Patch(Groups, "_decided_before", _decided_and_given),),
    ),
    Mutant(
        name="answer-with-highest-unacknowledged-id",
        rule="R4",
        goes_wrong="a client sees a balance, and an action id, that are rolled back after a takeover",
        patches=(Patch(Leader, "reads_at_once", _newest_is_acknowledged),),
    ),
    Mutant(
        name="adopt-no-epoch",
        rule="A2",
        goes_wrong="a standby takes entries of a primary that was deposed, over those of the one that leads",
        patches=(Patch(Replica, "_adopt", _adopt_nothing),),
        sizes=(3,),
    ),
    Mutant(
        name="no-roll-back",
        rule="A3",
        goes_wrong="a deposed primary keeps what it alone had, and its copy is another history",
        patches=(Patch(Follower, "_roll_back", _keep),),
    ),
    Mutant(
        name="roll-back-too-far",
        rule="A3",
        goes_wrong="in a new epoch a standby cuts off all that it was not told is acknowledged, though it is",
        patches=(Patch(Replica, "_adopt", _keep_what_is_known_acknowledged),),
    ),
    Mutant(
        name="roll-back-on-late-message",
        rule="A3",
        goes_wrong="a checkpoint comes late, ends earlier than the journal, and acknowledged entries go",
        patches=(Patch(Follower, "_bring_in", _shorten),),
    ),
    Mutant(
        name="compare-ids-without-epoch",
        rule="A3",
        goes_wrong="two different entries with the same action id count as one, and the copies part for good",
        patches=(
            Patch(matching, "holds", _holds_that_id),
            Patch(matching, "without_known", _without_known_ids),
            Patch(admission, "newest_common", _newest_common_id),
        ),
    ),
    Mutant(
        name="count-another-epochs-acknowledgements",
        rule="A5",
        goes_wrong="what a standby confirmed long ago confirms what a primary says now, and a read is stale",
        patches=(Patch(Leader, "_is_of_this_epoch", _of_any_epoch),),
    ),
)
