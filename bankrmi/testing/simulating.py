"""`simulate`: a class of the user's in whole simulated worlds, and what is told of the first one that goes
wrong.

Rule 1: what fails a test is an AssertionError that says what was done, what differs, and how to see it again.
Rule 2: a mistake in the workload or in the model is not a failure of the class: a ConfigurationError says it.
Rule 3: worlds in which no update is done have tested nothing, and that is a failure, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import dataclass, field

from bankrmi.errors import ConfigurationError
from bankrmi.patient_handlers import with_patient_handlers
from bankrmi.robustness.services.any_calls import any_calls
from bankrmi.robustness.services.by_itself import ServiceByItself
from bankrmi.robustness.services.conversations import CallScript
from bankrmi.robustness.services.seeds import DURATION_MS
from bankrmi.robustness.services.simulated import ServiceWorkload
from bankrmi.robustness.simulator.many import simulate_these
from bankrmi.robustness.simulator.simulation import SimulationResult
from bankrmi.robustness.simulator.workload import MethodCounts
from bankrmi.service.machine import ServiceMachine
from bankrmi.testing.served import GivenServices, services_of

__all__ = ["SeedFailed", "SimulatedSeeds", "failure_in_words", "simulate"]

_SIZES = (2, 3)
_LAST_HAPPENINGS = 20
_SHOWN_METHODS = 50


class SeedFailed(AssertionError):
    """A class did not keep what was promised of it in the world of one seed.

    `kind` is "safety" (something wrong happened), "liveness" (all was well, and nothing went on) or "crash"
    (bankrmi itself failed).
    """

    def __init__(self, words: str, *, seed: int, kind: str) -> None:
        super().__init__(words)
        self.seed = seed
        self.kind = kind


@dataclass(slots=True)
class SimulatedSeeds:
    """What all seeds came to, if none failed."""

    seeds: int = 0
    calls: int = 0
    """That clients made."""
    updates: int = 0
    """Calls of updates that are in the journals."""
    simulated_seconds: float = 0.0
    methods: dict[str, MethodCounts] = field(default_factory=dict)
    """What the calls of each method came to: what a workload never calls is not tested."""

    def add(self, result: SimulationResult, update_names: Collection[str]) -> None:
        """Count one more."""
        self.seeds += 1
        self.calls += result.calls
        self.simulated_seconds += result.simulated_ms / 1000
        for name, counts in result.methods.items():
            self.methods.setdefault(name, MethodCounts()).include(counts)
            self.updates += counts.calls if name in update_names else 0

    def __str__(self) -> str:
        calls = f"{self.calls} calls, {self.simulated_seconds / 60:.0f} simulated minutes"
        lines = [f"{self.seeds} seeds, no violation in {self.updates} updates ({calls})"]
        lines += [f"  {name}: {counts}" for name, counts in sorted(self.methods.items())[:_SHOWN_METHODS]]
        return "\n".join(lines)


def simulate(
    service: GivenServices,
    workload: CallScript | None = None,
    *,
    model: Callable[[], object] | None = None,
    seeds: Iterable[int] = range(100),
    servers: int = 2,
    seconds: float = DURATION_MS / 1000,
    jobs: int = 1,
) -> SimulatedSeeds:
    """Run a class in one simulated world a seed, and raise `SeedFailed` at the first one that goes wrong.

    In each world there are `servers` copies of the class, on real SQLite, with a witness and four clients,
    for `seconds` of its own time. Messages are lost, doubled and late, links are cut, processes are killed,
    paused and started again, disks are slow, full, or lost; what is drawn, is drawn from the seed.

    `workload(chance, service)` says what a client does: it yields calls (`yield service.put("apple", 3)`),
    and gets what came of each. Without one, any method is called with anything that its annotations allow.

    Several services of one pair are given by their names: `{"stock": Stock, "orders": Orders}`. The workload
    calls `services.orders.place(...)`, or `services[Orders].place(...)`, which editors know the type of; a
    model has an object for each, under its name.

    Where classes name the ones before (`previous`), servers begin with the oldest, and get the others one
    after the other, of several services in an order of each seed. A model has a `previous`, too, or stands
    for the newest versions, and nothing is migrated.

    `model` makes the object that the class is held against: its methods have the same names. Without one it
    is the class itself, by itself, one call after the other. Each seed is repeated exactly by its number.
    With `jobs` so many processes run seeds side by side.
    """
    __tracebackhide__ = True  # For pytest: what the failure says is enough.
    several = services_of(service)
    ServiceMachine(several).try_class()
    description = several if several.beside else several.home
    script = any_calls(description) if workload is None else workload
    ServiceByItself(description, model)  # What is wrong with the model is said before anything is run.
    if servers not in _SIZES:
        raise ConfigurationError(f"servers is 2 or 3, and not {servers}")

    whole = SimulatedSeeds()
    update_names = {name for name, method in description.methods.items() if method.is_update}
    results = simulate_these(
        iter(seeds),
        servers=servers,
        duration_ms=1000 * seconds,
        workload_of=lambda seed: ServiceWorkload(description, script, model, seed),
        jobs=jobs,
    )
    with with_patient_handlers(), closing(results):
        for result in results:
            whole.add(result, update_names)
            if result.failure is not None:
                words = _again(service, workload, model, result, seconds)
                raise SeedFailed(
                    f"{failure_in_words(description.name, result)}\nonce more: {words}",
                    seed=result.seed,
                    kind=result.failure.kind,
                )
    if not whole.updates:
        raise SeedFailed(
            f"{description.name}: nothing was tested: in {whole.seeds} seeds no update was done",
            seed=0,
            kind="liveness",
        )
    return whole


def failure_in_words(name: str, result: SimulationResult) -> str:
    """Return what went wrong in a world, and what happened there last."""
    failure = result.failure
    assert failure is not None
    head, *lines = result.chart or [""]
    calls = [f"    {line}" for line in result.newest]
    told = [f"    {line}".rstrip() for line in [head, *lines[-_LAST_HAPPENINGS:]]]
    return "\n".join(
        [
            f"{name} went wrong in the world of seed {result.seed} ({failure.kind}):",
            f"  {failure}",
            *(["the last calls that were acknowledged, in their order:"] if calls else []),
            *calls,
            "what happened last:",
            *told,
        ]
    )


def _again(
    service: GivenServices,
    workload: CallScript | None,
    model: Callable[[], object] | None,
    result: SimulationResult,
    seconds: float,
) -> str:
    given = [_given_as(service)]
    given += [] if workload is None else [_name(workload)]
    given += [] if model is None else [f"model={_name(model)}"]
    given += [f"seeds=[{result.seed}]"]
    given += [] if result.servers == _SIZES[0] else [f"servers={result.servers}"]
    given += [] if 1000 * seconds == DURATION_MS else [f"seconds={seconds:g}"]
    return f"simulate({', '.join(given)})"


def _given_as(service: GivenServices) -> str:
    if isinstance(service, type):
        return service.__name__
    return "{" + ", ".join(f'"{name}": {kind.__name__}' for name, kind in service.items()) + "}"


def _name(what: object) -> str:
    return str(getattr(what, "__name__", "…"))
