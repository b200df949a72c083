"""What one member of the database holds of a bank: read with SQL, kept in a file, and read from there.

Rule 1: all of it is of one moment.
Rule 2: nothing here knows what any of it means, nor uses the code under test: the tables are read as anybody
        could.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["DatabaseCopy", "DatabaseRequest", "copy_file", "kept_copy", "read_copy", "written_to"]

RequestId = tuple[str, int]


@dataclass(frozen=True, slots=True)
class DatabaseRequest:
    """A row of `request`: operations and outcomes, packed, and the action ids that were told."""

    operations: bytes
    outcomes: bytes
    action_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseCopy:
    """All rows."""

    name: str
    accounts: dict[int, tuple[int | None, int]]
    """Balance, nothing if it is closed, and newest action id."""
    requests: dict[RequestId, DatabaseRequest]
    entries: dict[int, list[tuple[int, RequestId, int]]]
    """Of each account, in their order: action id, request, and place in it."""


def read_copy(name: str, dsn: str, schema: str) -> DatabaseCopy:
    """Read it; raises OSError, in words, if that cannot be."""
    import psycopg
    from psycopg import sql

    def of(text: str) -> Any:
        return sql.SQL(text).format(schema=sql.Identifier(schema))

    try:
        with psycopg.connect(dsn) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            accounts = connection.execute(
                of("SELECT id, balance, action_id FROM {schema}.account")
            ).fetchall()
            requests = connection.execute(
                of("SELECT session, sequence, operations, outcomes, action_ids FROM {schema}.request")
            ).fetchall()
            entries = connection.execute(
                of(
                    "SELECT account, action_id, session, sequence, place FROM {schema}.entry"
                    " ORDER BY account, action_id"
                )
            ).fetchall()
    except psycopg.Error as error:
        raise OSError(str(error).partition("\n")[0]) from None
    copy = DatabaseCopy(
        name=name,
        accounts={row[0]: (row[1], row[2]) for row in accounts},
        requests={
            (row[0], row[1]): DatabaseRequest(bytes(row[2]), bytes(row[3]), tuple(row[4])) for row in requests
        },
        entries={},
    )
    for account, action_id, session, sequence, place in entries:
        copy.entries.setdefault(account, []).append((action_id, (session, sequence), place))
    return copy


def copy_file(directory: Path, name: str) -> Path:
    """Return where the copy of one member is kept in the directory of a run."""
    return directory / "database" / f"{name}.json"


def written_to(path: Path, copy: DatabaseCopy) -> None:
    """Keep it."""
    form = {
        "name": copy.name,
        "accounts": [(account, *known) for account, known in sorted(copy.accounts.items())],
        "requests": [
            (*request, kept.operations.hex(), kept.outcomes.hex(), kept.action_ids)
            for request, kept in sorted(copy.requests.items())
        ],
        "entries": [
            (account, action_id, *request, place)
            for account, entries in sorted(copy.entries.items())
            for action_id, request, place in entries
        ],
    }
    path.write_text(json.dumps(form) + "\n")


def kept_copy(path: Path) -> DatabaseCopy:
    """Return what `written_to` kept."""
    form = json.loads(path.read_text())
    copy = DatabaseCopy(
        name=form["name"],
        accounts={account: (balance, action_id) for account, balance, action_id in form["accounts"]},
        requests={
            (session, sequence): DatabaseRequest(
                bytes.fromhex(operations), bytes.fromhex(outcomes), tuple(ids)
            )
            for session, sequence, operations, outcomes, ids in form["requests"]
        },
        entries={},
    )
    for account, action_id, session, sequence, place in form["entries"]:
        copy.entries.setdefault(account, []).append((action_id, (session, sequence), place))
    return copy
