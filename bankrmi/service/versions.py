"""Of which version the state is, since which action id, and what came of the newest migration that failed."""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw

__all__ = ["FailedMigration", "Versions"]

_TABLE = (
    "CREATE TABLE IF NOT EXISTS service_versions"
    " (action_id INTEGER PRIMARY KEY, version INTEGER NOT NULL, failed TEXT) STRICT"
)


class FailedMigration(NamedTuple):
    """A migration that raised something, and changed nothing."""

    action_id: int
    words: str


class Versions:
    """The table `service_versions` of one database: a row for each migration that was tried."""

    def __init__(self, database: apsw.Connection, *, otherwise: int) -> None:
        """`otherwise`: what an empty copy is going to be of."""
        self._database = database
        self._otherwise = otherwise
        database.execute(_TABLE)
        self.load()

    def load(self) -> None:
        """Know what the database says."""
        found: list[Any] = self._database.execute(
            "SELECT action_id, version, failed FROM service_versions ORDER BY action_id"
        ).fetchall()
        self._rows: list[tuple[int, int, str | None]] = found

    @property
    def now(self) -> int:
        """The version of the state."""
        return self._rows[-1][1] if self._rows else self._otherwise

    @property
    def newest_action_id(self) -> int:
        """Of the newest migration, or of the opening."""
        return self._rows[-1][0] if self._rows else 0

    def at(self, action_id: int) -> int:
        """Return the version at an action id."""
        return next((version for at, version, _ in reversed(self._rows) if at <= action_id), self.now)

    @property
    def failure(self) -> FailedMigration | None:
        """The newest migration, if it failed."""
        if self._rows and self._rows[-1][2] is not None:
            return FailedMigration(self._rows[-1][0], self._rows[-1][2])
        return None

    def note(self, action_id: int, version: int, failed: str | None = None) -> None:
        """From this action id on it is of this version; `failed`: it still is, for a migration raised
        that."""
        row = action_id, version, failed
        self._database.execute("INSERT INTO service_versions VALUES (?, ?, ?)", row)
        self._rows.append(row)

    def take_back(self, action_id: int) -> int:
        """Forget what was noted at the newest action id; return the version that it had made, or kept."""
        version = self.now
        self._database.execute("DELETE FROM service_versions WHERE action_id = ?", (action_id,))
        self.load()
        return version
