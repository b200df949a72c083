"""The client processes of a run, as chaos sees them: started, asked how far they are, stopped.

The last of several only looks up balances. What it is told rests on nothing that it has asked for itself, so
a deposed primary that still answers is found out by it, if by anybody.

Rule: each start has a client name of its own (`client1`, `client1b2`, …) and a history file of its own, since
what a killed process asked for stays in its file.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bankrmi.robustness.chaos.ordered_clients import ClientOrder, ClientProgress
from bankrmi.robustness.chaos.processes import ChaosProcesses

__all__ = ["BankOfClients", "Clients"]

_OF_A_BANK = "bankrmi.robustness.chaos.client_process"
_OF_A_CLASS = "bankrmi.robustness.services.calling"


class BankOfClients(Protocol):
    """The bank that clients are of."""

    directory: Path
    processes: ChaosProcesses

    def configuration_of(self, process: str) -> Path:
        """Return the file that tells a process where it finds the others."""


class Clients:
    """All client processes: `client1`, `client2`, …"""

    def __init__(self, bank: BankOfClients, names: tuple[str, ...], order: ClientOrder) -> None:
        """`order` is what all are told; its client, configuration and history are filled in for each."""
        self.names = names
        self.reader = names[-1] if len(names) > 1 else None
        self._bank = bank
        self._order = order
        self._starts: Counter[str] = Counter()
        self._before: list[ClientProgress] = []  # What processes that are gone had done.
        self._now: dict[str, ClientProgress] = {}

    def start(self, name: str) -> None:
        """Start one, if it does not run."""
        if self._bank.processes.is_alive(name):
            return
        self._starts[name] += 1
        self.progress()
        if name in self._now:
            self._before.append(self._now.pop(name))
        client = name if self._starts[name] == 1 else f"{name}b{self._starts[name]}"
        order = self._filled_in(client, name)
        self._start(name, replace(order, reads_only=name == self.reader))

    def start_crowd(self, name: str, sessions: int) -> None:
        """Start a process of `sessions` sessions that never pause; nobody waits for its progress."""
        self._starts[name] += 1
        order = self._filled_in(f"{name}b{self._starts[name]}", name)
        self._start(name, replace(order, sessions=sessions, pause_ms=0.0))

    def _filled_in(self, client: str, process: str) -> ClientOrder:
        suffix = ".calls" if self._order.services else ".jsonl"
        return replace(
            self._order,
            client=client,
            configuration=str(self._bank.configuration_of(process)),
            history=str(self._bank.directory / "history" / (client + suffix)),
            parent_pid=os.getpid(),
        )

    def _start(self, name: str, order: ClientOrder) -> None:
        module = _OF_A_CLASS if order.services else _OF_A_BANK
        self._bank.processes.start(name, [module, order.to_text()], reports=True)

    def ask_to_end(self) -> None:
        """Have them make no new calls; those on their way end as they do."""
        for name in self.names:
            self._bank.processes.ask_to_end(name, signal.SIGTERM)

    def progress(self) -> dict[str, ClientProgress]:
        """Return how far each process that runs is."""
        for name in self.names:
            for line in self._bank.processes.output(name):
                self._now[name] = ClientProgress(**json.loads(line))
        return dict(self._now)

    def whole_progress(self) -> ClientProgress:
        """Return how far all are together, those that were killed included."""
        whole = ClientProgress()
        for one in (*self._before, *self.progress().values()):
            whole.calls += one.calls
            whole.operations += one.operations
            whole.unknown += one.unknown
        return whole
