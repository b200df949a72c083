"""How long nobody is answered, under load: after `kill -9` of the primary, SIGSTOP, in a switchover.

Eight of our own clients withdraw without pause, whatever happens; one more measures. Killed or stopped: the
time from the signal to its next acknowledged withdrawal; then the old primary is started (or goes on), and is
in sync again. Switchover: the longest time between two of its acknowledged withdrawals while it happens.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

from bankrmi import connect
from bankrmi.bench.bank import Bank, running_bank
from bankrmi.bench.figures import Finding
from bankrmi.bench.load_process import LoadProcess
from bankrmi.bench.rows.row import Asked, own_order
from bankrmi.bench.shapes import Shape
from bankrmi.client import switchover

__all__ = ["failover"]

_BESIDE = Shape(name="beside", clients=8)
_FOR_EVER_S = 86_400.0
_CALLS_BETWEEN = 5


def failover(asked: Asked) -> Iterator[Finding]:
    """Yield the milliseconds without an answer, kind by kind."""
    kinds: dict[str, Callable[[Bank, Asked], list[float]]] = {
        "kill -9": _kills,
        "SIGSTOP": _stops,
        "switchover": _switchovers,
    }
    for kind, measure in kinds.items():
        with running_bank() as bank:
            beside = own_order(bank, _BESIDE, _FOR_EVER_S, kind="background")
            with LoadProcess(bank.children, beside, "beside"):
                took_ms = measure(bank, asked)
        yield Finding(row="failover", what=f"{kind} to the next answer", unit="ms", values=tuple(took_ms))


def _kills(bank: Bank, asked: Asked) -> list[float]:
    # Not Bank.kill: it would wait until the process is reaped before the client may go on.
    return _after(bank, "kill -9", asked, lambda name: bank.process(name).kill(), bank.restart)


def _stops(bank: Bank, asked: Asked) -> list[float]:
    def stop(name: str) -> None:
        bank.signal(name, signal.SIGSTOP)

    def go_on(name: str) -> None:
        bank.signal(name, signal.SIGCONT)

    return _after(bank, "SIGSTOP", asked, stop, go_on)


def _after(
    bank: Bank,
    kind: str,
    asked: Asked,
    disturb: Callable[[str], None],
    restore: Callable[[str], None],
) -> list[float]:
    """Return, for each time, how long it was from the disturbance to the next acknowledged withdrawal."""
    took_ms = []
    with connect(bank.configuration) as client:
        for number in range(1, asked.failovers + 1):
            asked.progress.show(f"failover: {kind}, {number} of {asked.failovers}")
            bank.wait_until_in_sync()
            primary = bank.primary()
            for _ in range(_CALLS_BETWEEN):
                client.withdraw(1, 0)
            begun = time.perf_counter()
            disturb(primary)
            client.withdraw(1, 0)
            took_ms.append((time.perf_counter() - begun) * 1000)
            restore(primary)
    return took_ms


def _switchovers(bank: Bank, asked: Asked) -> list[float]:
    """Return the longest time between two acknowledged withdrawals around each switchover."""
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
    try:
        for number in range(1, asked.failovers + 1):
            asked.progress.show(f"failover: switchover, {number} of {asked.failovers}")
            bank.wait_until_in_sync()
            begun = len(acknowledged)
            switchover(bank.configuration, None)
            ended = len(acknowledged)
            while worker.is_alive() and len(acknowledged) < ended + _CALLS_BETWEEN:
                time.sleep(0.001)
            window = acknowledged[max(0, begun - 1) :]
            gaps_ms.append(max(later - earlier for earlier, later in pairwise(window)) * 1000)
    finally:
        over.set()
        worker.join()
    return gaps_ms
