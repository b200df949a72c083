"""Planted bugs in what leaves the journal, and in what is forgotten.  Rules J1, O5."""

from __future__ import annotations

from bankrmi.replication.following import Follower
from bankrmi.replication.leading import Leader
from bankrmi.robustness.mutants.mutant import Mutant, Patch
from bankrmi.storage.journal import SqliteJournal

__all__ = ["MUTANTS"]

_EVERYTHING = 1 << 62


def _whatever_is_old(_party: Leader | Follower) -> int:
    return _EVERYTHING


def _known_for_ever(_journal: SqliteJournal, _session: str, _sequence: int) -> None:
    return None


MUTANTS = (
    Mutant(
        name="fold-what-is-not-acknowledged",
        rule="J1",
        goes_wrong="the next primary does not have it, and it can neither be rolled back nor be found again",
        patches=(
            Patch(Leader, "may_be_folded", property(_whatever_is_old)),
            Patch(Follower, "may_be_folded", property(_whatever_is_old)),
        ),
    ),
    Mutant(
        name="do-what-is-forgotten",
        rule="O5",
        goes_wrong="a retry comes when its session is forgotten, looks like a new one, and is done again",
        patches=(Patch(SqliteJournal, "forgotten", _known_for_ever),),
    ),
)
