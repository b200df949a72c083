"""Of which versions the state is, since which action id, and what came of the newest migration that failed.

The first service has a table that is as it was where it is alone; those beside it have one together, which
also says of which class each is. A service that is in neither is not there yet: its version is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import apsw

from bankrmi.replication.code_versions import DoneMigration, StateVersion, with_version

__all__ = ["FailedMigration", "NotedVersion", "Versions", "classes_beside", "noted_versions", "state_is_of"]

_TABLE = (
    "CREATE TABLE IF NOT EXISTS service_versions"
    " (action_id INTEGER PRIMARY KEY, version INTEGER NOT NULL, failed TEXT) STRICT"
)
_BESIDE = (
    "CREATE TABLE IF NOT EXISTS service_versions_beside"
    " (action_id INTEGER NOT NULL, service TEXT NOT NULL, class TEXT NOT NULL, version INTEGER NOT NULL,"
    " failed TEXT, PRIMARY KEY (action_id, service)) STRICT"
)
_IS_THERE = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'service_versions_beside'"
_ROWS_BESIDE = (
    "SELECT action_id, service, class, version, failed FROM service_versions_beside"
    " ORDER BY action_id, service"
)


def classes_beside(database: apsw.Connection) -> dict[str, str]:
    """Return the services beside the first one that this state has, and the class of each."""
    if not database.execute(_IS_THERE).get:
        return {}
    rows: list[Any] = database.execute(_ROWS_BESIDE).fetchall()
    newest = {service: (kind, version) for _, service, kind, version, _ in rows}
    return {service: kind for service, (kind, version) in newest.items() if version}


class FailedMigration(NamedTuple):
    """A migration that raised something, and changed nothing."""

    action_id: int
    words: str
    service: str = ""


class NotedVersion(NamedTuple):
    """Of which version a service, and of which class one beside the first, is from an action id on."""

    action_id: int
    service: str
    version: int
    failed: str | None
    kind: str = ""

    @property
    def was_done_before(self) -> bool:
        """Whether this was proposed once more, by a primary that did not know that it was done."""
        return self.version > 0 and self.failed == f"RuntimeError: {state_is_of(self.version)}"


def state_is_of(version: int) -> str:
    """Return what is said of a state that is not of the version that a migration begins with."""
    return f"the state is of version {version}" if version else "it is not there yet"


def noted_versions(database: apsw.Connection) -> list[NotedVersion]:
    """Return all that is noted, in the order of action ids."""
    home: list[Any] = database.execute(
        "SELECT action_id, version, failed FROM service_versions ORDER BY action_id"
    ).fetchall()
    beside: list[Any] = []
    if database.execute(_IS_THERE).get:
        beside = database.execute(_ROWS_BESIDE).fetchall()
    rows = [NotedVersion(at, "", version, failed) for at, version, failed in home]
    rows += [
        NotedVersion(at, service, version, failed, kind) for at, service, kind, version, failed in beside
    ]
    return sorted(rows, key=lambda row: (row.action_id, row.service))


class Versions:
    """What one database says of them: a row for each migration that was tried, and for the opening."""

    def __init__(
        self, database: apsw.Connection, *, otherwise: int, beside: Mapping[str, int] | None = None
    ) -> None:
        """`otherwise`, and `beside` by service: what an empty copy is going to be of."""
        self._database = database
        self._otherwise: StateVersion = otherwise
        for service, version in (beside or {}).items():
            self._otherwise = with_version(self._otherwise, service, version)
        database.execute(_TABLE)
        self.load()

    def load(self) -> None:
        """Know what the database says."""
        self._rows = noted_versions(self._database)
        self.now = self._after(self._rows) if self._rows else self._otherwise
        """The versions of the state."""

    @property
    def newest_action_id(self) -> int:
        """Of the newest migration, or of the opening."""
        return self._rows[-1].action_id if self._rows else 0

    def goes_back_to(self, *, newest_is_kept: bool) -> int:
        """Return the action id of the newest migration that was done, and cannot be taken back: the newest of
        all, unless what that found is kept."""
        done = sorted({row.action_id for row in self._rows if row.failed is None})
        left = done[:-1] if newest_is_kept else done
        return left[-1] if left else 0

    def at(self, action_id: int) -> StateVersion:
        """Return the versions at an action id."""
        before = [row for row in self._rows if row.action_id <= action_id]
        return self._after(before) if before else self.now

    def done_since(self, action_id: int) -> list[DoneMigration]:
        """Return the migrations that were done after an action id, in their order."""
        return [
            DoneMigration(row.action_id, row.service, row.version)
            for row in self._rows
            if row.action_id > action_id and row.failed is None
        ]

    @staticmethod
    def _after(rows: list[NotedVersion]) -> StateVersion:
        version: StateVersion = 1
        for row in rows:
            version = with_version(version, row.service, row.version)
        return version

    @property
    def failures(self) -> dict[str, FailedMigration]:
        """The newest migrations that failed, by services that were not migrated since ("" is the first)."""
        newest = {row.service: row for row in self._rows if not row.was_done_before}
        return {
            name: FailedMigration(row.action_id, row.failed, name)
            for name, row in newest.items()
            if row.failed is not None
        }

    def note(
        self, action_id: int, version: int, failed: str | None = None, *, service: str = "", kind: str = ""
    ) -> None:
        """From this action id on a service, of this class, is of this version; `failed`: it still is, for a
        migration raised that."""
        if service:
            self._database.execute(_BESIDE)
            values = action_id, service, kind, version, failed
            self._database.execute("INSERT INTO service_versions_beside VALUES (?, ?, ?, ?, ?)", values)
        else:
            self._database.execute(
                "INSERT INTO service_versions VALUES (?, ?, ?)", (action_id, version, failed)
            )
        self._rows.append(NotedVersion(action_id, service, version, failed, kind))
        self.now = self._after(self._rows)

    def take_back(self, action_id: int) -> bool:
        """Forget what was noted at the newest action id; return whether a migration was done there."""
        is_done = any(row.action_id == action_id and row.failed is None for row in self._rows)
        self._database.execute("DELETE FROM service_versions WHERE action_id = ?", (action_id,))
        if self._database.execute(_IS_THERE).get:
            self._database.execute("DELETE FROM service_versions_beside WHERE action_id = ?", (action_id,))
        self.load()
        return is_done
