"""Crowds at a bank of this machine: idle ones, slow ones, storms of connections, honest crowds, hoarders.

Each is bounded in count and time, and has a bank of its own with the usual limits. While it lasts, one client
of ours calls again and again; for each crowd it is told how that was answered, whether the view changed, how
many log lines were written, and the largest resident size of any process. "few" is a bank of processes with
`ulimit -n 80` and 65 idle callers each; "honest" is 800 of our clients in one process that all call at once.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import bankrmi
import bankrmi.aio
from bankrmi.bench.bank import WITNESS, MeasuredBank, running_bank
from bankrmi.bench.figures import Finding, percentile
from bankrmi.bench.rows.one_client import OneClient
from bankrmi.bench.rows.row import Row, RowOptions
from bankrmi.client import switchover
from bankrmi.diagnosis.usage import peak_kb
from bankrmi.errors import BankError
from bankrmi.rmi import NAMESERVER_NAME, connect, handshake
from bankrmi.rmi.frames import CONNECT, INVOKE, MSGPACK, frame_bytes
from bankrmi.rmi.values import write_value

__all__ = ["CROWDS"]

Said = dict[str, float]
"""What a crowd found out, by "what, unit"."""

_SLOW_S = 8.0
_REST_S = 0.01
_FEW_FILES = ("/bin/sh", "-c", 'ulimit -n 80; exec "$@"', "sh")


def _targets(bank: MeasuredBank) -> list[tuple[str, str]]:
    servers = [(address, f"bankrmi.account.{name}") for name, address in bank.configuration.servers.items()]
    return [(bank.configuration.nameserver, NAMESERVER_NAME), *servers]


def _socket(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def _hello(object_id: str, said: object) -> bytes:
    return frame_bytes(CONNECT, MSGPACK, 0, 0, write_value(MSGPACK, {"handshake": said, "object": object_id}))


def _idle(bank: MeasuredBank, count: int = 1000) -> Said:
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
        standby = bank.standby()
        begun = time.monotonic()
        bank.kill(standby)
        bank.start(standby)
        bank.wait_until_in_sync()
        server_s = time.monotonic() - begun
    return {"new client, ms": client_ms, "operator, ms": operator_ms, "server in sync again, s": server_s}


def _silent(bank: MeasuredBank, count: int = 3000) -> Said:
    """Connected, and not a word; then nothing for a moment."""
    with ExitStack() as crowd:
        for address, _ in _targets(bank):
            for _ in range(count):
                crowd.enter_context(_socket(address))
        time.sleep(1)
    return {"to each process, connections": count}


def _slow(bank: MeasuredBank, count: int = 200) -> Said:
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
        until = time.monotonic() + _SLOW_S
        sent = 0
        while time.monotonic() < until:
            for one, hello in everybody:
                with suppress(OSError):
                    one.sendall(hello[sent : sent + 1])
            sent += 1
            time.sleep(1)
    return {"to each process, connections": count}


def _storm(bank: MeasuredBank, count: int = 10_000) -> Said:
    """Connect and close, one after the other."""
    begun = time.monotonic()
    targets = _targets(bank)
    for number in range(count):
        address, object_id = targets[number % len(targets)]
        with suppress(OSError), _socket(address) as one:
            if number % 2:
                one.sendall(_hello(object_id, "hello"))
    return {"rate, connections/s": count / (time.monotonic() - begun)}


def _resets(bank: MeasuredBank, count: int = 10_000) -> Said:
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
    return {"rate, connections/s": count / (time.monotonic() - begun)}


def _honest(bank: MeasuredBank, count: int = 800, calls: int = 5) -> Said:
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
    return _by_kind("", errors) | {"median, s": percentile(took, 50), "slowest, s": took[-1]}


def _hoard(bank: MeasuredBank, count: int = 8) -> Said:
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
    return {f"of {count} cut while sending, connections": cut}


def _few(bank: MeasuredBank) -> Said:
    """`ulimit -n 80`: see `_crowds`, which starts the processes so."""
    return _idle(bank, 65)


_CROWDS: dict[str, Callable[[MeasuredBank], Said]] = {
    "idle": _idle,
    "silent": _silent,
    "slow": _slow,
    "storm": _storm,
    "resets": _resets,
    "honest": _honest,
    "hoard": _hoard,
    "few": _few,
}


def _crowds(asked: RowOptions) -> Iterator[Finding]:
    """Let each crowd come, one after the other, each to a bank of its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for name in asked.parts:
        asked.progress.show(f"crowds: {name}")
        before = _FEW_FILES if name == "few" else ()
        with running_bank(servers=asked.servers, before=before, unlimited=False) as bank:
            said = _meanwhile(bank, _CROWDS[name])
        for key, value in said.items():
            what, _, unit = key.rpartition(", ")
            yield Finding(row="crowds", what=f"{name}: {what}", unit=unit, values=(value,))


def _meanwhile(bank: MeasuredBank, crowd: Callable[[MeasuredBank], Said]) -> Said:
    """Let it come, and return what it found out, and how the bank and one client fared."""
    lines, epoch = bank.log_lines(), bank.epoch()
    with OneClient(bank.configuration, rest_s=_REST_S) as client:
        said = crowd(bank)
    peaks = (peak_kb(bank.process(process).pid) for process in (WITNESS, *bank.servers))
    return (
        said
        | _by_kind("meanwhile: ", client.errors)
        | {
            "meanwhile: median, ms": client.median_ms(),
            "meanwhile: slowest, ms": client.slowest_ms(),
            "changes of the view, times": bank.epoch() - epoch,
            "log, lines": bank.log_lines() - lines,
            "largest process, MB": max(peaks) / 1024,
        }
    )


def _by_kind(when: str, errors: Counter[str]) -> Said:
    found: Said = {f"{when}errors, times": errors.total()}
    return found | {f"{when}of these {kind}, times": times for kind, times in errors.items()}


CROWDS = Row(measure=_crowds, parts=tuple(_CROWDS))
