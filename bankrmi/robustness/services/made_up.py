# ruff: noqa: S608 - the names of tables are numbers of ours
"""Classes that are made up from a seed: tables, methods and exceptions that nobody would have thought of.

A method is a program of a few steps. It is run twice, by two readers that share nothing: on tables, as a
service, and on dicts, as the plain object that this is held against (`MadeUpModel`). What a class looks like
in its next version, `made_up_versions` says.

Rule 1: the same seed is the same class, on every machine.
Rule 2: steps may raise anywhere in a program, after and before changes: by declared errors, by others, and by
        constraints of SQLite's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from bankrmi.robustness.services.conversations import CallScript
from bankrmi.service.declaring import Service, query, update

__all__ = [
    "MOST",
    "NAMES",
    "ClassShape",
    "MadeUpModel",
    "MadeUpRefusal",
    "MethodProgram",
    "calls_of_shape",
    "drawn_program",
    "made_up_class",
    "made_up_methods",
    "model_methods",
    "shape_of",
    "steps_of",
    "table_statement",
    "tally_statements",
]

MOST = 40
"""No value may be larger: a CHECK of SQLite's says so."""

NAMES = ("a", "b", "c", "d")
_STEPS = (
    "put",
    "put",
    "add",
    "add",
    "drop",
    "empty",
    "drop_two",
    "stamp",
    "draw",
    "name",
    "several",
    "refuse",
    "fail",
)


_CALLING_STEPS = ("call", "call", "call_caught", "call_caught")
"""Of a service that stands beside another one; whatever is raised there is raised on, or caught."""

_FEWEST_UPDATES = 2


class MadeUpRefusal(Exception):
    """The declared error of all classes that are made up."""


@dataclass(frozen=True, slots=True)
class ProgramStep:
    """`what` is done to a table; `limit` is for those that raise; `program` is which of another service's
    methods is called."""

    what: str
    table: int
    limit: int = 0
    program: int = 0


@dataclass(frozen=True, slots=True)
class MethodProgram:
    """One method: its steps, and what it returns at last."""

    steps: tuple[ProgramStep, ...]
    returns: str
    table: int


@dataclass(frozen=True, slots=True)
class ClassShape:
    """A whole class: how many tables, what hangs together, and the methods."""

    tables: int
    tallies: bool  # A trigger counts the rows of the first table.
    cascades: bool  # Rows of the second table go with those of the first of the same name.
    updates: tuple[MethodProgram, ...]


def shape_of(seed: int | str, *, calls_others: bool = False) -> ClassShape:
    """Return the class of a seed; with methods that call another service, perhaps."""
    chance = random.Random(f"class of seed {seed}")
    tables = chance.randint(1, 3)
    steps = steps_of(calls_others=calls_others)
    return ClassShape(
        tables=tables,
        tallies=chance.random() < 0.5,
        cascades=tables > 1 and chance.random() < 0.5,
        updates=tuple(
            drawn_program(chance, tables, steps) for _ in range(chance.randint(_FEWEST_UPDATES, 6))
        ),
    )


def steps_of(*, calls_others: bool) -> Sequence[str]:
    """Return what a step of a method can be, in their shares."""
    return _STEPS + _CALLING_STEPS if calls_others else _STEPS


def drawn_program(
    chance: random.Random, tables: int, whats: Sequence[str] = _STEPS, *, others: int = _FEWEST_UPDATES
) -> MethodProgram:
    """Draw a method; of another service it calls one of the first `others` updates."""
    steps = []
    for _ in range(chance.randint(1, 5)):
        step = ProgramStep(chance.choice(whats), chance.randrange(tables), chance.choice((-1, 0, 2, 5, 20)))
        if step.what in _CALLING_STEPS:
            step = replace(step, program=chance.randrange(others))
        steps.append(step)
    return MethodProgram(
        tuple(steps), chance.choice(("value", "count", "nothing", "rows")), chance.randrange(tables)
    )


# --- as a service -----------------------------------------------------------------------------------------


def made_up_class(name: str, shape: ClassShape) -> type[Service]:
    """Return a class of this shape."""
    made: type[Service] = type(name, (Service,), made_up_methods(shape, dict(enumerate(shape.updates))))
    return made


