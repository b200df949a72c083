"""`self.db`: what a method may ask of the database, and which tables a service can have.

Rule 1: a method sees the tables of the service and nothing else; ours, the transaction, settings and other
        files are refused, by SQLite itself (its authorizer).
Rule 2: only `create`, and migrations, make tables. An update writes rows; a query reads them.
Rule 3: what differs from one copy to another is refused in an update: chance and clocks in SQL.
Rule 4: a table has a primary key, and no AUTOINCREMENT: else a change could not be taken back whole. Its rows
        lie in the order of that key (see `row_order`).
Rule 5: where several services lie in one database, each sees its own tables, under the names that it gave
        them (see `table_names`).
Rule 6: rows are handed over all at once, and so many at most: no question is left open behind a method's
        back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from itertools import islice
from typing import Any

import apsw

from bankrmi.errors import ConfigurationError
from bankrmi.service.row_order import in_order_of_keys
from bankrmi.service.table_names import as_written, its, renamed

__all__ = [
    "KEPT_TABLES",
    "OWN_TABLES",
    "DatabaseGaveUp",
    "Doing",
    "Rows",
    "ServiceTables",
    "check_tables",
    "is_kept",
    "is_own",
    "table_names",
    "tables_of",
]

OWN_TABLES = frozenset(
    {
        *("about", "journal", "requests", "sessions", "accounts"),
        *("service_undo", "service_versions", "service_versions_beside", "sqlite_sequence"),
    }
)
"""What lies in the same file, and is not the service's."""

KEPT_TABLES = "service_before"
"""What the names of tables begin with in which lies what a migration found (see `before`)."""

ROWS_AT_MOST = 100_000
_LONGEST_STATEMENT = 1 << 20

_GIVES_UP = re.compile(
    r"\bon\s+conflict\s+rollback\b|\bor\s+rollback\b|\braise\s*\(\s*rollback\b", re.IGNORECASE
)
"""What would take the whole transaction back, with what others did in it."""

_CHANGING = frozenset({apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE})
_CHANGING_TABLES = frozenset(
    {
        apsw.SQLITE_ALTER_TABLE,
        apsw.SQLITE_DROP_TABLE,
        apsw.SQLITE_DROP_INDEX,
        apsw.SQLITE_DROP_VIEW,
        apsw.SQLITE_DROP_TRIGGER,
    }
)
_READING = frozenset({apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE})
_MAKING = frozenset(
    {
        apsw.SQLITE_CREATE_TABLE,
        apsw.SQLITE_CREATE_INDEX,
        apsw.SQLITE_CREATE_VIEW,
        apsw.SQLITE_CREATE_TRIGGER,
        apsw.SQLITE_REINDEX,
    }
)
_CHANCE_AND_CLOCKS = frozenset(
    {
        "random",
        "randomblob",
        "date",
        "time",
        "datetime",
        "julianday",
        "unixepoch",
        "strftime",
        "timediff",
        "current_date",
        "current_time",
        "current_timestamp",
        "last_insert_rowid",
        "changes",
        "total_changes",
        "sqlite_version",
        "sqlite_source_id",
        "load_extension",
    }
)


_COLUMNS = frozenset({"table_info", "table_xinfo"})
"""Which columns a table has: what records the changes asks so, in the middle of a statement."""


_LIKE_TABLES = frozenset(
    {"json_each", "json_tree", "generate_series", "pragma_table_info", "pragma_table_xinfo"}
)
"""Functions that are read as a table is, and are nobody's."""


class Doing(Enum):
    """What goes on while SQLite is asked."""

    OURS = "ours"
    CREATE = "create"
    MIGRATION = "a migration"
    UPDATE = "an update"
    QUERY = "a query"


# Looked up for each word of a statement, nearly.
_OURS, _MAY, _MAY_NOT = Doing.OURS, int(apsw.SQLITE_OK), int(apsw.SQLITE_DENY)


class DatabaseGaveUp(Exception):
    """The disk, or the memory, failed under a statement: nothing can be recorded, and the server has to
    stop."""


_FAILED = (
    apsw.FullError,
    apsw.IOError,
    apsw.CorruptError,
    apsw.NoMemError,
    apsw.CantOpenError,
    apsw.NotADBError,
    apsw.ReadOnlyError,
    apsw.ProtocolError,
)


