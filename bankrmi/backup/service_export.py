"""The state of a class as lines of JSON: a row a line, or an attribute, or a key of one that is a dict.

    {"table": "item", "row": {"name": "apple", "count": 3}}
    {"attribute": "entries", "key": "apple", "value": {"Entry": {"text": "x", "tags": []}}}
    {"service": "orders", "table": "item", "row": {"id": "…", "name": "apple", "count": 1}}

Where there are several services, each line says of which it is.

Rule 1: it is made of a backup that was just taken, and checked: one state, all of it acknowledged.
Rule 2: nothing of the class is needed. What JSON cannot say is said in words of it: bytes as {"base64": …}.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from bankrmi.backup.service_copy import back_up_service
from bankrmi.backup.taking import Order
from bankrmi.config import Configuration
from bankrmi.service.kept_values import unpacked_without_class
from bankrmi.service.object_state import OBJECT_TABLE
from bankrmi.service.table_names import is_of, quoted
from bankrmi.service.tables import table_names
from bankrmi.service.versions import classes_beside
from bankrmi.storage.backup_label import Label
from bankrmi.verifying.stopped_directory import opened_unchanged

__all__ = ["ExportedState", "exported_service"]


@dataclass(frozen=True, slots=True)
class ExportedState:
    """One state: where it is of, and its lines."""

    label: Label
    lines: Iterator[str]


@contextmanager
def exported_service(
    configuration: Configuration, server: str | None, *, rate: float, progress: Callable[[str], None]
) -> Iterator[ExportedState]:
    """Give the state of a server's copy, else of the primary's; raises as `back_up` does."""
    with tempfile.TemporaryDirectory(prefix="bankrmi-export-") as folder:
        file = Path(folder) / "state.bank"
        taken = back_up_service(configuration, Order(file=file), server=server, rate=rate, progress=progress)
        with opened_unchanged(file) as database:
            home = configuration.service if configuration.has_several else ""
            yield ExportedState(taken.label, lines_of(database, home))


def lines_of(database: apsw.Connection, home: str = "") -> Iterator[str]:
    """Yield what the tables of classes hold, table by table, in the order of their keys. `home`: the name of
    the first service, where there are several."""
    beside = sorted(classes_beside(database))
    for table in table_names(database):
        service = next((one for one in beside if is_of(one, table)), "")
        plain = table[len(service) + 1 :] if service else table
        of = {"service": service or home} if service or home else {}
        if plain == OBJECT_TABLE:
            yield from _attributes(database, table, of)
            continue
        columns: list[Any] = database.execute(
            "SELECT name, pk FROM pragma_table_info(?)", (table,)
        ).fetchall()
        key = ", ".join(quoted(name) for _, name in sorted((pk, name) for name, pk in columns if pk))
        names = [name for name, _ in columns]
        chosen = ", ".join(map(quoted, names))
        for row in database.execute(f"SELECT {chosen} FROM {quoted(table)} ORDER BY {key}"):  # noqa: S608 - names of SQLite's own
            yield _line({**of, "table": plain, "row": dict(zip(names, row, strict=True))})


def _attributes(database: apsw.Connection, table: str, of: dict[str, Any]) -> Iterator[str]:
    rows = database.execute(
        f"SELECT attribute, key, value FROM {quoted(table)} ORDER BY attribute, position"  # noqa: S608 - ours
    )
    for attribute, key, content in rows:
        if key:
            told = {"key": unpacked_without_class(key), "value": unpacked_without_class(content)}
            yield _line({**of, "attribute": attribute, **told})
        elif content:
            yield _line({**of, "attribute": attribute, "value": unpacked_without_class(content)})
        else:
            yield _line({**of, "attribute": attribute, "is": "a dict"})


def _line(value: dict[str, Any]) -> str:
    return json.dumps(_told(value), ensure_ascii=False) + "\n"


def _told(value: Any) -> Any:
    """Return the value in what JSON knows."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [_told(one) for one in value]
    if isinstance(value, dict):
        if all(type(key) is str for key in value):
            return {key: _told(one) for key, one in value.items()}
        return {"items": [[_told(key), _told(one)] for key, one in value.items()]}
    return value
