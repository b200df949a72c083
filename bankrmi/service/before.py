"""The tables as a migration found them, kept in the same database until nobody takes the migration back (S7).

A changeset knows of rows, and not of tables. So before a migration begins, the rows of all tables of the
service are copied into tables of ours, by SQLite itself, and what was said to make them; all in the
transaction of the record.

Rule 1: taken back, every table is as it was: rows, indexes, triggers and views.
Rule 2: what is another service's, of the same database, is left alone.
Rule 3: one migration is kept at a time: the one before is acknowledged when the next one is decided (S6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import Any

import apsw
import msgpack

from bankrmi.service.table_names import quoted
from bankrmi.service.tables import KEPT_TABLES, is_kept, is_own, table_names

__all__ = ["Its", "digests_of_tables", "forget_tables", "keep_tables", "put_tables_back", "tables_are_kept"]

_SCHEMA = (
    "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND type <> 'table'"
    " ORDER BY rowid"
)
_TABLES = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql IS NOT NULL ORDER BY rowid"
_NOTE = f"INSERT INTO {KEPT_TABLES} VALUES (?, ?, ?, ?, ?)"  # noqa: S608 - ours
Its = Callable[[str], bool]
"""Whether a table, view, index or trigger is of the service that is migrated."""

_ROWS_AT_ONCE = 500
_DIGEST_BYTES = 8


def tables_are_kept(database: apsw.Connection) -> bool:
    """Whether a migration could be taken back."""
    return bool(
        database.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", (KEPT_TABLES,)).get
    )


def _all(_: str) -> bool:
    return True


def keep_tables(database: apsw.Connection, its: Its = _all) -> None:
    """Copy the tables of the service, in the transaction that is open."""
    forget_tables(database)
    database.execute(
        f"CREATE TABLE {KEPT_TABLES} (number INTEGER PRIMARY KEY, type TEXT NOT NULL, name TEXT NOT NULL,"
        " sql TEXT NOT NULL, columns TEXT NOT NULL)"
    )
    tables: list[Any] = [row for row in database.execute(_TABLES) if _is_its(row[0], its)]
    others: list[Any] = [
        row for row in database.execute(_SCHEMA) if _is_its(row[1], its) and not is_own(row[2])
    ]
    number = 0
    for name, sql in tables:
        number += 1
        columns = _columns(database, name)
        database.execute(_NOTE, (number, "table", name, sql, ", ".join(columns)))
        kept = f"{KEPT_TABLES}_{number}"  # Its columns have no types: what is in them stays what it is.
        database.execute(f"CREATE TABLE {kept} ({', '.join(f'c{place}' for place in range(len(columns)))})")
        database.execute(f"INSERT INTO {kept} SELECT {', '.join(columns)} FROM {quoted(name)}")  # noqa: S608 - names of SQLite's own
    for kind, name, _, sql in others:
        number += 1
        database.execute(_NOTE, (number, kind, name, sql, ""))


def _is_its(name: str, its: Its) -> bool:
    return not is_own(name) and not name.startswith("sqlite_") and its(name)


def _columns(database: apsw.Connection, table: str) -> list[str]:
    """Return what a row of a table is made again of, as SQL."""
    listed: Any = database.execute("SELECT name FROM pragma_table_xinfo(?) WHERE NOT hidden", (table,))
    return [quoted(name) for (name,) in listed]


def put_tables_back(database: apsw.Connection, its: Its = _all) -> None:
    """Make the tables of the service what they were when they were kept, in the transaction that is open."""
    database.execute("PRAGMA defer_foreign_keys = 1")
    kept: list[Any] = database.execute(
        f"SELECT number, type, name, sql, columns FROM {KEPT_TABLES} ORDER BY number"  # noqa: S608 - ours
    ).fetchall()
    _drop_everything(database, its)
    tables = [row for row in kept if row[1] == "table"]
    for _, _, _, sql, _ in tables:
        database.execute(sql)
    database.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    try:
        for number, _, name, _, columns in tables:
            into, source = f"{quoted(name)} ({columns})", f"{KEPT_TABLES}_{number}"
            database.execute(f"INSERT INTO {into} SELECT * FROM {source}")  # noqa: S608 - names of SQLite's own
    finally:
        database.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 1)
    for _, kind, _, sql, _ in kept:
        if kind != "table":
            database.execute(sql)
    forget_tables(database)


def _drop_everything(database: apsw.Connection, its: Its) -> None:
    """Drop what is the service's: what rests on tables before the tables."""
    found: list[Any] = database.execute(
        "SELECT type, name FROM sqlite_schema WHERE type IN ('trigger', 'view', 'table')"
    ).fetchall()
    for kind in ("trigger", "view", "table"):
        for its_kind, name in found:
            if its_kind == kind and _is_its(name, its):
                database.execute(f"DROP {kind} IF EXISTS {quoted(name)}")


def forget_tables(database: apsw.Connection) -> None:
    """Drop what was kept: nobody takes it back any more."""
    tables: list[Any] = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for (name,) in tables:
        if is_kept(name):
            database.execute(f"DROP TABLE {quoted(name)}")


def digests_of_tables(database: apsw.Connection, its: Its = _all) -> dict[str, str]:
    """Return a digest of every table of the service, columns and rows, and one of what else was made
    (`*`)."""
    digests = {name: _digest_of(database, name) for name in table_names(database) if its(name)}
    others: list[Any] = database.execute(
        "SELECT type, name, tbl_name FROM sqlite_schema WHERE type <> 'table' ORDER BY type, name"
    ).fetchall()
    made = [row for row in others if _is_its(row[1], its) and not is_own(row[2])]
    return {**digests, "*": blake2b(msgpack.packb(made), digest_size=_DIGEST_BYTES).hexdigest()}


def _digest_of(database: apsw.Connection, table: str) -> str:
    columns: list[Any] = database.execute(
        'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid', (table,)
    ).fetchall()
    digest = blake2b(msgpack.packb(columns), digest_size=_DIGEST_BYTES)
    key = sorted((pk, name) for name, _, _, pk, _ in columns if pk)
    order = ", ".join(quoted(name) for _, name in key)
    rows: Iterator[Any] = database.execute(f"SELECT * FROM {quoted(table)} ORDER BY {order}")  # noqa: S608 - names of SQLite's own
    while piece := list(islice(rows, _ROWS_AT_ONCE)):
        digest.update(msgpack.packb(piece))
    return digest.hexdigest()
