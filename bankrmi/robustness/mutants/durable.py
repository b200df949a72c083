"""Planted bugs in what waits for the disk (ADR 22).  Rules A1, A2, V2.

The first four are A1_OWN_DISK, A1_STANDBY_DISK, A2_LEADS and A2_ACTS of the model.
"""

from __future__ import annotations

from typing import Any

from bankrmi.replication.effects import Commit, Effect, Reply
from bankrmi.replication.events import Event
from bankrmi.replication.messages import Acknowledged
from bankrmi.replication.office import Office
from bankrmi.replication.replica import Replica
from bankrmi.replication.step import Step
from bankrmi.replication.view import View
from bankrmi.robustness.mutants.mutant import Mutant, Patch

__all__ = ["MUTANTS"]


def _what_is_written(self: Step) -> int:
    return self.tip


def _at_once_if_held(self: Step, token: Any, reply: Reply) -> None:
    """No entry is missing from the disk; the epoch may be."""
    if isinstance(reply, Acknowledged) and reply.matched <= self.durable_tip:
        self.answer(token, reply)
    else:
        _answer_when_durable(self, token, reply)


def _lead_at_once(self: Office, view: View, step: Step) -> None:
    _adopt(self, view, step)
    self.lead(view, step)


def _never_overdue(_: Step) -> bool:
    return False


def _commit_last(self: Replica, event: Event, *, now_ms: float) -> list[Effect]:
    effects = _step(self, event, now_ms=now_ms)
    return sorted(effects, key=lambda effect: isinstance(effect, Commit))


_answer_when_durable = Step.answer_when_durable
_adopt = Office.adopt
_step = Replica.step

_OWN_DISK = Patch(Step, "durable_tip", property(_what_is_written))
_STANDBY_DISK = Patch(Step, "answer_when_durable", Step.answer)

MUTANTS = (
    Mutant(
        name="answer-before-own-commit",
        rule="A1",
        goes_wrong="a primary, alone in sync, answers, and dies before its commit: nobody has the entry",
        patches=(_OWN_DISK,),
    ),
    Mutant(
        name="acknowledge-before-commit",
        rule="A1",
        goes_wrong="a standby confirms what it has in memory, dies, starts without it, and leads",
        patches=(_STANDBY_DISK,),
    ),
    Mutant(
        name="lead-before-adopting",
        rule="A2",
        goes_wrong="a new primary answers, dies, knows an older epoch, and a late checkpoint undoes that",
        patches=(Patch(Office, "adopt", _lead_at_once),),
    ),
    Mutant(
        name="acknowledge-before-adopting",
        rule="A2",
        goes_wrong="a standby has the entry, not the epoch, on its disk; a late checkpoint removes the entry",
        patches=(Patch(Step, "answer_when_durable", _at_once_if_held),),
    ),
    Mutant(
        name="heartbeat-while-own-disk-hangs",
        rule="V2",
        goes_wrong="a primary whose disk hangs is heard for ever, answers nothing, and nobody takes over",
        patches=(Patch(Step, "commit_is_overdue", property(_never_overdue)),),
        kind="liveness",
    ),
    Mutant(
        name="commit-after-answering",
        rule="A1",
        goes_wrong="a copy says that it has an entry, and loses power before the entry is on its disk",
        patches=(_OWN_DISK, _STANDBY_DISK, Patch(Replica, "step", _commit_last)),
    ),
)
