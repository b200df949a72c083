"""A method run with nothing of ours around it: what comes of it, and what is left, in the database or in
attributes.

Rule: whoever judges a service runs it by this, and by nothing that a server runs it by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import apsw
import msgpack

from bankrmi.errors import InvalidRequest
from bankrmi.patient_handlers import keep_waiting
from bankrmi.robustness.services.outcomes import WORDS_AT_MOST, CallOutcome
from bankrmi.service.calls import Called
from bankrmi.service.declaring import Method, Service
from bankrmi.service.kept_values import KeptValues
from bankrmi.service.object_state import OBJECT_TABLE
from bankrmi.service.plain_values import NotPlain
from bankrmi.service.served_services import plain_name, qualified
from bankrmi.service.table_names import quoted
from bankrmi.service.tables import table_names

__all__ = ["OURS", "all_rows", "as_plain", "came_of", "comparable", "made_plain", "rows_of_attributes"]

_RESULT_BYTES_AT_MOST = 1 << 16

OURS = frozenset({"_moment", "_others", "db"})
"""What of an object is not its author's."""


def all_rows(database: apsw.Connection) -> list[tuple[Any, ...]]:
    """Return what all tables hold, table by table."""
    found: list[tuple[Any, ...]] = []
    for name in table_names(database):
        rows = database.execute(f"SELECT * FROM {quoted(name)}").fetchall()  # noqa: S608
        found += [(name, *row) for row in sorted(rows, key=msgpack.packb)]
    return found


def rows_of_attributes(service: str, made: object) -> list[tuple[Any, ...]]:
    """Return what the attributes of an object hold as rows, in the form of `comparable`."""
    table, values = qualified(service, OBJECT_TABLE), KeptValues(type(made).__module__)

    def packed(value: object) -> bytes:
        try:
            return values.packed(value)
        except NotPlain as error:
            return str(error).encode()  # No copy holds that.

    found: list[tuple[Any, ...]] = []
    for name, value in vars(made).items():
        if name in OURS:
            continue
        if type(value) is not dict:
            found.append((table, name, b"", 0, packed(value)))
            continue
        found.append((table, name, b"", 0, b""))
        found += [
            (table, name, packed(key), place, packed(one))
            for place, (key, one) in enumerate(value.items(), 1)
        ]
    return found


def comparable(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows in one order; those of attributes with the places of keys counted without gaps."""
    tables: list[tuple[Any, ...]] = []
    attributes: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for row in rows:
        if plain_name(row[0])[1] == OBJECT_TABLE:
            attributes.setdefault((row[0], row[1]), []).append(row)
        else:
            tables.append(row)
    for kept in attributes.values():
        kept.sort(key=lambda row: row[3])
        tables += [(*row[:3], place, *row[4:]) for place, row in enumerate(kept)]
    return sorted(tables, key=msgpack.packb)


def as_plain(kind: type[Service]) -> type:
    """Return the class of such an object."""
    return type(kind.__name__, (kind,), {"__module__": kind.__module__, **_PLAIN})


def made_plain(kind: type[Service]) -> Any:
    """Return a service whose state are its attributes, as the plain object that it looks like, at its
    beginning."""
    service: Any = object.__new__(as_plain(kind))
    object.__setattr__(service, "_moment", None)
    begin: Any = kind.__init__
    service.create() if begin is Service.__init__ else begin(service)
    return service


def _no_attribute(_self: object, name: str) -> Any:
    raise AttributeError(name)


_PLAIN = {
    "__setattr__": object.__setattr__,
    "__delattr__": object.__delattr__,
    "__getattr__": _no_attribute,
    "__dir__": object.__dir__,
}
"""What a class has in the place of what keeps its attributes in rows."""


def came_of(method: Method, call: Called, run: Callable[[list[Any], dict[str, Any]], Any]) -> CallOutcome:
    """Return what comes of it, in plain values."""
    try:
        args, kwargs = method.made(call.args, call.kwargs)
        try:
            with keep_waiting:
                value = method.result(run(args, kwargs))
        except NotPlain as error:
            return CallOutcome(raised="TypeError", words=str(error))
        came = CallOutcome.returned(value)
        if len(came.packed) > _RESULT_BYTES_AT_MOST:
            return CallOutcome(raised="OverflowError", words=f"{len(came.packed)} bytes")
        return came
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        words = error.message if isinstance(error, InvalidRequest) else str(error)
        kind = type(error)
        return CallOutcome(raised=kind.__qualname__[:100], words=words[:WORDS_AT_MOST])
