"""How long nobody is answered, under load: after `kill -9` of the primary, SIGSTOP, a cut; in a switchover.

Eight of our own clients call without pause, whatever happens; one more measures. Killed or stopped: the
time from the signal to its next answer; then the old primary is started (or goes on), and is in sync again.
Cut: see `cut_off`. Switchover: the longest time between two of its answers while it happens.

A bank is asked for withdrawals; a class, for one of its methods (see `class_failover`).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Protocol

from bankrmi.bench.bank import MeasuredBank, running_bank
from bankrmi.bench.figures import Finding
from bankrmi.bench.load.order import LoadOrder
from bankrmi.bench.load_process import LoadProcess
from bankrmi.bench.rows.cut_off import cuts
from bankrmi.bench.rows.one_client import OneClient, withdrawing
from bankrmi.bench.rows.row import BESIDE, FOR_EVER_S, Row, RowOptions, own_order
from bankrmi.bench.telling import ProgressDisplay
from bankrmi.client import switchover

__all__ = ["FAILOVER", "FAILOVER_KINDS", "FailoverOptions", "FailoverSubject", "failovers"]

_CALLS_BETWEEN = 5


class FailoverOptions(Protocol):
    """How often, and where to tell how far it is."""

    @property
    def failovers(self) -> int:
        """How often each is done."""

    @property
    def servers(self) -> int:
        """How many there are."""

    @property
    def progress(self) -> ProgressDisplay:
        """Where that is told."""


class FailoverSubject(Protocol):
    """What is failed over: how it is started, called by one client, and kept busy by others."""

    def running(self, servers: int) -> AbstractContextManager[MeasuredBank]:
        """It, everybody in sync, until the context ends."""

    def beside(self, bank: MeasuredBank) -> LoadOrder:
        """Return what the eight clients are told."""

    def calling(self, bank: MeasuredBank) -> AbstractContextManager[Callable[[], object]]:
        """The client that measures: what it calls once."""


class _Accounts:
    """A bank."""

    def running(self, servers: int) -> AbstractContextManager[MeasuredBank]:
        return running_bank(servers=servers)

    def beside(self, bank: MeasuredBank) -> LoadOrder:
        return own_order(bank, BESIDE, FOR_EVER_S, kind="background")

    def calling(self, bank: MeasuredBank) -> AbstractContextManager[Callable[[], object]]:
        return withdrawing(bank.configuration)


def failovers(subject: FailoverSubject, kind: str, asked: FailoverOptions) -> list[float]:
    """Return for how many milliseconds nobody was answered, each time."""
    _, measure = FAILOVER_KINDS[kind]
    with subject.running(asked.servers) as bank, LoadProcess(bank.children, subject.beside(bank), "beside"):
        return measure(subject, bank, asked)


def _kills(subject: FailoverSubject, bank: MeasuredBank, asked: FailoverOptions) -> list[float]:
    # Not MeasuredBank.kill: it would wait until the process is reaped before the client may go on.
    return _after(subject, bank, "kill -9", asked, lambda name: bank.process(name).kill(), bank.restart)


def _stops(subject: FailoverSubject, bank: MeasuredBank, asked: FailoverOptions) -> list[float]:
    def stop(name: str) -> None:
        bank.signal(name, signal.SIGSTOP)

    def go_on(name: str) -> None:
        bank.signal(name, signal.SIGCONT)

    return _after(subject, bank, "SIGSTOP", asked, stop, go_on)


def _after(
    subject: FailoverSubject,
    bank: MeasuredBank,
    kind: str,
    asked: FailoverOptions,
    disturb: Callable[[str], None],
    restore: Callable[[str], None],
) -> list[float]:
    """Return, for each time, how long it was from the disturbance to the next answer."""
    took_ms = []
    with subject.calling(bank) as call:
        for number in range(1, asked.failovers + 1):
            asked.progress.show(f"failover: {kind}, {number} of {asked.failovers}")
            bank.wait_until_in_sync()
            primary = bank.primary()
            for _ in range(_CALLS_BETWEEN):
                call()
            begun = time.perf_counter()
            disturb(primary)
            call()
            took_ms.append((time.perf_counter() - begun) * 1000)
            restore(primary)
    return took_ms


def _switchovers(subject: FailoverSubject, bank: MeasuredBank, asked: FailoverOptions) -> list[float]:
    """Return the longest time between two answers around each switchover."""
    gaps_ms = []
    with OneClient(bank.configuration, calling=lambda: subject.calling(bank)) as client:
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


_Measure = Callable[[FailoverSubject, MeasuredBank, FailoverOptions], list[float]]
FAILOVER_KINDS: dict[str, tuple[str, _Measure]] = {
    "kill": ("kill -9 to the next answer", _kills),
    "stop": ("SIGSTOP to the next answer", _stops),
    "switchover": ("switchover, longest between two answers", _switchovers),
}
"""Those that can be done to a bank and to a class."""

_CUT = "cut"


def _failover(asked: RowOptions) -> Iterator[Finding]:
    """Yield the milliseconds without an answer, kind by kind."""
    for kind in asked.parts:
        if kind == _CUT:
            what, values = "cut off to the next answer", cuts(asked)
        else:
            what, values = FAILOVER_KINDS[kind][0], failovers(_Accounts(), kind, asked)
        yield Finding(row="failover", what=what, unit="ms", values=tuple(values))


FAILOVER = Row(measure=_failover, parts=("kill", "stop", _CUT, "switchover"))
