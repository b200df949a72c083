"""One client as a person writes it: the library that people use for that system, blocking, from Python."""

from __future__ import annotations

import importlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from bankrmi.bench.load.loop import answer_from
from bankrmi.bench.load.order import LoadOrder, LoadResult

__all__ = ["LIBRARIES", "PSYCOPG_WITHDRAW", "run_library"]

_WARM_CALLS = 20
PSYCOPG_WITHDRAW = "SELECT withdraw(%s, 1, %s, %s)"

_Withdraw = Callable[[int], object]


def _bankrmi(order: LoadOrder) -> _Withdraw:
    import bankrmi
    from bankrmi.config import load

    client = bankrmi.connect(load(Path(order.where["configuration"])))
    return lambda account: client.withdraw(account, 1)


def _psycopg(order: LoadOrder) -> _Withdraw:
    psycopg: Any = importlib.import_module("psycopg")
    connection = psycopg.connect(order.where["dsn"], autocommit=True)
    session = secrets.randbits(31)
    numbers = iter(range(1, 1 << 31))

    def withdraw(account: int) -> object:
        row = connection.execute(PSYCOPG_WITHDRAW, (account, session, next(numbers)), prepare=True)
        return row.fetchone()

    return withdraw


def _redis(order: LoadOrder) -> _Withdraw:
    redis: Any = importlib.import_module("redis")
    client = redis.Redis(host=order.where["host"], port=int(order.where["port"]))
    session = secrets.token_hex(8)
    numbers = iter(range(1, 1 << 31))

    def withdraw(account: int) -> object:
        with client.pipeline(transaction=False) as pipeline:
            pipeline.fcall("withdraw", 2, f"a:{account}", f"r:{session}:{next(numbers)}", 1)
            pipeline.wait(1, 0)
            return pipeline.execute()

    return withdraw


def _pyro5(order: LoadOrder) -> _Withdraw:
    from bankrmi.bench.load.pyro5 import proxy

    stock, session = proxy(order.where["uri"]), secrets.token_hex(8)
    numbers = iter(range(1, 1 << 31))

    def withdraw(account: int) -> object:
        return stock.withdraw(account, 1, f"{session}:{next(numbers)}")

    return withdraw


LIBRARIES: dict[str, Callable[[LoadOrder], _Withdraw]] = {
    "bankrmi": _bankrmi,
    "psycopg": _psycopg,
    "redis-py": _redis,
    "proxy": _pyro5,
}


def run_library(order: LoadOrder, begin: Callable[[], None]) -> LoadResult:
    """Withdraw, one call after the other, for as long as was ordered."""
    withdraw = LIBRARIES[order.kind](order)
    random, clock = Random(), time.perf_counter
    for _ in range(_WARM_CALLS):
        withdraw(random.randint(1, order.accounts))
    took: list[float] = []
    begin()
    used, begun = time.process_time(), clock()
    until = begun + order.seconds
    while (at := clock()) < until:
        withdraw(random.randint(1, order.accounts))
        took.append(clock() - at)
    seconds = clock() - begun
    return answer_from(took, seconds, order.shape, time.process_time() - used)
