"""The loop of all asyncio clients: one call at a time each, warm first, then for as long as was ordered.

Rule 1: the same lines for every system; what differs is only the `LoadCaller`.
Rule 2: a call that was begun in time counts whole, and so does the time until it is answered.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Protocol

from bankrmi.bench.figures import percentile
from bankrmi.bench.load.order import LoadOrder, LoadResult
from bankrmi.bench.shapes import Shape

__all__ = ["LoadCaller", "answer_from", "measured", "run"]

_WARM_SECONDS = 0.7
_WARM_SHARE = 0.3


_Step = Callable[[], Awaitable[object]]


class LoadCaller(Protocol):
    """One client of one system; it makes up its request ids itself."""

    async def withdraw(self, account: int) -> object:
        """Withdraw 1."""

    async def withdraw_each(self, accounts: Sequence[int]) -> object:
        """Withdraw 1 from each, in one call."""

    async def balance(self, account: int) -> object:
        """Look it up, newest state that was acknowledged."""


async def run(callers: Sequence[LoadCaller], order: LoadOrder, begin: Callable[[], None]) -> LoadResult:
    """Warm up, say so, and measure."""
    return await measured([_step(caller, order) for caller in callers], order, begin)


async def measured(steps: Sequence[_Step], order: LoadOrder, begin: Callable[[], None]) -> LoadResult:
    """The same, where each client takes its step again and again."""
    warm = time.perf_counter() + min(_WARM_SECONDS, order.seconds * _WARM_SHARE)
    await asyncio.gather(*(_go_on(step, warm, []) for step in steps))
    took: list[float] = []
    begin()
    used, begun = _cpu_seconds(), time.perf_counter()
    until = begun + order.seconds
    await asyncio.gather(*(_go_on(step, until, took) for step in steps))
    return answer_from(took, time.perf_counter() - begun, order.shape, _cpu_seconds() - used)


def _step(caller: LoadCaller, order: LoadOrder) -> _Step:
    """Return what one client does, once."""
    shape, accounts = order.shape, order.accounts
    draw = Random().random

    def step() -> Awaitable[object]:
        if shape.reads and draw() < shape.reads:
            return caller.balance(int(draw() * accounts) + 1)
        if shape.operations == 1:
            return caller.withdraw(int(draw() * accounts) + 1)
        return caller.withdraw_each([int(draw() * accounts) + 1 for _ in range(shape.operations)])

    return step


async def _go_on(step: _Step, until: float, took: list[float]) -> None:
    clock = time.perf_counter
    while (begun := clock()) < until:
        await step()
        took.append(clock() - begun)


def answer_from(took: list[float], seconds: float, shape: Shape, cpu_seconds: float) -> LoadResult:
    """Sum up how long each call took, in seconds."""
    took.sort()
    return LoadResult(
        operations=len(took) * shape.operations,
        seconds=seconds,
        median_us=1e6 * percentile(took, 50),
        p99_us=1e6 * percentile(took, 99),
        cpu_seconds=cpu_seconds,
        peak_kb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    )


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
