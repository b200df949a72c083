"""A standby is killed and started again under load: until when, at what throughput meanwhile?"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bankrmi.bench.bank import Bank, running_bank
from bankrmi.bench.figures import Finding
from bankrmi.bench.load.order import Answer
from bankrmi.bench.load_process import LoadProcess
from bankrmi.bench.rows.row import Asked, link_order, load, rates
from bankrmi.bench.shapes import Shape, shape_called

__all__ = ["catching_up"]

_SHAPES = ("32x1", "8x100")
_AWAY = 3
_AT_MOST_S = 60.0


def catching_up(asked: Asked) -> Iterator[Finding]:
    """Yield throughput with both, with one, and while the other one catches up."""
    for name in _SHAPES:
        shape = shape_called(name)
        assert shape is not None
        with running_bank() as bank:
            yield from _once(bank, shape, asked)


def _once(bank: Bank, shape: Shape, asked: Asked) -> Iterator[Finding]:
    def finding(what: str, unit: str, *values: float) -> Finding:
        return Finding(row="catching-up", what=f"{shape.name}: {what}", unit=unit, values=values)

    asked.progress.show(f"catching-up: {shape.name}")
    before, standby = bank.epoch(), bank.standby()
    yield finding("both in sync", "op/s", *rates([load(bank, link_order(bank, shape, asked.seconds))]))
    bank.kill(standby)
    alone = load(bank, link_order(bank, shape, _AWAY * asked.seconds))
    yield finding("the standby is away", "op/s", *rates([alone]))
    answer, took = _joining(bank, standby, shape, asked)
    yield finding("while it catches up", "op/s", *rates([answer]))
    yield finding(f"{alone.operations:,} behind, to in sync", "s", took)
    yield finding("changes of the view (2 are right)", "times", bank.epoch() - before)


def _joining(bank: Bank, standby: str, shape: Shape, asked: Asked) -> tuple[Answer, float]:
    """Return what a load found that began as the standby did, and when that was in sync."""
    with LoadProcess(bank.children, link_order(bank, shape, asked.seconds)) as process:
        begun = time.perf_counter()
        bank.start(standby)
        while not bank.is_in_sync() and time.perf_counter() - begun < asked.seconds:
            time.sleep(0.02)
        took = time.perf_counter() - begun
        answer = process.finish()
    while not bank.is_in_sync() and time.perf_counter() - begun < _AT_MOST_S:
        time.sleep(0.02)
        took = time.perf_counter() - begun
    return answer, took
