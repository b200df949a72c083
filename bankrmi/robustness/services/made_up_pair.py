"""Two classes that are made up from a seed, served by one pair, and call each other.

As of one (`made_up`), a method is a program of a few steps; some of them call a method of the other class,
and some of those catch what that raises. It is run twice: on tables, as services, and on dicts.

Rule 1: an inner call that raises has changed nothing, caught or not; an outer one takes back all of both.
Rule 2: a class that is called by the other does not call back: that raises, on dicts as well.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from bankrmi.robustness.services.conversations import CallScript
from bankrmi.robustness.services.made_up import (
    ClassShape,
    MadeUpModel,
    calls_of_shape,
    made_up_class,
    shape_of,
)
from bankrmi.service.declaring import described
from bankrmi.service.served_services import ServedServices
from bankrmi.service.using import Uses

__all__ = ["MadeUpPairModel", "made_up_pair", "made_up_pair_calls"]

_HOME, _BESIDE = "first", "second"


def _shapes(seed: int) -> tuple[ClassShape, ClassShape]:
    first, second = (shape_of(f"{seed} {name}", calls_others=True) for name in (_HOME, _BESIDE))
    return first, second


def made_up_pair(seed: int) -> ServedServices:
    """Return the services of a seed."""
    kinds = [
        made_up_class(f"MadeUp{seed}{name.title()}", shape)
        for name, shape in zip((_HOME, _BESIDE), _shapes(seed), strict=True)
    ]
    first, second = kinds
    first.other, second.other = Uses(second), Uses(first)  # type: ignore[attr-defined]
    return ServedServices(described(first), {_BESIDE: described(second)}, _HOME)


def made_up_pair_calls(seed: int) -> CallScript:
    """Return a workload for both."""
    calls = [calls_of_shape(shape) for shape in _shapes(seed)]

    def workload(chance: random.Random, services: Any) -> Any:
        which = chance.randrange(2)
        return calls[which](chance, getattr(services, (_HOME, _BESIDE)[which]))

    return workload


class MadeUpPairModel:
    """The services of a seed, on dicts."""

    def __init__(self, seed: int) -> None:
        self.first, self.second = map(MadeUpModel, _shapes(seed))
        self.first.calls_other = _Calls(self, self.second)
        self.second.calls_other = _Calls(self, self.first)
        self.depth = 0


class _Calls:
    """How one of them calls the other: copied with them."""

    def __init__(self, pair: MadeUpPairModel, other: MadeUpModel) -> None:
        self._pair = pair
        self._other = other

    def __call__(self, program: int, name: str, number: int) -> None:
        if self._pair.depth:
            raise RuntimeError("it was called by the one that it calls")
        other, before = self._other, self._other.state()
        other.now, other.random, other.new_id = self._given()
        self._pair.depth = 1
        try:
            other.run(other.updates()[program], name, number)
        except Exception:
            other.put_back(before)
            raise
        finally:
            self._pair.depth = 0

    def _given(self) -> tuple[Any, random.Random, Callable[[], str]]:
        """Return the time and the chance of the call, which are the same for both."""
        given = self._pair.first
        return given.now, given.random, given.new_id
