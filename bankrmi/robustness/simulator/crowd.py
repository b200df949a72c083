"""Strangers in a simulated world: one message after the other, as costly as the limits allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bankrmi.robustness.simulator.cluster import Cluster

__all__ = ["Strangers"]

MESSAGE_MS = (0.2, 1.0, 4.0, 12.0)
"""What a message may cost. To read the dearest that is legal takes four, and to take in what it asks for as
much again; the rest is for a slower machine."""

AGAIN_MS = 2.0


class Target(Protocol):
    """Whoever listens: a server, or the witness."""

    @property
    def boot(self) -> int:
        """Which of its processes runs."""

    def called_by_stranger(self, boot: int, caller: str, cost_ms: float, served: Callable[[], None]) -> bool:
        """Let a message of that cost arrive; False if that process is gone."""


class Strangers:
    """Strangers, who keep `connections` to each server and to the witness until they leave."""

    def __init__(self, cluster: Cluster, connections: int) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._connections = connections
        self._here = False

    def come(self) -> None:
        """Begin."""
        self._here = True
        self._world.note("", "strangers come, to each server and to the witness", self._connections)
        targets: list[Target] = [*self._cluster.servers.values(), self._cluster.witness]
        for target in targets:
            for number in range(self._connections):
                self._send(target, f"stranger{number}")

    def leave(self) -> None:
        """Send nothing more."""
        self._here = False

    def _send(self, target: Target, name: str) -> None:
        cost_ms = self._world.chance.choice(MESSAGE_MS)
        boot = target.boot

        def served() -> None:
            self._again(target, name)

        def arrive() -> None:
            if not target.called_by_stranger(boot, name, cost_ms, served):
                self._again(target, name)

        self._world.after(self._world.delay_ms(), arrive)

    def _again(self, target: Target, name: str) -> None:
        if self._here:
            self._world.after(AGAIN_MS, lambda: self._send(target, name))
