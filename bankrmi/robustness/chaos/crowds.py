"""Crowds that come and go: strangers, and clients of our own that never pause.

Rule: what the crowds ask for can be judged: strangers make no entries, and our own write down what they ask.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from bankrmi.robustness.chaos.bank import WITNESS
from bankrmi.robustness.chaos.clients import Clients
from bankrmi.robustness.chaos.network import ChaosNetwork
from bankrmi.robustness.chaos.processes import ChaosProcesses

__all__ = ["RUSH", "STRANGERS", "Beset", "Crowds"]

RUSH, STRANGERS = "rush", "strangers"
"""The names of their processes."""

_MODULE = "bankrmi.robustness.chaos.strangers"
_CONNECTIONS = 15  # One of each kind of traffic, to each target.
_IDLE = 150  # More to each, which do nothing.
_SESSIONS = 64
_AT_MOST_S = 60
_LEAVES_WITHIN_S = 2.0
_TICK_S = 0.02


class Beset(Protocol):
    """The bank that crowds come to."""

    processes: ChaosProcesses
    network: ChaosNetwork
    servers: tuple[str, ...]


class Crowds:
    """The crowds of one run, each here or not."""

    def __init__(self, bank: Beset, clients: Clients) -> None:
        self._bank = bank
        self._clients = clients

    @asynccontextmanager
    async def strangers(self) -> AsyncIterator[bool]:
        """Let strangers beset servers and witness as long as the context lasts; False if they are here."""
        processes, address = self._bank.processes, self._bank.network.address
        if processes.is_alive(STRANGERS):
            yield False
            return
        targets = [
            f"bankrmi.account.{name}@{address(name, seen_by=STRANGERS)}" for name in self._bank.servers
        ]
        targets.append(f"Pyro.NameServer@{address(WITNESS, seen_by=STRANGERS)}")
        options = ["--harmless", "--connections", str(_CONNECTIONS), "--idle", str(_IDLE)]
        options += ["--seconds", str(_AT_MOST_S), "--claims", *self._bank.servers]
        processes.start(STRANGERS, [_MODULE, *targets, *options, "--parent-pid", str(os.getpid())])
        try:
            yield True
        finally:
            processes.kill(STRANGERS)

    @asynccontextmanager
    async def rush(self) -> AsyncIterator[bool]:
        """Let many of our own clients ask without a pause; False if they are here."""
        processes = self._bank.processes
        if processes.is_alive(RUSH):
            yield False
            return
        self._clients.start_crowd(RUSH, _SESSIONS)
        try:
            yield True
        finally:
            await self._send_home()

    async def _send_home(self) -> None:
        """Its calls that are under way may end; what does not, is of unknown outcome."""
        processes = self._bank.processes
        processes.ask_to_end(RUSH, signal.SIGTERM)
        deadline = time.monotonic() + _LEAVES_WITHIN_S
        while processes.is_alive(RUSH) and time.monotonic() < deadline:
            processes.output(RUSH)  # Else it might wait for somebody to read.
            await asyncio.sleep(_TICK_S)
        processes.kill(RUSH)
