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

import apsw

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
    steps_of,
    table_statement,
    tally_statements,
)
from bankrmi.robustness.services.wanted import in_version
from bankrmi.service.declaring import Description, Service, described, migration_name
from bankrmi.service.using import Uses

__all__ = [
    "MadeUpVersion",
    "calls_of_versions",
    "made_up_calls",
    "made_up_model",
    "made_up_releases",
    "models_of_versions",
    "releases_of_versions",
    "versions_of",
]

_VERSIONS = (1, 2, 3)
_WEIGHTS = (20, 45, 35)
_CHANGES = ("count", "count", "count", "note", "column", "table", "tally", "rebuild", "fail")
_GONE, _CHANGED = 0.15, 0.4
_CALLED = 4
"""So many updates of another service are called: some come with its next version, or go."""
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


def versions_of(
    seed: int | str,
    weights: Sequence[int] = _WEIGHTS,
    *,
    first_calls: bool = False,
    others_call: bool = False,
) -> list[MadeUpVersion]:
    """Return all versions of the class of a seed, the first one first; `weights` are those of one version,
    two, or three. Methods of the first one call another service, perhaps, or of the other ones."""
    shape = shape_of(seed, calls_others=first_calls)
    chance = random.Random(f"versions of seed {seed}")
    [count] = chance.choices(_VERSIONS, weights)
    versions = [MadeUpVersion(1, shape, dict(enumerate(shape.updates)))]
    while len(versions) < count:
        versions.append(_next(versions[-1], chance, calls_others=others_call))
    return versions


def _next(before: MadeUpVersion, chance: random.Random, *, calls_others: bool) -> MadeUpVersion:
    tables, steps = before.shape.tables, steps_of(calls_others=calls_others)
    change = tuple(
        ChangeStep(chance.choice(_CHANGES), chance.randrange(tables), chance.choice((2, 5, 20)))
        for _ in range(chance.randint(1, 4))
    )
    tallies = before.shape.tallies
    for step in change:
        tallies ^= step.what == "tally"

    def drawn() -> MethodProgram:
        return drawn_program(chance, tables, steps, others=_CALLED)

    first, *others = before.updates
    updates = {
        number: drawn() if chance.random() < _CHANGED else before.updates[number]
        for number in [first, *(one for one in others if chance.random() > _GONE)]
    }
    for number in range(max(before.updates) + 1, max(before.updates) + 1 + chance.randint(0, 2)):
        updates[number] = drawn()
    return MadeUpVersion(before.number + 1, replace(before.shape, tallies=tallies), updates, change)


# --- as a service -----------------------------------------------------------------------------------------


def made_up_releases(seed: int) -> list[Description]:
    """Return what servers are given, one after the other: the last one knows all versions."""
    base = type(f"MadeUp{seed}", (Service,), {})
    return releases_of_versions(versions_of(seed), base, random.Random(f"releases of seed {seed}"))


def releases_of_versions(
    versions: Sequence[MadeUpVersion],
    base: type[Service],
    chance: random.Random,
    *,
    bare: float = _BARE,
    uses: Callable[[int], Mapping[str, Uses[Any]]] = lambda _: {},
) -> list[Description]:
    """Return the releases of one class, which all inherit from `base`; `uses`: the other services that it
    calls in a version."""
    releases: list[Description] = []
    for count in range(1, len(versions) + 1):
        known = _service(base, versions[:count], releases[-1] if releases else None, uses(count))
        if releases and chance.random() < bare:
            releases.append(replace(known, previous=None))
        releases.append(known)
    return releases


def _service(
    base: type[Service],
    versions: Sequence[MadeUpVersion],
    previous: Description | None,
    uses: Mapping[str, Uses[Any]],
) -> Description:
    newest = versions[-1]
    methods = made_up_methods(newest.shape, newest.updates)
    for before, after in pairwise(versions):
        methods[migration_name(after.number)] = _migrating(before, after)
    methods["create"] = _creating(versions)
    methods["version"] = newest.number
    methods["previous"] = None if previous is None else previous.kind
    return described(type(base.__name__, (base,), {**methods, **uses}))


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
    """What counts the rows goes, or comes. (Of several services `sqlite_schema` has other names.)"""
    try:
        for when in ("INSERT", "DELETE"):
            self.db.execute(f"DROP TRIGGER at_{when}")
    except apsw.SQLError:
        for statement in tally_statements():
            self.db.execute(statement)


# --- as plain dicts ---------------------------------------------------------------------------------------


def made_up_model(seed: int) -> type[MadeUpModel]:
    """Return the model of the newest version; the ones before are its `previous`, one after the other."""
    return models_of_versions(versions_of(seed))[-1]


def models_of_versions(versions: Sequence[MadeUpVersion]) -> list[type[MadeUpModel]]:
    """Return the models of all versions, each with the one before as its `previous`."""
    models: list[type[MadeUpModel]] = []
    for version in versions:
        methods = model_methods(version.shape, version.updates)
        if version.change:
            methods[migration_name(version.number)] = _migrating_the_model(version)
        methods["previous"] = models[-1] if models else None
        models.append(type(f"MadeUpModel{version.number}", (MadeUpModel,), methods))
    return models


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
    return calls_of_versions(versions_of(seed))


def calls_of_versions(versions: Sequence[MadeUpVersion]) -> CallScript:
    """Return a workload for a class in these versions."""

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
