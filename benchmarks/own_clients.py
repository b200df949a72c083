"""What one process of our own clients asks of a bank: operations a second, and what they cost besides.

    python benchmarks/own_clients.py CLIENTS OPERATIONS SECONDS

CLIENTS tasks of one asyncio client, each sending one request of OPERATIONS deposits after the other. Besides
the rate and the times: how many connections were begun, and how many of those that had greeted were dropped
while a call was in flight; how many messages were sent for one answer (1.0: nothing twice); changes of view.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import resource
import time
from typing import Any

from running_bank import Bank, running_bank

import bankrmi.aio
from bankrmi import Deposit
from bankrmi.rmi.link import Link


class Counted:
    """What links did, counted where they do it."""

    def __init__(self) -> None:
        self.connects = self.calls = self.dropped = 0
        begin, call, end = Link.open, Link.call, Link._end

        def open_(link: Link, *args: Any) -> None:
            self.connects += 1
            begin(link, *args)

        def call_(link: Link, *args: Any) -> None:
            self.calls += 1
            call(link, *args)

        def end_(link: Link, failure: Any) -> None:
            self.dropped += not link._lost and link.up and link.pending > 0
            end(link, failure)

        Link.open, Link.call, Link._end = open_, call_, end_  # type: ignore[method-assign]


async def load(bank: Bank, clients: int, operations: int, seconds: float) -> tuple[list[float], Any]:
    """Return how long each call took, and the errors by kind."""
    took: list[float] = []
    errors: collections.Counter[str] = collections.Counter()
    async with await bankrmi.aio.connect(bank.configuration, timeout=20) as client:
        until = time.monotonic() + seconds

        async def one(number: int) -> None:
            while time.monotonic() < until:
                begun = time.monotonic()
                try:
                    if operations == 1:
                        await client.deposit(number % 10 + 1, 1)
                    else:
                        await client.submit([Deposit(n % 10 + 1, 1) for n in range(operations)])
                    took.append(time.monotonic() - begun)
                except bankrmi.errors.BankError as error:
                    errors[type(error).__name__] += 1

        await asyncio.gather(*(one(number) for number in range(clients)))
    return sorted(took), dict(errors)


def measure(clients: int, operations: int, seconds: float) -> None:
    """Run it once and print a line."""
    with running_bank(2) as bank:
        bank.wait_until_in_sync()
        epoch = bank.status()["view"]["epoch"]
        counted = Counted()
        took, errors = asyncio.run(load(bank, clients, operations, seconds))
        cpu = resource.getrusage(resource.RUSAGE_SELF)
        views = bank.status()["view"]["epoch"] - epoch
    print(
        f"{clients} x {operations}: {len(took) * operations / seconds:.0f} op/s, "
        f"median {took[len(took) // 2]:.3f} s, slowest {took[-1]:.3f} s, {errors}; "
        f"{counted.connects} connections, {counted.dropped} dropped under a call, "
        f"{counted.calls / max(1, len(took)):.2f} messages an answer, {views} changes of view, "
        f"client's CPU {1e6 * (cpu.ru_utime + cpu.ru_stime) / max(1, len(took)):.0f} us a call"
    )


def main() -> None:
    """Measure one shape on one bank."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clients", type=int, metavar="CLIENTS")
    parser.add_argument("operations", type=int, metavar="OPERATIONS")
    parser.add_argument("seconds", type=float, metavar="SECONDS")
    options = parser.parse_args()
    measure(options.clients, options.operations, options.seconds)


if __name__ == "__main__":
    main()
