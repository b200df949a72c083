"""Messages and answers as plain values, and back: one table says what each field may be.

Rule 1: a message is a list of its fields, in their order; `Holdings` is a dict, for operators' tools.
Rule 2: every field of every message is in the table (tests see to that); a form that does not fit it raises
        ValueError, which names the field, and nothing else.
Rule 3: what one field says of another is checked, too: the rules may rest on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from bankrmi.replication.fields import (
    Check,
    any_of,
    digest,
    epoch,
    flag,
    identifier,
    milliseconds,
    number,
    optional,
    position,
    positions,
    records_after,
    tip,
)
from bankrmi.replication.messages import (
    JOIN_OUTCOMES,
    Acknowledged,
    Census,
    Checkpoint,
    Fence,
    Holdings,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    Mismatch,
    Superseded,
    ViewNews,
)
from bankrmi.replication.view import View

__all__ = ["FIELDS", "holdings_of", "listed", "read"]

Kind = TypeVar("Kind")


def _as_it_is(value: Any) -> Any:
    """Checked together with another field."""
    return value


FIELDS: Mapping[type, Mapping[str, Check]] = {
    Checkpoint: {
        "history": identifier,
        "epoch": epoch,
        "primary": identifier,
        "start_id": identifier,
        "number": number,
        "previous": position,
        "base": position,
        "acknowledged": number,
        "lease_ms": milliseconds,
        "drift_ms": milliseconds,
        "records": _as_it_is,
    },
    JoinRequest: {
        "server": identifier,
        "incarnation": identifier,
        "start_id": identifier,
        "number": number,
        "history": optional(identifier),
        "tail": positions,
    },
    LeaveRequest: {"server": identifier, "start_id": identifier},
    ViewNews: {"view": View.from_wire},
    Census: {"server": identifier},
    Fence: {},
    Acknowledged: {
        "server": identifier,
        "history": identifier,
        "epoch": epoch,
        "incarnation": identifier,
        "start_id": identifier,
        "number": number,
        "matched": number,
        "digest": digest,
    },
    Mismatch: {"server": identifier, "epoch": epoch, "number": number, "tip": number},
    Superseded: {"server": identifier, "history": identifier, "epoch": epoch, "number": number},
    JoinAnswer: {"server": identifier, "number": number, "outcome": any_of(*JOIN_OUTCOMES), "epoch": number},
    Holdings: {
        "server": identifier,
        "incarnation": identifier,
        "start_id": identifier,
        "history": optional(identifier),
        "epoch": number,
        "primary": optional(identifier),
        "tip": tip,
        "fenced": flag,
        "last_view": optional(View.from_wire),
        "may_have_moved_on": flag,
    },
}


def listed(message: Any) -> list[Any]:
    """Return the fields of a message or an answer, in their order."""
    values = [getattr(message, name) for name in FIELDS[type(message)]]
    return values if type(message) in _WITHOUT_VIEWS else [_plain(value) for value in values]


_WITHOUT_VIEWS = FIELDS.keys() - {ViewNews, Holdings}


def _plain(value: Any) -> Any:
    return value.to_wire() if isinstance(value, View) else value


def read(kind: type[Kind], form: Sequence[Any]) -> Kind:
    """Return the message or answer of this kind; raises ValueError if the form is not one."""
    checks = FIELDS[kind]
    if len(form) != len(checks):
        raise ValueError(f"it has {len(form)} fields, and {len(checks)} are known: upgrade the older server")
    return _made(kind, checks, form)


def holdings_of(form: Any) -> Holdings:
    """Return what a server says that it holds; raises ValueError if that cannot be read."""
    checks = FIELDS[Holdings]
    if not isinstance(form, Mapping) or form.keys() != checks.keys():
        raise ValueError("it does not name what a server holds: upgrade the older server")
    return _made(Holdings, checks, [form[name] for name in checks])


def _made(kind: type[Kind], checks: Mapping[str, Check], values: Sequence[Any]) -> Kind:
    made: dict[str, Any] = {}
    try:
        for (name, check), value in zip(checks.items(), values, strict=True):
            made[name] = check(value)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    if kind is Checkpoint:
        _check_records(made)
    return kind(**made)


def _check_records(made: dict[str, Any]) -> None:
    """A checkpoint: nothing in it is of a later epoch than its own, and the records follow what precedes."""
    if max(made["previous"].epoch, made["base"].epoch) > made["epoch"]:
        raise ValueError("what precedes is of a later epoch than the checkpoint")
    try:
        made["records"] = records_after(made["previous"], made["epoch"], made["records"])
    except ValueError as error:
        raise ValueError(f"records {error}") from None
