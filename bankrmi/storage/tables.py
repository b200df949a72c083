"""The tables of a journal, and of what follows from it."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FORMAT", "FORMATS_READ", "INSERT_RECORD", "INSERT_REQUEST", "TABLES"]

FORMAT = 2
"""Of the tables below; 1 had a row for each operation, and wrote all that follows from it at each commit."""

FORMATS_READ: Mapping[int, int] = {1: 2, 2: 2}
"""The newest format that who speaks a version of the protocol can read; a newer copy is of no use there."""

TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
    action_id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    session TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    operation_count INTEGER NOT NULL,
    operations BLOB NOT NULL,
    outcomes BLOB NOT NULL,
    time_us INTEGER NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE TABLE requests (
    session TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    action_id INTEGER NOT NULL,
    PRIMARY KEY (session, sequence)
) STRICT, WITHOUT ROWID;
"""

INSERT_RECORD = "INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?)"
INSERT_REQUEST = "INSERT INTO requests VALUES (?,?,?)"
