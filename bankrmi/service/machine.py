"""A service as a state machine (see `storage.state_machine`): calls, run on every copy in the same order.

Rule 1: the state is in the tables of the service; what a call changes is in the transaction of its record, so
        what is on the disk is always what the journal there adds up to (S1).
Rule 2: an exception changes nothing. It is an outcome like any other; what it was, the server that decided
        says, and no other runs the call again. So a limit of time, or of memory, need not be met alike by
        all (S2, S4).
Rule 3: a call that was done is run by every copy, and has to come out alike: its result, and the digest of
        its changes. The copy that comes to something else stops, at that very action id (S3).
Rule 4: a statement that writes, and is interrupted, takes its whole transaction with it. So there is nothing
        in it but the call: what was decided before is written first (`own_transactions`).
Rule 5: what takes a change back is kept for the newest calls (`KEPT`): more than can be unacknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import apsw
import msgpack

from bankrmi.errors import BrokenInvariant, ConfigurationError
from bankrmi.replication.record import unpacked
from bankrmi.service.calls import RAISED, Called, Raised, called, done, shown
from bankrmi.service.changes import UNDO_TABLE, Recorder, changed_tables, digest_of, take_back
from bankrmi.service.declaring import Description
from bankrmi.service.running import Runner
from bankrmi.service.tables import DatabaseGaveUp, check_tables, table_names
from bankrmi.storage.database import open_in_memory
from bankrmi.storage.disk_failure import DiskFailed
from bankrmi.storage.state_machine import Moment

__all__ = ["LIMIT_MS", "ServiceMachine", "Told"]

LIMIT_MS = 250.0
"""For one call, unless it is said otherwise: a server that thinks for longer is silent to the others."""

KEPT = 65_536
"""Calls whose changes can be taken back: of those that are not acknowledged there is one group at most."""

_FORGOTTEN_TOGETHER = 1024

_SAVEPOINT, _RELEASE, _ROLL_BACK = "SAVEPOINT service", "RELEASE service", "ROLLBACK TO service"


class Told(NamedTuple):
    """What a query returned."""

    value: Any


class ServiceMachine:
    """One copy of a service."""

    own_transactions = True
    """SQLite takes back the whole transaction of a statement that writes and is interrupted."""

    needs_protocol = 1
    """A server that is too old to serve classes is told so when it connects, not by what is recorded."""

    def __init__(self, description: Description, *, limit_ms: float = LIMIT_MS) -> None:
        self._description = description
        self._limit_ms = limit_ms
        self._changed_at: int | None = None
        self._kept_from = 0

    def attach(self, database: apsw.Connection) -> None:
        """Use this database from now on."""
        self._database = database
        self._runner = Runner(self._description, database, limit_ms=self._limit_ms)
        database.execute(UNDO_TABLE)
        self.forget()

    def open(self) -> bytes:
        """Make the opening state; return what identifies it.  Raises ConfigurationError."""
        kind = self._description.name
        try:
            self._runner.create()
        except DatabaseGaveUp as error:
            raise DiskFailed(f"the disk refused the opening state: {error}") from error
        except Exception as error:
            raise ConfigurationError(f"{kind}.create failed: {type(error).__name__}: {error}") from error
        check_tables(self._database, kind)
        identity = blake2b(kind.encode(), digest_size=16)
        for row in self.export():
            identity.update(msgpack.packb(row))
        return identity.digest()

    def try_class(self) -> None:
        """Make the opening state once, in memory, to see that it can be made.  Raises ConfigurationError."""
        self.attach(open_in_memory())
        self.open()
        self._database.close()

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
        if told is None:
            return [self._outcome(call, action_id, moment, limited=True)[0]]
        outcomes = list(unpacked(told))
        if len(outcomes) == 1 and type(outcomes[0]) is tuple and outcomes[0][:1] == (RAISED,):
            return outcomes
        outcome, tables = self._outcome(call, action_id, moment, limited=False)
        if outcomes != [outcome]:
            what = f"{self._description.name}.{call.method} at action id {action_id}"
            where = f"table {', '.join(tables)}" if tables else "no table"
            raise BrokenInvariant(
                f"{what} comes out differently here, where it changed {where}: "
                "it goes by something that is not the same on every copy"
            )
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
        if newest <= self._kept_from:
            raise BrokenInvariant(f"how to take back action id {newest} is known no more")
        changes: bytes | None = self._database.execute(
            "DELETE FROM service_undo WHERE action_id = ? RETURNING changes", (newest,)
        ).get
        if changes is not None:
            take_back(self._database, changes)

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
        if newest is not None and newest - self._kept_from > KEPT + _FORGOTTEN_TOGETHER:
            self._kept_from = newest - KEPT
            self._database.execute("DELETE FROM service_undo WHERE action_id <= ?", (self._kept_from,))
            self._database.execute("INSERT INTO service_undo VALUES (?, x'')", (self._kept_from,))

    def forget(self) -> None:
        """Nothing is only in memory, but since when nothing has changed."""
        self._changed_at = None
        oldest = self._database.execute(
            "SELECT action_id, changes FROM service_undo ORDER BY action_id LIMIT 1"
        ).get
        self._kept_from = oldest[0] if oldest is not None and not oldest[1] else 0

    def describe(self, operation: Any) -> dict[str, Any]:
        """Return the call in words."""
        call = called(operation)
        return {"kind": call.method, "arguments": [*call.args], **call.kwargs}

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
        for name in table_names(self._database):
            quoted = '"' + name.replace('"', '""') + '"'
            rows = self._database.execute(f"SELECT * FROM {quoted}").fetchall()  # noqa: S608 - a name of SQLite's own
            for row in sorted(rows, key=msgpack.packb):
                yield name, *row
