"""Services as a state machine (see `storage.state_machine`): calls, run on every copy in the same order.

Rule 1: the state is in the tables of the service; what a call changes is in the transaction of its record, so
        what is on the disk is always what the journal there adds up to (S1).
Rule 2: an exception changes nothing. It is an outcome like any other; what it was, the server that decided
        says, and no other runs the call again. So a limit of time, or of memory, need not be met alike by
        all (S2, S4).
Rule 3: a call that was done is run by every copy, and has to come out alike: its result, and the digest of
        its changes. The copy that comes to something else stops, at that very action id (S3).
Rule 4: a statement that writes, and is interrupted, takes its whole transaction with it. So there is nothing
        in it but the call: what was decided before is written first (`own_transactions`).
Rule 5: a migration is run once, on every copy, at the same action id, from the version before and no other;
        what it found is kept beside it until it is acknowledged (S6, S7).
Rule 6: several services are one state: a call is of one, whatever others that calls, and what it changed in
        all of them is one change (S8). One that came later is created by a record, as if it were migrated.
Rule 7: what takes a change back is kept for the newest calls (`kept`): more than can be unacknowledged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import apsw
import msgpack

from bankrmi.errors import BrokenInvariant, ConfigurationError
from bankrmi.replication.code_versions import (
    DoneMigration,
    StateVersion,
    migration_of,
    migration_session,
    version_of,
)
from bankrmi.replication.record import unpacked
from bankrmi.service.before import (
    digests_of_tables,
    forget_tables,
    keep_tables,
    put_tables_back,
    tables_are_kept,
)
from bankrmi.service.calls import RAISED, Called, Raised, called, done, result_of, shown
from bankrmi.service.changes import (
    UNDO_TABLE,
    Recorder,
    changed_tables,
    digest_of,
    table_at_its_end,
    take_back,
)
from bankrmi.service.declaring import Description, migration_name
from bankrmi.service.running import Runner
from bankrmi.service.served_services import ServedServices, qualified
from bankrmi.service.table_names import its, quoted
from bankrmi.service.tables import DatabaseGaveUp, check_tables, is_own, table_names, tables_of
from bankrmi.service.versions import FailedMigration, Versions, state_is_of
from bankrmi.storage.database import open_in_memory
from bankrmi.storage.disk_failure import DiskFailed
from bankrmi.storage.state_machine import Moment

__all__ = ["LIMIT_MS", "ServiceMachine", "Told", "opening_identity"]

LIMIT_MS = 250.0
"""For one call, unless it is said otherwise: a server that thinks for longer is silent to the others."""

_MIGRATION = re.compile(r"(?:[A-Za-z0-9_-]+\.)?(?:migrate_\d+_to_\d+|create)")
_SAVEPOINT, _RELEASE, _ROLL_BACK = "SAVEPOINT service", "RELEASE service", "ROLLBACK TO service"


class Told(NamedTuple):
    """What a query returned."""

    value: Any


class ServiceMachine:
    """One copy of a service, or of several."""

    kept = 65_536
    """Calls whose changes can be taken back: what is not acknowledged is one group at most."""

    forgotten_together = 1024
    """How many more there are before the oldest are forgotten."""

    own_transactions = True
    """SQLite takes back the whole transaction of a statement that writes and is interrupted."""

    needs_protocol = 1
    """A server that is too old to serve classes is told so when it connects, not by what is recorded."""

    def __init__(
        self,
        services: Description | ServedServices,
        *,
        limit_ms: float = LIMIT_MS,
        ledger: Mapping[int, int] | None = None,
    ) -> None:
        """`ledger` is what an empty copy opens with, where a class takes that."""
        self._services = ServedServices.of(services)
        self._ledger = ledger
        self.limit_ms = limit_ms
        """For a call that is decided here."""
        self._changed_at: int | None = None
        self._kept_from = 0
        self._migrated_at: int | None = None  # While what a migration found is kept.
        self.migration_limit_ms = limit_ms
        """For a migration that is decided here."""

    def attach(self, database: apsw.Connection) -> None:
        """Use this database from now on."""
        self._database = database
        services = self._services
        self._runner = Runner(services, database, limit_ms=self.limit_ms, version_of=self.version_of)
        database.execute(UNDO_TABLE)
        is_empty = not table_names(database)
        self._versions = Versions(
            database,
            otherwise=services.home.version if is_empty else 1,
            beside={name: one.version for name, one in services.beside.items()} if is_empty else None,
        )
        self.forget()
        if not is_empty:
            self._runner.prepare()

    @property
    def version(self) -> StateVersion:
        """Of the state: that of the class that made it, or that the newest migration has made."""
        return self._versions.now

    @property
    def inner_calls(self) -> tuple[str, ...]:
        """The methods of other services that the newest call has called, as a journal names methods."""
        return self._runner.inner_calls

    @property
    def goes_back_to(self) -> int:
        """The oldest action id to which calls can be taken back (rule 7), and migrations (S6)."""
        is_kept = self._migrated_at is not None
        return max(self._kept_from, self._versions.goes_back_to(newest_is_kept=is_kept))

    def version_at(self, action_id: int) -> StateVersion:
        """Return the version of the state at an action id."""
        return self._versions.at(action_id)

    def migrations_since(self, action_id: int) -> Sequence[DoneMigration]:
        """Return the migrations that were done after an action id, in their order."""
        return self._versions.done_since(action_id)

    def version_of(self, service: str) -> int:
        """Return the version of the state of one service; "" is the first one. 0: it is not there."""
        return version_of(self._versions.now, service)

    @property
    def failures(self) -> dict[str, FailedMigration]:
        """The newest migrations that failed, by services that were not migrated since ("" is the first)."""
        return self._versions.failures

    def open(self) -> bytes:
        """Make the opening state; return what identifies it.  Raises ConfigurationError."""
        kind = self._services.name
        try:
            self._runner.create(self._ledger)
        except DatabaseGaveUp as error:
            raise DiskFailed(f"the disk refused the opening state: {error}") from error
        except Exception as error:
            raise ConfigurationError(f"{kind}.create failed: {type(error).__name__}: {error}") from error
        check_tables(self._database, kind)
        for service, one in self._services.each():
            self._versions.note(0, one.version, service=service, kind=one.name)
        beside = {name: (one.name, one.version) for name, one in self._services.beside.items()}
        home = self._services.home
        return opening_identity(self._database, home.name, home.version, beside)

    def try_class(self) -> None:
        """Make the opening state once, in memory, to see that it can be made; and from the class before, if
        that is known.  Raises ConfigurationError."""
        self._services.check_uses()
        for _, one in self._services.each():
            ServiceMachine(one)._try_alone(one)

    def _try_alone(self, description: Description) -> None:
        made = self._columns_made()
        before, kind, version = description.previous, description.name, description.version
        if before is None or not description.code.migrates(version - 1):
            return
        migrated = self._columns_made(opened_by=before)
        for table in sorted(made.keys() | migrated.keys()):
            if made.get(table) == migrated.get(table):
                continue
            what = "has other columns, or in another order"
            if table not in made:
                what = "is there, and `create` does not make it"
            elif table not in migrated:
                what = "is not there, and `create` makes it"
            raise ConfigurationError(
                f"{kind}: after {migration_name(version)} the table {table} {what}: "
                "`create` has to make just what the migration leaves"
            )

    def _columns_made(self, opened_by: Description | None = None) -> dict[str, list[Any]]:
        """Return the columns of all tables that `create` makes; or that of another class, and the
        migration."""
        machine, one = ServiceMachine(opened_by or self._services), self._services.home
        machine.attach(open_in_memory())
        machine.open()
        database = machine._database
        try:
            if opened_by is not None:
                self.attach(database)
                name, target = migration_name(one.version), one.version
                database.execute("BEGIN IMMEDIATE")
                moment = 0, (migration_session(target), 1)
                [outcome] = self.apply([(name, (), {})], 1, moment)
                if type(outcome) is tuple:
                    said = shown(outcome[1])
                    raise ConfigurationError(f"{one.name}.{name} failed on an opening state: {said}")
            return {
                table: database.execute(
                    'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?)', (table,)
                ).fetchall()
                for table in table_names(database)
            }
        finally:
            database.close(force=True)

    def check(self, content: bytes) -> None:
        """Raise ValueError if this is not the one call of a request."""
        operations = unpacked(content)
        if len(operations) != 1:
            raise ValueError("a request of a service is one call")
        called(operations[0])

    def protocol_of(self, content: bytes) -> int:  # noqa: ARG002 - a call is a call
        """Return the oldest version of the protocol that knows a call."""
        return self.needs_protocol

    def apply(
        self,
        operations: Sequence[Any],
        action_id: int,
        moment: Moment,
        told: bytes | None = None,
    ) -> list[Any]:
        """Run the call; or, if whoever decided has `told` that it raised, take that as it is (rule 2).

        Raises BrokenInvariant if it comes out differently here.
        """
        [operation] = operations
        call, self._changed_at = called(operation), action_id
        migration = migration_of(moment[1][0])
        if migration is not None:
            return [self._migrated(call, migration, action_id, moment, told)]
        if told is None:
            return [self._outcome(call, action_id, moment, limited=True)[0]]
        outcomes = list(unpacked(told))
        if len(outcomes) == 1 and type(outcomes[0]) is tuple and outcomes[0][:1] == (RAISED,):
            return outcomes
        outcome, tables = self._outcome(call, action_id, moment, limited=False)
        if outcomes != [outcome]:
            where = f"table {', '.join(tables)}" if tables else "no table"
            raise self._differs(call, action_id, f"it changed {where}")
        return outcomes

    def _outcome(
        self, call: Called, action_id: int, moment: Moment, *, limited: bool
    ) -> tuple[Any, list[str]]:
        """Return what came of a call, as the journal keeps it, and which tables it changed."""
        database = self._database
        database.execute(_SAVEPOINT)
        with Recorder.of(database) as recorder:
            try:
                value = self._runner.run(call, moment, limited=limited)
                changes = recorder.changes()
                if limited and (full := table_at_its_end(database, changes)) is not None:
                    self._runner.forget()  # What it holds in memory is taken back with the rows.
                    words = f"a key of {full} would be the largest number that there is: none could follow it"
                    raise Raised("OverflowError", "builtins", words, None)
            except Raised as raised:
                self.heard(call, raised)
                if (
                    limited and not database.in_transaction
                ):  # It was interrupted: all that was in it was its own.
                    database.execute("BEGIN IMMEDIATE")
                    return raised.outcome(), []
                self._check_transaction()
                database.execute(_ROLL_BACK)
                database.execute(_RELEASE)
                return raised.outcome(), []
            except DatabaseGaveUp as error:
                raise DiskFailed(f"the disk refused a change: {error}") from error
        self._check_transaction()
        database.execute(_RELEASE)
        if changes:
            database.execute("INSERT INTO service_undo VALUES (?, ?)", (action_id, changes))
        return done(value, digest_of(changes)), changed_tables(changes)

    # -- migrations ------------------------------------------------------------------------------

    def _migrated(
        self, call: Called, migration: tuple[str, int], action_id: int, moment: Moment, told: bytes | None
    ) -> Any:
        """Return what came of a migration, as the journal keeps it, and note it."""
        service, target = migration
        before = self.version_of(service)
        creates = call.method == qualified(service, "create") and bool(service)
        if not creates and call.method != qualified(service, migration_name(target)):
            raise BrokenInvariant(f"{call.method} is not what makes version {target}")
        if told is not None:
            [outcome] = unpacked(told)
            if type(outcome) is tuple:
                self._note(action_id, service, before, shown(outcome[1]))
                return outcome
        try:
            _check_version(before, target, creates=creates)
            limit_ms = self.migration_limit_ms if told is None else 0.0
            tables = self._migrate(service, target, moment, limit_ms)
        except Raised as raised:
            if told is not None:
                raise self._differs(call, action_id, f"it raised {raised.name}: {raised.words}") from None
            self._note(action_id, service, before, f"{raised.name}: {raised.words}")
            return raised.outcome()
        result = done(tables, b"")
        if told is not None and outcome != result:
            there = result_of(outcome)
            other = there if type(there) is dict else {}
            unlike = [name for name in sorted({*tables, *other}) if tables.get(name) != other.get(name)]
            raise self._differs(call, action_id, f"table {', '.join(unlike)}")
        self._note(action_id, service, target)
        self._migrated_at = action_id
        return result

    def _note(self, action_id: int, service: str, version: int, failed: str | None = None) -> None:
        one = self._services.find(service)
        kind = "" if one is None else one.name
        self._versions.note(action_id, version, failed, service=service, kind=kind)

    def _differs(self, call: Called, action_id: int, what: str) -> BrokenInvariant:
        where = f"{self._services.in_words(call.method)} at action id {action_id}"
        return BrokenInvariant(
            f"{where} comes out differently here ({what}): it goes by something that is not the same on "
            "every copy, or the module is another one; once it is mended on all servers, start this one "
            "with an empty data directory"
        )

    def _migrate(self, service: str, target: int, moment: Moment, limit_ms: float) -> dict[str, str]:
        """Make the next version of the tables; return their digests.  Raises Raised: then nothing is
        changed."""
        database, its_own = self._database, its(service, self._services.beside)
        taken = [] if self.version_of(service) else tables_of(database, service, self._services.beside)
        if taken:
            words = f"there is a table {taken[0]} already: the service has to have another name"
            raise Raised("ValueError", "builtins", words, None)

        def work(migration: Callable[[], None]) -> dict[str, str]:
            keep_tables(database, its_own)
            others = _names_of_others(database, its_own)
            migration()
            if _names_of_others(database, its_own) != others:
                raise PermissionError(
                    "a migration makes no tables with names that are bankrmi's own, or another service's"
                )
            if database.execute("SELECT 1 FROM pragma_foreign_key_check LIMIT 1").get:
                raise ValueError("rows are left that refer to rows which are not there (FOREIGN KEY)")
            check_tables(database, self._services.called(service))
            return digests_of_tables(database, its_own)

        database.execute(_SAVEPOINT)
        try:
            tables = self._runner.migrate(service, target, moment, work, limit_ms / 1000)
        except Raised:
            if not database.in_transaction:  # It was interrupted: all that was in it was its own.
                database.execute("BEGIN IMMEDIATE")
                raise
            database.execute(_ROLL_BACK)
            database.execute(_RELEASE)
            raise
        except DatabaseGaveUp as error:
            raise DiskFailed(f"the disk refused a migration: {error}") from error
        self._check_transaction()
        database.execute(_RELEASE)
        return tables

    def _check_transaction(self) -> None:
        """Raise DiskFailed if SQLite has given up the whole transaction, with what others did in it."""
        if not self._database.in_transaction:
            raise DiskFailed("the database gave up a transaction")

    def heard(self, call: Called, raised: Raised) -> None:
        """Hear what a call raised here; whoever has something to say of that does it in a class of his
        own."""

    def undo(self, operations: Sequence[Any], _outcomes: Sequence[Any], action_id: int) -> None:
        """Take back what the newest call changed; an exception changed nothing."""
        self._changed_at = action_id
        newest = action_id + len(operations)
        method = called(operations[0]).method
        if _MIGRATION.fullmatch(method):
            self._take_migration_back(newest, method.rpartition(".")[0])
            return
        changes: bytes | None = self._database.execute(
            "DELETE FROM service_undo WHERE action_id = ? RETURNING changes", (newest,)
        ).get
        if changes is not None:
            take_back(self._database, changes)
            self._runner.forget()

    def _take_migration_back(self, action_id: int, service: str) -> None:
        """Make the tables what they were before it; if it failed, they are."""
        if not self._versions.take_back(action_id):
            return
        put_tables_back(self._database, its(service, self._services.beside))
        self._runner.forget()
        self._migrated_at = None

    def read(self, query: Called) -> Told | Raised:
        """Run a query; an exception is an answer, too."""
        try:
            return Told(self._runner.run(query, None, limited=True))
        except Raised as raised:
            self.heard(query, raised)
            return raised
        except DatabaseGaveUp as error:
            raise DiskFailed(f"the disk refused a query: {error}") from error

    def changed_at(self, query: object) -> int | None:  # noqa: ARG002 - a query may look at everything
        """Return the action id of the newest change of all."""
        return self._changed_at

    def flush(self) -> None:
        """What a call changed is written with it. What nobody takes back any more is forgotten.

        A row without changes says up to where that is.
        """
        newest = self._changed_at
        if newest is not None and self._migrated_at is not None and newest > self._migrated_at:
            forget_tables(self._database)  # S6: what came after it was decided when it was acknowledged.
            self._migrated_at = None
        if newest is not None and newest - self._kept_from > self.kept + self.forgotten_together:
            self._kept_from = newest - self.kept
            self._database.execute("DELETE FROM service_undo WHERE action_id <= ?", (self._kept_from,))
            self._database.execute("INSERT INTO service_undo VALUES (?, x'')", (self._kept_from,))

    def forget(self) -> None:
        """Nothing is only in memory, but since when nothing has changed."""
        self._changed_at = None
        oldest = self._database.execute(
            "SELECT action_id, changes FROM service_undo ORDER BY action_id LIMIT 1"
        ).get
        self._kept_from = oldest[0] if oldest is not None and not oldest[1] else 0
        self._versions.load()
        self._runner.forget()
        is_kept = tables_are_kept(self._database)
        self._migrated_at = self._versions.newest_action_id if is_kept else None

    def describe(self, operation: Any) -> dict[str, Any]:
        """Return the call in words."""
        call = called(operation)
        by_name = {"by_name": {**call.kwargs}} if call.kwargs else {}
        return {"kind": call.method, "arguments": [*call.args], **by_name}

    def shown(self, result: Any) -> Any:
        """Return the value that was returned, or the exception's class and words."""
        return shown(result) if type(result) is bytes else result

    def sum(self) -> int:
        """Is not known of a service: its journal is kept whole."""
        raise AssertionError("the journal of a service is kept whole")

    def share(self, _operations: Sequence[Any], _outcomes: Sequence[Any]) -> int:
        """Is not known of a service: its journal is kept whole."""
        raise AssertionError("the journal of a service is kept whole")

    def export(self) -> Iterable[tuple[Any, ...]]:
        """Return all rows of all tables, each after the name of its table, in a fixed order."""
        return _exported(self._database)