def made_up_methods(shape: ClassShape, updates: Mapping[int, MethodProgram]) -> dict[str, Any]:
    """Return what a class of this shape has; its updates have these numbers."""
    methods: dict[str, Any] = {"create": _creating(shape), "__module__": __name__}
    for number, program in updates.items():
        methods[f"update_{number}"] = update(raises=[MadeUpRefusal])(_updating(program, shape))
    methods["value"] = query(_value)
    methods["rows"] = query(_rows)
    methods["tally"] = query(_tally)
    return methods


def _creating(shape: ClassShape) -> Callable[[Any], None]:
    def create(self: Any) -> None:
        _create(self, shape)

    return create


def _create(self: Service, shape: ClassShape) -> None:
    for table in range(shape.tables):
        self.db.execute(table_statement(shape, table, f"t{table}"))
    self.db.execute("CREATE TABLE tally (name TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL)")
    self.db.execute("INSERT INTO tally VALUES ('rows', 0)")
    if shape.tallies:
        for statement in tally_statements():
            self.db.execute(statement)


def table_statement(shape: ClassShape, table: int, name: str) -> str:
    """Return what makes a table under this name."""
    hangs = " REFERENCES t0 (name) ON DELETE CASCADE" if shape.cascades and table == 1 else ""
    return (
        f"CREATE TABLE {name} (name TEXT PRIMARY KEY NOT NULL{hangs}, "
        f"value INTEGER NOT NULL CHECK (value <= {MOST}), note TEXT)"
    )


def tally_statements() -> Iterator[str]:
    """Yield what has the rows of the first table counted."""
    for when, change in (("INSERT", "+ 1"), ("DELETE", "- 1")):
        yield (
            f"CREATE TRIGGER at_{when} AFTER {when} ON t0 "
            f"BEGIN UPDATE tally SET count = count {change} WHERE name = 'rows'; END"
        )


def _updating(program: MethodProgram, shape: ClassShape) -> Callable[..., Any]:
    def method(self: Any, name: str, number: int) -> Any:
        for step in program.steps:
            _STEPS_ON_TABLES[step.what](self, step, shape, name, number)
        return _returned(self, program, name)

    return method


def _returned(self: Service, program: MethodProgram, name: str) -> Any:
    table = program.table
    match program.returns:
        case "value":
            return self.db.execute(f"SELECT value FROM t{table} WHERE name = ?", (name,)).value
        case "count":
            return self.db.execute(f"SELECT count(*) FROM t{table}").value
        case "rows":
            return _rows(self, table)
    return None


def _value(self: Any, table: int, name: str) -> int | None:
    found: int | None = self.db.execute(f"SELECT value FROM t{table} WHERE name = ?", (name,)).value
    return found


def _rows(self: Any, table: int) -> list[tuple[str, int, str | None]]:
    return [tuple(row) for row in self.db.execute(f"SELECT name, value, note FROM t{table} ORDER BY name")]


def _tally(self: Any) -> int:
    return int(self.db.execute("SELECT count FROM tally").value)


def _write(self: Service, step: ProgramStep, shape: ClassShape, row: tuple[str, int, str | None]) -> None:
    if shape.cascades and step.table == 1:
        self.db.execute("INSERT OR IGNORE INTO t0 (name, value) VALUES (?, 0)", (row[0],))
    self.db.execute(
        f"INSERT INTO t{step.table} (name, value, note) VALUES (?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value, note = excluded.note",
        row,
    )


def _put(self: Service, step: ProgramStep, shape: ClassShape, name: str, number: int) -> None:
    _write(self, step, shape, (name, number, None))


def _add(self: Service, step: ProgramStep, _: ClassShape, name: str, number: int) -> None:
    self.db.execute(f"UPDATE t{step.table} SET value = value + ? WHERE name = ?", (number, name))


def _drop(self: Service, step: ProgramStep, _: ClassShape, name: str, _number: int) -> None:
    self.db.execute(f"DELETE FROM t{step.table} WHERE name = ?", (name,))


def _empty(self: Service, step: ProgramStep, _: ClassShape, _name: str, number: int) -> None:
    self.db.execute(f"DELETE FROM t{step.table} WHERE value < ?", (number,))


