"""A standby is killed and started again under load: how long until it is in sync, at what throughput?

    python benchmarks/catching_up.py [100x100] [--away 5] [--limit 30]

The clients share one process and speak the wire protocol directly, as in `throughput.py`. Throughput is told
for three times: with both in sync, with the primary alone, and from the restart until both are in sync again.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable

from running_bank import Bank, running_bank
from throughput import client

from bankrmi.rmi import handshake, open_link


class _Load:
    """Clients that go on until they are told to stop, counted."""

    def __init__(self, bank: Bank, primary: str, clients: int, operations: int) -> None:
        self._bank, self._primary = bank, primary
        self._clients, self._operations = clients, operations
        self._latencies: list[float] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._links: list[object] = []

    async def begin(self, until: float) -> None:
        address = self._bank.configuration.servers[self._primary]
        for _ in range(self._clients):
            link = await open_link(address, f"bankrmi.account.{self._primary}", handshake("client"), 5)
            self._links.append(link)
            work = client(link, self._operations, until, self._latencies)
            self._tasks.append(asyncio.create_task(work))

    @property
    def done(self) -> int:
        return len(self._latencies) * self._operations

    def slowest_since(self, begun: int) -> float:
        """Return the slowest call, in seconds, of those that were answered after so many."""
        return max(self._latencies[begun // self._operations :], default=0.0)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _phase(load: _Load, name: str, limit: float, ended: Callable[[], bool]) -> float:
    """Measure until a condition holds; return how long that took."""
    begun, done = time.perf_counter(), load.done
    while time.perf_counter() - begun < limit and not await asyncio.to_thread(ended):
        await asyncio.sleep(0.05)
    took = time.perf_counter() - begun
    rate = (load.done - done) / took
    slowest = load.slowest_since(done)
    print(f"{name:>24}  {took:6.1f} s  {rate:10,.0f} op/s   slowest call {slowest:6.2f} s", flush=True)
    return took


async def _measure(bank: Bank, clients: int, operations: int, away: float, limit: float) -> bool:
    primary = bank.primary()
    [standby] = [name for name in bank.configuration.servers if name != primary]
    load = _Load(bank, primary, clients, operations)
    await load.begin(time.perf_counter() + 10 * limit)
    epoch = bank.status()["view"]["epoch"]

    def in_sync() -> bool:
        view = bank.status()["view"]
        return bool(view and sorted(view["in_sync"]) == sorted(bank.configuration.servers))

    await _phase(load, "both in sync", 5, lambda: False)
    bank.kill(standby)
    await _phase(load, "alone", away, lambda: False)
    bank.start(standby)
    took = await _phase(load, "until in sync again", limit, in_sync)
    await _phase(load, "both in sync", 5, lambda: False)
    view = bank.status()["view"]
    await load.end()
    print(f"epoch {epoch} -> {view['epoch']} (2 changes are right), primary {primary} -> {view['primary']}")
    return took < limit


def main() -> None:
    """Measure one shape on one bank; the exit code says whether it got in sync in time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", nargs="?", default="100x100")
    parser.add_argument("--away", type=float, default=5.0)
    parser.add_argument("--limit", type=float, default=30.0)
    options = parser.parse_args()
    clients, operations = (int(part) for part in options.shape.split("x"))
    with running_bank() as bank:
        well = asyncio.run(_measure(bank, clients, operations, options.away, options.limit))
    raise SystemExit(0 if well else 1)


if __name__ == "__main__":
    main()
