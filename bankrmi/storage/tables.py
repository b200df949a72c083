"""The tables of a journal, and of what follows from it."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "FORMAT",
    "FORMATS_READ",
    "INSERT_RECORD",
    "INSERT_REQUEST",
    "JOURNAL_AND_REQUESTS",
    "SESSIONS",
    "TABLES",
]

FORMAT = 3
"""Of the tables below; 2 kept the whole journal, without a table of sessions; 1 had a row for each operation,
and wrote all that follows from it at each commit."""

FORMATS_READ: Mapping[int, int] = {1: 2, 2: 3}
"""The newest format that who speaks a version of the protocol can read; a newer copy is of no use there."""

_ABOUT = """
CREATE TABLE about (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
"""

JOURNAL_AND_REQUESTS = """
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
"""As in format 2."""

SESSIONS = """
CREATE TABLE sessions (
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
"""The newest folded record of each session; without operations and outcomes once they are forgotten."""

TABLES = _ABOUT + JOURNAL_AND_REQUESTS + SESSIONS

INSERT_RECORD = "INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?)"
INSERT_REQUEST = "INSERT INTO requests VALUES (?,?,?)"
