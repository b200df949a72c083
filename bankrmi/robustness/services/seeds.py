"""One seed of a service: a user's own, or one that is made up from the seed."""

from __future__ import annotations

from functools import partial

from bankrmi.robustness.services.made_up import MadeUpModel, made_up_calls, made_up_service
from bankrmi.robustness.services.simulated import ServiceWorkload

__all__ = ["DURATION_MS", "made_up_workload"]

DURATION_MS = 10_000.0
"""For so long things go wrong in the world of a class: many short worlds find more than few long ones."""


def made_up_workload(seed: int) -> ServiceWorkload:
    """Return a world with a class that is made up: every other one is held against dicts."""
    model = partial(MadeUpModel, seed) if seed % 2 else None
    return ServiceWorkload(made_up_service(seed), made_up_calls(seed), model, seed)
