"""Many seeds, on as many processes as wanted, their results in the order of the seeds.

Rule: which seeds are run, and what each comes to, does not depend on how many processes run them; only how
      far they get within a time does.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any

from bankrmi.robustness.simulator import simulation
from bankrmi.robustness.simulator.simulation import SimulationResult
from bankrmi.robustness.simulator.workload import Workload

__all__ = ["simulate_many", "simulate_these"]

CHUNK = 5
"""Seeds that a process gets at a time: long enough to be worth sending, short enough to stop soon."""


def simulate_many(
    first: int,
    seeds: int | None,
    *,
    servers: int,
    clocks_apart: bool = False,
    under_load: bool = False,
    workload_of: Callable[[int], Workload] | None = None,
    duration_ms: float | None = None,
    jobs: int = 1,
    go_on: Callable[[], bool] = lambda: True,
) -> Generator[SimulationResult, None, None]:
    """Yield the results of `seeds` seeds from `first` on (None: no end), as long as `go_on` says so.

    `workload_of` returns what is replicated in the world of a seed; without it, that is the bank.
    """
    numbers = count(first) if seeds is None else range(first, first + seeds)
    yield from simulate_these(
        iter(numbers),
        servers=servers,
        clocks_apart=clocks_apart,
        under_load=under_load,
        workload_of=workload_of,
        duration_ms=duration_ms,
        jobs=jobs,
        go_on=go_on,
    )


def simulate_these(
    numbers: Iterator[int],
    *,
    servers: int,
    clocks_apart: bool = False,
    under_load: bool = False,
    workload_of: Callable[[int], Workload] | None = None,
    duration_ms: float | None = None,
    jobs: int = 1,
    go_on: Callable[[], bool] = lambda: True,
) -> Generator[SimulationResult, None, None]:
    """Yield the results of these seeds likewise; each world goes wrong for `duration_ms`."""
    worlds = _Worlds(servers, clocks_apart, under_load, workload_of, duration_ms)
    if jobs == 1:
        for seed in numbers:
            if not go_on():
                return
            yield from _run(worlds, [seed])
        return
    yield from _on_processes(worlds, numbers, jobs, go_on)


@dataclass(frozen=True, slots=True)
class _Worlds:
    """What all seeds have in common."""

    servers: int
    clocks_apart: bool
    under_load: bool
    workload_of: Callable[[int], Workload] | None
    duration_ms: float | None


_worlds_here: _Worlds | None = None
"""Of a process that runs seeds for another one."""


def _on_processes(
    worlds: _Worlds,
    numbers: Iterator[int],
    jobs: int,
    go_on: Callable[[], bool],
) -> Iterator[SimulationResult]:
    # Forked, so that a planted bug is planted there, too, and a workload of anybody's need not be packed.
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(worlds,))
    waiting: deque[Future[list[SimulationResult]]] = deque()
    try:
        more = True
        while more or waiting:
            while more and len(waiting) < 2 * jobs:
                chunk = [seed for _, seed in zip(range(CHUNK), numbers, strict=False)] if go_on() else []
                more = len(chunk) == CHUNK
                if chunk:
                    waiting.append(pool.submit(_run_here, chunk))
            if waiting:
                yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run(worlds: _Worlds, seeds: list[int]) -> list[SimulationResult]:
    made = worlds.workload_of
    lasts: dict[str, Any] = {} if worlds.duration_ms is None else {"duration_ms": worlds.duration_ms}
    return [
        simulation.simulate(
            seed,
            servers=worlds.servers,
            clocks_apart=worlds.clocks_apart,
            under_load=worlds.under_load,
            workload=None if made is None else made(seed),
            **lasts,
        )
        for seed in seeds
    ]


def _run_here(seeds: list[int]) -> list[SimulationResult]:
    assert _worlds_here is not None
    return _run(_worlds_here, seeds)


def _begin(worlds: _Worlds) -> None:
    """Begin a process that runs seeds; Ctrl-C is for the one that waits for the results."""
    global _worlds_here
    _worlds_here = worlds
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):  # Not those of the command line that forked it.
        signal.signal(number, signal.SIG_DFL)
