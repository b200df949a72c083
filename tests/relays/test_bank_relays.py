"""A relay in front of each process: it knows who connects, and refuses for nobody who lives."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bankrmi.held_port import HeldPort
from bankrmi.relays import BankRelays

PATIENCE_S = 20.0
A_MOMENT_S = 0.15
"""How long something has to stay away before it counts as held back; too short only hides a mistake."""

ECHO = """
import socket, sys
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
while True:
    connection, _ = listening.accept()
    try:
        while data := connection.recv(100):
            connection.sendall(data)
    except OSError:
        pass
"""


class Bank:
    """Relays before s1 and s2; s1 is a process that gives back what it gets, s2 is this process."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.held = {name: HeldPort() for name in ("s1", "s2")}
        self.relays = BankRelays({name: (held.host, held.port) for name, held in self.held.items()})

    def start(self) -> subprocess.Popen[bytes]:
        port = self.relays.listens_at("s1").rpartition(":")[2]
        process = subprocess.Popen([sys.executable, "-c", ECHO, port], stdout=subprocess.PIPE)
        self.processes.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        self.relays.started("s1", process.pid)
        return process

    def end(self) -> None:
        for process in self.processes:
            with process:
                process.kill()
        for held in self.held.values():
            held.close()

    async def connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.held["s1"].host, self.held["s1"].port)

    async def answers(self, within_s: float = PATIENCE_S) -> bool:
        reader, writer = await self.connected()
        try:
            writer.write(b"x")
            async with asyncio.timeout(within_s):
                return await reader.readexactly(1) == b"x"
        except (TimeoutError, asyncio.IncompleteReadError):
            return False
        finally:
            writer.transport.abort()

    async def refuses(self) -> bool:
        try:
            _, writer = await self.connected()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            return False  # It stopped listening just then: that proves nothing to anybody.
        writer.transport.abort()
        return False


@asynccontextmanager
async def bank() -> AsyncIterator[Bank]:
    made = Bank()
    try:
        yield made
    finally:
        await made.relays.close()
        made.end()


async def until_refused(made: Bank) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await made.refuses():
            await asyncio.sleep(0)


def test_it_refuses_until_its_process_is_started_and_when_that_has_ended() -> None:
    async def live_and_die() -> None:
        async with bank() as made:
            assert await made.refuses()
            process = made.start()
            assert await made.answers()
            process.send_signal(signal.SIGSTOP)
            assert not await made.refuses(), "it stands still, and lives"
            process.kill()
            await until_refused(made)

    asyncio.run(live_and_die())


@pytest.mark.parametrize("way", [("s2", "s1"), ("s1", "s2")])
def test_only_who_is_meant_is_cut_off(way: tuple[str, str]) -> None:
    """We are s2; then we are somebody else."""

    async def cut() -> None:
        async with bank() as made:
            process = made.start()
            made.relays.started("s2", os.getpid())
            heal = made.relays.cut([way])
            assert made.relays.cut_ways == [way]
            assert not await made.answers(A_MOMENT_S)
            made.relays.started("s2", process.pid)  # From here on we are a client.
            assert await made.answers()
            made.relays.started("s2", os.getpid())
            heal()
            assert await made.answers()

    asyncio.run(cut())


def test_while_a_link_to_it_is_cut_nobody_is_told_that_it_is_dead() -> None:
    async def cut() -> None:
        async with bank() as made:
            heal = made.relays.cut([("s2", "s1")])
            assert not await made.refuses()
            heal()
            assert await made.refuses()

    asyncio.run(cut())


def test_only_who_is_meant_is_slowed_down() -> None:
    async def slow() -> None:
        async with bank() as made:
            process = made.start()
            made.relays.started("s2", os.getpid())
            hasten = made.relays.slow(10_000, [("s1", "s2")])
            assert made.relays.late_ways == {("s1", "s2"): 10_000}
            assert not await made.answers(A_MOMENT_S)
            made.relays.started("s2", process.pid)
            assert await made.answers()
            hasten()
            assert made.relays.late_ways == {}

    asyncio.run(slow())


def test_an_address_that_somebody_has_is_refused_and_nothing_stays_held() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = HeldPort()
        places: dict[str, tuple[str, int]] = {"s1": (free.host, free.port), "s2": taken.getsockname()}
        free.close()
        with pytest.raises(OSError, match="Address already in use"):
            BankRelays(places)
    after: Callable[[], socket.socket] = lambda: socket.create_server(places["s1"])  # noqa: E731
    after().close()
