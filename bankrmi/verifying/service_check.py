"""Is the state of a class what its journal says?  Without the class, and without running anything of it.

Beside the journal lies what takes back each of the newest calls (S1). So a copy of the tables is taken back,
call by call: every row that a call left has to be there as it left it, and what each call changed has to have
the digest that the journal has. Where that leads to the newest migration, all rows of all tables of the
service that was migrated have to be those whose digest was written then; where it leads to the opening state,
all rows of all tables.

Rule 1: nothing of the author's code is needed, nor run.
Rule 2: what is taken back is a copy elsewhere: the directory stays as it is.
Rule 3: the first fault found is the one told.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgpack

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.code_versions import migration_of
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import Position, Record, unpacked
from bankrmi.service.before import digests_of_tables
from bankrmi.service.calls import Raised, called, result_of
from bankrmi.service.changes import digest_of, take_back
from bankrmi.service.machine import opening_identity
from bankrmi.service.served_services import HOME
from bankrmi.service.table_names import its
from bankrmi.service.versions import NotedVersion, classes_beside, noted_versions
from bankrmi.storage.database import open_database
from bankrmi.verifying.journal_check import CopyFault
from bankrmi.verifying.model import BankModel
from bankrmi.verifying.record_check import UNREADABLE, RecordCheck

__all__ = ["ServiceCheck"]

Progress = Callable[[str], None]
_PROGRESS_EVERY = 2_000


class _Migration(NamedTuple):
    """Of which service to which version; and the digests of its tables, if it was done."""

    service: str
    target: int
    digests: dict[str, str] | None


class ServiceCheck:
    """Takes all records in order, then judges the tables beside them."""

    def __init__(self, opening: Position) -> None:
        self._opening = opening
        self._check = RecordCheck(opening, BankModel({}), _raise)
        self._digests: dict[int, bytes] = {}  # Of what the calls changed that were done.
        self._migrations: dict[int, _Migration] = {}

    @property
    def tip(self) -> Position:
        """The newest record that was taken."""
        return self._check.tip

    def take(self, records: Iterable[Record]) -> None:
        """Check the next records; raises CopyFault."""
        for record in records:
            entries = self._check.take_place(record)
            if record.cancelled:
                continue
            try:
                if len(entries) != 1:
                    raise ValueError("a request of a service is one call")
                called(entries[0].operation)
                [outcome] = unpacked(record.outcomes)
                self._take_outcome(record, outcome)
            except UNREADABLE as error:
                raise CopyFault(f"the call at action id {record.action_id} cannot be read") from error

    def _take_outcome(self, record: Record, outcome: Any) -> None:
        migration = migration_of(record.session)
        try:
            value = result_of(outcome)
        except Raised:
            if migration is not None:
                self._migrations[record.action_id] = _Migration(*migration, None)
            return
        if migration is None:
            self._digests[record.action_id] = msgpack.unpackb(outcome)[1]
            return
        self._migrations[record.action_id] = _Migration(*migration, dict(value))

    # -- the tables ------------------------------------------------------------------------------

    def finish(
        self,
        database: apsw.Connection,
        kind: str,
        opened_with: bytes | None,
        adopted: Adopted | None,
        show: Progress,
    ) -> None:
        """Check tables, versions and adopted epoch against all that was taken; raises CopyFault."""
        tip = self.tip
        if adopted is not None and (adopted.epoch < max(1, tip.epoch) or not adopted.history):
            raise CopyFault(
                f"the adopted epoch is {adopted.epoch}, older than the newest record's {tip.epoch}"
            )
        if adopted is None and tip.action_id:
            raise CopyFault(f"it holds {tip.action_id} calls, and no epoch was ever adopted")
        opened = self._check_versions(database)
        self._beside = frozenset(classes_beside(database))
        kept = self._check_changes(database)
        self._lead_back(database, kept, kind, opened, opened_with, show)

    def _check_versions(self, database: apsw.Connection) -> dict[str, NotedVersion]:
        """Return of which version each service of the opening state is."""
        rows = noted_versions(database)
        opened = {row.service: row for row in rows if row.action_id == 0}
        if HOME not in opened:
            raise CopyFault("it does not say of which version its opening state is")
        noted = {row.action_id: row for row in rows if row.action_id}
        versions = {service: row.version for service, row in opened.items()}
        for action_id, (service, target, digests) in self._migrations.items():
            if digests is not None:
                versions[service] = target
            row = noted.pop(action_id, None)
            wanted = service, versions.get(service, 0), digests is not None
            if row is None or (row.service, row.version, row.failed is None) != wanted:
                raise CopyFault(
                    f"what came of the migration at action id {action_id} is not what it says beside"
                )
        if noted:
            raise CopyFault(f"a migration is noted at action id {min(noted)}, and the journal has none there")
        return opened

    def _check_changes(self, database: apsw.Connection) -> dict[int, bytes]:
        """Return what takes back each call that changed something, of the newest ones."""
        rows: list[Any] = database.execute(
            "SELECT action_id, changes FROM service_undo ORDER BY action_id"
        ).fetchall()
        begins = 0
        kept: dict[int, bytes] = {}
        for action_id, changes in rows:
            if not changes:
                begins = max(begins, action_id)
            elif digest_of(changes) != self._digests.get(action_id, b"no call"):
                raise CopyFault(
                    f"what takes back the call at action id {action_id} is not what that call changed"
                )
            else:
                kept[action_id] = changes
        for action_id, digest in self._digests.items():
            if digest and action_id > begins and action_id not in kept:
                raise CopyFault(f"what takes back the call at action id {action_id} is missing")
        kept[begins] = b""
        return kept

    def _lead_back(
        self,
        database: apsw.Connection,
        kept: dict[int, bytes],
        kind: str,
        opened: Mapping[str, NotedVersion],
        opened_with: bytes | None,
        show: Progress,
    ) -> None:
        begins = min(kept)
        migrated = max((at for at, one in self._migrations.items() if one.digests is not None), default=0)
        beside = {name: (row.kind, row.version) for name, row in opened.items() if name}
        version = opened[HOME].version
        end = max(begins, migrated)
        with tempfile.TemporaryDirectory(prefix="bankrmi-verify-") as scratch:
            copy = open_database(Path(scratch) / "tables.db", as_copy=True)
            try:
                _copy_tables(database, copy)
                for number, action_id in enumerate(sorted((one for one in kept if one > end), reverse=True)):
                    if number % _PROGRESS_EVERY == 0:
                        show(f"the tables at action id {action_id}")
                    _take_back(copy, kept[action_id], action_id)
                if end and end == migrated:
                    self._check_migrated(copy, migrated)
                elif (
                    end == 0
                    and opened_with is not None
                    and opening_identity(copy, kind, version, beside) != opened_with
                ):
                    raise CopyFault("tables and journal do not lead back to the opening state")
            finally:
                copy.close(force=True)

    def _check_migrated(self, copy: apsw.Connection, action_id: int) -> None:
        migration = self._migrations[action_id]
        found = digests_of_tables(copy, its(migration.service, self._beside))
        wanted = migration.digests or {}
        unlike = [name for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name)]
        if unlike:
            raise CopyFault(
                f"tables and journal do not lead back to what the migration at action id {action_id} left "
                f"(table {', '.join(unlike)})"
            )


def _copy_tables(source: apsw.Connection, target: apsw.Connection) -> None:
    with target.backup("main", source, "main") as backup:
        while not backup.done:
            backup.step(1000)


def _take_back(copy: apsw.Connection, changes: bytes, action_id: int) -> None:
    try:
        take_back(copy, changes)
    except (BrokenInvariant, apsw.Error) as error:
        raise CopyFault(
            f"the tables do not hold what the call at action id {action_id} left in them: {error}"
        ) from error


def _raise(sentence: str) -> None:
    raise CopyFault(sentence)
