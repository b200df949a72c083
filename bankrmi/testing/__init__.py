"""A class of your own under failures: what a test of it imports.

    from bankrmi.testing import simulate      # whole worlds in one process, by seeds
    from bankrmi.testing import cluster       # a pytest fixture: real processes to kill, to pause, to cut off

    simulating    `simulate`: the class under seeds, judged by a checker that knows nothing but the class
    running       `ServiceCluster`: a name server and a few servers, and what can be done to them
    served        which module a class is in, so that other processes find it
    fixture       `cluster`, for pytest; imported only by who asks for it

How to use them is in docs/how-to/test-your-class.md.
Rule: nothing here needs pytest but the fixture.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bankrmi.testing.fixture import StartCluster, cluster
    from bankrmi.testing.running import ServiceCluster
    from bankrmi.testing.simulating import SeedFailed, SimulatedSeeds, simulate

__all__ = ["SeedFailed", "ServiceCluster", "SimulatedSeeds", "StartCluster", "cluster", "simulate"]

_HOMES = {
    "SeedFailed": "bankrmi.testing.simulating",
    "ServiceCluster": "bankrmi.testing.running",
    "SimulatedSeeds": "bankrmi.testing.simulating",
    "StartCluster": "bankrmi.testing.fixture",
    "cluster": "bankrmi.testing.fixture",
    "simulate": "bankrmi.testing.simulating",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bankrmi.testing' has no attribute {name!r}")