def _check_version(version: int, target: int, *, creates: bool) -> None:
    """Raise Raised if a state of this version is not the one that the migration to the target begins with."""
    if version != (0 if creates else target - 1):
        raise Raised("RuntimeError", "builtins", state_is_of(version), None)


def opening_identity(
    database: apsw.Connection, kind: str, version: int, beside: Mapping[str, tuple[str, int]] | None = None
) -> bytes:
    """Return what identifies an opening state: class, version and all rows; of all services, by their
    names."""
    identity = blake2b(f"{kind} {version}".encode(), digest_size=16)
    for name, (its_kind, its_version) in sorted((beside or {}).items()):
        identity.update(f" {name} {its_kind} {its_version}".encode())
    for row in _exported(database):
        identity.update(msgpack.packb(row))
    return identity.digest()


def _exported(database: apsw.Connection) -> Iterator[tuple[Any, ...]]:
    for name in table_names(database):
        rows = database.execute(f"SELECT * FROM {quoted(name)}").fetchall()  # noqa: S608 - a name of SQLite's own
        for row in sorted(rows, key=msgpack.packb):
            yield name, *row


def _names_of_others(database: apsw.Connection, its_own: Callable[[str], bool]) -> set[str]:
    """Return what there is that is not of the service that is migrated."""
    names = database.execute("SELECT name FROM sqlite_schema")
    return {name for (name,) in names if is_own(name) or not (name.startswith("sqlite_") or its_own(name))}
