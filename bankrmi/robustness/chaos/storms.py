"""What a schedule of faults is made of, whoever is aimed at; and how its storms pass.

A run is a row of storms. A storm is a few faults that may overlap; after it all is left alone, either for a
moment only or until all is whole again. Whom a fault hits is an aim ("the primary"), since nobody knows
beforehand who that will be.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from bankrmi.robustness.chaos.recorded import FaultKind

__all__ = ["Direction", "Planned", "Storm", "one_of", "pass_through", "until"]

Aim = TypeVar("Aim", bound=Enum)
Choice = TypeVar("Choice")


class Direction(Enum):
    """Which way a link is cut or slow."""

    BOTH = "both"
    THERE = "there"  # What the first end sends does not arrive at the second.
    BACK = "back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Generic[Aim]):
    """One fault: begins `after_ms` into its storm, lasts `for_ms`; of a link if it has a second end."""

    kind: FaultKind
    aim: Aim
    second: Aim | None = None
    direction: Direction = Direction.BOTH
    after_ms: int
    for_ms: int
    late_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm(Generic[Aim]):
    """Faults, and for how long the bank is left alone after them."""

    faults: tuple[Planned[Aim], ...]
    calm_ms: int
    until_in_sync: bool  # The calm begins when all copies are in sync again.


def one_of(chance: random.Random, weights: Mapping[Choice, int]) -> Choice:
    """Draw one of these, each as often as it weighs."""
    return chance.choices(list(weights), list(weights.values()))[0]


async def pass_through(
    storms: Iterable[Storm[Aim]],
    carry_out: Callable[[Planned[Aim]], Awaitable[Any]],
    whole_again: Callable[[], Awaitable[None]],
) -> None:
    """Let all storms pass, one after the other; until cancelled, if they have no end."""
    for storm in storms:
        async with asyncio.TaskGroup() as group:
            for planned in storm.faults:
                group.create_task(_awaited(carry_out(planned)))
        if storm.until_in_sync:
            await whole_again()
        await asyncio.sleep(storm.calm_ms / 1000)


async def _awaited(one: Awaitable[Any]) -> None:
    await one


async def until(is_so: Callable[[], Awaitable[bool]], *, looks_every_s: float, at_most_s: float) -> None:
    """Wait until it is so, and not longer than that."""
    for _ in range(round(at_most_s / looks_every_s)):
        if await is_so():
            return
        await asyncio.sleep(looks_every_s)
