"""A standby is killed and comes back under load, with its disk and without: how long, at what cost meanwhile?

The load goes on all the time. What the bank does in a while is counted by its own action ids, from outside;
one client of ours beside the load shows how long a call takes at the worst.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from bankrmi.bench.bank import MeasuredBank, running_bank
from bankrmi.bench.figures import Finding
from bankrmi.bench.load_process import LoadProcess
from bankrmi.bench.rows.one_client import OneClient
from bankrmi.bench.rows.row import FOR_EVER_S, Row, RowOptions, link_order, shapes_of
from bankrmi.bench.shapes import Shape
from bankrmi.errors import OperationFailed

__all__ = ["CATCHING_UP"]

_AWAY = 3
"""Times as long as a measurement."""

_AT_MOST_S = 120.0
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class _While:
    """What happened in a while."""

    seconds: float
    operations: int
    slowest_ms: float

    @property
    def rate(self) -> float:
        """Return operations a second."""
        return self.operations / self.seconds


class _Watched:
    """A bank under load, and one more client."""

    def __init__(self, bank: MeasuredBank, load: LoadProcess, client: OneClient) -> None:
        self._bank = bank
        self._load = load
        self._client = client

    def for_seconds(self, seconds: float) -> _While:
        """Let it go on for `seconds`."""
        begun, before = time.perf_counter(), self._bank.acknowledged()
        time.sleep(seconds)
        return self._since(begun, before)

    def until_in_sync(self) -> _While:
        """Wait until all are in sync; raise OperationFailed if that takes too long."""
        begun, before = time.perf_counter(), self._bank.acknowledged()
        while not self._bank.is_in_sync():
            if time.perf_counter() - begun > _AT_MOST_S:
                raise OperationFailed(f"the standby was not in sync within {_AT_MOST_S:g} s")
            time.sleep(_LOOK_S)
        return self._since(begun, before)

    def _since(self, begun: float, before: int) -> _While:
        self._load.check()
        return _While(
            operations=self._bank.acknowledged() - before,
            seconds=time.perf_counter() - begun,
            slowest_ms=self._client.slowest_ms(begun),
        )


def _catching_up(asked: RowOptions) -> Iterator[Finding]:
    """Yield throughput with all, without a standby, while it catches up, and while it joins from nothing."""
    for shape in shapes_of(asked):
        asked.progress.show(f"catching-up: {shape.name}")
        with running_bank(servers=asked.servers) as bank:
            order = link_order(bank, shape, FOR_EVER_S)
            with LoadProcess(bank.children, order) as load, OneClient(bank.configuration) as client:
                yield from _once(bank, _Watched(bank, load, client), shape, asked)


def _once(bank: MeasuredBank, watched: _Watched, shape: Shape, asked: RowOptions) -> Iterator[Finding]:
    def told(what: str, during: _While) -> Iterator[Finding]:
        yield finding(what, "op/s", during.rate)
        yield finding(f"{what}, slowest call", "ms", during.slowest_ms)

    def finding(what: str, unit: str, value: float) -> Finding:
        return Finding(row="catching-up", what=f"{shape.name}: {what}", unit=unit, values=(value,))

    before, standby = bank.epoch(), bank.standby()
    usual = watched.for_seconds(asked.seconds)
    yield from told("all in sync", usual)
    for words in ("catches up", "joins from nothing"):
        asked.progress.show(f"catching-up: {shape.name}, a standby that {words}")
        bank.kill(standby)
        behind = 0
        if words == "catches up":
            away = watched.for_seconds(_AWAY * asked.seconds)
            behind = away.operations
            yield from told("a standby is away", away)
        else:
            behind = bank.acknowledged()
            bank.lose_disk(standby)
        bank.start(standby)
        during = watched.until_in_sync()
        yield from told(f"while it {words}", during)
        yield finding(f"while it {words}, to the usual", "ratio", during.rate / usual.rate)
        yield finding(f"it {words} ({behind:,} behind), to in sync", "s", during.seconds)
        yield finding(f"it {words}", "op/s", (behind + during.operations) / during.seconds)
    changes = bank.epoch() - before
    yield finding("changes of the view (4 are right)", "times", changes)


CATCHING_UP = Row(measure=_catching_up, parts=("32x1", "8x100"), shapes=True)
