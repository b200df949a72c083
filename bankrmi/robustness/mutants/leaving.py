"""Planted bugs in how a bank leaves its servers for a database.  Rule V14.

What two commands at once, one of them late, can do wrong would take more seeds: the model has the histories
(`tests/model`), and a real PostgreSQL the commands (`tests/engine/test_moving_at_once.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bankrmi.coordination import succession
from bankrmi.replication.events import ClientEvent, OutcomeAsked, RequestArrived
from bankrmi.replication.journal import Journal
from bankrmi.replication.leading import Leader
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


def _ask_as_if_it_served(self: Leader, event: ClientEvent, step: Step) -> None:
    view, self.view = self.view, replace(self.view, retired_for=None)
    try:
        _asked(self, event, step)
    finally:
        self.view = view


def _put_as_if_it_served(self: Leader, event: RequestArrived | OutcomeAsked, journal: Journal) -> bool:
    view, self.view = self.view, replace(self.view, retired_for=None)
    try:
        return _put(self, event, journal)
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


_asked, _put, _next = Leader.asked, Leader.put, View._next

MUTANTS = (
    Mutant(
        name="retired-still-decides",
        rule="V14",
        goes_wrong="a primary goes on after its bank was copied whole, and that is in no database",
        patches=(
            Patch(Leader, "asked", _ask_as_if_it_served),
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
)
