"""Servers whose accounts are in a database: throughput against how many of them there are.

As many clients as ever are spread evenly over the first 1, 2, 4, ... servers, a load process for each; who
takes turns within a round are these numbers. The same with all clients on one account: what is hot cannot be
spread.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from bankrmi.bench.bank import WITNESS, MeasuredBank, own_folder
from bankrmi.bench.figures import Finding
from bankrmi.bench.load.order import ACCOUNTS, LoadOrder, LoadResult
from bankrmi.bench.load_process import LOAD, LoadProcess
from bankrmi.bench.rows.row import Row, RowOptions, shapes_of
from bankrmi.bench.shapes import Shape
from bankrmi.bench.systems.postgresql import PostgreSql
from bankrmi.bench.systems.system import missing_library
from bankrmi.client.engine_overview import engine_overview
from bankrmi.diagnosis.usage import cpu_seconds
from bankrmi.errors import OperationFailed

__all__ = ["ENGINE", "server_counts"]

_HOT = 1
"""Accounts, where everybody wants the same one."""


def _engine(asked: RowOptions) -> Iterator[Finding]:
    with ExitStack() as stack:
        folder = stack.enter_context(own_folder())
        url = asked.engine or stack.enter_context(_own_database(folder, asked))
        bank = stack.enter_context(_bank_on(folder, url, asked.servers))
        for shape in shapes_of(asked):
            for accounts in (ACCOUNTS, _HOT):
                yield from _against_servers(bank, shape, accounts, asked)


def _against_servers(bank: MeasuredBank, shape: Shape, accounts: int, asked: RowOptions) -> Iterator[Finding]:
    """Yield operations a second for each number of servers, and what part of one server's that is."""
    counts = server_counts(asked.servers, shape.clients)
    measured: dict[int, list[LoadResult]] = {count: [] for count in counts}
    spent: dict[int, list[float]] = {count: [] for count in counts}
    name = shape.name if accounts == ACCOUNTS else f"{shape.name} on one account"
    for number in range(1, asked.rounds + 1):
        first = number % len(counts)
        for count in counts[first:] + counts[:first]:
            asked.progress.show(f"engine: {name}, {count} servers, round {number} of {asked.rounds}")
            before = _cpu_seconds(bank)
            measured[count].append(_measured(bank, shape, accounts, bank.servers[:count], asked.seconds))
            done = max(1, measured[count][-1].operations)
            spent[count].append(1e6 * (_cpu_seconds(bank) - before) / done)
    rates = {count: [one.operations / one.seconds for one in measured[count]] for count in counts}
    for count in counts:
        what = f"{name}: {count} server{'s' if count > 1 else ''}"
        medians = tuple(one.median_us / 1e3 for one in measured[count])
        yield Finding(row="engine", what=what, unit="op/s", values=tuple(rates[count]))
        yield Finding(row="engine", what=f"{what}, median", unit="ms", values=medians)
        yield Finding(row="engine", what=f"{what}, their CPU", unit="us/op", values=tuple(spent[count]))
        if count > 1:
            ratios = tuple(many / one for many, one in zip(rates[count], rates[1], strict=True))
            yield Finding(row="engine", what=f"{what} to 1", unit="times", values=ratios)


def server_counts(servers: int, clients: int) -> list[int]:
    """Return 1, 2, 4, ... and how many there are; each has a client at least."""
    counts = {1 << power for power in range(servers.bit_length())} | {servers}
    return sorted(count for count in counts if count <= min(servers, clients))


def _measured(
    bank: MeasuredBank, shape: Shape, accounts: int, servers: Sequence[str], seconds: float
) -> LoadResult:
    """Have these servers called by as many clients each; return what came of it together."""
    each = replace(shape, clients=shape.clients // len(servers))
    with ExitStack() as stack:
        loads = [
            stack.enter_context(
                LoadProcess(bank.children, _order(bank, server, each, accounts, seconds), name)
            )
            for name, server in ((f"{LOAD}-{server}", server) for server in servers)
        ]
        found = [load.finish() for load in loads]
    operations = sum(one.operations for one in found)
    longest = max(one.seconds for one in found)
    median = sum(one.median_us * one.operations for one in found) / max(1, operations)
    p99 = max(one.p99_us for one in found)
    return LoadResult(operations=operations, seconds=longest, median_us=median, p99_us=p99, cpu_seconds=None)


def _order(bank: MeasuredBank, server: str, shape: Shape, accounts: int, seconds: float) -> LoadOrder:
    where = {"address": bank.configuration.servers[server], "object": f"bankrmi.account.{server}"}
    return LoadOrder(kind="link", where=where, shape=shape, seconds=seconds, accounts=accounts)


def _cpu_seconds(bank: MeasuredBank) -> float:
    return sum(cpu_seconds(bank.process(name).pid) for name in bank.servers)


@contextmanager
def _own_database(folder: Path, asked: RowOptions) -> Iterator[str]:
    """Start a PostgreSQL with a synchronous standby; raise OperationFailed if there is none to start."""
    if (missing := PostgreSql.missing()) is not None:
        raise OperationFailed(f"{missing}; or name a database with --engine")
    asked.progress.show("engine: starting PostgreSQL")
    own = folder / "postgresql"
    own.mkdir()
    database = PostgreSql(own)
    try:
        database.start()
        yield database.url
    finally:
        database.stop()


@contextmanager
def _bank_on(folder: Path, url: str, servers: int) -> Iterator[MeasuredBank]:
    """Start servers on it, in a schema that goes with them."""
    service = f"bench_{secrets.token_hex(4)}"
    settings: Mapping[str, object] = {"engine": url, "service": service}
    bank = MeasuredBank(folder, servers=servers, settings=settings)
    try:
        for name in (WITNESS, *bank.servers):
            bank.start(name)
        bank.children.until(lambda: _all_answer(bank), what="the servers on the database")
        yield bank
    finally:
        bank.close()
        _drop(url, service)


def _all_answer(bank: MeasuredBank) -> bool:
    found = engine_overview(bank.configuration)["servers"]
    return all(one["reachable"] and one.get("database_answers") for one in found)


def _drop(url: str, service: str) -> None:
    from bankrmi.engine.moving import drop_schema

    drop_schema(url, service)


def _missing() -> str | None:
    return missing_library("psycopg", "psycopg[binary]")


ENGINE = Row(measure=_engine, parts=("32x1", "128x1", "8x100"), shapes=True, missing=_missing)
