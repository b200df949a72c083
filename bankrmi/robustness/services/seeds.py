"""One seed of a service: a user's own, or one that is made up from the seed."""

from __future__ import annotations

from bankrmi.robustness.services.made_up_versions import made_up_calls, made_up_model, made_up_releases
from bankrmi.robustness.services.simulated import ServiceWorkload

__all__ = ["DURATION_MS", "made_up_workload"]

DURATION_MS = 4_000.0
"""For so long things go wrong in the world of a class: many short worlds find more than few long ones."""


def made_up_workload(seed: int) -> ServiceWorkload:
    """Return a world with a class that is made up: every other one is held against dicts."""
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
