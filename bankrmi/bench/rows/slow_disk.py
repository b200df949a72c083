"""What do reads cost while each fsync takes 5 ms?  Eight writers beside 32 readers, with strace and without.

Rule: strace slows a process down by itself, so the usual disk is measured under it as well, with no delay.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from bankrmi.bench.bank import Bank, running_bank
from bankrmi.bench.figures import Finding
from bankrmi.bench.load.order import Answer
from bankrmi.bench.load_process import LoadProcess
from bankrmi.bench.rows.row import Asked, link_order, load, own_order, rates
from bankrmi.bench.shapes import Shape
from bankrmi.errors import OperationFailed
from bankrmi.robustness.chaos.slow_disk import slow_disk as held_up

__all__ = ["DELAY_MS", "slow_disk"]

DELAY_MS = 5
_READERS = Shape(name="readers", clients=32, reads=1.0)
_WRITERS = Shape(name="writers", clients=8)
_FOR_EVER_S = 86_400.0
_USUAL = Shape(name="32x1", clients=32)


def slow_disk(asked: Asked) -> Iterator[Finding]:
    """Yield how fast reads are answered on the usual disk, and on the slow one."""
    reads: dict[int, list[Answer]] = {0: [], DELAY_MS: []}
    writes: dict[int, list[Answer]] = {0: [], DELAY_MS: []}
    with running_bank() as bank:
        for number in range(1, asked.rounds + 1):
            for delay_ms in reads:
                asked.progress.show(f"slow-disk: fsync {delay_ms} ms later, round {number} of {asked.rounds}")
                with _disk(bank, delay_ms):
                    writes[delay_ms].append(load(bank, link_order(bank, _USUAL, asked.seconds)))
                    beside = own_order(bank, _WRITERS, _FOR_EVER_S, kind="background")
                    with LoadProcess(bank.children, beside, "writers"):
                        reads[delay_ms].append(load(bank, link_order(bank, _READERS, asked.seconds)))
    for delay_ms in reads:
        words = f"fsync {delay_ms} ms later" if delay_ms else "the usual disk"
        medians = (answer.median_us for answer in reads[delay_ms])
        yield Finding(row="slow-disk", what=f"{words}: reads, median", unit="us", values=tuple(medians))
        yield Finding(row="slow-disk", what=f"{words}: 32x1", unit="op/s", values=rates(writes[delay_ms]))
    pairs = zip(reads[0], reads[DELAY_MS], strict=True)
    ratios = (slow.median_us / usual.median_us for usual, slow in pairs)
    yield Finding(row="slow-disk", what="reads, slow to usual", unit="ratio", values=tuple(ratios))


def _disk(bank: Bank, delay_ms: int) -> ExitStack:
    """Hold up each fsync of the servers, as long as the context lasts."""
    with ExitStack() as stack:
        for server in bank.servers:
            if not stack.enter_context(held_up(bank.process(server).pid, delay_ms)):
                raise OperationFailed("strace is not installed: apt install strace")
        return stack.pop_all()
