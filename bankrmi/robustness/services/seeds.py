"""One seed of a service, or of several in one pair: a user's own, or such as are made up from the seed."""

from __future__ import annotations

from functools import partial

from bankrmi.robustness.services.made_up_pair import MadeUpPairModel, made_up_pair, made_up_pair_calls
from bankrmi.robustness.services.made_up_several import (
    made_up_several,
    made_up_several_calls,
    made_up_several_model,
)
from bankrmi.robustness.services.made_up_versions import made_up_calls, made_up_model, made_up_releases
from bankrmi.robustness.services.simulated import ServiceWorkload

__all__ = ["DURATION_MS", "made_up_pair_workload", "made_up_several_workload", "made_up_workload"]

DURATION_MS = 4_000.0
"""For so long things go wrong in the world of a class: many short worlds find more than few long ones."""

_IN_A_ROW, _PAIRS, _CHANGED = 16, (4, 5), (12, 13)
"""Of so many seeds in a row, these are of pairs, and these of several services that are changed: of each two
one is held against dicts, and one is not."""


def made_up_workload(seed: int) -> ServiceWorkload:
    """Return a world with a class that is made up: every other one is held against dicts. In every fourth
    world there are several, which call each other; in every eighth, these are changed."""
    if seed % _IN_A_ROW in _PAIRS:
        return made_up_pair_workload(seed)
    if seed % _IN_A_ROW in _CHANGED:
        return made_up_several_workload(seed)
    releases, model = made_up_releases(seed), made_up_model(seed) if seed % 2 else None
    return ServiceWorkload(  # No method of it goes on for ever, or by an order that nobody has said.
        releases[-1],
        made_up_calls(seed),
        model,
        seed,
        releases=releases,
        looks_at_order=False,
        limit_ms=0,
    )


def made_up_pair_workload(seed: int) -> ServiceWorkload:
    """Return a world with two classes that call each other: every other one is held against dicts."""
    model = partial(MadeUpPairModel, seed) if seed % 2 else None
    return ServiceWorkload(made_up_pair(seed), made_up_pair_calls(seed), model, seed, limit_ms=0)


def made_up_several_workload(seed: int) -> ServiceWorkload:
    """Return a world with two or three classes that call each other, and get new versions one after the
    other: every other one is held against dicts."""
    releases, model = made_up_several(seed), made_up_several_model(seed) if seed % 2 else None
    return ServiceWorkload(
        releases[-1], made_up_several_calls(seed), model, seed, releases=releases, limit_ms=0
    )