class Rows:
    """The rows that a statement has given, all of them."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows
        self._next = 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        while (row := self.fetchone()) is not None:
            yield row

    def __len__(self) -> int:
        return len(self._rows)

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row; None after the last one."""
        if self._next >= len(self._rows):
            return None
        self._next += 1
        return self._rows[self._next - 1]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows that are left."""
        rest = self._rows[self._next :]
        self._next = len(self._rows)
        return rest

    @property
    def value(self) -> Any:
        """The first column of the first row; None if there is no row."""
        return self._rows[0][0] if self._rows else None


class ServiceTables:
    """The tables of the service whose method runs, as that sees them."""

    def __init__(self, database: apsw.Connection, beside: Collection[str] = ()) -> None:
        """`beside`: the names of the services that are there beside the first one."""
        self._database = database
        self._refused = ""
        self._made: set[str] = set()  # Tables, by the statement that is looked at.
        self._beside = tuple(beside)
        self.service = ""
        """Whose they are now; "" is the first one. (Set by who runs methods.)"""
        self.doing = Doing.OURS
        """What the authorizer goes by. (Set by who runs methods.)"""
        self.interrupted = False
        """Whether a statement was, whatever the method made of that. (Cleared by who runs methods.)"""
        self.failed: Exception | None = None
        """What the disk said to a statement, whatever the method made of that."""
        database.authorizer = self._may
        database.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1)  # As whoever writes REFERENCES expects.

    @contextmanager
    def of(self, service: str) -> Iterator[None]:
        """Be those of this service, until the context ends; "" is the first one."""
        before, self.service = self.service, service
        try:
            yield
        finally:
            self.service = before

    def execute(self, statement: str, values: Sequence[Any] | dict[str, Any] = ()) -> Rows:
        """Execute one SQL statement, with values for its `?` or `:name`; return its rows."""
        return Rows(self._ask(statement, lambda written: self._database.execute(written, values)))

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute one SQL statement once for each of the rows of values."""
        self._ask(statement, lambda written: self._database.executemany(written, rows))

    def all_rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return all rows that a question of ours has, however many: no method runs."""
        assert self.doing is Doing.OURS
        return self._database.execute(self._renamed(statement)).fetchall()

    def _renamed(self, statement: str) -> str:
        return renamed(statement, self.service) if self.service else statement

    def _ask(self, statement: str, ask: Any) -> list[tuple[Any, ...]]:
        if self.doing is Doing.OURS:
            raise RuntimeError("self.db is there while a method of the service runs, and not before or after")
        if len(statement) > _LONGEST_STATEMENT:
            raise ValueError(
                f"a statement of {len(statement)} characters: at most {_LONGEST_STATEMENT} are taken"
            )
        if _GIVES_UP.search(statement):
            raise ValueError(
                "ROLLBACK would take back what others did: raise an exception, and nothing has happened"
            )
        if self.is_over:
            raise apsw.InterruptError("the time of this call is over")
        self._refused, self._made = "", set()
        before = table_names(self._database) if self._makes_tables else []
        try:
            # The comment keeps it apart from statements of ours that SQLite has looked at before.
            asked = ask(f"/* {self.doing.value} */ {self._renamed(statement)}")
            rows = list(islice(asked, ROWS_AT_MOST + 1))
            if self._made:
                self._put_in_order(before)
        except _FAILED as error:
            self.failed = error
            raise DatabaseGaveUp(str(error)) from error
        except apsw.InterruptError:
            self.interrupted = True
            raise
        except apsw.Error as error:
            if self._refused:
                raise PermissionError(as_written(self.service, self._refused)) from None
            if not self.service:
                raise
            raise type(error)(as_written(self.service, str(error))) from None
        if len(rows) > ROWS_AT_MOST:
            raise OverflowError(f"more than {ROWS_AT_MOST} rows: ask for fewer, with LIMIT")
        return rows

    def _put_in_order(self, before: Collection[str]) -> None:
        """Have the tables that a statement has made keep their rows in the order of their keys."""
        doing, self.doing = self.doing, Doing.OURS
        try:
            for name in table_names(self._database):
                if name not in before and name.lower() in self._made:
                    in_order_of_keys(self._database, name)
        finally:
            self.doing = doing

    @property
    def is_over(self) -> bool:
        """Whether a statement of this call was interrupted: SQLite then has taken its transaction back."""
        changes = self.doing in (Doing.UPDATE, Doing.MIGRATION)
        is_lost = changes and not self._database.in_transaction
        return self.interrupted or is_lost

    # -- what is allowed -------------------------------------------------------------------------

    def _may(
        self, operation: int, first: str | None, second: str | None, _where: str | None, _by: str | None
    ) -> int:
        """Say whether a part of a statement may be; called by SQLite while it prepares one."""
        if self.doing is _OURS:
            return _MAY
        why = self._objection(operation, first or "", second or "")
        if why:
            self._refused = self._refused or why
            return _MAY_NOT
        return _MAY

    def _objection(self, operation: int, first: str, second: str) -> str:
        if operation == apsw.SQLITE_FUNCTION:
            return self._objection_to_function(second.lower())
        if operation in _READING or operation in _CHANGING:
            if is_own(first):
                return f"the table {first} is bankrmi's own"
            if self._is_anothers(first):
                return f"the table {first} is another service's: call its methods (bankrmi.Uses)"
            if first.lower().startswith("sqlite_") and not self._makes_tables:
                return f"the table {first} is SQLite's own"
            if operation in _CHANGING and self.doing is Doing.QUERY:
                return f"a query changes nothing, and this changes {first}: mark it with @bankrmi.update"
            return ""
        if operation in _MAKING:
            if not self._makes_tables:
                return f"tables are made in `create`, and in migrations, and not later ({first})"
            if first == "sqlite_sequence":
                return "AUTOINCREMENT has a counter that cannot be taken back: leave that word out"
            if operation == apsw.SQLITE_CREATE_TABLE:
                self._made.add(first.lower())
            return f"the name {first} is taken" if is_own(first) or self._is_anothers(first) else ""
        if operation in _CHANGING_TABLES:
            named = second if operation == apsw.SQLITE_ALTER_TABLE else first
            if not self._makes_tables:
                return f"tables are changed in migrations, and not else ({named})"
            if self._is_anothers(named):
                return f"the table {named} is another service's"
            return f"the table {named} is bankrmi's own" if is_own(named) else ""
        if operation == apsw.SQLITE_PRAGMA and first.lower() in _COLUMNS:
            return ""
        return "a method of a service can read and write rows, and this statement does something else"

    def _is_anothers(self, name: str) -> bool:
        """Whether a table, or what is made for one, is not of the service that asks; SQLite's own is of
        none."""
        lower = name.lower()
        if not self._beside or not name or lower.startswith("sqlite_") or lower in _LIKE_TABLES:
            return False
        return not its(self.service, self._beside)(name)

    @property
    def _makes_tables(self) -> bool:
        return self.doing in (Doing.CREATE, Doing.MIGRATION)

    def _objection_to_function(self, name: str) -> str:
        if name in _CHANCE_AND_CLOCKS and self.doing is not Doing.QUERY:
            return f"{name}() differs from one copy to another: use self.now, self.random or self.new_id()"
        return "load_extension() is refused" if name == "load_extension" else ""


def is_own(name: str) -> bool:
    """Whether a table, or what is made for one, is ours and not the service's."""
    lower = name.lower()
    return lower in OWN_TABLES or is_kept(name)


