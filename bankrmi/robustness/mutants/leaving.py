"""Planted bugs in how a bank leaves its servers for a database.  Rule V14."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bankrmi.backup.fetching import PieceAnswer
from bankrmi.coordination import restore, succession
from bankrmi.relocation import retirement
from bankrmi.replication.events import ClientEvent, OutcomeAsked, RequestArrived
from bankrmi.replication.journal import Journal
from bankrmi.replication.leading import Leader
from bankrmi.replication.messages import Holdings
from bankrmi.replication.step import Step
from bankrmi.replication.view import View
from bankrmi.robustness.mutants.mutant import Mutant, Patch
from bankrmi.robustness.simulator.workload import BankWorkload, Workload

__all__ = ["MUTANTS"]


class _LeavingBank(BankWorkload):
    """The bank, which somebody always moves."""

    leaves = True


def _that_leaves(_seed: int) -> Workload:
    return _LeavingBank()


_serving = Leader.asked, Leader.put


def _as_if_it_served(self: Leader, event: ClientEvent, step: Step) -> None:
    view, self.view = self.view, replace(self.view, retired_for=None)
    try:
        _serving[0](self, event, step)
    finally:
        self.view = view


def _put_as_if_it_served(self: Leader, event: RequestArrived | OutcomeAsked, journal: Journal) -> bool:
    view, self.view = self.view, replace(self.view, retired_for=None)
    try:
        return _serving[1](self, event, journal)
    finally:
        self.view = view


def _but_for_wishes(self: Leader) -> bool:
    return self._wishes.keep_all_waiting


def _next_one_forgets(
    self: View, primary: str, start_id: str, in_sync: set[str], incarnations: Mapping[str, str] | None = None
) -> View:
    after = _next(self, primary, start_id, in_sync, incarnations)
    return after if primary == self.primary else replace(after, retired_for=None)


def _no_objection(_current: View, _proposed: View) -> None:
    return None


def _by_the_view_alone(now: PieceAnswer, seen: View) -> bool:
    return now.history == seen.history and now.acknowledged >= now.tip.action_id


def _whoever_says_so(now: PieceAnswer, _seen: View) -> bool:
    return now.retired_for is not None and now.acknowledged >= now.tip.action_id


def _any_retirement(_seen: View, now: View, _views: Iterable[View]) -> bool:
    return now.retired_for is not None


def _whenever(_view: View, *, anew: bool) -> bool:
    return True


def _nobody_noted_it(_best: Holdings, _remembered: View | None, _newest: int) -> None:
    return None


_next = View._next

MUTANTS = (
    Mutant(
        name="retired-still-decides",
        rule="V14",
        goes_wrong="a primary goes on after its bank was copied whole, and that is in no database",
        patches=(
            Patch(Leader, "asked", _as_if_it_served),
            Patch(Leader, "put", _put_as_if_it_served),
            Patch(Leader, "_answers_nobody", property(_but_for_wishes)),
        ),
        workload_of=_that_leaves,
    ),
    Mutant(
        name="takeover-forgets-retirement",
        rule="V14",
        goes_wrong="a server takes over from a retired one, and serves; the witness lets it",
        patches=(
            Patch(View, "_next", _next_one_forgets),
            Patch(succession, "_objection_to_retirement", _no_objection),
        ),
        workload_of=_that_leaves,
    ),
    Mutant(
        name="retire-before-settled",
        rule="V14",
        goes_wrong="the view says retired, and what is copied is of a primary that has not heard of it yet",
        patches=(Patch(retirement, "is_frozen", _by_the_view_alone),),
        workload_of=_that_leaves,
    ),
    Mutant(
        name="copy-from-whoever-was-retired-once",
        rule="V14",
        goes_wrong="a primary that was deposed, retired, gives away what was in an earlier retirement",
        patches=(Patch(retirement, "is_frozen", _whoever_says_so),),
        workload_of=_that_leaves,
    ),
    Mutant(
        name="reinstate-whichever-retirement",
        rule="V14",
        goes_wrong="a cancelled move takes back the next one, by which the bank has gone meanwhile",
        patches=(Patch(retirement, "is_the_same", _any_retirement),),
        workload_of=_that_leaves,
    ),
    Mutant(
        name="begin-to-move-while-retired",
        rule="V14",
        goes_wrong="a bank is copied by a retirement that is just being taken back",
        patches=(Patch(retirement, "may_begin", _whenever),),
        workload_of=_that_leaves,
    ),
    Mutant(
        name="restore-forgets-retirement",
        rule="V14",
        goes_wrong="the witness has lost its memory, and a bank that has left serves again",
        patches=(Patch(restore, "_retired_for", _nobody_noted_it),),
        workload_of=_that_leaves,
    ),
)
