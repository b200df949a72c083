"""Messages and answers as plain values, and back: one table says what each field may be.

Rule 1: a message is a list of its fields, in their order; `Holdings` is a dict, for operators' tools.
Rule 2: every field of every message is in the table (tests see to that); a form that does not fit it raises
        ValueError, which names the field, and nothing else.
Rule 3: what one field says of another is checked, too: the rules may rest on it.
Rule 4: a form is of one version of the protocol, the one that is spoken on the link. A field that came later
        is in `ADDED`; what it means is never left out for who could not read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from bankrmi.replication.fields import (
    AddedField,
    CannotBeSaid,
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
    protocol,
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
from bankrmi.replication.pause import reason_of
from bankrmi.replication.view import View

__all__ = ["ADDED", "FIELDS", "holdings_of", "listed", "names_of", "read"]

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
        "needs_protocol": protocol,
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
        "retired_for": reason_of,
    },
}


ADDED: dict[type, Mapping[str, AddedField]] = {
    Checkpoint: {"needs_protocol": AddedField(since=2, before=1)},
    Holdings: {"retired_for": AddedField(since=2, before=None)},
}
"""The fields of `FIELDS` that are not of version 1, by their message: since when they are there."""


def names_of(kind: type, protocol: int) -> Sequence[str]:
    """Return the names of the fields that a form of this version has."""
    added = ADDED.get(kind)
    if added is None:
        return list(FIELDS[kind])
    return [name for name in FIELDS[kind] if name not in added or added[name].since <= protocol]


def listed(message: Any, protocol: int) -> list[Any]:
    """Return the fields of a message or an answer, in their order, as this version has them.

    Raises CannotBeSaid if there is no such form of it.
    """
    kind = type(message)
    if kind in ADDED:
        _check_can_be_said(message, protocol)
    values = [getattr(message, name) for name in names_of(kind, protocol)]
    return values if kind in _WITHOUT_VIEWS else [_plain(value, protocol) for value in values]


_WITHOUT_VIEWS = FIELDS.keys() - {ViewNews, Holdings}


def _check_can_be_said(message: Any, protocol: int) -> None:
    for name, field in ADDED[type(message)].items():
        if field.since > protocol and getattr(message, name) != field.before:
            raise CannotBeSaid(
                f"{name} cannot be said in bankrmi protocol {protocol}, it needs {field.since}: "
                "upgrade the older side"
            )


def _plain(value: Any, protocol: int) -> Any:
    if not isinstance(value, View):
        return value
    if value.needs_protocol > protocol:
        raise CannotBeSaid(
            f"this view cannot be said in bankrmi protocol {protocol}, it needs {value.needs_protocol}: "
            "upgrade the older side"
        )
    return value.to_wire()


def read(kind: type[Kind], form: Sequence[Any], protocol: int) -> Kind:
    """Return the message or answer of this kind; raises ValueError if the form is not one of this version."""
    names = names_of(kind, protocol)
    if len(form) != len(names):
        raise ValueError(f"it has {len(form)} fields, and {len(names)} are spoken: upgrade the older server")
    return _made(kind, names, form)


def holdings_of(form: Any, protocol: int) -> Holdings:
    """Return what a server says that it holds; raises ValueError if that cannot be read."""
    names = names_of(Holdings, protocol)
    if not isinstance(form, Mapping) or form.keys() != set(names):
        raise ValueError("it does not name what a server holds: upgrade the older server")
    return _made(Holdings, names, [form[name] for name in names])


def _made(kind: type[Kind], names: Sequence[str], values: Sequence[Any]) -> Kind:
    checks = FIELDS[kind]
    made = {name: field.before for name, field in ADDED.get(kind, {}).items()}
    try:
        for name, value in zip(names, values, strict=True):
            made[name] = checks[name](value)
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
