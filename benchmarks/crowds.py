"""Crowds at a bank of this machine: idle ones, slow ones, storms of connections, honest crowds, hoarders.

    python benchmarks/crowds.py [idle] [silent] [slow] [storm] [resets] [honest] [hoard] [few]

Each is bounded in count and time. While it lasts, one client of ours deposits again and again; for each crowd
a line says how often and how slowly that was answered, whether the view changed, how many log lines were
written, and the largest resident size of any process so far. "few" is a bank of processes with `ulimit -n 80`
and 65 idle callers each; "honest" is 800 of our clients in one process that all call at once.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import resource
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from running_bank import Bank, running_bank

import bankrmi
import bankrmi.aio
from bankrmi.client import switchover
from bankrmi.errors import BankError
from bankrmi.rmi import NAMESERVER_NAME, connect, handshake
from bankrmi.rmi.frames import CONNECT, INVOKE, MSGPACK, frame_bytes
from bankrmi.rmi.values import write_value

SLOW_SECONDS = 8.0


def _targets(bank: Bank) -> list[tuple[str, str]]:
    servers = [(address, f"bankrmi.account.{name}") for name, address in bank.configuration.servers.items()]
    return [(bank.configuration.nameserver, NAMESERVER_NAME), *servers]


def _socket(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def _hello(object_id: str, said: object) -> bytes:
    return frame_bytes(CONNECT, MSGPACK, 0, 0, write_value(MSGPACK, {"handshake": said, "object": object_id}))


def idle(bank: Bank, count: int = 1000) -> str:
    """Greeted, and nothing more: then a new client, an operator and a server that was killed come."""
    with ExitStack() as crowd:
        for said in ("hello", handshake("client")):
            for address, object_id in _targets(bank):
                for _ in range(count):
                    one = crowd.enter_context(_socket(address))
                    one.sendall(_hello(object_id, said))
        with bankrmi.connect(bank.configuration) as client:
            begun = time.monotonic()
            client.deposit(1, 1)
            client_ms = 1000 * (time.monotonic() - begun)
        begun = time.monotonic()
        switchover(bank.configuration, None)
        operator_ms = 1000 * (time.monotonic() - begun)
        standby = next(name for name in bank.configuration.servers if name != bank.primary())
        begun = time.monotonic()
        bank.kill(standby)
        bank.start(standby)
        bank.wait_until_in_sync()
        server_s = time.monotonic() - begun
    return (
        f"new client {client_ms:.0f} ms, operator {operator_ms:.0f} ms, server in sync again {server_s:.1f} s"
    )


def silent(bank: Bank, count: int = 3000) -> str:
    """Connected, and not a word; then nothing for a moment."""
    with ExitStack() as crowd:
        for address, _ in _targets(bank):
            for _ in range(count):
                crowd.enter_context(_socket(address))
        time.sleep(1)
    return f"{count} to each process"


def slow(bank: Bank, count: int = 200) -> str:
    """A byte a second, of a handshake and of calls."""
    with ExitStack() as crowd:
        everybody: list[tuple[socket.socket, bytes]] = []
        for address, object_id in _targets(bank):
            for number in range(count):
                one = crowd.enter_context(_socket(address))
                hello = _hello(object_id, "hello")
                if number % 2:
                    one.sendall(hello)
                everybody.append((one, hello))
        until = time.monotonic() + SLOW_SECONDS
        sent = 0
        while time.monotonic() < until:
            for one, hello in everybody:
                with suppress(OSError):
                    one.sendall(hello[sent : sent + 1])
            sent += 1
            time.sleep(1)
    return f"{count} to each process, {SLOW_SECONDS:g} s"


def storm(bank: Bank, count: int = 10_000) -> str:
    """Connect and close, one after the other."""
    begun = time.monotonic()
    targets = _targets(bank)
    for number in range(count):
        address, object_id = targets[number % len(targets)]
        with suppress(OSError), _socket(address) as one:
            if number % 2:
                one.sendall(_hello(object_id, "hello"))
    return f"{count / (time.monotonic() - begun):.0f} connections a second"


def resets(bank: Bank, count: int = 10_000) -> str:
    """Connect, say something, and reset."""
    begun = time.monotonic()
    targets = _targets(bank)
    for number in range(count):
        address, object_id = targets[number % len(targets)]
        with suppress(OSError):
            one = _socket(address)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.sendall((_hello(object_id, "hello"), b"GET / HTTP/1.1\r\n\r\n")[number % 2])
            one.close()
    return f"{count / (time.monotonic() - begun):.0f} connections a second"


def honest(bank: Bank, count: int = 800, calls: int = 5) -> str:
    """800 of our clients, each with a connection of its own, that all begin at once."""
    errors: Counter[str] = Counter()
    took: list[float] = []

    async def one(client: bankrmi.aio.AsyncBankClient, number: int) -> None:
        for _ in range(calls):
            begun = time.monotonic()
            try:
                await client.deposit(number % 10 + 1, 1)
            except BankError as error:
                errors[type(error).__name__] += 1
            took.append(time.monotonic() - begun)

    async def crowd() -> None:
        async with await bankrmi.aio.connect(bank.configuration, timeout=30) as client:
            await asyncio.gather(*(one(client, number) for number in range(count)))

    asyncio.run(crowd())
    took.sort()
    return f"errors {dict(errors)}, median {took[len(took) // 2]:.2f} s, slowest {took[-1]:.2f} s"


def hoard(bank: Bank, count: int = 8) -> str:
    """Almost the whole of the largest message there is, from each of some who say that they are servers."""
    primary = bank.primary()
    address = bank.configuration.servers[primary]
    other = next(name for name in bank.configuration.servers if name != primary)
    size = bank.configuration.limits.server_message_bytes
    header = bytearray(frame_bytes(INVOKE, MSGPACK, 0, 1, b""))
    header[12:16] = size.to_bytes(4, "big")
    cut = 0
    with ExitStack() as crowd:
        for number in range(count):
            said = handshake("server", server=(other, "stranger")[number % 2])
            one = crowd.enter_context(connect(address, f"bankrmi.standby.{primary}", said, 20))
            connected = one._socket
            assert connected is not None
            try:
                connected.sendall(header + bytes(size - (1 << 20)))
            except OSError:
                cut += 1
        time.sleep(1)
    return f"{count} x {(size >> 20) - 1} MiB, {cut} cut while sending"


def few(bank: Bank) -> str:
    """`ulimit -n 80`: see `main`, which starts the processes so."""
    return idle(bank, 65)


CROWDS: dict[str, Callable[[Bank], str]] = {
    each.__name__: each for each in (idle, silent, slow, storm, resets, honest, hoard, few)
}


@contextmanager
def _one_honest_client(bank: Bank, report: list[str]) -> Iterator[None]:
    """Deposit again and again meanwhile; then say how that was answered."""
    took: list[float] = []
    errors: Counter[str] = Counter()
    over = threading.Event()

    def deposit() -> None:
        with bankrmi.connect(bank.configuration, timeout=20) as client:
            while not over.wait(0.01):
                begun = time.monotonic()
                try:
                    client.deposit(10, 1)
                except BankError as error:
                    errors[type(error).__name__] += 1
                took.append(time.monotonic() - begun)

    thread = threading.Thread(target=deposit)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        took.sort()
        report.append(
            f"{len(took)} deposits, median {1000 * took[len(took) // 2]:.1f} ms, "
            f"slowest {1000 * took[-1]:.0f} ms, errors {dict(errors)}"
        )


def _peak_mb(bank: Bank) -> int:
    peaks = [1]
    for process in bank.processes.values():
        status = Path(f"/proc/{process.pid}/status").read_text()
        peaks.append(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) >> 10)  # type: ignore[index]
    return max(peaks)


def main() -> None:
    """Let each crowd come, one after the other, each to a bank of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("crowds", nargs="*", choices=[*CROWDS, []], default=[])
    wanted = parser.parse_args().crowds or list(CROWDS)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for name in wanted:
        with running_bank(files=80 if name == "few" else None) as bank:
            log = bank.configuration.path.with_name("log")
            before, epoch = len(log.read_text().splitlines()), bank.status()["view"]["epoch"]
            report: list[str] = []
            with _one_honest_client(bank, report):
                said = CROWDS[name](bank)
            lines = len(log.read_text().splitlines()) - before
            changes = bank.status()["view"]["epoch"] - epoch
            print(
                f"{name:7} {said}\n        meanwhile: {report[0]}; {changes} changes of the view, "
                f"{lines} log lines, peak {_peak_mb(bank)} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
