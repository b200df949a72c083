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
from functools import partial
from itertools import count

from bankrmi.robustness.simulator import simulation
from bankrmi.robustness.simulator.simulation import SimulationResult

__all__ = ["simulate_many"]

CHUNK = 5
"""Seeds that a process gets at a time: long enough to be worth sending, short enough to stop soon."""


def simulate_many(
    first: int,
    seeds: int | None,
    *,
    servers: int,
    clocks_apart: bool = False,
    under_load: bool = False,
    jobs: int = 1,
    go_on: Callable[[], bool] = lambda: True,
) -> Generator[SimulationResult, None, None]:
    """Yield the results of `seeds` seeds from `first` on (None: no end), as long as `go_on` says so."""
    run = partial(_run, servers=servers, clocks_apart=clocks_apart, under_load=under_load)
    numbers = count(first) if seeds is None else range(first, first + seeds)
    if jobs == 1:
        for seed in numbers:
            if not go_on():
                return
            yield from run([seed])
        return
    yield from _on_processes(run, iter(numbers), jobs, go_on)


def _on_processes(
    run: Callable[[list[int]], list[SimulationResult]],
    numbers: Iterator[int],
    jobs: int,
    go_on: Callable[[], bool],
) -> Iterator[SimulationResult]:
    # Forked, so that a planted bug is planted there, too.
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_ignore_interrupts)
    waiting: deque[Future[list[SimulationResult]]] = deque()
    try:
        more = True
        while more or waiting:
            while more and len(waiting) < 2 * jobs:
                chunk = [seed for _, seed in zip(range(CHUNK), numbers, strict=False)] if go_on() else []
                more = len(chunk) == CHUNK
                if chunk:
                    waiting.append(pool.submit(run, chunk))
            if waiting:
                yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run(seeds: list[int], *, servers: int, clocks_apart: bool, under_load: bool) -> list[SimulationResult]:
    return [
        simulation.simulate(seed, servers=servers, clocks_apart=clocks_apart, under_load=under_load)
        for seed in seeds
    ]


def _ignore_interrupts() -> None:
    """Ctrl-C is for the process that waits for the results."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):  # Not those of the command line that forked it.
        signal.signal(number, signal.SIG_DFL)
