"""What a call costs that goes across: a method that calls other services, next to the methods that it calls,
each by itself.

Which method calls which is seen by trying: each is called some times, alone and in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bankrmi.bench.figures import Finding, Sample
from bankrmi.bench.load.methods import drawn_arguments
from bankrmi.errors import OperationFailed
from bankrmi.service.calls import Called
from bankrmi.service.loading import load_services
from bankrmi.service.machine import ServiceMachine
from bankrmi.service.method_names import NamedMethod, every_method
from bankrmi.service.served_services import HOME, ServedServices, plain_name, qualified
from bankrmi.storage.database import open_in_memory

if TYPE_CHECKING:
    from bankrmi.bench.class_plan import ClassPlan
    from bankrmi.bench.rows.of_classes import ClassRowOptions

__all__ = ["across", "inner_calls"]

_SHAPE = "8x1"
_TRIED = 20
"""How often a method is called to see what it calls."""


def across(asked: ClassRowOptions) -> Iterator[Finding]:
    """Yield operations a second, and the primary's CPU time: of the whole call, and of its parts."""
    plan = asked.plan
    services = load_services(plan.services, Path(plan.folder))
    for method, inner in _asked_for(asked, inner_calls(services, plan)).items():
        parts = [name for name in inner if name in plan.methods]
        names = [method, *parts]
        samples: dict[str, list[Sample]] = {name: [] for name in names}
        for number in range(1, plan.rounds + 1):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                asked.progress.show(f"across: {name}, round {number} of {plan.rounds}")
                shape = plan.shape(name, _SHAPE)
                samples[name].append(asked.system.measure(shape, plan.seconds, number))
        whole = f"{method}, which calls {' and '.join(inner)}"
        for name in names:
            yield from _findings(whole if name == method else f"{name} by itself", samples[name])


def _asked_for(asked: ClassRowOptions, known: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the methods that are measured: those that were named, or one of each service."""
    methods = asked.plan.methods
    if asked.parts:
        missing = [name for name in asked.parts if name not in known]
        if missing:
            raise OperationFailed(
                f"{', '.join(missing)}: called {_TRIED} times, it called no other service: write a call "
                "that does, with --call"
            )
        return {name: known[name] for name in asked.parts}
    if not known:
        raise OperationFailed(
            f"each method was called {_TRIED} times, and none called another service: write a call that "
            "does, with --call"
        )
    found: dict[str, str] = {}
    for name in sorted(known, key=lambda name: (not methods[name].call, not methods[name].changes)):
        found.setdefault(methods[name].service, name)
    return {name: known[name] for name in found.values()}


def _findings(what: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    yield Finding(row="across", what=what, unit="op/s", values=tuple(sample.rate for sample in samples))
    cpu = tuple(sample.cpu_us.get("primary", 0.0) for sample in samples)
    yield Finding(row="across", what=f"{what}: primary's CPU", unit="us", values=cpu)


def inner_calls(services: ServedServices, plan: ClassPlan) -> dict[str, tuple[str, ...]]:
    """Return the methods that call other services, and which methods of those, by their names."""
    machine = ServiceMachine(services)
    database = open_in_memory()
    machine.attach(database)
    machine.open()
    database.execute("BEGIN IMMEDIATE")
    found: dict[str, dict[str, None]] = {}
    action_id = 0
    try:
        # Twice all of them: what one finds in a state, another one may have to put there first.
        for one in 2 * every_method(services):
            if one.name not in plan.methods:
                continue
            for args, kwargs in islice(drawn_arguments(one.method, plan.methods[one.name].call), _TRIED):
                action_id += 1
                call = Called(qualified(_known_as(services, one), one.method.name), args, kwargs)
                _do(machine, call, action_id, is_update=one.method.is_update)
                for inner in machine.inner_calls:
                    service, name = plain_name(inner)
                    found.setdefault(one.name, {})[qualified(services.called(service), name)] = None
    finally:
        database.close(force=True)
    return {name: tuple(inner) for name, inner in found.items()}


def _known_as(services: ServedServices, one: NamedMethod) -> str:
    return HOME if one.service == services.called(HOME) else one.service


def _do(machine: ServiceMachine, call: Called, action_id: int, *, is_update: bool) -> None:
    """Do a call; what comes of it nobody wants to know."""
    if is_update:
        operation = call.method, tuple(call.args), dict(call.kwargs)
        machine.apply([operation], action_id, (action_id, ("bench", action_id)))
    else:
        machine.read(call)
