"""Our own asyncio clients in one process: what they cost besides, and load that outlives failures."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import bankrmi.aio
from bankrmi.bank.operations import Withdraw
from bankrmi.bench.load.loop import answer_from
from bankrmi.bench.load.order import LoadOrder, LoadResult
from bankrmi.config import load
from bankrmi.errors import BankError
from bankrmi.rmi import Link

__all__ = ["keep_calling", "own_clients"]

_TIMEOUT_S = 20.0


class _Counted:
    """What links did, counted where they do it."""

    def __init__(self) -> None:
        self.connections = self.calls = self.dropped = 0
        begin, call, end = Link.open, Link.call, Link._end

        def open_(link: Link, *args: Any) -> None:
            self.connections += 1
            begin(link, *args)

        def call_(link: Link, *args: Any) -> None:
            self.calls += 1
            call(link, *args)

        def end_(link: Link, failure: Exception) -> None:
            self.dropped += link.up and link.pending > 0
            end(link, failure)

        setattr(Link, "open", open_)  # noqa: B010
        setattr(Link, "call", call_)  # noqa: B010
        setattr(Link, "_end", end_)  # noqa: B010


async def own_clients(order: LoadOrder, begin: Callable[[], None]) -> LoadResult:
    """Run many tasks of one client, each sending one request after the other; note what else that cost."""
    took: list[float] = []
    failed: Counter[str] = Counter()
    counted = _Counted()
    async with await bankrmi.aio.connect(_configuration(order), timeout=_TIMEOUT_S) as client:
        begin()
        used, begun = time.process_time(), time.perf_counter()

        async def one() -> None:
            random = Random()
            while (at := time.perf_counter()) < begun + order.seconds:
                try:
                    if order.shape.operations == 1:
                        await client.withdraw(random.randint(1, order.accounts), 1)
                    else:
                        drawn = (random.randint(1, order.accounts) for _ in range(order.shape.operations))
                        await client.submit([Withdraw(account, 1) for account in drawn])
                    took.append(time.perf_counter() - at)
                except BankError as error:
                    failed[type(error).__name__] += 1

        await asyncio.gather(*(one() for _ in range(order.shape.clients)))
        seconds, used = time.perf_counter() - begun, time.process_time() - used
    notes = {
        "slowest, ms": 1e3 * max(took, default=0.0),
        "messages an answer, times": counted.calls / max(1, len(took)),
        "begun, connections": counted.connections,
        "dropped under a call, connections": counted.dropped,
        "client's CPU, us a call": 1e6 * used / max(1, len(took)),
        "errors, times": failed.total(),
        **{f"of these {kind}, times": times for kind, times in failed.items()},
    }
    answer = answer_from(took, seconds, order.shape, used)
    return LoadResult(**{name: getattr(answer, name) for name in answer.__slots__} | {"notes": notes})


async def keep_calling(order: LoadOrder, begin: Callable[[], None]) -> LoadResult:
    """Withdraw for ever, whatever becomes of servers; whoever started it ends it."""
    async with await bankrmi.aio.connect(_configuration(order), timeout=_TIMEOUT_S) as client:
        begin()

        async def one() -> None:
            random = Random()
            while True:
                try:
                    await client.withdraw(random.randint(1, order.accounts), 1)
                except BankError:
                    await asyncio.sleep(0.01)

        await asyncio.gather(*(one() for _ in range(order.shape.clients)))
    raise AssertionError("nobody ends it but a signal")


def _configuration(order: LoadOrder) -> Any:
    return load(Path(order.where["configuration"]))
