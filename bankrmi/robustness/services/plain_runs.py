"""A method run with nothing of ours around it: what comes of it, and what is left in the database.

Rule: whoever judges a service runs it by this, and by nothing that a server runs it by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw
import msgpack

from bankrmi.errors import InvalidRequest
from bankrmi.robustness.services.outcomes import WORDS_AT_MOST, CallOutcome
from bankrmi.service.calls import Called
from bankrmi.service.declaring import Method, Service
from bankrmi.service.plain_values import NotPlain
from bankrmi.service.tables import table_names

__all__ = ["all_rows", "as_plain", "came_of", "made_plain"]

_RESULT_BYTES_AT_MOST = 1 << 16


def all_rows(database: apsw.Connection) -> list[tuple[Any, ...]]:
    """Return what all tables hold, table by table."""
    found: list[tuple[Any, ...]] = []
    for name in table_names(database):
        quoted = '"' + name.replace('"', '""') + '"'
        rows = database.execute(f"SELECT * FROM {quoted}").fetchall()  # noqa: S608
        found += [(name, *row) for row in sorted(rows, key=msgpack.packb)]
    return found


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
