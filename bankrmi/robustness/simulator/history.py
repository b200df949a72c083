"""What the checker wants to see of a simulation: its clients' calls, its servers' disks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from bankrmi.errors import Forgotten, Stale
from bankrmi.replication.effects import Decided, Read
from bankrmi.replication.record import CANCELLED, Position, Record, entries_of
from bankrmi.robustness.checker.history import (
    SHOWN,
    AnsweredOutcome,
    HistoryCall,
    OperationResult,
    Outcome,
    RefusedOutcome,
    UnknownOutcome,
)
from bankrmi.robustness.checker.recording import outcome_of_error
from bankrmi.robustness.checker.verdict import Copy
from bankrmi.robustness.simulator.asked import SimulatedCall
from bankrmi.storage.journal import SqliteJournal
from bankrmi.verifying.model import Model

__all__ = ["calls_of", "copy_of"]

_ALL = 1 << 62
NOTHING_LOST: Mapping[str, int] = MappingProxyType({})


def calls_of(asked: Iterable[SimulatedCall], kept: Mapping[str, int] = NOTHING_LOST) -> list[HistoryCall]:
    """Return the history of simulated clients; the clock is the simulation's.

    `kept` has up to where histories that were left by force are kept: an answer in one of them that rests on
    more is not one any more.
    """
    return [_after_force(_call(number, one), kept) for number, one in enumerate(asked, 1)]


def _after_force(call: HistoryCall, kept: Mapping[str, int]) -> HistoryCall:
    outcome = call.outcome
    match outcome:
        case AnsweredOutcome(history=str() as history) if outcome.action_id > kept.get(history, _ALL):
            return replace(call, outcome=UnknownOutcome())
        case RefusedOutcome(code=Stale.code | Forgotten.code) if kept:  # What it rests on may be lost.
            return replace(call, outcome=UnknownOutcome())
        case _:
            return call


def _call(number: int, asked: SimulatedCall) -> HistoryCall:
    kind = "read" if asked.request is None else "change" if asked.operations else "outcome"
    return HistoryCall(
        client=asked.client,
        number=number,
        kind=kind,
        invoked_ns=_ns(asked.invoked_ms),
        completed_ns=None if asked.completed_ms is None else _ns(asked.completed_ms),
        request=asked.request,
        operations=asked.operations,
        query=asked.query,
        outcome=_outcome(asked),
    )


def _ns(simulated_ms: float) -> int:
    return round(simulated_ms * 1_000_000)


def _outcome(asked: SimulatedCall) -> Outcome:
    match asked.reply:
        case Decided(history=history, record=record):
            entries = record.entries()
            return AnsweredOutcome(
                history, tuple(OperationResult(one.action_id, one.status, one.result) for one in entries)
            )
        case Read(history=history, action_id=action_id, value=value):
            return AnsweredOutcome(history, (OperationResult(action_id, SHOWN, value),))
    return UnknownOutcome() if asked.error is None else outcome_of_error(asked.error)


def copy_of(name: str, journal: SqliteJournal, model: Model, folded: Iterable[Record] = ()) -> Copy:
    """Return a server's disk; `folded` are the records up to its anchor, by whoever has seen them."""
    assert journal.opening is not None, f"{name} was never opened"
    records = [*folded, *journal.records(journal.anchor.action_id, _ALL)]
    changed = (one.operation for one in entries_of(records) if one.status != CANCELLED)
    keys = {*model.values, *(key for operation in changed for key in model.keys(operation))}
    values = {key: value for key in sorted(keys) if (value := journal.read(key)) is not None}
    return Copy(name=name, opening=Position(0, 0, journal.opening), records=records, values=values)
