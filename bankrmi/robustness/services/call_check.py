"""A journal of calls, held against the service by itself, and then what clients were told against that.

Rule 1: each record comes to what comes of it when the class runs alone, call after call.
Rule 2: a migration is one of the records: it makes the next version of the class by itself, too, once, and
        from the version before; what is called after it is what that version has. Of several services that
        is so for each, and one that comes later is created by such a record.
Rule 3: what an update was refused because it differs from copy to copy is a mistake of the class, and is
        said to be one; so is a time limit, where whoever runs it has set one that no call should need.
Rule 4: a query is asked here where the journal stood when it was answered, at a time between its beginning
        and its end; where no clock of theirs is known, at that of the newest record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bankrmi.replication.code_versions import migration_of
from bankrmi.replication.record import CANCELLED, DONE, Entry, Position, Record
from bankrmi.robustness.checker.history import AnsweredOutcome, HistoryCall
from bankrmi.robustness.checker.replay import Replay
from bankrmi.robustness.checker.sentences import Violations
from bankrmi.robustness.services.by_itself import ServiceByItself
from bankrmi.robustness.services.order_check import OrderCheck
from bankrmi.robustness.services.outcomes import CallOutcome, outcome_told
from bankrmi.service.calls import Called, called
from bankrmi.service.declaring import migration_name
from bankrmi.service.in_words import call_in_words
from bankrmi.service.served_services import plain_name, qualified
from bankrmi.storage.state_machine import Moment
from bankrmi.verifying.record_check import UNREADABLE, RecordCheck

__all__ = ["CallCheck", "CallReplay", "outcome_of"]

_UNREAD = CallOutcome(raised="unreadable")
_WRONG_AT_MOST = 200
"""After so many answers that cannot be, for no other one a moment is looked for in which it could be."""

_TIME = "TimeoutError"
_LIMITS = frozenset({_TIME, "MemoryError", "RecursionError"})
"""What the server that decided has met, and nobody else need meet: a limit (S2)."""


_BY_ORDER = (
    "goes by the order of rows of a SELECT without ORDER BY, which may be another one on another copy: "
    "say ORDER BY"
)


def _is_a_limit(call: Called, told: CallOutcome) -> bool:
    """Whether that was a limit of the server's; a method may raise a TimeoutError of its own."""
    names = call.method, plain_name(call.method)[1]  # The latter of a migration.
    is_own = told.raised == _TIME and not told.words.startswith(
        tuple(f"{name} took more than " for name in names)
    )
    return told.raised in _LIMITS and told.module == "builtins" and not is_own


def outcome_of(entry: Entry) -> CallOutcome:
    """Return what came of a call, by its record; raises ValueError."""
    return outcome_told(entry.result if entry.status == DONE else (entry.status, entry.result))


class CallCheck(RecordCheck):
    """The check of records (see `verifying.record_check`), where each operation is a call."""

    def __init__(
        self,
        anchor: Position,
        model: ServiceByItself,
        found: Callable[[str], None],
        *,
        limits_are_mistakes: bool,
        noted: Callable[[int, Called, CallOutcome], None] | None = None,
        order: OrderCheck | None = None,
    ) -> None:
        super().__init__(anchor, model, found)
        self._order = order
        self._alone = model
        self._say = found
        self._limits_are_mistakes = limits_are_mistakes
        self._noted = noted

    def take_outcome(self, entry: Entry) -> None:
        """Check what the record says has become of a call; the service by itself follows."""
        if entry.status == CANCELLED:
            return
        try:
            call, told = called(entry.operation), outcome_of(entry)
        except UNREADABLE:
            self._say(f"the call at action id {entry.action_id} cannot be read")
            return
        self._alone.note_time(entry.time_us)
        if self._noted is not None:
            self._noted(entry.action_id, call, told)
        where = f"{call_in_words(call)} at action id {entry.action_id}"
        if told.raised == "Undetermined":
            self._say(f"{where} was refused: {told.words}")
        elif not _is_a_limit(call, told):
            self._follow(call, told, entry, where)
        elif not self._limits_are_mistakes:
            return
        elif told.raised == _TIME:  # By itself it might take for ever.
            self._say(f"{where} {told.in_the_past}")
        else:
            self._follow(call, told, entry, where)

    def _follow(self, call: Called, told: CallOutcome, entry: Entry, where: str) -> None:
        migration, moment = migration_of(entry.session), (entry.time_us, (entry.session, entry.sequence))
        if migration is not None:
            service, target = migration
            self._follow_migration(call, told, service, target, moment, where)
            if self._order is not None and not told.raised and self._order.migrate(target, moment):
                self._say(f"{where} {_BY_ORDER}")
            return
        try:
            here = self._alone.update(call, moment, told)
        except UNREADABLE as error:
            self._say(f"{where} cannot be: {error}")
            return
        if not self._alone.agrees(told, here):
            self._say(f"{where} {told.in_the_past}; {self._alone.name} {here.in_the_present}")
        elif self._order is not None and self._order.update(call, moment, told):
            self._say(f"{where} {_BY_ORDER}")

    def _follow_migration(
        self, call: Called, told: CallOutcome, service: str, target: int, moment: Moment, where: str
    ) -> None:
        before = self._alone.version_of(service)
        creates = bool(service) and call.method == qualified(service, "create")
        if not creates and call.method != qualified(service, migration_name(target)):
            self._say(f"{where} is what should make version {target}")
        elif not told.raised and before != (0 if creates else target - 1):
            self._say(f"{where} was done, from version {before}: it makes version {target} a second time")
        else:
            here = self._alone.migrate(service, target, moment, creates=creates)
            if bool(told.raised) is not bool(here.raised):
                self._say(f"{where} {told.in_the_past}; {self._alone.name} {here.in_the_present}")


