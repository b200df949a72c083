"""The tables of a journal, and of what follows from it."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "FORMAT",
    "FORMATS_READ",
    "INSERT_RECORD",
    "INSERT_REQUEST",
    "NEWEST_FORMAT",
    "SESSIONS",
    "TABLES",
]

FORMAT = 2
"""Of the tables below; 1 had a row for each operation, and wrote all that follows from it at each commit."""

NEWEST_FORMAT = 3
"""The same, from the first record on that is folded, or that bankrmi 1.0 does not know.

Who reads format 2 only would miss what is gone, or take one operation for another."""

FORMATS_READ: Mapping[int, int] = {1: 2, 2: 3}
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
SESSIONS = """
CREATE TABLE IF NOT EXISTS sessions (
    session TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    action_id INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    operation_count INTEGER NOT NULL,
    operations BLOB,
    outcomes BLOB,
    time_us INTEGER NOT NULL,
    digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""
"""The newest folded record of each session; without operations and outcomes once they are forgotten.

While it is empty, who reads format 2 does not miss it."""

INSERT_RECORD = "INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?)"
INSERT_REQUEST = "INSERT INTO requests VALUES (?,?,?)"
