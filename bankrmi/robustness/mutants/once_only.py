"""Planted bugs in doing each request once, and in what a failing disk may mean.  Rules O1, O2, F1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from bankrmi.replication.effects import Reply
from bankrmi.replication.events import OutcomeAsked, RequestArrived
from bankrmi.replication.groups import Groups
from bankrmi.replication.record import DONE, Record
from bankrmi.replication.step import Step
from bankrmi.replication.view import View
from bankrmi.robustness.mutants.mutant import Mutant, Patch
from bankrmi.storage.database import DiskFailed
from bankrmi.storage.journal import SqliteJournal
from bankrmi.storage.request_index import RequestIndex

__all__ = ["MUTANTS"]

_Decided = tuple[int, Any, Reply]

_Request = RequestArrived | OutcomeAsked

_inherited: WeakKeyDictionary[Groups, int] = WeakKeyDictionary()
"""By the groups of a leader: the newest action id that it did not decide itself."""


def _begin_as_if_new(self: Groups, step: Step) -> None:
    _begin(self, step)
    _inherited[self] = step.tip


def _recorded(event: _Request, step: Step) -> Record | None:
    return step.journal.recorded(*event.request)


def _decided_by_us(self: Groups, event: _Request, view: View, step: Step) -> _Decided | None:
    recorded = _recorded(event, step)
    if recorded is not None and recorded.action_id <= _inherited[self]:
        return None
    return _decided_before(self, event, view, step)


def _done_before(self: Groups, event: _Request, view: View, step: Step) -> _Decided | None:
    recorded = _recorded(event, step)
    if recorded is not None and all(entry.status != DONE for entry in recorded.entries()):
        return None
    return _decided_before(self, event, view, step)


def _never_stale(self: Groups, event: _Request, view: View, step: Step) -> _Decided | None:
    return _decided_before(self, event, view, step) if _recorded(event, step) is not None else None


def _write_again(self: SqliteJournal) -> None:
    """What the kernel could not write it has dropped: the second fsync has nothing to do, and says so."""
    try:
        _write(self)
    except DiskFailed:
        self._open_transaction = self._failed = False


def _add_any(self: RequestIndex, session: str, sequence: int, action_id: int) -> None:
    self._unwritten[session, sequence] = action_id
    self._newest[session] = max(sequence, self._newest.get(session, 0))


def _check_nothing(self: RequestIndex, requests: Sequence[tuple[str, int]]) -> None:
    pass


_begin = Groups.__init__
_decided_before = Groups._decided_before
_write = SqliteJournal.write

_ids_are_not_unique = (
    Patch(RequestIndex, "add", _add_any),
    Patch(RequestIndex, "check", _check_nothing),
)
"""The index is a second memory of request ids, and standbys ask it."""

MUTANTS = (
    Mutant(
        name="forget-request-ids-after-failover",
        rule="O1",
        goes_wrong="the answer was lost with the primary, the client retries, and the money is taken twice",
        patches=(
            Patch(Groups, "__init__", _begin_as_if_new),
            Patch(Groups, "_decided_before", _decided_by_us),
            *_ids_are_not_unique,
        ),
    ),
    Mutant(
        name="remember-only-successes",
        rule="O1",
        goes_wrong="what was declined, or settled as never to happen, happens when a late duplicate comes",
        patches=(Patch(Groups, "_decided_before", _done_before), *_ids_are_not_unique),
    ),
    Mutant(
        name="apply-stale-requests",
        rule="O2",
        goes_wrong="a client gave a request up and went on, and years later a duplicate of it is done",
        patches=(Patch(Groups, "_decided_before", _never_stale),),
    ),
    Mutant(
        name="retry-failed-fsync",
        rule="F1",
        goes_wrong="the disk loses a commit, the second fsync says that all is well, and entries are gone",
        patches=(Patch(SqliteJournal, "write", _write_again),),
    ),
)
