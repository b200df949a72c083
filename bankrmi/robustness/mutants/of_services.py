"""Planted bugs in running classes of somebody else's, and in changing them.  Rules S, A1, R4."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import apsw

from bankrmi.errors import BrokenInvariant
from bankrmi.replication import following
from bankrmi.replication.links import LinkTable
from bankrmi.replication.step import Step
from bankrmi.robustness.mutants.mutant import Mutant, Patch
from bankrmi.robustness.services.seeds import (
    DURATION_MS,
    made_up_pair_workload,
    made_up_several_workload,
    made_up_workload,
)
from bankrmi.service import inner_calls, machine, running, tables
from bankrmi.service.before import Its, forget_tables, put_tables_back
from bankrmi.service.calls import Called, Raised
from bankrmi.service.changes import Recorder, changed_tables
from bankrmi.service.declaring import Description, Given, Method, Service
from bankrmi.service.inner_calls import OtherService
from bankrmi.service.machine import ServiceMachine
from bankrmi.service.running import Runner
from bankrmi.service.served_services import HOME, plain_name
from bankrmi.service.tables import Doing
from bankrmi.service.versions import Versions

__all__ = ["MUTANTS"]


def _take_back_all_but_a_table(database: apsw.Connection, changes: bytes) -> None:
    forgotten = changed_tables(changes)[-1]
    _apply(database, apsw.Changeset.invert(changes), lambda name: name != forgotten)


def _take_back_one_service(database: apsw.Connection, changes: bytes) -> None:
    _apply(database, apsw.Changeset.invert(changes), lambda name: "." not in name)


def _apply(database: apsw.Connection, changes: bytes, wanted: Callable[[str], bool]) -> None:
    def conflict(reason: int, change: apsw.TableChange) -> int:
        raise BrokenInvariant(f"a change of {change.name} cannot be taken back: conflict {reason}")

    database.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    try:
        apsw.Changeset.apply(
            changes,
            database,
            filter=wanted,
            conflict=conflict,
            flags=apsw.SQLITE_CHANGESETAPPLY_FKNOACTION,
        )
    finally:
        database.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 1)


_run, _outcome = Runner.run, ServiceMachine._outcome
_survives: list[bytes] = []


def _run_and_keep(self: Runner, *call: Any, **how: Any) -> Any:
    _survives.clear()
    with Recorder.of(self._database) as recorder:
        try:
            return _run(self, *call, **how)
        except Raised:
            _survives.append(recorder.changes())
            raise


def _outcome_but_for_inner_calls(self: ServiceMachine, call: Called, *more: Any, **how: Any) -> Any:
    _survives.clear()
    came = _outcome(self, call, *more, **how)
    if _survives and _survives[0]:
        its_own, _ = plain_name(call.method)
        _apply(self._database, _survives[0], lambda name: ("." in name) is not bool(its_own))
    return came


_value_of_inner = Runner._value_of_inner


def _lose_inner_call(self: Runner, service: Service, method: Method, *given: Any) -> Any:
    value = _value_of_inner(self, service, method, *given)
    if method.is_update:
        with self._doing(Doing.OURS):
            self._database.execute("ROLLBACK TO inner")
    return value


def _do_inner_call_twice(self: Runner, service: Service, method: Method, *given: Any) -> Any:
    value = _value_of_inner(self, service, method, *given)
    if method.is_update:
        _value_of_inner(self, service, method, *given)
    return value


def _run_and_keep_half(self: Runner, call: Called, moment: Any, **how: Any) -> Any:
    with Recorder.of(self._database) as recorder:
        value = _run(self, call, moment, **how)
        changes = recorder.changes()
    if moment is not None and self._path.entered and changes:
        its_own, _ = plain_name(call.method)
        undo = apsw.Changeset.invert(changes)
        _apply(self._database, undo, lambda name: ("." in name) is bool(its_own))
    return value


def _no_changes(_: Recorder) -> bytes:
    return b""


def _by_the_clock(now: datetime, seed: bytes | None, request_id: str = "") -> Given:
    return Given(now if seed is None else datetime.now(UTC), seed, request_id)


def _never_changed(_: ServiceMachine, _query: object) -> int:
    return 0


def _what_is_written(self: Step) -> int:
    return self.tip


def _whatever_its_version(_version: int, _target: int, *, creates: bool) -> None:
    pass


def _leave_the_order(_database: apsw.Connection, _table: str) -> None:
    """Rows have row ids that nobody sees."""


def _leave_the_tables(database: apsw.Connection, _its: object) -> None:
    forget_tables(database)


_migrate, _run_migration, _take_back = ServiceMachine._migrate, Runner.migrate, Versions.take_back


def _migrate_another_service_first(
    self: ServiceMachine, service: str, target: int, moment: Any, limit_ms: float
) -> Any:
    if not limit_ms:  # Of one who follows.
        for other, one in self._services.each():
            held = self.version_of(other)
            if other != service and 0 < held < one.version:
                return _migrate(self, other, held + 1, moment, limit_ms)
    return _migrate(self, service, target, moment, limit_ms)


def _migrate_the_first_ones_tables(self: Runner, service: str, *given: Any) -> Any:
    if not self._version_of(service):
        return _run_migration(self, service, *given)
    of = self.tables.of
    self.tables.of = lambda service: of(HOME)  # type: ignore[method-assign]  # noqa: ARG005
    try:
        return _run_migration(self, service, *given)
    finally:
        del self.tables.of


_other = Runner._other


def _call_the_newest_code(self: Runner, user: str, known: Description, uses: Any) -> OtherService:
    _other(self, user, known, uses)
    name = self._used[uses]
    found = self._hosted[name].description

    def call(method: Method, args: Any, kwargs: Any) -> Any:
        return self._inner(name, found.version, method, *method.bound(args, kwargs))

    return OtherService(found, call)


def _put_back_only_the_first(database: apsw.Connection, its: Its) -> None:
    if its("t0"):
        put_tables_back(database, its)
    else:
        forget_tables(database)


def _take_back_only_the_firsts(self: Versions, action_id: int) -> bool:
    is_done = any(row.action_id == action_id and row.failed is None for row in self._rows)
    self._database.execute("DELETE FROM service_versions WHERE action_id = ?", (action_id,))
    self.load()
    return is_done


def _whoever_can_follow(_self: LinkTable, *_given: object) -> str:
    return ""


def _knows_everything(_records: object, _step: Step) -> bool:
    return True


def _always(_: Step) -> bool:
    return True


_of_a_class = partial(Mutant, workload_of=made_up_workload, duration_ms=DURATION_MS)
_of_a_pair = partial(Mutant, workload_of=made_up_pair_workload, duration_ms=DURATION_MS)
_of_several = partial(Mutant, workload_of=made_up_several_workload, duration_ms=DURATION_MS)

MUTANTS = (
    _of_a_class(
        name="exception-changes-the-state",
        rule="S2",
        goes_wrong="a call is refused, and half of what it did stays, where it was decided and nowhere else",
        patches=(Patch(machine, "_ROLL_BACK", "SELECT 1"),),
    ),
    _of_a_class(
        name="undo-forgets-a-table",
        rule="S1",
        goes_wrong="a deposed primary takes back what it had alone, but for one table that it had changed",
        patches=(Patch(machine, "take_back", _take_back_all_but_a_table),),
    ),
    _of_a_class(
        name="rows-in-an-order-of-their-own",
        rule="S3",
        goes_wrong="which of two equal rows comes first is another one where one of them had been taken back",
        patches=(Patch(tables, "in_order_of_keys", _leave_the_order),),
    ),
    _of_a_pair(
        name="inner-change-survives-an-exception",
        rule="S8",
        goes_wrong="a call is refused, and what another service had done for it stays",
        patches=(
            Patch(Runner, "run", _run_and_keep),
            Patch(ServiceMachine, "_outcome", _outcome_but_for_inner_calls),
        ),
    ),
    _of_a_pair(
        name="inner-exception-changes-the-state",
        rule="S8",
        goes_wrong="what another service has raised is caught, and half of what it did stays",
        patches=(Patch(inner_calls, "_ROLL_BACK", "SELECT 1"),),
    ),
    _of_a_pair(
        name="inner-call-is-lost",
        rule="S8",
        goes_wrong="another service says what came of a call, and nothing of that is there, on any copy",
        patches=(Patch(Runner, "_value_of_inner", _lose_inner_call),),
    ),
    _of_a_pair(
        name="inner-call-is-done-twice",
        rule="S8",
        goes_wrong="another service does a call twice for one that is made, on all copies alike",
        patches=(Patch(Runner, "_value_of_inner", _do_inner_call_twice),),
    ),
    _of_a_pair(
        name="half-of-a-call-stays",
        rule="S8",
        goes_wrong="of a call that went through two services, only what the one that was called did is there",
        patches=(Patch(Runner, "run", _run_and_keep_half),),
    ),
    _of_a_pair(
        name="undo-forgets-a-service",
        rule="S8",
        goes_wrong="a deposed primary takes back what it had alone, but not in the tables of another service",
        patches=(Patch(machine, "take_back", _take_back_one_service),),
    ),
    _of_a_class(
        name="record-no-undo",
        rule="S1",
        goes_wrong="what a call changed is recorded before it has changed anything, and is never taken back",
        patches=(Patch(Recorder, "changes", _no_changes),),
    ),
    _of_a_class(
        name="read-the-clock-in-an-update",
        rule="S3",
        goes_wrong="each copy writes down its own time, and they are copies no more",
        patches=(Patch(running, "Given", _by_the_clock),),
    ),
    _of_a_class(
        name="tell-a-result-before-it-is-durable",
        rule="A1",
        goes_wrong="what a method returned is told before it is on any disk, and the power goes",
        patches=(
            Patch(Step, "durable_tip", property(_what_is_written)),
            Patch(Step, "answer_when_durable", Step.answer),
        ),
    ),
    _of_a_class(
        name="query-what-is-not-acknowledged",
        rule="R4",
        goes_wrong="a query shows what an update has changed that nobody else has yet, and nobody ever will",
        patches=(Patch(ServiceMachine, "changed_at", _never_changed),),
    ),
    _of_a_class(
        name="migrate-twice",
        rule="S6",
        goes_wrong="a migration that is proposed once more is done once more, on what the first one has left",
        patches=(Patch(machine, "_check_version", _whatever_its_version),),
    ),
    _of_a_class(
        name="migration-is-not-taken-back",
        rule="S7",
        goes_wrong="a deposed primary is of the version before again, and its tables are of the next one",
        patches=(Patch(machine, "put_tables_back", _leave_the_tables),),
    ),
    _of_several(
        name="migrate-in-another-order",
        rule="S6",
        goes_wrong="a standby is told that one service is migrated, and begins with the other one",
        patches=(Patch(ServiceMachine, "_migrate", _migrate_another_service_first),),
    ),
    _of_several(
        name="migrate-before-every-server-can-follow",
        rule="S6",
        goes_wrong="a service gets its next version, and a server that has older code is left behind",
        patches=(Patch(LinkTable, "why_not_migrated", _whoever_can_follow),),
    ),
    _of_several(
        name="migrate-the-tables-of-another-service",
        rule="S8",
        goes_wrong="a migration of one service changes what another one keeps, on all copies alike",
        patches=(Patch(Runner, "migrate", _migrate_the_first_ones_tables),),
    ),
    _of_several(
        name="call-a-version-that-is-not-there-yet",
        rule="S8",
        goes_wrong="a call of another service is done by code that its tables are not migrated for",
        patches=(Patch(Runner, "_other", _call_the_newest_code),),
    ),
    _of_several(
        name="migration-of-another-service-is-not-taken-back",
        rule="S7",
        goes_wrong="a deposed primary takes a migration back, but not that of a service beside the first",
        patches=(Patch(machine, "put_tables_back", _put_back_only_the_first),),
    ),
    _of_several(
        name="version-of-another-service-is-not-taken-back",
        rule="S7",
        goes_wrong="a deposed primary has the tables of before again, and calls a service by its newer code",
        patches=(Patch(Versions, "take_back", _take_back_only_the_firsts),),
    ),
    _of_a_class(
        name="follow-beyond-the-code",
        rule="S5",
        goes_wrong="a server with older code takes a migration, and what comes after, and knows neither",
        patches=(Patch(following, "_knows", _knows_everything),),
    ),
    _of_a_class(
        name="answer-beyond-the-code",
        rule="S5",
        goes_wrong="a server leads that has to migrate first, and says meanwhile that no method is there",
        patches=(Patch(Step, "runs_its_state", property(_always)),),
    ),
)