def _drop_two(self: Service, step: ProgramStep, _: ClassShape, _name: str, _number: int) -> None:
    smallest = f"SELECT name FROM t{step.table} ORDER BY value LIMIT 2"  # Of equals, the first by its key.
    self.db.execute(f"DELETE FROM t{step.table} WHERE name IN ({smallest})")


def _stamp(self: Service, step: ProgramStep, shape: ClassShape, name: str, number: int) -> None:
    _write(self, step, shape, (name, number, self.now.isoformat()))


def _draw(self: Service, step: ProgramStep, shape: ClassShape, name: str, _number: int) -> None:
    _write(self, step, shape, (name, self.random.randint(0, MOST), None))


def _name(self: Service, step: ProgramStep, shape: ClassShape, name: str, number: int) -> None:
    drawn = self.new_id()
    _write(self, step, shape, (f"{name}{drawn[0]}", number, drawn))


def _several(self: Service, step: ProgramStep, _: ClassShape, name: str, number: int) -> None:
    if step.table == 1:
        return  # They may hang on others.
    rows = [(f"{name}{letter}", number) for letter in "xy"]
    self.db.executemany(f"INSERT OR REPLACE INTO t{step.table} (name, value) VALUES (?, ?)", rows)


def _refuse(self: Service, step: ProgramStep, _: ClassShape, name: str, number: int) -> None:
    held = _value(self, step.table, name) or 0
    if held + number > step.limit + 10:
        raise MadeUpRefusal(name, held)


def _fail(self: Service, step: ProgramStep, _: ClassShape, name: str, number: int) -> None:
    if number == step.limit:
        raise KeyError(f"{name} {_value(self, step.table, name)}")


def _call(self: Any, step: ProgramStep, _: ClassShape, name: str, number: int) -> None:
    getattr(self.other, f"update_{step.program}")(name, number)


def _call_caught(self: Any, step: ProgramStep, shape: ClassShape, name: str, number: int) -> None:
    try:
        _call(self, step, shape, name, number)
    except Exception:
        _write(self, step, shape, (name, 1, "caught"))


_STEPS_ON_TABLES: dict[str, Callable[[Any, ProgramStep, ClassShape, str, int], None]] = {
    "put": _put,
    "add": _add,
    "drop": _drop,
    "empty": _empty,
    "drop_two": _drop_two,
    "stamp": _stamp,
    "draw": _draw,
    "name": _name,
    "several": _several,
    "refuse": _refuse,
    "fail": _fail,
    "call": _call,
    "call_caught": _call_caught,
}


# --- as plain dicts ---------------------------------------------------------------------------------------


