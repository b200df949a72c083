"""What a run measures of a class, or of several in one pair: their methods, by so many clients; and how
each is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from bankrmi.bench.load.methods import OrderedCalls
from bankrmi.bench.rows.of_classes import CLASS_ROWS
from bankrmi.bench.shapes import Shape, shape_called
from bankrmi.errors import InvalidRequest
from bankrmi.foreign_text import foreign
from bankrmi.service import ServedServices
from bankrmi.service.drawn_arguments import Undrawable, any_arguments, drawn_call
from bankrmi.service.method_names import NamedMethod, every_method, find_method
from bankrmi.service.written_values import read_call

__all__ = ["CLASS_SHAPES", "ClassPlan", "MethodCalled", "MethodShape", "class_plan"]

CLASS_SHAPES = ("1x1", "8x1", "32x1")
"""How each method is called, unless others are asked for."""
_CALL_AT_MOST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCalled:
    """One method, and how it is called."""

    method: str
    """As it is shown: of several services with its service before it."""
    service: str
    changes: bool
    call: str = ""
    """As it was written; nothing: its arguments are made up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodShape(Shape):
    """One method under one kind of load."""

    called: MethodCalled


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPlan:
    """What was asked for on the command line."""

    serves: str
    """All classes, for people."""
    services: Mapping[str, str]
    """The classes by their services, the first one first."""
    folder: str
    """Where their modules lie."""
    rows: tuple[str, ...]
    """Each is a method under one kind of load: `put:8x1`."""
    other_rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Rows of `CLASS_ROWS`, with the parts of them to measure."""
    methods: Mapping[str, MethodCalled] = field(default_factory=dict)
    """All that can be called, by name: service by service, updates first."""
    rounds: int = 5
    seconds: float = 2.0
    servers: int = 2
    failovers: int = 100
    skipped: Mapping[str, str] = field(default_factory=dict)
    """What cannot be measured, and why not."""
    against: tuple[str, ...] = ()

    @property
    def shapes(self) -> list[MethodShape]:
        """Return the rows that are a method each, as they are measured."""
        return [self.shape(*row.rsplit(":", 1)) for row in self.rows]

    @property
    def job(self) -> str:
        """What is done, for whoever reads the figures."""
        whose = "its methods" if len(self.services) == 1 else "their methods"
        return (
            f"{self.serves} on {self.servers} servers; each row calls one of {whose}, by so many "
            "clients; an update is answered when it is durable on all copies."
        )

    def settings(self) -> dict[str, object]:
        """Return what the configuration of such servers has of it."""
        if len(self.services) > 1:
            return {"serves": dict(self.services)}
        [(service, target)] = self.services.items()
        return {"serves": target, "service": service}

    def ordered(self, called: Sequence[MethodCalled]) -> OrderedCalls:
        """Return what a load process is told that is to call these."""
        calls = tuple((one.method, one.call) for one in called)
        return OrderedCalls(services=self.services, folder=self.folder, calls=calls)

    def shape(self, method: str, part: str) -> MethodShape:
        """Return a method under a load such as 8x1."""
        shape = shape_called(part)
        assert shape is not None, "rows were checked"
        return MethodShape(name=f"{method}:{part}", clients=shape.clients, called=self.methods[method])

    def usual_method(self, service: str | None = None) -> MethodCalled | None:
        """Return what stands for a service, or for all of them: what a call was written for, else an update,
        else a query; None if nothing can be called."""
        mine = [one for one in self.methods.values() if service in (None, one.service)]
        return min(mine, key=lambda one: (not one.call, not one.changes), default=None)


def class_plan(
    services: ServedServices,
    named: Mapping[str, str],
    folder: str,
    *,
    rows: Sequence[str] | None,
    calls: Iterable[str],
    rounds: int,
    seconds: float,
    servers: int,
    failovers: int = 100,
) -> ClassPlan:
    """Return the plan; raises InvalidRequest for a row, or a call, that there is not.

    Without rows those methods are measured that a call is given for; without calls, all of them, and what
    else there is to measure of a class.
    """
    written = dict(_checked_call(services, call) for call in calls)
    known = every_method(services)
    whys = {one.name: _why_not_made_up(one) for one in known if one.name not in written}
    skipped = {name: why for name, why in whys.items() if why}
    methods = {
        one.name: MethodCalled(
            method=one.name,
            service=one.service,
            changes=one.method.is_update,
            call=written.get(one.name, ""),
        )
        for one in known
        if one.name not in skipped
    }
    several = len(named) > 1
    if rows is None:
        asked = [*written] or [*(one.name for one in known), *_other_rows(several=several)]
    else:
        asked = list(rows)
    found, others = _told_apart(asked, services, skipped, several=several)
    return ClassPlan(
        serves=", ".join(named.values()),
        services=dict(named),
        folder=folder,
        rows=tuple(row for row in found if _method_of(row) not in skipped),
        other_rows=others,
        methods=methods,
        rounds=rounds,
        seconds=seconds,
        servers=servers,
        failovers=failovers,
        skipped={name: why for name, why in skipped.items() if name in map(_method_of, found)},
    )


def _told_apart(
    asked: Sequence[str], services: ServedServices, skipped: Mapping[str, str], *, several: bool
) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Return the rows that are a method under one kind of load; and the others, each with its parts."""
    others: dict[str, dict[str, None]] = {}
    found: dict[str, None] = {}
    for name in asked:
        row, _, part = name.partition(":")
        if row in CLASS_ROWS and shape_called(part) is None:
            checked = _checked_part(row, part, services, skipped, several=several)
            others.setdefault(row, {}).update(dict.fromkeys([checked] if checked else CLASS_ROWS[row].usual))
        else:
            found |= dict.fromkeys(_rows_of(services, name, several=several))
    return list(found), {name: tuple(parts) for name, parts in others.items()}


