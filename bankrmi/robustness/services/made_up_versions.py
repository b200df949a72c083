# ruff: noqa: S608 - the names of tables are numbers of ours
"""How a class that is made up from a seed is changed: its versions, and the migrations between them.

A migration is a program of a few steps, too, and is run by the same two readers: on tables, and on dicts.

Rule 1: a migration that is done twice leaves something else than one that is done once, more often than not.
Rule 2: one may fail, where the rows are so: then the class stays what it was.
Rule 3: from version to version methods come, go, and do something else under the same name.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from bankrmi.robustness.services.conversations import CallScript
from bankrmi.robustness.services.made_up import (
    MOST,
    NAMES,
    ClassShape,
    MadeUpModel,
    MethodProgram,
    drawn_program,
    made_up_methods,
    model_methods,
    shape_of,
    table_statement,
    tally_statements,
)
from bankrmi.robustness.services.wanted import in_version
from bankrmi.service.declaring import Description, Service, described, migration_name

__all__ = ["made_up_calls", "made_up_model", "made_up_releases"]

_VERSIONS = (1, 2, 3)
_WEIGHTS = (20, 45, 35)
_CHANGES = ("count", "count", "count", "note", "column", "table", "tally", "rebuild", "fail")
_GONE, _CHANGED = 0.15, 0.4
_BARE = 0.3
"""Of the classes that are changed, how many servers get one, for a while, that names no class before."""


@dataclass(frozen=True, slots=True)
class ChangeStep:
    """`what` a migration does to a table; `limit` is for one that fails."""

    what: str
    table: int
    limit: int


@dataclass(frozen=True, slots=True)
class MadeUpVersion:
    """A class in one version: tables, updates by their numbers, and what makes it of the one before."""

    number: int
    shape: ClassShape
    updates: Mapping[int, MethodProgram]
    change: tuple[ChangeStep, ...] = ()


def versions_of(seed: int) -> list[MadeUpVersion]:
    """Return all versions of the class of a seed, the first one first."""
    shape = shape_of(seed)
    chance = random.Random(f"versions of seed {seed}")
    [count] = chance.choices(_VERSIONS, _WEIGHTS)
    versions = [MadeUpVersion(1, shape, dict(enumerate(shape.updates)))]
    while len(versions) < count:
        versions.append(_next(versions[-1], chance))
    return versions


def _next(before: MadeUpVersion, chance: random.Random) -> MadeUpVersion:
    tables = before.shape.tables
    change = tuple(
        ChangeStep(chance.choice(_CHANGES), chance.randrange(tables), chance.choice((2, 5, 20)))
        for _ in range(chance.randint(1, 4))
    )
    tallies = before.shape.tallies
    for step in change:
        tallies ^= step.what == "tally"
    first, *others = before.updates
    updates = {
        number: drawn_program(chance, tables) if chance.random() < _CHANGED else before.updates[number]
        for number in [first, *(one for one in others if chance.random() > _GONE)]
    }
    for number in range(max(before.updates) + 1, max(before.updates) + 1 + chance.randint(0, 2)):
        updates[number] = drawn_program(chance, tables)
    return MadeUpVersion(before.number + 1, replace(before.shape, tallies=tallies), updates, change)


# --- as a service -----------------------------------------------------------------------------------------


def made_up_releases(seed: int) -> list[Description]:
    """Return what servers are given, one after the other: the last one knows all versions."""
    versions = versions_of(seed)
    chance = random.Random(f"releases of seed {seed}")
    releases = [_service(seed, versions[:1], None)]
    for count in range(2, len(versions) + 1):
        known = _service(seed, versions[:count], releases[-1])
        if chance.random() < _BARE:
            releases.append(replace(known, previous=None))
        releases.append(known)
    return releases


def _service(seed: int, versions: Sequence[MadeUpVersion], previous: Description | None) -> Description:
    newest = versions[-1]
    methods = made_up_methods(newest.shape, newest.updates)
    for before, after in pairwise(versions):
        methods[migration_name(after.number)] = _migrating(before, after)
    methods["create"] = _creating(versions)
    methods["version"] = newest.number
    methods["previous"] = None if previous is None else previous.kind
    return described(type(f"MadeUp{seed}", (Service,), methods))


def _creating(versions: Sequence[MadeUpVersion]) -> Callable[[Any], None]:
    """What is made is what the migrations leave."""
    begin = made_up_methods(versions[0].shape, {})["create"]

    def create(self: Any) -> None:
        begin(self)
        for before, after in pairwise(versions):
            for place, step in enumerate(after.change):
                if step.what not in ("note", "fail"):
                    _change_tables(self, step, before.shape, f"{after.number}_{place}")

    return create


def _migrating(before: MadeUpVersion, after: MadeUpVersion) -> Callable[[Any], None]:
    def migrate(self: Any) -> None:
        for place, step in enumerate(after.change):
            match step.what:
                case "note":
                    self.db.execute(f"UPDATE t{step.table} SET note = ?", (_noted(self),))
                case "fail":
                    held = self.db.execute(f"SELECT max(value) FROM t{step.table}").value
                    if held is not None and held > step.limit:
                        raise KeyError(held)
                case _:
                    _change_tables(self, step, before.shape, f"{after.number}_{place}")

    return migrate


def _noted(self: Any) -> str:
    return f"{self.new_id()} at {self.now.isoformat()}"


def _change_tables(self: Any, step: ChangeStep, shape: ClassShape, name: str) -> None:
    table = f"t{step.table}"
    match step.what:
        case "count":
            self.db.execute(f"UPDATE {table} SET value = value + 1 WHERE value < {MOST}")
        case "column":
            self.db.execute(f"ALTER TABLE {table} ADD COLUMN extra{name} INTEGER NOT NULL DEFAULT 7")
        case "table":
            self.db.execute(
                f"CREATE TABLE more{name} (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL)"
            )
            self.db.execute(f"INSERT INTO more{name} SELECT name, value FROM {table}")
        case "tally":
            _turn_tally(self)
        case "rebuild" if step.table and not (shape.cascades and step.table == 1):
            self.db.execute(table_statement(shape, step.table, f"new{name}"))
            self.db.execute(f"INSERT INTO new{name} SELECT name, value, note FROM {table}")
            self.db.execute(f"DROP TABLE {table}")
            self.db.execute(f"ALTER TABLE new{name} RENAME TO {table}")


def _turn_tally(self: Any) -> None:
    """What counts the rows goes, or comes."""
    if self.db.execute("SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = 'at_INSERT'").value:
        for when in ("INSERT", "DELETE"):
            self.db.execute(f"DROP TRIGGER at_{when}")
    else:
        for statement in tally_statements():
            self.db.execute(statement)


# --- as plain dicts ---------------------------------------------------------------------------------------


def made_up_model(seed: int) -> type[MadeUpModel]:
    """Return the model of the newest version; the ones before are its `previous`, one after the other."""
    model: type[MadeUpModel] | None = None
    for version in versions_of(seed):
        methods = model_methods(version.shape, version.updates)
        if version.change:
            methods[migration_name(version.number)] = _migrating_the_model(version)
        model = type(f"MadeUpModel{version.number}", (MadeUpModel,), {**methods, "previous": model})
    assert model is not None
    return model


def _migrating_the_model(version: MadeUpVersion) -> Callable[[Any], None]:
    def migrate(self: Any) -> None:
        for step in version.change:
            table = self.tables[step.table]
            match step.what:
                case "count":
                    for name, (value, note) in table.items():
                        table[name] = (value + 1 if value < MOST else value, note)
                case "note":
                    said = _noted(self)
                    for name, (value, _) in table.items():
                        table[name] = (value, said)
                case "fail":
                    held = max((value for value, _ in table.values()), default=None)
                    if held is not None and held > step.limit:
                        raise KeyError(held)

    return migrate


def made_up_calls(seed: int) -> CallScript:
    """Return a workload for the class of a seed, in whichever of its versions a client has it."""
    versions = versions_of(seed)

    def workload(chance: random.Random, service: Any) -> Any:
        version = chance.choice(versions)
        table = chance.randrange(version.shape.tables)
        ours = in_version(service, version.number)
        match chance.randrange(5):
            case 0:
                return ours.value(table, chance.choice(NAMES))
            case 1:
                return ours.rows(table)
            case 2 if chance.random() < 0.3:
                return ours.tally()
        method = getattr(ours, f"update_{chance.choice(list(version.updates))}")
        return method(chance.choice(NAMES), chance.choice((-3, 0, 1, 2, 5, 20, MOST)))

    return workload