class CallReplay(Replay):
    """What every call should have been told."""

    def __init__(
        self,
        opening: Position,
        model: ServiceByItself,
        violations: Violations,
        calls: Iterable[HistoryCall],
        *,
        limits_are_mistakes: bool,
        noted: Callable[[int, Called, CallOutcome], None] | None = None,
        unix_ns_at_zero: int | None = None,
        order: OrderCheck | None = None,
    ) -> None:
        """`calls` are those whose queries will be asked for.

        `unix_ns_at_zero` makes of their times those of the servers' clocks; None: they are not known.
        """
        super().__init__(opening, model, violations)
        self._alone = model
        self._check = CallCheck(
            opening, model, violations.add, limits_are_mistakes=limits_are_mistakes, noted=noted, order=order
        )
        self._limits_are_mistakes = limits_are_mistakes
        self._unix_ns_at_zero = unix_ns_at_zero
        self._wanted = _queries_by_place(calls)
        self._unasked = {id(call.query) for group in self._wanted.values() for call in group}
        self._wrong: dict[int, CallOutcome] = {}  # By the query of a call: each has its own.
        self._answer_at(0)

    def take(self, record: Record) -> None:
        """Take the next record."""
        first = len(self._statuses) + 1
        session = self._same.setdefault(record.session, record.session)
        self.requests.setdefault((session, record.sequence), first)
        entries = self._check.take(record)
        if not entries:
            entries = [_unreadable(record)]
        for entry in entries:
            self._ends.append(0)
            self.operations.append(entry.operation)
            self._statuses.append(entry.status)
            self._results.append(None if entry.status == CANCELLED else _outcome(entry))  # type: ignore[arg-type]
        self._ends[-1] = 1
        self._answer_at(len(self._statuses))

    def value_at(self, key: Any, action_id: int) -> Any:  # noqa: ARG002 - a call has its place
        """Return what this query of a call should have been told."""
        known = id(key) not in self._unasked
        return _Expected(self._wrong.get(id(key)), self._alone.name, is_known=known)

    def _answer_at(self, action_id: int) -> None:
        for call in self._wanted.pop(action_id, ()):
            assert isinstance(call.outcome, AnsweredOutcome)
            self._unasked.discard(id(call.query))
            told = call.outcome.results[-1].value
            if _is_a_limit(call.query.called, told) and not self._limits_are_mistakes:
                continue
            between_us = self._asked_between_us(call) if len(self._wrong) < _WRONG_AT_MOST else None
            wrong = self._alone.contradiction(call.query.called, told, between_us)
            if wrong is not None:
                self._wrong[id(call.query)] = wrong

    def _asked_between_us(self, call: HistoryCall) -> tuple[int, int] | None:
        if self._unix_ns_at_zero is None or call.completed_ns is None:
            return None
        begins, ends = call.invoked_ns + self._unix_ns_at_zero, call.completed_ns + self._unix_ns_at_zero
        return begins // 1000, ends // 1000 + 1


class _Expected:
    """What a query comes to; it is equal to whatever was told, if that may be."""

    __slots__ = ("_is_right", "_words")

    def __init__(self, wrong: CallOutcome | None, where: str, *, is_known: bool) -> None:
        self._is_right = is_known and wrong is None
        self._words = f"{wrong} in {where}" if is_known else "never asked for there"

    def __eq__(self, told: object) -> bool:
        return self._is_right and isinstance(told, CallOutcome)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self._words


def _queries_by_place(calls: Iterable[HistoryCall]) -> dict[int, list[HistoryCall]]:
    """Return which queries were answered where."""
    wanted: dict[int, list[HistoryCall]] = {}
    for call in calls:
        if call.is_read and isinstance(call.outcome, AnsweredOutcome):
            wanted.setdefault(call.outcome.action_id, []).append(call)
    return wanted


def _outcome(entry: Entry) -> CallOutcome:
    try:
        return outcome_of(entry)
    except UNREADABLE:
        return _UNREAD


def _unreadable(record: Record) -> Entry:
    """Return what stands for a record whose call cannot be read."""
    _, epoch, session, sequence, _, _, _, time_us, digest = record
    return Entry(record.action_id, epoch, session, sequence, 0, None, "not read", None, time_us, digest)
