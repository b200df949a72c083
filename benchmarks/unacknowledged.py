"""A bank that can acknowledge nothing, under load: how much memory does its primary take, and give back?

    python benchmarks/unacknowledged.py [8x8000] [--seconds 30]

`copies_min: 2`, and the standby is killed; our own clients go on with batches. Then the standby comes back.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import time
from pathlib import Path

import bankrmi.aio
from bankrmi import Deposit
from bankrmi.bench.bank import MeasuredBank, running_bank
from bankrmi.errors import BankError


def _resident_mb(bank: MeasuredBank, server: str) -> float:
    status = Path(f"/proc/{bank.process(server).pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _peak_mb(bank: MeasuredBank, server: str) -> float:
    status = Path(f"/proc/{bank.process(server).pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


async def _client(
    bank: bankrmi.aio.AsyncBankClient, operations: int, until: float, told: collections.Counter[str]
) -> None:
    while time.monotonic() < until:
        try:
            await bank.submit([Deposit(number % 10 + 1, 1) for number in range(operations)])
            told["done"] += 1
        except BankError as error:
            told[type(error).__name__] += 1


async def _measure(bank: MeasuredBank, clients: int, operations: int, seconds: float) -> None:
    primary = bank.primary()
    [standby] = [name for name in bank.configuration.servers if name != primary]
    told: collections.Counter[str] = collections.Counter()
    epoch = bank.status()["view"]["epoch"]
    print(f"before            {_resident_mb(bank, primary):6.0f} MB", flush=True)
    bank.kill(standby)
    async with await bankrmi.aio.connect(bank.configuration) as client:
        until = time.monotonic() + seconds
        work = [asyncio.create_task(_client(client, operations, until, told)) for _ in range(clients)]
        await asyncio.sleep(seconds)
        print(f"without standby   {_resident_mb(bank, primary):6.0f} MB, {dict(told)}", flush=True)
        bank.start(standby)
        await asyncio.to_thread(bank.wait_until_in_sync)
        await asyncio.gather(*work)
    await asyncio.sleep(1)
    view = bank.status()["view"]
    print(f"standby is back   {_resident_mb(bank, primary):6.0f} MB, {dict(told)}")
    print(f"peak              {_peak_mb(bank, primary):6.0f} MB")
    print(f"epoch {epoch} -> {view['epoch']}, primary {primary} -> {view['primary']}")


def main() -> None:
    """Measure one shape on one bank."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", nargs="?", default="8x8000")
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    clients, operations = (int(part) for part in options.shape.split("x"))
    with running_bank(unlimited=False, copies_min=2) as bank:
        asyncio.run(_measure(bank, clients, operations, options.seconds))


if __name__ == "__main__":
    main()