def _method_of(row: str) -> str:
    return row.rsplit(":", 1)[0]


def _other_rows(*, several: bool) -> list[str]:
    """Return the rows that are not a method each."""
    return [name for name, row in CLASS_ROWS.items() if several or not row.of_several]


def _checked_part(
    row: str, part: str, services: ServedServices, skipped: Mapping[str, str], *, several: bool
) -> str:
    """Return a part of a row, by its whole name; raises InvalidRequest if there is nothing to measure."""
    kind = CLASS_ROWS[row]
    if kind.of_several and not several:
        raise InvalidRequest(f"{row} is of several services in one pair, and {services.name} is alone")
    if not part:
        return ""
    if kind.parts:
        if part not in kind.parts:
            raise InvalidRequest(
                f"{row} has no part {foreign(part, 40)!r}: there are {', '.join(kind.parts)}"
            )
        return part
    name = find_method(services, part).name
    if name in skipped:
        raise InvalidRequest(f"{name}: {skipped[name]}")
    return name


def _rows_of(services: ServedServices, name: str, *, several: bool) -> list[str]:
    """Return the rows that are asked for by `put`, `put:8x1`, `8x1`, or by the name of a service."""
    written, _, part = name.partition(":")
    if _is_of_calls(name):
        return [f"{one.name}:{name}" for one in every_method(services)]
    whole = [one.name for one in every_method(services) if several and one.service == written]
    if not whole:
        try:
            whole = [find_method(services, written).name]
        except InvalidRequest as refused:
            others = " and ".join(_other_rows(several=several))
            raise InvalidRequest(
                f"{refused.message}; put:8x1 is a part of one, 8x1 alone that part of all of them; {others} "
                "can be named, too"
            ) from None
    if part and not _is_of_calls(part):
        raise InvalidRequest(
            f"{written} has no part {foreign(part, 40)!r}: write CLIENTSx1, for a call of a class is one "
            "operation"
        )
    return [f"{method}:{shape}" for method in whole for shape in ([part] if part else CLASS_SHAPES)]


def _is_of_calls(name: str) -> bool:
    shape = shape_called(name)
    return shape is not None and name == f"{shape.clients}x1"


def _checked_call(services: ServedServices, written: str) -> tuple[str, str]:
    """Return which method is called there, by its name, and the call."""
    if len(written) > _CALL_AT_MOST:
        raise InvalidRequest(f"a call is written in {_CALL_AT_MOST} characters at most")
    name, args, kwargs = read_call(written)
    found = find_method(services, name)
    found.method.bound(args, kwargs, whole=False)
    return found.name, written


def _why_not_made_up(one: NamedMethod) -> str:
    try:
        drawn_call(one.method, any_arguments(one.method), Random(1))
    except Undrawable as unknown:
        return f"{foreign(unknown)}: write them, --call '{one.name}(...)'"
    return ""
