"""What a run measures of a class: each of its methods, by so many clients; and how each is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from bankrmi.bench.shapes import Shape, shape_called
from bankrmi.errors import InvalidRequest
from bankrmi.foreign_text import foreign
from bankrmi.service import Description
from bankrmi.service.drawn_arguments import Undrawable, any_arguments, drawn_call
from bankrmi.service.written_values import read_call

__all__ = ["CLASS_SHAPES", "ClassPlan", "MethodShape", "class_plan"]

CLASS_SHAPES = ("1x1", "8x1", "32x1")
"""How each method is called, unless others are asked for."""
_CALL_AT_MOST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodShape(Shape):
    """One method under one kind of load."""

    method: str
    call: str = ""
    """As it was written; nothing: its arguments are made up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPlan:
    """What was asked for on the command line."""

    serves: str
    folder: str
    """Where its module lies."""
    rows: tuple[str, ...]
    calls: Mapping[str, str]
    """By method, as they were written."""
    rounds: int = 5
    seconds: float = 2.0
    servers: int = 2
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Methods that cannot be measured, and why not."""
    against: tuple[str, ...] = ()

    @property
    def shapes(self) -> list[MethodShape]:
        """Return the rows, as they are measured."""
        return [self._shape(row) for row in self.rows]

    @property
    def job(self) -> str:
        """What is done, for whoever reads the figures."""
        return (
            f"{self.serves} on {self.servers} servers; each row calls one of its methods, by so many "
            "clients; an update is answered when it is durable on all copies."
        )

    def _shape(self, row: str) -> MethodShape:
        method, _, part = row.partition(":")
        shape = shape_called(part)
        assert shape is not None, "rows were checked"
        call = self.calls.get(method, "")
        return MethodShape(name=row, clients=shape.clients, method=method, call=call)


def class_plan(
    description: Description,
    serves: str,
    folder: str,
    *,
    rows: Sequence[str] | None,
    calls: Iterable[str],
    rounds: int,
    seconds: float,
    servers: int,
) -> ClassPlan:
    """Return the plan; raises InvalidRequest for a row, or a call, that there is not.

    Without rows those methods are measured that a call is given for; without calls, all of them.
    """
    written = dict(_checked_call(description, call) for call in calls)
    named = list(rows) if rows is not None else [*written] or _all_methods(description)
    found = dict.fromkeys(row for name in named for row in _rows_of(description, name))
    skipped = {
        method: why
        for method in dict.fromkeys(row.partition(":")[0] for row in found)
        if method not in written and (why := _why_not_made_up(description, method))
    }
    return ClassPlan(
        serves=serves,
        folder=folder,
        rows=tuple(row for row in found if row.partition(":")[0] not in skipped),
        calls=written,
        rounds=rounds,
        seconds=seconds,
        servers=servers,
        skipped=skipped,
    )


def _all_methods(description: Description) -> list[str]:
    methods = sorted(description.methods.values(), key=lambda method: (not method.is_update, method.name))
    return [method.name for method in methods]


def _rows_of(description: Description, name: str) -> list[str]:
    """Return the rows that are asked for by `put`, `put:8x1` or `8x1`."""
    method, _, part = name.partition(":")
    if _is_of_calls(name):
        return [f"{one}:{name}" for one in _all_methods(description)]
    if method not in description.methods:
        raise InvalidRequest(
            f"{_no_method(description, method)}; put:8x1 is a part of one, 8x1 alone that part of all of them"
        )
    if part and not _is_of_calls(part):
        raise InvalidRequest(
            f"{method} has no part {foreign(part, 40)!r}: write CLIENTSx1, for a call of a class is one "
            "operation"
        )
    return [f"{method}:{shape}" for shape in ([part] if part else CLASS_SHAPES)]


def _no_method(description: Description, name: str) -> str:
    known = ", ".join(_all_methods(description))
    return f"{description.name} has no method {foreign(name, 40)!r}: there are {known:.500}"


def _is_of_calls(name: str) -> bool:
    shape = shape_called(name)
    return shape is not None and name == f"{shape.clients}x1"


def _checked_call(description: Description, written: str) -> tuple[str, str]:
    if len(written) > _CALL_AT_MOST:
        raise InvalidRequest(f"a call is written in {_CALL_AT_MOST} characters at most")
    name, args, kwargs = read_call(written)
    method = description.methods.get(name)
    if method is None:
        raise InvalidRequest(_no_method(description, name))
    method.bound(args, kwargs, whole=False)
    return name, written


def _why_not_made_up(description: Description, name: str) -> str:
    method = description.methods[name]
    try:
        drawn_call(method, any_arguments(method), Random(1))
    except Undrawable as unknown:
        return f"{foreign(unknown)}: write them, --call '{name}(...)'"
    return ""
