"""How long nobody is answered, under load: after `kill -9` of the primary, SIGSTOP, a cut; in a switchover.

Eight of our own clients withdraw without pause, whatever happens; one more measures. Killed or stopped: the
time from the signal to its next acknowledged withdrawal; then the old primary is started (or goes on), and is
in sync again. Cut: see `cut_off`. Switchover: the longest time between two of its acknowledged withdrawals
while it happens.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

from bankrmi import connect
from bankrmi.bench.bank import MeasuredBank, running_bank
from bankrmi.bench.figures import Finding
from bankrmi.bench.load_process import LoadProcess
from bankrmi.bench.rows.cut_off import cuts
from bankrmi.bench.rows.one_client import OneClient
from bankrmi.bench.rows.row import BESIDE, FOR_EVER_S, Row, RowOptions, own_order
from bankrmi.client import switchover

__all__ = ["FAILOVER"]

_CALLS_BETWEEN = 5


def _failover(asked: RowOptions) -> Iterator[Finding]:
    """Yield the milliseconds without an answer, kind by kind."""
    for kind in asked.parts:
        what, measure = _KINDS[kind]
        yield Finding(row="failover", what=what, unit="ms", values=tuple(measure(asked)))


def _under_load(
    measure: Callable[[MeasuredBank, RowOptions], list[float]],
) -> Callable[[RowOptions], list[float]]:
    """Return what measures it at a bank of its own, with eight clients beside."""

    def measured(asked: RowOptions) -> list[float]:
        with running_bank(servers=asked.servers) as bank:
            beside = own_order(bank, BESIDE, FOR_EVER_S, kind="background")
            with LoadProcess(bank.children, beside, "beside"):
                return measure(bank, asked)

    return measured


def _kills(bank: MeasuredBank, asked: RowOptions) -> list[float]:
    # Not MeasuredBank.kill: it would wait until the process is reaped before the client may go on.
    return _after(bank, "kill -9", asked, lambda name: bank.process(name).kill(), bank.restart)


def _stops(bank: MeasuredBank, asked: RowOptions) -> list[float]:
    def stop(name: str) -> None:
        bank.signal(name, signal.SIGSTOP)

    def go_on(name: str) -> None:
        bank.signal(name, signal.SIGCONT)

    return _after(bank, "SIGSTOP", asked, stop, go_on)


def _after(
    bank: MeasuredBank,
    kind: str,
    asked: RowOptions,
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


def _switchovers(bank: MeasuredBank, asked: RowOptions) -> list[float]:
    """Return the longest time between two acknowledged withdrawals around each switchover."""
    gaps_ms = []
    with OneClient(bank.configuration) as client:
        for number in range(1, asked.failovers + 1):
            asked.progress.show(f"failover: switchover, {number} of {asked.failovers}")
            bank.wait_until_in_sync()
            begun = len(client.answered)
            switchover(bank.configuration, None)
            ended = len(client.answered)
            while client.is_calling and len(client.answered) < ended + _CALLS_BETWEEN:
                time.sleep(0.001)
            window = client.answered[max(0, begun - 1) :]
            gaps_ms.append(max(later - earlier for earlier, later in pairwise(window)) * 1000)
    return gaps_ms


_KINDS: dict[str, tuple[str, Callable[[RowOptions], list[float]]]] = {
    "kill": ("kill -9 to the next answer", _under_load(_kills)),
    "stop": ("SIGSTOP to the next answer", _under_load(_stops)),
    "cut": ("cut off to the next answer", cuts),
    "switchover": ("switchover, longest between two answers", _under_load(_switchovers)),
}

FAILOVER = Row(measure=_failover, parts=tuple(_KINDS))
