"""The verdict over a finished history: what clients were told against the final journal.

Rule 1: every reply carries its action id, so real time is checked by comparing ids.
Rule 2: the journal is replayed with a plain model, not with the production state machine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bankrmi.errors import Stale
from bankrmi.replication.effects import Decided, Read
from bankrmi.replication.entry import CANCELLED, Entry
from bankrmi.robustness.simulator.client import Asked
from bankrmi.robustness.simulator.workload import Model

__all__ = ["check_calls", "check_journal"]


def check_journal(entries: Sequence[Entry], model: Model, read: Callable[[Any], Any]) -> Iterator[str]:
    """Yield what is wrong with a journal and the state beside it; `model` is the opening state."""
    requests: dict[tuple[str, int], int] = {}
    for number, entry in enumerate(entries, 1):
        if entry.action_id != number:
            yield f"action id {number} is missing from the journal"
        if entry.place == 0 and requests.setdefault((entry.session, entry.sequence), number) != number:
            yield f"request {entry.session}:{entry.sequence} is in the journal twice"
        if entry.status == CANCELLED:
            continue
        expected = model.apply(entry.operation)
        if (entry.status, entry.result) != expected:
            yield f"action id {number} says {(entry.status, entry.result)}, and replay says {expected}"
    for key, value in model.values.items():
        if read(key) != value:
            yield f"{key} holds {read(key)}, and the journal adds up to {value}"


def check_calls(
    calls: Sequence[Asked], entries: Sequence[Entry], model: Model, *, fresh_reads: bool = True
) -> Iterator[str]:
    """Yield every call whose reply the journal does not bear out, or that real time contradicts.

    Without `fresh_reads` a read may be older than what others were told, but not than what this client was.
    """
    changes = _values_over_time(entries, model)
    by_request: dict[tuple[str, int], list[Entry]] = {}
    for entry in entries:
        by_request.setdefault((entry.session, entry.sequence), []).append(entry)
    floors: dict[tuple[str, int], int] = {}  # When each request was asked for first.
    for call in calls:
        if call.request is not None and call.operations:
            floors[call.request] = min(call.floor, floors.get(call.request, call.floor))
    for call in calls:
        who = f"{call.client} at {call.invoked_ms:.1f} ms"
        recorded = by_request.get(call.request) if call.request else None
        if isinstance(call.reply, Decided):
            if recorded != list(call.reply.entries):
                yield f"{who} was told another outcome of {call.request} than the journal holds"
            elif (
                call.operations
                and recorded
                and recorded[0].action_id <= floors[recorded[0].session, recorded[0].sequence]
            ):
                yield f"{who} was decided at action id {recorded[0].action_id}, before it was asked"
        elif isinstance(call.reply, Read):
            ids, values = changes.get(call.query, ([], []))
            true = values[bisect_right(ids, call.reply.action_id) - 1] if ids else None
            if call.reply.value != true:
                yield f"{who} read {call.reply.value} at action id {call.reply.action_id}; it was {true}"
            floor = call.floor if fresh_reads else call.seen
            if call.reply.action_id < floor:
                yield f"{who} read at action id {call.reply.action_id}; {floor} was acknowledged before"
        elif isinstance(call.error, Stale) and recorded:
            yield f"{who} was told that {call.request} is stale, and it is in the journal"


def _values_over_time(entries: Sequence[Entry], model: Model) -> dict[Any, tuple[list[int], list[Any]]]:
    """For each key: the action ids at which its value may have changed, and the value from there on."""
    changes = {key: ([0], [value]) for key, value in model.values.items()}
    for entry in entries:
        if entry.status == CANCELLED:
            continue
        model.apply(entry.operation)
        key = model.key(entry.operation)
        if key in model.values:
            ids, values = changes.setdefault(key, ([0], [None]))
            ids.append(entry.action_id)
            values.append(model.values[key])
    return changes
