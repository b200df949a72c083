"""Does it hold?  What strangers, crowds and load do to a healthy bank: one row for each kind.

    python benchmarks/holds.py [--seconds 60] [ROW ...]

Rows: strangers, killed (the primary, under strangers), batches (16 to 64 own clients with batches of 8000),
singles (800 and 1000 own clients), seats (1600, more than a server has), crowd (800 of them, the primary
killed), overload (more than the bank carries, then none), alone (copies_min 2, the standby away).  Each has a
bank of its own; nobody else should use the machine meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import bankrmi.aio
from bankrmi import Deposit, connect
from bankrmi.bench.bank import WITNESS, MeasuredBank, running_bank
from bankrmi.bench.rows.row import link_order, load
from bankrmi.bench.shapes import Shape
from bankrmi.client import BankClient
from bankrmi.config import Configuration
from bankrmi.errors import BankError
from bankrmi.rmi import Link, handshake, open_link

CONNECTIONS = 20
"""To each: one of every kind of stranger, and of those who claim to be ours, or servers."""
MEGABYTE = 1 << 20


# -- what is measured ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Calls:
    """How long calls took, and what went wrong."""

    took: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    operations: int = 0

    def add(self, other: Calls) -> None:
        """Take in another one's."""
        self.took += other.took
        self.errors += other.errors
        self.operations += other.operations

    def __str__(self) -> str:
        ordered = sorted(self.took) or [0.0]
        median = statistics.median(ordered)
        return (
            f"{len(self.took)} calls, median {median * 1e3:.1f} ms, slowest {ordered[-1] * 1e3:.0f} ms"
            f" ({ordered[-1] / median if median else 0:.1f} medians), errors {dict(self.errors)}"
        )


def memory(bank: MeasuredBank) -> dict[str, tuple[int, int]]:
    """Return (resident now, at its peak) in MiB of each process."""
    found = {}
    for name in [one for one in (WITNESS, *bank.servers) if one in bank.children]:
        process = bank.process(name)
        status = Path(f"/proc/{process.pid}/status")
        if process.poll() is None and status.exists():
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            found[name] = (int(lines["VmRSS"].split()[0]) >> 10, int(lines["VmHWM"].split()[0]) >> 10)
    return found


def _epoch(bank: MeasuredBank) -> int:
    view = bank.status()["view"]
    return int(view["epoch"]) if view else -1


def _one_after_the_other(configuration: Configuration, seconds: float) -> Calls:
    """One client that withdraws nothing, again and again, with a little rest."""
    calls, until = Calls(), time.monotonic() + seconds
    with connect(configuration) as client:
        while time.monotonic() < until:
            begun = time.perf_counter()
            try:
                client.withdraw(1, 0)
            except BankError as error:
                calls.errors[type(error).__name__] += 1
            calls.took.append(time.perf_counter() - begun)
            time.sleep(0.002)
    return calls


def _withdraw(client: BankClient) -> None:
    """Ask until it is done, whatever comes in between."""
    while True:
        try:
            client.withdraw(1, 0)
            return
        except BankError as error:
            print(f"{'':<10} {type(error).__name__}: {error}", flush=True)


def _line(row: str, text: object) -> None:
    print(f"{row:<10} {text}", flush=True)


# -- strangers -------------------------------------------------------------------------------------------


def _strangers(bank: MeasuredBank, seconds: float) -> subprocess.Popen[str]:
    """Send them off, in processes of their own, as they come from other machines."""
    settings = bank.configuration
    targets = [f"bankrmi.account.{name}@{address}" for name, address in settings.servers.items()]
    targets.append(f"Pyro.NameServer@{settings.nameserver}")
    command = [sys.executable, "-m", "bankrmi.robustness.chaos.strangers", *targets]
    command += ["--seconds", str(seconds), "--connections", str(CONNECTIONS)]
    command += ["--claims", *settings.servers]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class _Idlers:
    """Clients that are connected and ask nothing: is one of them cut off for the strangers' sake?"""

    def __init__(self, configuration: Configuration, count: int) -> None:
        self._configuration = configuration
        self._count = count
        self.lost = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._stay()))
        self._thread.start()

    async def _stay(self) -> None:
        links: list[Link] = [
            await open_link(address, f"bankrmi.account.{name}", handshake("client"), 5)
            for name, address in self._configuration.servers.items()
            for _ in range(self._count)
        ]
        while not self._over.is_set():
            await asyncio.sleep(0.1)
        self.lost = sum(not link.up for link in links)
        for link in links:
            link.close()

    def leave(self) -> int:
        """Return how many were cut off."""
        self._over.set()
        self._thread.join()
        return self.lost


