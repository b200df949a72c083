"""Acknowledged withdrawals a second, on a bank of two servers on this machine.

    python benchmarks/throughput.py [--seconds 5] [1x1 8x1 32x1 128x1 1x100 2x1000 1x8000]

"32x1" is 32 clients, each with one withdrawal a call, one call at a time; "2x1000" is two clients with
batches of 1000. The clients share one process and speak the wire protocol directly, so that as little
as possible of the two cores goes to them. What counts is acknowledged: durable on both servers.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import time

from running_bank import running_bank

from bankrmi.config import Configuration
from bankrmi.errors import Busy
from bankrmi.rmi import Link, handshake, open_link

ACCOUNTS = 10
SHAPES = ["1x1", "8x1", "32x1", "128x1", "1x100", "2x1000", "1x8000"]


async def client(link: Link, operations: int, until: float, latencies: list[float]) -> None:
    """Withdraw and deposit in turn, so that nothing is ever declined."""
    session, sequence = secrets.token_hex(8), 0
    while time.perf_counter() < until:
        sequence += 1
        request_id = f"{session}:{sequence}"
        account = sequence % ACCOUNTS + 1
        method = "withdraw" if sequence % 2 else "deposit"
        begun = time.perf_counter()
        if operations == 1:
            args: list[object] = [account, 1, request_id]
        else:
            kinds = ("deposit", "withdraw")
            work = [(kinds[number % 2], number % ACCOUNTS + 1, 1) for number in range(operations)]
            method, args = "submit", [work, request_id]
        while True:
            try:
                await link.ask(method, args, 60)
                break
            except Busy:  # It was not taken; it is part of how long a call takes.
                await asyncio.sleep(0.05)
        latencies.append(time.perf_counter() - begun)


async def _measure(configuration: Configuration, primary: str, shape: str, seconds: float) -> str:
    clients, operations = (int(part) for part in shape.split("x"))
    address = configuration.servers[primary]
    links = [
        await open_link(address, f"bankrmi.account.{primary}", handshake("client"), 5) for _ in range(clients)
    ]
    warm = time.perf_counter() + min(1.0, seconds / 3)
    await asyncio.gather(*(client(link, operations, warm, []) for link in links))
    latencies: list[float] = []
    begun = time.perf_counter()
    await asyncio.gather(*(client(link, operations, begun + seconds, latencies) for link in links))
    took = time.perf_counter() - begun
    for link in links:
        link.close()
    rate = len(latencies) * operations / took
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    return f"{shape:>8}  {rate:10,.0f} op/s   p50 {cuts[49] * 1e6:8,.0f} us   p99 {cuts[98] * 1e6:8,.0f} us"


def main() -> None:
    """Measure every shape on one bank."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shapes", nargs="*", default=SHAPES)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--servers", type=int, default=2)
    options = parser.parse_args()
    with running_bank(servers=options.servers) as bank:
        primary = bank.primary()
        for shape in options.shapes:
            print(asyncio.run(_measure(bank.configuration, primary, shape, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
