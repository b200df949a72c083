"""Rows in the order of their keys: the same on every copy, whatever was taken back there.

SQLite keeps the rows of a table by a hidden row id, unless their key is one INTEGER. A row that is deleted,
and comes back when that is taken back, gets another row id. So a SELECT that names no order, or leaves ties,
would give rows in another order there than elsewhere, and an update that goes by it would stop that copy.

Rule: a table of a service has no hidden row ids (WITHOUT ROWID): its key decides, and indexes end with it.
"""

from __future__ import annotations

from typing import Any

import apsw

from bankrmi.service.table_names import quoted

__all__ = ["in_order_of_keys"]

_KEY = (
    "SELECT 1 FROM pragma_table_list(:table) AS it JOIN pragma_index_list(:table) ON origin = 'pk'"
    " WHERE it.schema = 'main' AND NOT it.wr"
)
"""Is there a key beside the row id?"""

_MADE_FOR_IT = (
    "SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type = 'table' DESC"
)


def in_order_of_keys(database: apsw.Connection, table: str) -> None:
    """Have the rows of a table, which was just made, lie in the order of their keys.

    One without a key stays as it is; so does one that lies so already. Raises ValueError if there is more
    than the table yet.
    """
    if not database.execute(_KEY, {"table": table}).get:
        return
    name = quoted(table)
    made: list[Any] = database.execute(_MADE_FOR_IT, (table,)).fetchall()
    has_rows = database.execute(f"SELECT 1 FROM {name} LIMIT 1").get  # noqa: S608 - a name of SQLite's own
    if has_rows or len(made) > 1:
        raise ValueError(f"one statement at a time: execute CREATE TABLE {table}, then what comes after it")
    [(statement,)] = made
    database.execute(f"DROP TABLE {name}")
    database.execute(statement + (" WITHOUT ROWID" if statement.endswith(")") else ", WITHOUT ROWID"))