def strangers(seconds: float) -> None:
    """Any traffic by strangers, to everybody at once."""
    with running_bank(unlimited=False) as bank:
        usual = _one_after_the_other(bank.configuration, 5)
        before, epoch = memory(bank), _epoch(bank)
        idlers = _Idlers(bank.configuration, 10)
        crowd = _strangers(bank, seconds)
        under = _one_after_the_other(bank.configuration, seconds)
        done, _ = crowd.communicate()
        lost = idlers.leave()
        drained = _wait_until_nothing_moves(bank)
        after = memory(bank)
        _line("strangers", f"usual: {usual}")
        _line("", f"under them: {under}")
        ratio = statistics.median(under.took) / statistics.median(usual.took)
        _line("", f"median {ratio:.1f} times the usual; epoch {epoch} before, {_epoch(bank)} after")
        _line("", f"idle clients cut off: {lost}; what they did: {json.loads(done)}")
        _line("", f"all that they had sent was dealt with {drained:.0f} s after they left")
        _line("", f"memory (MiB: before; after, peak): {before}; {after}")


def _wait_until_nothing_moves(bank: MeasuredBank) -> float:
    """Wait until no server decides anything more, and two seconds; return how long that took."""
    begun, seen = time.monotonic(), None
    while time.monotonic() - begun < 120:
        tips = [server.get("action_id") for server in bank.status()["servers"]]
        if tips == seen:
            break
        seen = tips
        time.sleep(1)
    took = time.monotonic() - begun
    time.sleep(2)
    return took


def killed(seconds: float) -> None:
    """kill -9 of the primary while strangers do their worst, five times."""
    rounds = 5
    with running_bank(unlimited=False) as bank:
        crowd = _strangers(bank, seconds)
        took = []
        with connect(bank.configuration) as client:
            for _ in range(rounds):
                _withdraw(client)
                primary = bank.primary()
                begun = time.perf_counter()
                bank.process(primary).kill()
                _withdraw(client)
                took.append((time.perf_counter() - begun) * 1e3)
                bank.restart(primary)
                bank.wait_until_in_sync()
        crowd.kill()
        _line("killed", f"under strangers, to the next answer, ms: {[round(one, 1) for one in took]}")


# -- our own clients -------------------------------------------------------------------------------------


async def _own(configuration: Configuration, clients: int, operations: int, seconds: float) -> Calls:
    calls = Calls()
    async with await bankrmi.aio.connect(configuration, timeout=20) as bank:
        until = time.monotonic() + seconds
        work = [Deposit(number % 10 + 1, 1) for number in range(operations)]

        async def one(number: int) -> None:
            while time.monotonic() < until:
                begun = time.perf_counter()
                try:
                    if operations == 1:
                        await bank.deposit(number % 10 + 1, 1)
                    else:
                        await bank.submit(work)
                    calls.operations += operations
                    calls.took.append(time.perf_counter() - begun)
                except BankError as error:
                    calls.errors[type(error).__name__] += 1

        await asyncio.gather(*(one(number) for number in range(clients)))
    return calls


def _raw(bank: MeasuredBank, clients: int, operations: int, seconds: float) -> float:
    """Return operations a second over raw links, without our clients."""
    shape = Shape(name="raw", clients=clients, operations=operations)
    answer = load(bank, link_order(bank, shape, seconds))
    return answer.operations / answer.seconds


def _run_own(path: Path, clients: int, operations: int, seconds: float) -> Calls:
    return asyncio.run(_own(bankrmi.config.load(path), clients, operations, seconds))


