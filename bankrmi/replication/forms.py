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
from typing import Any, NamedTuple, TypeVar

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
    },
}


ADDED: dict[type, Mapping[str, AddedField]] = {
    Checkpoint: {"needs_protocol": AddedField(since=2, before=1)},
}
"""The fields of `FIELDS` that are not of version 1, by their message: since when they are there."""


class _Form(NamedTuple):
    """What a form of one kind has in one version: fields, what each may be, and what the others mean."""

    names: tuple[str, ...]
    checks: tuple[Check, ...]
    left_out: Mapping[str, Any]


_KNOWN: dict[tuple[type, int], _Form] = {}
"""Those that were spoken: a few versions of a dozen kinds. They are looked up for every message."""


def _form_of(kind: type, protocol: int) -> _Form:
    known = _KNOWN.get((kind, protocol))
    if known is None:
        known = _KNOWN[kind, protocol] = _made_form(kind, protocol)
    return known


def _made_form(kind: type, protocol: int) -> _Form:
    added = ADDED.get(kind, {})
    names = tuple(name for name in FIELDS[kind] if name not in added or added[name].since <= protocol)
    left_out = {name: field.before for name, field in added.items() if name not in names}
    return _Form(names, tuple(FIELDS[kind][name] for name in names), left_out)


def names_of(kind: type, protocol: int) -> Sequence[str]:
    """Return the names of the fields that a form of this version has."""
    return _form_of(kind, protocol).names


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
    spoken = _form_of(kind, protocol)
    if len(form) != len(spoken.names):
        raise ValueError(
            f"it has {len(form)} fields, and {len(spoken.names)} are spoken: upgrade the older server"
        )
    return _made(kind, spoken, form)


def holdings_of(form: Any, protocol: int) -> Holdings:
    """Return what a server says that it holds; raises ValueError if that cannot be read."""
    spoken = _form_of(Holdings, protocol)
    if not isinstance(form, Mapping) or form.keys() != set(spoken.names):
        raise ValueError("it does not name what a server holds: upgrade the older server")
    return _made(Holdings, spoken, [form[name] for name in spoken.names])


def _made(kind: type[Kind], spoken: _Form, values: Sequence[Any]) -> Kind:
    try:
        checked = [check(value) for check, value in zip(spoken.checks, values, strict=True)]
    except ValueError:
        raise _what_is_wrong(spoken, values) from None
    made = {**spoken.left_out, **dict(zip(spoken.names, checked, strict=True))}
    if kind is Checkpoint:
        _check_records(made)
    return kind(**made)


def _what_is_wrong(spoken: _Form, values: Sequence[Any]) -> ValueError:
    """Return the error that names the first field which cannot be; asked only where there is one."""
    for name, check, value in zip(*spoken[:2], values, strict=True):
        try:
            check(value)
        except ValueError as error:
            return ValueError(f"{name} {error}")
    raise AssertionError("a check that fails once fails again")


def _check_records(made: dict[str, Any]) -> None:
    """A checkpoint: nothing in it is of a later epoch than its own, and the records follow what precedes."""
    if max(made["previous"].epoch, made["base"].epoch) > made["epoch"]:
        raise ValueError("what precedes is of a later epoch than the checkpoint")
    try:
        made["records"] = records_after(made["previous"], made["epoch"], made["records"])
    except ValueError as error:
        raise ValueError(f"records {error}") from None
