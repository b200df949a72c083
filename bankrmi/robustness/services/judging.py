"""The verdict over calls of a service: what clients were told, the journal, and the state that is left.

Rule: without an error of its own a limit of time is an outcome; where no call should need one (in the
      simulator, whose machine has time) it is a mistake of the class.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bankrmi.replication.code_versions import StateVersion
from bankrmi.robustness.checker.history import HistoryCall
from bankrmi.robustness.checker.verdict import Copy, HistoryVerdict, judge
from bankrmi.robustness.services.by_itself import ServiceByItself
from bankrmi.robustness.services.call_check import CallReplay
from bankrmi.robustness.services.known_versions import KnownVersions
from bankrmi.robustness.services.order_check import OrderCheck
from bankrmi.robustness.services.outcomes import CallOutcome
from bankrmi.robustness.services.plain_runs import comparable
from bankrmi.robustness.services.wanted import WantedCall
from bankrmi.service.calls import Called, Raised
from bankrmi.service.kept_values import unpacked_without_class
from bankrmi.service.machine import ServiceMachine
from bankrmi.service.object_state import OBJECT_TABLE
from bankrmi.service.served_services import ServedServices, plain_name
from bankrmi.storage.journal import SqliteJournal

__all__ = ["as_changed", "judge_calls", "read_outcome", "some_queries", "why_unmigrated", "wrong_rows"]

_QUERIES_AT_LAST = 200
_ROW_SHOWN_AT_MOST = 120

Noted = Callable[[int, Called, CallOutcome], None]


def judge_calls(
    calls: Sequence[HistoryCall],
    copies: Sequence[Copy],
    journals: Sequence[SqliteJournal],
    model: ServiceByItself,
    *,
    queries: Iterable[WantedCall],
    begin_ns: int,
    fresh_reads: bool = True,
    limits_are_mistakes: bool = False,
    noted: Noted | None = None,
    unix_ns_at_zero: int | None = None,
    order: OrderCheck | None = None,
) -> HistoryVerdict:
    """Return the verdict; `queries` are asked of each copy at the end. `noted` hears of each call; `order`
    looks at each.

    `calls` are as clients of a service see them: with a `CallOutcome` for each that was answered. What makes
    of their times those of the servers' clocks is `unix_ns_at_zero`, for queries that go by the time; without
    it, that is the time of the newest record.
    """
    replayed = partial(
        CallReplay,
        calls=calls,
        limits_are_mistakes=limits_are_mistakes,
        noted=noted,
        unix_ns_at_zero=unix_ns_at_zero,
        order=order,
    )
    verdict = judge(
        calls,
        copies,
        model,
        begin_ns=begin_ns,
        fresh_reads=fresh_reads,
        replayed=replayed,
    )
    asked = list(queries)
    wrong = [
        sentence
        for copy, journal in zip(copies, journals, strict=True)
        if (
            sentence := _wrong_at_last(
                model, copy.name, journal, asked, by_the_clock=unix_ns_at_zero is not None
            )
        )
    ]
    return replace(
        verdict,
        violations=(*verdict.violations, *wrong),
        violation_count=verdict.violation_count + len(wrong),
    )


def _wrong_at_last(
    model: ServiceByItself,
    server: str,
    journal: SqliteJournal,
    queries: Sequence[WantedCall],
    *,
    by_the_clock: bool,
) -> str:
    if wrong := wrong_rows(model, server, journal):
        return wrong
    for wanted in queries:
        began_us = time.time_ns() // 1000
        told = read_outcome(journal.read(wanted.called))
        between_us = (began_us, time.time_ns() // 1000 + 1) if by_the_clock else None
        here = model.contradiction(wanted.called, told, between_us)
        if here is not None:
            return (
                f"at the end {wanted} {told.in_the_present} on {server}; {model.name} {here.in_the_present}"
            )
    return ""


def wrong_rows(model: ServiceByItself, server: str, journal: SqliteJournal) -> str:
    """Return which row of a copy differs from those of the service by itself; nothing if none does."""
    rows, where = model.rows(), model.name
    if rows is None:
        return ""
    rows, held = comparable(rows), comparable(journal.export())
    if held == rows:
        return ""
    there, here = set(held), set(rows)
    more = next((row for row in held if row not in here), None)
    less = next((row for row in rows if row not in there), None)
    parts = [] if more is None else [f"{server} holds {_row(more)}, which {where} does not"]
    parts += [] if less is None else [f"{server} lacks {_row(less)}, which {where} holds"]
    return "; ".join(parts) or f"{server} holds a row twice"


def _row(row: tuple[Any, ...]) -> str:
    service, table = plain_name(row[0])
    if table == OBJECT_TABLE:
        return _short(_attribute(*row[1:])) + (f" in {service}" if service else "")
    return f"{_short(repr(row[1:]))} in table {row[0]}"


def _attribute(name: str, key: bytes, place: int, content: bytes) -> str:
    """Return the row of an attribute, or of a key of one that is a dict, as its author would write it."""
    value = repr(unpacked_without_class(content)) if content else "{...}"
    return (
        f"self.{name}[{unpacked_without_class(key)!r}] = {value}, key {place},"
        if key
        else f"self.{name} = {value}"
    )


def _short(words: str) -> str:
    return words if len(words) <= _ROW_SHOWN_AT_MOST else f"{words[: _ROW_SHOWN_AT_MOST - 3]}..."


def read_outcome(answer: Any) -> CallOutcome:
    """Return the answer of a copy to a query as a client sees it."""
    return CallOutcome.of(answer) if isinstance(answer, Raised) else CallOutcome.returned(answer.value)


def some_queries(calls: Sequence[HistoryCall]) -> list[WantedCall]:
    """Return the first queries that were asked, each once."""
    found: dict[WantedCall, None] = {}
    for call in calls:
        if call.is_read and len(found) < _QUERIES_AT_LAST:
            found[call.query] = None
    return list(found)


def as_changed(
    calls: Iterable[HistoryCall], services: ServedServices, begins_at: StateVersion
) -> list[HistoryCall]:
    """Return calls of clients, of which some may have been refused by another version of the class."""
    known = KnownVersions(services, begins_at)
    return [call if call.is_read else known.may_settle(call) for call in calls]


def why_unmigrated(services: ServedServices, journal: SqliteJournal) -> list[str]:
    """Return which services are not of their newest version, where every server has that; unless the class
    itself has refused it."""
    machine = journal.machine
    assert isinstance(machine, ServiceMachine)
    return [
        f"{services.called(name)} is of version {held}, and every server has {one.version}"
        for name, one in services.each()
        if (held := machine.version_of(name)) != one.version and name not in machine.failures
    ]
