"""What a database says about itself, by name: its format, its disk, the newest epoch; and notes.

Rule: a note is no part of the copy, and its loss does no harm: it waits for the next commit.
"""

from __future__ import annotations

import json
from typing import Any

import apsw

from bankrmi.replication.journal import Adopted

__all__ = ["SERVES", "About", "served_class"]

SERVES = "serves"
"""The note of which class this is the state of. It is written with the opening state; a bank has none."""


def served_class(database: apsw.Connection) -> str | None:
    """Return the class whose state is in this database; None if it holds a bank's accounts, or nothing."""
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'about'").get:
        return None
    return About(database).noted(SERVES)


class About:
    """The table `about` of one database."""

    def __init__(self, database: apsw.Connection) -> None:
        self._database = database
        self._notes: dict[str, str] = {}

    def everything(self) -> dict[str, Any]:
        """Return all that is written, by name."""
        return dict(self._database.execute("SELECT name, value FROM about"))

    def get(self, name: str) -> Any:
        """Return what is written under this name; None if nothing is."""
        return self._database.execute("SELECT value FROM about WHERE name = ?", (name,)).get

    def set(self, **values: Any) -> None:
        """Write values, in the transaction that is open."""
        self._database.executemany("INSERT OR REPLACE INTO about VALUES (?,?)", values.items())

    def set_adopted(self, adopted: Adopted) -> None:
        """Write the newest epoch adopted."""
        form: dict[str, Any] = {
            "history": adopted.history,
            "epoch": adopted.epoch,
            "primary": adopted.primary,
            "start_id": adopted.start_id,
            "granted_ms": adopted.granted_ms,
        }
        if adopted.retired_for is not None:
            form["retired_for"] = adopted.retired_for
        self.set(adopted=json.dumps(form))

    # -- notes -----------------------------------------------------------------------------------

    @property
    def has_notes(self) -> bool:
        """Whether any note waits to be written."""
        return bool(self._notes)

    def note(self, name: str, text: str) -> None:
        """Keep a note until `write_notes`."""
        self._notes[f"note:{name}"] = text

    def noted(self, name: str) -> str | None:
        """Return the note of this name, written or not; None if there is none."""
        noted: str | None = self._notes.get(f"note:{name}") or self.get(f"note:{name}")
        return noted

    def write_notes(self) -> None:
        """Write what waits, in the transaction that is open."""
        if self._notes:
            self.set(**self._notes)

    def notes_are_written(self) -> None:
        """That transaction has ended."""
        self._notes.clear()