def _own_in_processes(
    bank: MeasuredBank, clients: int, operations: int, seconds: float, processes: int
) -> tuple[Calls, float]:
    """Return what the clients saw, and their operations a second."""
    calls, path = Calls(), bank.configuration.path
    begun = time.perf_counter()
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        shares = [
            pool.submit(_run_own, path, clients // processes, operations, seconds) for _ in range(processes)
        ]
        for share in shares:
            calls.add(share.result())
    return calls, calls.operations / max(seconds, time.perf_counter() - begun - 1)


def _own_row(row: str, shapes: list[tuple[int, int]], seconds: float) -> None:
    for clients, operations in shapes:
        with running_bank(unlimited=False) as bank:
            raw = _raw(bank, clients, operations, seconds)
            epoch = _epoch(bank)
            calls, rate = _own_in_processes(bank, clients, operations, seconds, 1)
            _line(row, f"{clients}x{operations}: {rate:,.0f} op/s, raw links {raw:,.0f} ({rate / raw:.2f})")
            _line("", f"{calls}; epoch {epoch} before, {_epoch(bank)} after; memory {memory(bank)}")


def batches(seconds: float) -> None:
    """Our own clients with batches of 8000."""
    _own_row("batches", [(16, 8000), (32, 8000), (64, 8000)], seconds)


def singles(seconds: float) -> None:
    """Our own clients, many, one operation a call."""
    _own_row("singles", [(800, 1), (1000, 1)], seconds)


def _run_each_its_own(path: Path, clients: int, seconds: float) -> Calls:
    """Clients that share nothing, as if each were a program."""

    async def run() -> Calls:
        calls = Calls()
        for share in await asyncio.gather(
            *(_own(bankrmi.config.load(path), 1, 1, seconds) for _ in range(clients))
        ):
            calls.add(share)
        return calls

    return asyncio.run(run())


def seats(seconds: float) -> None:
    """More of our own clients than a server has seats: 1600, each on its own, in two processes."""
    with running_bank(unlimited=False) as bank:
        epoch, calls = _epoch(bank), Calls()
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            shares = [pool.submit(_run_each_its_own, bank.configuration.path, 800, seconds) for _ in range(2)]
            for share in shares:
                calls.add(share.result())
        _line("seats", f"1600x1: {calls.operations / seconds:,.0f} op/s; {calls}")
        _line("", f"epoch {epoch} before, {_epoch(bank)} after; memory (now, peak) {memory(bank)}")


def crowd(_seconds: float) -> None:
    """800 clients when the primary is killed."""
    with running_bank(unlimited=False) as bank:

        async def run() -> tuple[Calls, float]:
            calls, last = Calls(), 0.0
            async with await bankrmi.aio.connect(bank.configuration, timeout=20) as client:
                killed_at = 0.0
                served: set[int] = set()
                all_served = 0.0

                async def one(number: int) -> None:
                    nonlocal all_served
                    while not all_served or time.perf_counter() < all_served + 1:
                        begun = time.perf_counter()
                        try:
                            await client.deposit(number % 10 + 1, 1)
                            calls.took.append(time.perf_counter() - begun)
                        except BankError as error:
                            calls.errors[type(error).__name__] += 1
                        if killed_at and begun > killed_at:
                            served.add(number)
                            if len(served) == 800 and not all_served:
                                all_served = time.perf_counter()

                async def kill() -> None:
                    nonlocal killed_at
                    await asyncio.sleep(4)
                    primary = await asyncio.to_thread(bank.primary)
                    killed_at = time.perf_counter()
                    bank.process(primary).kill()

                await asyncio.gather(kill(), *(one(number) for number in range(800)))
                last = all_served - killed_at
            return calls, last

        calls, last = asyncio.run(run())
        _line("crowd", f"{calls}; everybody served again {last:.2f} s after the kill")


def overload(seconds: float) -> None:
    """Load over what the bank carries, then none: well again when, and how?"""
    with running_bank(unlimited=False) as bank:
        epoch = _epoch(bank)
        calls, rate = _own_in_processes(bank, 192, 8000, seconds, 2)
        begun = time.perf_counter()
        with connect(bank.configuration) as client:
            _withdraw(client)
        bank.wait_until_in_sync()
        well = time.perf_counter() - begun
        _line("overload", f"{rate:,.0f} op/s, {calls}; epoch {epoch} before, {_epoch(bank)} after")
        _line("", f"well again in {well:.2f} s; memory (now, peak) {memory(bank)}")


def alone(seconds: float) -> None:
    """A bank that cannot acknowledge: two copies are needed, and one is away."""
    with running_bank(unlimited=False, copies_min=2) as bank:
        primary = bank.primary()
        standby = next(name for name in bank.configuration.servers if name != primary)
        before = memory(bank)
        bank.kill(standby)
        calls, _ = _own_in_processes(bank, 8, 8000, seconds, 1)
        during = memory(bank)
        bank.start(standby)
        begun = time.perf_counter()
        bank.wait_until_in_sync()
        with connect(bank.configuration) as client:
            _withdraw(client)
        well = time.perf_counter() - begun
        time.sleep(5)
        _line("alone", f"{calls}; memory before {before}, during {during}, after {memory(bank)}")
        _line(
            "",
            f"led by {primary} before, {bank.primary()} after; well {well:.1f} s after the standby came back",
        )


ROWS: dict[str, Callable[[float], None]] = {
    "strangers": strangers,
    "killed": killed,
    "batches": batches,
    "singles": singles,
    "seats": seats,
    "crowd": crowd,
    "overload": overload,
    "alone": alone,
}


def main() -> None:
    """Measure the rows asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    for row in options.rows or ROWS:
        ROWS[row](options.seconds)


if __name__ == "__main__":
    main()
