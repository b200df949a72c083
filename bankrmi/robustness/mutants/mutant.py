"""A planted bug: a few functions of the product, exchanged while it is planted, and put back exactly.

Rule 1: a bug is the smallest change that is really the bug of its name: one decision, made wrongly.
Rule 2: what is patched is the product and never the simulator: who judges is not touched.
Rule 3: whatever happens meanwhile, every function is back in its place afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from bankrmi.robustness.simulator.simulation import DURATION_MS
from bankrmi.robustness.simulator.workload import Workload

__all__ = ["Mutant", "Patch", "in_place"]

_ABSENT = object()


class Patch(NamedTuple):
    """`owner` (a class or a module) has `instead` under this name."""

    owner: Any
    name: str
    instead: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One planted bug.

    `goes_wrong` says in a sentence what happens in the world. `sizes` are the numbers of servers of the banks
    in which it can happen; with `clocks_apart` it needs clocks that run apart by more than the rules assume.
    `under_load` it needs a world in which work waits for work. `workload_of` says what is replicated in the
    world of a seed, if that is not the bank; there things go wrong for `duration_ms`.
    `kind` is what it breaks: "safety", or "liveness" if it is the bug of a bank that waits for ever.
    """

    name: str
    rule: str
    goes_wrong: str
    patches: tuple[Patch, ...]
    sizes: tuple[int, ...] = (2, 3)
    clocks_apart: bool = False
    under_load: bool = False
    workload_of: Callable[[int], Workload] | None = None
    duration_ms: float = DURATION_MS
    kind: str = "safety"

    def servers_for(self, seed: int) -> int:
        """Return how many servers the bank of this seed has: each size in turn."""
        return self.sizes[seed % len(self.sizes)]

    def workload_for(self, seed: int) -> Workload | None:
        """Return what is replicated in the world of this seed; None: the bank."""
        return None if self.workload_of is None else self.workload_of(seed)


@contextmanager
def in_place(patches: tuple[Patch, ...]) -> Iterator[None]:
    """Exchange what the patches name; put it back at the end."""
    before: list[tuple[Patch, Any]] = []
    try:
        for patch in patches:
            value = vars(patch.owner).get(patch.name, _ABSENT)
            setattr(patch.owner, patch.name, patch.instead)
            before.append((patch, value))
        yield
    finally:
        for patch, value in reversed(before):
            if value is _ABSENT:
                delattr(patch.owner, patch.name)
            else:
                setattr(patch.owner, patch.name, value)
