"""What do reads cost while each fsync takes 5 ms longer?  32 readers, and eight writers beside them.

Two banks take turns: one as it is, and one whose servers strace holds up. It stops them at their fsyncs alone
(`--seccomp-bpf`), so that nothing else gets slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from bankrmi.bench.bank import MeasuredBank, running_bank
from bankrmi.bench.figures import Finding
from bankrmi.bench.load.order import LoadResult
from bankrmi.bench.load_process import LoadProcess
from bankrmi.bench.rows.row import BESIDE, FOR_EVER_S, Row, RowOptions, link_order, load, own_order, rates
from bankrmi.bench.shapes import Shape
from bankrmi.robustness.power_loss.strace import without_strace

__all__ = ["DELAY_MS", "SLOW_DISK", "held_up"]

DELAY_MS = 5
_READERS = Shape(name="readers", clients=32, reads=1.0)
_USUAL = Shape(name="32x1", clients=32)
_SYNCS = "fsync,fdatasync"


def _slow_disk(asked: RowOptions) -> Iterator[Finding]:
    """Yield how fast reads are answered on the usual disk, and on the slow one."""
    reads: dict[int, list[LoadResult]] = {0: [], DELAY_MS: []}
    writes: dict[int, list[LoadResult]] = {0: [], DELAY_MS: []}
    with ExitStack() as stack:
        banks: dict[int, MeasuredBank] = {}
        for delay_ms in reads:
            asked.progress.show(f"slow-disk: a bank is opened, fsync {delay_ms} ms later")
            before = held_up(delay_ms) if delay_ms else []
            banks[delay_ms] = stack.enter_context(running_bank(servers=asked.servers, before=before))
        for number in range(1, asked.rounds + 1):
            for delay_ms, bank in banks.items():
                asked.progress.show(f"slow-disk: fsync {delay_ms} ms later, round {number} of {asked.rounds}")
                writes[delay_ms].append(load(bank, link_order(bank, _USUAL, asked.seconds)))
                beside = own_order(bank, BESIDE, FOR_EVER_S, kind="background")
                with LoadProcess(bank.children, beside, "writers"):
                    reads[delay_ms].append(load(bank, link_order(bank, _READERS, asked.seconds)))
    yield from _told(reads, writes)


def _told(reads: dict[int, list[LoadResult]], writes: dict[int, list[LoadResult]]) -> Iterator[Finding]:
    def finding(what: str, unit: str, *values: float) -> Finding:
        return Finding(row="slow-disk", what=what, unit=unit, values=values)

    for delay_ms, answers in reads.items():
        disk = f"fsync {delay_ms} ms later" if delay_ms else "the usual disk"
        yield finding(f"{disk}: reads, median", "us", *(answer.median_us for answer in answers))
        yield finding(f"{disk}: 32x1", "op/s", *rates(writes[delay_ms]))
    pairs = zip(reads[0], reads[DELAY_MS], strict=True)
    yield finding(
        "reads, slow to usual", "ratio", *(slow.median_us / usual.median_us for usual, slow in pairs)
    )


def held_up(delay_ms: int) -> list[str]:
    """Return what comes before a command so that each of its fsyncs takes `delay_ms` longer."""
    inject = f"inject={_SYNCS}:delay_enter={delay_ms * 1000}"
    how = ["strace", "-D", "-f", "--seccomp-bpf", "-qqq", "-e", "signal=none", "-o", "/dev/null"]
    return [*how, "-e", f"trace={_SYNCS}", "-e", inject]


SLOW_DISK = Row(measure=_slow_disk, missing=without_strace)
