"""Strangers in a simulated world: one message after the other, as costly as the limits allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bankrmi.robustness.simulator.server import SimulatedServer
    from bankrmi.robustness.simulator.simulation import Simulation

__all__ = ["Strangers"]

DEAREST_MS = (0.2, 1.0, 5.0, 30.0)
"""What a message may cost: the last one is a legal batch."""

AGAIN_MS = 2.0


class Strangers:
    """So many connections of strangers to each server, until they leave."""

    def __init__(self, simulation: Simulation, connections: int) -> None:
        self._simulation = simulation
        self._world = simulation.world
        self._connections = connections
        self._here = False

    def come(self) -> None:
        """Begin."""
        self._here = True
        self._world.note("", "strangers come, to each server", self._connections)
        for server in self._simulation.servers.values():
            for number in range(self._connections):
                self._send(server, f"stranger{number}")

    def leave(self) -> None:
        """Send nothing more."""
        self._here = False

    def _send(self, server: SimulatedServer, name: str) -> None:
        cost_ms = self._world.chance.choice(DEAREST_MS)
        boot = server.boot

        def served() -> None:
            self._again(server, name)

        def arrive() -> None:
            if not server.called_by_stranger(boot, name, cost_ms, served):
                self._again(server, name)

        self._world.after(self._world.delay_ms(), arrive)

    def _again(self, server: SimulatedServer, name: str) -> None:
        if self._here:
            self._world.after(AGAIN_MS, self._sending(server, name))

    def _sending(self, server: SimulatedServer, name: str) -> Callable[[], None]:
        return lambda: self._send(server, name)
