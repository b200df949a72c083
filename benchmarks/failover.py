"""How long nobody is answered: after `kill -9` of the primary, after SIGSTOP, during a switchover.

    python benchmarks/failover.py [--kills 200] [--stops 30] [--switchovers 50]

A client withdraws without pause. Killed or stopped: the time from the signal to the next acknowledged
withdrawal; between rounds the old primary is started (or continued), and is in sync again. Switchover:
the longest time between two acknowledged withdrawals while it happens.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import threading
import time
from collections.abc import Callable
from itertools import pairwise

from running_bank import Bank, running_bank

from bankrmi import connect
from bankrmi.client import switchover

_Step = Callable[[str], None]


def _summary(name: str, times_ms: list[float]) -> str:
    ordered = sorted(times_ms)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    return (
        f"{name:<12} {len(ordered):4} rounds   median {statistics.median(ordered):8.1f} ms   "
        f"p99 {p99:8.1f} ms   worst {ordered[-1]:8.1f} ms"
    )


def _after(bank: Bank, disturb: _Step, restore: _Step, rounds: int) -> list[float]:
    """Return, for each round, the time from the disturbance to the next acknowledged withdrawal."""
    times_ms = []
    with connect(bank.configuration) as client:
        for _ in range(rounds):
            bank.wait_until_in_sync()
            primary = bank.primary()
            for _ in range(5):
                client.withdraw(1, 0)
            begun = time.perf_counter()
            disturb(primary)
            client.withdraw(1, 0)
            times_ms.append((time.perf_counter() - begun) * 1000)
            restore(primary)
    return times_ms


def _kills(bank: Bank, rounds: int) -> list[float]:
    # Not Bank.kill: it would wait for the process to be reaped before the client may go on.
    return _after(bank, lambda name: bank.processes[name].kill(), lambda name: _again(bank, name), rounds)


def _again(bank: Bank, name: str) -> None:
    bank.processes[name].wait()
    bank.start(name)


def _stops(bank: Bank, rounds: int) -> list[float]:
    def stop(name: str) -> None:
        bank.kill(name, signal.SIGSTOP)

    def go_on(name: str) -> None:
        bank.kill(name, signal.SIGCONT)

    return _after(bank, stop, go_on, rounds)


def _switchovers(bank: Bank, rounds: int) -> list[float]:
    """Return the longest gap between two acknowledged withdrawals around each switchover."""
    acknowledged: list[float] = []
    over = threading.Event()

    def withdraw() -> None:
        with connect(bank.configuration) as client:
            while not over.is_set():
                client.withdraw(1, 0)
                acknowledged.append(time.perf_counter())

    worker = threading.Thread(target=withdraw)
    worker.start()
    gaps_ms = []
    for _ in range(rounds):
        bank.wait_until_in_sync()
        begun = len(acknowledged)
        switchover(bank.configuration, None)
        ended = len(acknowledged)
        while len(acknowledged) < ended + 5:
            time.sleep(0.001)
        window = acknowledged[max(0, begun - 1) :]
        gaps_ms.append(max(later - earlier for earlier, later in pairwise(window)) * 1000)
    over.set()
    worker.join()
    return gaps_ms


def main() -> None:
    """Measure each kind on a bank of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--stops", type=int, default=30)
    parser.add_argument("--switchovers", type=int, default=50)
    parser.add_argument("--servers", type=int, default=2)
    options = parser.parse_args()
    rounds = {"kill -9": (_kills, options.kills), "SIGSTOP": (_stops, options.stops)}
    rounds["switchover"] = (_switchovers, options.switchovers)
    for name, (measure, count) in rounds.items():
        if count:
            with running_bank(servers=options.servers) as bank:
                print(_summary(name, measure(bank, count)), flush=True)


if __name__ == "__main__":
    main()