def is_kept(name: str) -> bool:
    """Whether it is a table in which lies what a migration found."""
    return name.lower().startswith(KEPT_TABLES)


def table_names(database: apsw.Connection) -> list[str]:
    """Return the names of the service's tables, in their order."""
    names = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    return [name for (name,) in names if not is_own(name) and not name.startswith("sqlite_")]


def tables_of(database: apsw.Connection, service: str, beside: Collection[str]) -> list[str]:
    """Return those of them that are one service's; "" is the first one."""
    return list(filter(its(service, beside), table_names(database)))


def check_tables(database: apsw.Connection, kind: str) -> None:
    """Raise ConfigurationError if there is a table whose changes could not be taken back whole."""
    tables: list[Any] = database.execute(
        "SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE type = 'table'"
    ).fetchall()
    for name, statement in tables:
        if is_own(name) or name.startswith("sqlite_"):
            continue
        if statement.lower().split(None, 2)[:2] == ["create", "virtual"]:
            raise ConfigurationError(f"{kind}: {name} is a virtual table, and only plain tables can be kept")
        if not database.execute("SELECT max(pk) FROM pragma_table_xinfo(?)", (name,)).get:
            raise ConfigurationError(
                f"{kind}: {name} has no PRIMARY KEY, and changes are known by it: give it one"
            )
