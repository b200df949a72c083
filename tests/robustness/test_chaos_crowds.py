"""The crowds of chaos, and its slow disks: who comes, who goes, and what is said if nothing can be done."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bankrmi.robustness.chaos import crowds, strangers
from bankrmi.robustness.chaos.crowds import RUSH, STRANGERS, Crowds
from bankrmi.robustness.chaos.slow_disk import slow_disk


class _Processes:
    """Processes that are only noted down; a rush ends when it is asked to, unless it is `stubborn`."""

    def __init__(self) -> None:
        self.alive: set[str] = set()
        self.commands: list[list[str]] = []
        self.stubborn = False
        self.done: list[str] = []

    def is_alive(self, name: str) -> bool:
        return name in self.alive

    def start(self, name: str, command: list[str]) -> None:
        self.alive.add(name)
        self.commands.append(command)

    def kill(self, name: str) -> None:
        self.alive.discard(name)
        self.done.append(f"killed {name}")

    def ask_to_end(self, name: str, number: int) -> None:
        assert number == signal.SIGTERM
        self.done.append(f"asked {name}")
        if not self.stubborn:
            self.alive.discard(name)

    def output(self, name: str) -> list[str]:
        return []


def made() -> tuple[Crowds, _Processes]:
    processes = _Processes()
    network = SimpleNamespace(address=lambda name, seen_by: f"{name}-seen-by-{seen_by}:1")
    bank: Any = SimpleNamespace(processes=processes, network=network, servers=["s1", "s2"])
    clients: Any = SimpleNamespace(start_crowd=lambda name, sessions: processes.start(name, [str(sessions)]))
    return Crowds(bank, clients), processes


def test_strangers_come_to_servers_and_witness_a_crowd_of_them_idle_and_are_gone_afterwards() -> None:
    crowd, processes = made()

    async def visit() -> None:
        async with crowd.strangers() as here:
            assert here
            assert processes.is_alive(STRANGERS)
            async with crowd.strangers() as again:
                assert not again, "they are here"
            assert processes.is_alive(STRANGERS), "whose they are sends them away"

    asyncio.run(visit())
    [command] = processes.commands
    assert [one.partition("@")[0] for one in command if "@" in one] == [
        "bankrmi.account.s1",
        "bankrmi.account.s2",
        "Pyro.NameServer",
    ]
    assert int(command[command.index("--idle") + 1]) >= 100
    assert "--harmless" in command
    assert processes.done == [f"killed {STRANGERS}"]


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_rush_may_end_its_calls_and_is_killed_if_it_does_not(
    monkeypatch: pytest.MonkeyPatch, stubborn: bool
) -> None:
    monkeypatch.setattr(crowds, "_LEAVES_WITHIN_S", 0.1)
    crowd, processes = made()
    processes.stubborn = stubborn

    async def rush() -> None:
        async with crowd.rush() as here:
            assert here
            async with crowd.rush() as again:
                assert not again

    asyncio.run(rush())
    assert processes.done == [f"asked {RUSH}", f"killed {RUSH}"]
    assert not processes.alive


def test_idle_strangers_are_a_crowd_and_half_of_them_never_say_a_word() -> None:
    at_once, spoke, most = 0, set[int](), 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if await reader.read(1):
            spoke.add(id(writer))
            await reader.read()
        at_once -= 1
        writer.close()

    async def beset() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        await strangers.run([f"x@127.0.0.1:{port}"], 0, 0.6, strangers.HARMLESS, idle=40)
        server.close()

    asyncio.run(beset())
    assert most >= 40
    assert len(spoke) == 20


# -- slow disks ------------------------------------------------------------------------------------


def stranded(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """Let `strace` be something else."""
    script = folder / "strace"
    script.write_text(f"#!{sys.executable}\n{does}\n", encoding="utf-8")
    script.chmod(0o700)
    monkeypatch.setenv("PATH", str(folder))


@pytest.fixture
def process() -> Any:
    started = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield started
    started.kill()
    started.communicate()


def test_without_strace_no_disk_is_slow_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: Any
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with slow_disk(process.pid, 50) as slowed:
        assert not slowed


@pytest.mark.parametrize("does", ["raise SystemExit(1)", "import time; time.sleep(60)"])
def test_a_strace_that_may_not_trace_slows_nothing_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: Any, does: str
) -> None:
    """It says "Operation not permitted" and ends; or it does nothing at all."""
    stranded(tmp_path, monkeypatch, does)
    monkeypatch.setattr("bankrmi.robustness.chaos.slow_disk._HOLDS_WITHIN_S", 1.0)
    with slow_disk(process.pid, 50) as slowed:
        assert not slowed


SYNCS = """
import os, sys, time
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for line in sys.stdin:
    began = time.monotonic()
    os.fsync(file)
    print(time.monotonic() - began, flush=True)
"""


def test_each_sync_of_a_process_is_held_up_and_none_afterwards(tmp_path: Path) -> None:
    syncing = subprocess.Popen(
        [sys.executable, "-c", SYNCS, str(tmp_path / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert syncing.stdin is not None
    assert syncing.stdout is not None

    def sync() -> float:
        assert syncing.stdin is not None
        assert syncing.stdout is not None
        syncing.stdin.write("\n")
        syncing.stdin.flush()
        return float(syncing.stdout.readline())

    try:
        sync()
        with slow_disk(syncing.pid, 700) as slowed:
            if not slowed:
                pytest.skip("strace is missing here, or may not be used")
            assert sync() >= 0.7
        assert sync() < 0.7
    finally:
        syncing.kill()
        syncing.communicate()