class MadeUpModel:
    """A class on dicts; `now`, `random` and `new_id` are set before each call."""

    shape: ClassVar[ClassShape]
    now: Any
    random: random.Random
    new_id: Callable[[], str]

    def __init__(self, shape: ClassShape | None = None) -> None:
        """`shape`: of an object that has methods of its own; None: the class has them."""
        if shape is not None:
            self.shape = shape  # type: ignore[misc]
            for number, program in enumerate(shape.updates):
                setattr(self, f"update_{number}", _OfModel(self, program))
        self.calls_other: Callable[[int, str, int], None] | None = None
        self.tables: list[dict[str, tuple[int, str | None]]] = [{} for _ in range(self.shape.tables)]
        self._count = 0

    def value(self, table: int, name: str) -> int | None:
        """Return one value."""
        return self.tables[table][name][0] if name in self.tables[table] else None

    def rows(self, table: int) -> list[tuple[str, int, str | None]]:
        """Return a table, in the order of names."""
        return [(name, *row) for name, row in sorted(self.tables[table].items())]

    def tally(self) -> int:
        """Return how many rows the first table has, if they are counted."""
        return self._count

    def run(self, program: MethodProgram, name: str, number: int) -> Any:
        """Run a method."""
        for step in program.steps:
            self._do(step, name, number)
        match program.returns:
            case "value":
                return self.value(program.table, name)
            case "count":
                return len(self.tables[program.table])
            case "rows":
                return self.rows(program.table)
        return None

    def _do(self, step: ProgramStep, name: str, number: int) -> None:
        table = self.tables[step.table]
        match step.what:
            case "put":
                self._set(step.table, name, number, None)
            case "add" if name in table:
                held, note = table[name]
                self._set(step.table, name, held + number, note)
            case "drop":
                self._remove(step.table, [name])
            case "empty":
                self._remove(step.table, [one for one, (value, _) in table.items() if value < number])
            case "drop_two":
                smallest = sorted((value, one) for one, (value, _) in table.items())[:2]
                self._remove(step.table, [one for _, one in smallest])
            case "stamp":
                self._set(step.table, name, number, self.now.isoformat())
            case "draw":
                self._set(step.table, name, self.random.randint(0, MOST), None)
            case "name":
                drawn = self.new_id()
                self._set(step.table, f"{name}{drawn[0]}", number, drawn)
            case "several" if step.table != 1:
                self._replace(step.table, [f"{name}{letter}" for letter in "xy"], number)
            case "refuse":
                held = self.value(step.table, name) or 0
                if held + number > step.limit + 10:
                    raise MadeUpRefusal(name, held)
            case "fail":
                if number == step.limit:
                    raise KeyError(name)
            case "call":
                self._call(step, name, number)
            case "call_caught":
                try:
                    self._call(step, name, number)
                except Exception:
                    self._set(step.table, name, 1, "caught")

    def _call(self, step: ProgramStep, name: str, number: int) -> None:
        assert self.calls_other is not None
        self.calls_other(step.program, name, number)

    def state(self) -> Any:
        """Return all that changes, to be put back."""
        return [dict(table) for table in self.tables], self._count

    def put_back(self, state: Any) -> None:
        """Be what `state` said."""
        self.tables, self._count = state

    def updates(self) -> Sequence[MethodProgram]:
        """Return the programs of its updates."""
        return self.shape.updates

    def _set(self, table: int, name: str, value: int, note: str | None) -> None:
        if table == 1 and self.shape.cascades and name not in self.tables[0]:
            self._set(0, name, 0, None)
        if value > MOST:
            raise ValueError(f"{value} is too large")
        if table == 0 and name not in self.tables[0] and self.shape.tallies:
            self._count += 1
        self.tables[table][name] = (value, note)

    def _remove(self, table: int, names: Sequence[str]) -> None:
        for name in names:
            if self.tables[table].pop(name, None) is not None and table == 0:
                self._count -= 1 if self.shape.tallies else 0
                if self.shape.cascades:
                    self.tables[1].pop(name, None)

    def _replace(self, table: int, names: Sequence[str], value: int) -> None:
        """As SQLite's REPLACE does: a row goes, with all that hangs on it, and no trigger hears of it."""
        for name in names:
            if value > MOST:
                raise ValueError(f"{value} is too large")
            if name in self.tables[table] and table == 0 and self.shape.cascades:
                self.tables[1].pop(name, None)
            if table == 0 and self.shape.tallies:
                self._count += 1
            self.tables[table][name] = (value, None)


def model_methods(shape: ClassShape, updates: Mapping[int, MethodProgram]) -> dict[str, Any]:
    """Return what a model of this shape has, beside what all have."""

    def running(program: MethodProgram) -> Callable[..., Any]:
        return lambda self, name, number: self.run(program, name, number)

    return {"shape": shape, **{f"update_{number}": running(program) for number, program in updates.items()}}


class _OfModel:
    """A method of one object, which is copied with it."""

    def __init__(self, model: MadeUpModel, program: MethodProgram) -> None:
        self._model = model
        self._program = program

    def __call__(self, name: str, number: int) -> Any:
        return self._model.run(self._program, name, number)


def calls_of_shape(shape: ClassShape) -> CallScript:
    """Return a workload for a class of this shape."""

    def workload(chance: random.Random, service: Any) -> Any:
        table = chance.randrange(shape.tables)
        match chance.randrange(5):
            case 0:
                return service.value(table, chance.choice(NAMES))
            case 1:
                return service.rows(table)
            case 2 if chance.random() < 0.3:
                return service.tally()
        method = getattr(service, f"update_{chance.randrange(len(shape.updates))}")
        return method(chance.choice(NAMES), chance.choice((-3, 0, 1, 2, 5, 20, MOST)))

    return workload
