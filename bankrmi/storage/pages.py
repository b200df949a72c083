"""What SQLite finds wrong with the pages of a database."""

from __future__ import annotations

import apsw

__all__ = ["page_faults"]


def page_faults(database: apsw.Connection, at_most: int = 5) -> str:
    """Return what is wrong, in one line; nothing if all pages are sound. Takes a second for a few hundred MB.

    One fault makes SQLite say many things, some of them in several lines: there are `at_most` of them here.
    Raises apsw.Error where the database cannot be read at all.
    """
    rows = [str(said) for (said,) in database.execute(f"PRAGMA integrity_check({at_most})")]
    if rows == ["ok"]:
        return ""
    lines = [line for row in rows for line in row.splitlines() if line and not line.startswith("***")]
    return "; ".join(lines[:at_most])
