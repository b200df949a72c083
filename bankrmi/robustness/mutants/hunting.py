"""How many seeds does it take to find a planted bug?

Rule 1: a seed counts only if a promise is broken with the bug, and none without it.
Rule 2: only what is wrong counts (safety), not that a bank with a bug comes to rest late; unless that is what
        the bug does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from bankrmi.errors import InvalidRequest
from bankrmi.robustness.mutants import (
    acknowledging,
    changing_the_view,
    durable,
    folding,
    leaving,
    of_services,
    once_only,
    reading,
    transfers,
    under_load,
)
from bankrmi.robustness.mutants.mutant import Mutant, in_place
from bankrmi.robustness.simulator.simulation import SimulationResult, simulate

__all__ = ["MUTANTS", "SEEDS", "Found", "hunt", "mutant_named", "planted"]

SEEDS = 1000
"""Within this many seeds every planted bug has to be found."""

MUTANTS: Mapping[str, Mutant] = {
    mutant.name: mutant
    for room in (
        acknowledging,
        durable,
        changing_the_view,
        reading,
        once_only,
        folding,
        leaving,
        of_services,
        transfers,
        under_load,
    )
    for mutant in room.MUTANTS
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The first seed that shows the bug: `seeds` were needed, and `sentence` says what was seen."""

    name: str
    seed: int
    seeds: int
    servers: int
    sentence: str


def mutant_named(name: str) -> Mutant:
    """Return the planted bug of this name; raises InvalidRequest if there is none."""
    if name not in MUTANTS:
        raise InvalidRequest(
            f"there is no planted bug named '{name}'; `bankrmi simulate --break list` names them all"
        )
    return MUTANTS[name]


@contextmanager
def planted(name: str) -> Iterator[Mutant]:
    """Have this bug in the product, until the end of the block."""
    mutant = mutant_named(name)
    with in_place(mutant.patches):
        yield mutant


def hunt(name: str, *, seeds: int = SEEDS, first: Iterable[int] = (), begin: int = 0) -> Found | None:
    """Return the first of `seeds` seeds, from `begin` on, in which the simulator finds the bug.

    The seeds of `first` are tried before: knowing where it was found last time saves time.
    """
    numbers = dict.fromkeys([*first, *range(begin, begin + seeds)])
    for count, seed in enumerate(numbers, 1):
        with planted(name) as mutant:
            result = _simulate(mutant, seed)
        failure = result.failure
        if failure is not None and failure.kind == mutant.kind and _simulate(mutant, seed).failure is None:
            return Found(
                name=name,
                seed=seed,
                seeds=count,
                servers=result.servers,
                sentence=failure.rule.partition("\n")[0],
            )
    return None


def _simulate(mutant: Mutant, seed: int) -> SimulationResult:
    return simulate(
        seed,
        servers=mutant.servers_for(seed),
        clocks_apart=mutant.clocks_apart,
        under_load=mutant.under_load,
        workload=mutant.workload_for(seed),
        duration_ms=mutant.duration_ms,
    )
