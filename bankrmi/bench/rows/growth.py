"""Does it get slower as it grows?  Accounts, connections, and what has been recorded so far.

Banks with few and many accounts are measured in turn. Of connections there are more and more to one bank. For
records one bank is filled with batches; before and after it is measured with 32 clients, and a standby is
killed and started, until it is in sync again, with its disk and without.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from bankrmi.bench.bank import MeasuredBank, running_bank
from bankrmi.bench.figures import Finding
from bankrmi.bench.load.order import LoadResult
from bankrmi.bench.load_process import LoadProcess
from bankrmi.bench.rows.row import FOR_EVER_S, Row, RowOptions, link_order, load, rates
from bankrmi.bench.shapes import Shape
from bankrmi.diagnosis.usage import peak_kb

__all__ = ["GROWTH"]

_FEW, _MANY = 1_000, 1_000_000
_CONNECTIONS = (1, 32, 128, 512, 1000)
_USUAL_MOST = 128
_USUAL = Shape(name="32x1", clients=32)
_FILLING = Shape(name="2x1000", clients=2, operations=1000)
_FEW_RECORDS = 10_000
_LOOK_S = 0.05


def _growth(asked: RowOptions) -> Iterator[Finding]:
    """Yield operations a second as it grows; and start, join and memory at both ends of it."""
    for part in asked.parts:
        yield from _PARTS[part](asked)


def _by_accounts(asked: RowOptions) -> Iterator[Finding]:
    answers: dict[int, list[LoadResult]] = {_FEW: [], _MANY: []}
    memory: dict[int, float] = {}
    with ExitStack() as stack:
        banks: dict[int, MeasuredBank] = {}
        for accounts in answers:
            asked.progress.show(f"growth: a bank of {accounts:,} accounts is opened")
            banks[accounts] = stack.enter_context(running_bank(servers=asked.servers, accounts=accounts))
        for number in range(1, asked.rounds + 1):
            for accounts, bank in banks.items():
                asked.progress.show(f"growth: {accounts:,} accounts, round {number} of {asked.rounds}")
                order = link_order(bank, _USUAL, asked.seconds, accounts=accounts)
                answers[accounts].append(load(bank, order))
        for accounts, bank in banks.items():
            memory[accounts] = peak_kb(bank.process(bank.primary()).pid) / 1024
    for accounts, found in answers.items():
        yield _finding(f"{accounts:,} accounts, 32x1", "op/s", *rates(found))
        yield _finding(f"{accounts:,} accounts, primary's memory", "MB", memory[accounts])
    few, many = (rates(answers[accounts]) for accounts in (_FEW, _MANY))
    ratios = (large / small for small, large in zip(few, many, strict=True))
    yield _finding(f"{_MANY:,} to {_FEW:,} accounts", "ratio", *ratios)


def _by_connections(asked: RowOptions) -> Iterator[Finding]:
    found: dict[int, list[LoadResult]] = {clients: [] for clients in _CONNECTIONS}
    with running_bank(servers=asked.servers) as bank:
        for number in range(1, asked.rounds + 1):
            for clients, answers in found.items():
                asked.progress.show(f"growth: {clients} connections, round {number} of {asked.rounds}")
                shape = Shape(name=f"{clients}x1", clients=clients)
                answers.append(load(bank, link_order(bank, shape, asked.seconds)))
    for clients, answers in found.items():
        yield _finding(f"{clients} connections", "op/s", *rates(answers))
    pairs = zip(rates(found[_USUAL_MOST]), rates(found[_CONNECTIONS[-1]]), strict=True)
    ratios = (many / usual for usual, many in pairs)
    yield _finding(f"{_CONNECTIONS[-1]} to {_USUAL_MOST} connections", "ratio", *ratios)


def _by_records(asked: RowOptions) -> Iterator[Finding]:
    found: list[tuple[float, ...]] = []
    with running_bank(servers=asked.servers) as bank:
        for wanted in (_FEW_RECORDS, asked.records):
            _fill(bank, wanted, asked)
            words = f"after {bank.acknowledged():,} operations"
            asked.progress.show(f"growth: {words}")
            answers = [load(bank, link_order(bank, _USUAL, asked.seconds)) for _ in range(asked.rounds)]
            found.append(rates(answers))
            yield _finding(f"{words}, 32x1", "op/s", *found[-1])
            for server, role in ((bank.primary(), "primary"), (bank.standby(), "standby")):
                memory = peak_kb(bank.process(server).pid) / 1024
                yield _finding(f"{words}, {role}'s memory", "MB", memory)
            yield _finding(f"{words}, standby started to in sync", "s", _restarted(bank))
            yield _finding(f"{words}, joined from nothing", "s", _restarted(bank, with_disk=False))
    ratios = (many / few for few, many in zip(*found, strict=True))
    yield _finding(f"{asked.records:,} to {_FEW_RECORDS:,} operations", "ratio", *ratios)


def _fill(bank: MeasuredBank, wanted: int, asked: RowOptions) -> None:
    """Let it do operations until there are as many as `wanted`."""
    with LoadProcess(bank.children, link_order(bank, _FILLING, FOR_EVER_S)) as filling:
        while (there := bank.acknowledged()) < wanted:
            asked.progress.show(f"growth: a bank is filled, {there:,} operations of {wanted:,}")
            filling.check()
            time.sleep(_LOOK_S)


def _restarted(bank: MeasuredBank, *, with_disk: bool = True) -> float:
    standby = bank.standby()
    bank.kill(standby)
    if not with_disk:
        bank.lose_disk(standby)
    begun = time.perf_counter()
    bank.start(standby)
    bank.wait_until_in_sync()
    return time.perf_counter() - begun


def _finding(what: str, unit: str, *values: float) -> Finding:
    return Finding(row="growth", what=what, unit=unit, values=values)


_PARTS: dict[str, Callable[[RowOptions], Iterator[Finding]]] = {
    "accounts": _by_accounts,
    "connections": _by_connections,
    "records": _by_records,
}

GROWTH = Row(measure=_growth, parts=tuple(_PARTS))
