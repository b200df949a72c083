"""What goes wrong, how often, and to whom.

Rule 1: each seed draws each fault on or off, with a rate of its own (swarm testing).
Rule 2: no fault breaks an assumption of the design: a copy that was in sync survives, clocks keep within
        `drift`, and only a dead process's address refuses connections.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bankrmi.replication.events import StopAsked, SwitchoverAsked

if TYPE_CHECKING:
    from bankrmi.replication.view import View
    from bankrmi.robustness.simulator.server import SimulatedServer
    from bankrmi.robustness.simulator.simulation import Simulation

__all__ = ["Faults", "Misfortune"]

NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How often what goes wrong (probabilities; times in ms)."""

    loss: float
    doubling: float
    slow: float
    crash_between_effects: float
    crash_every_ms: float
    pause_every_ms: float
    cut_every_ms: float
    deafen_every_ms: float
    witness_down_every_ms: float
    wipe: float
    switchover_every_ms: float
    stall: float

    @classmethod
    def drawn(cls, chance: random.Random) -> Faults:
        """Draw each fault on or off."""

        def sometimes(low: float, high: float, *, off: float) -> float:
            return off if chance.random() < 0.4 else chance.uniform(low, high)

        return cls(
            loss=sometimes(0.001, 0.05, off=0.0),
            doubling=sometimes(0.01, 0.1, off=0.0),
            slow=sometimes(0.001, 0.05, off=0.0),
            crash_between_effects=sometimes(0.0002, 0.003, off=0.0),
            crash_every_ms=sometimes(500, 4000, off=NEVER),
            pause_every_ms=sometimes(500, 4000, off=NEVER),
            cut_every_ms=sometimes(500, 4000, off=NEVER),
            deafen_every_ms=sometimes(1000, 3000, off=NEVER),
            witness_down_every_ms=sometimes(1000, 5000, off=NEVER),
            wipe=sometimes(0.05, 0.3, off=0.0),
            switchover_every_ms=sometimes(700, 4000, off=NEVER),
            stall=sometimes(0.0005, 0.01, off=0.0),
        )


class Misfortune:
    """Whatever happens to a simulation from outside, until it is quiet."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.world = simulation.world
        self.faults = simulation.world.faults

    def arrange(self) -> None:
        """Let every fault happen now and then."""
        faults = self.faults
        self._now_and_then(faults.crash_every_ms, self._crash_one)
        self._now_and_then(faults.pause_every_ms, self._pause_one)
        self._now_and_then(faults.cut_every_ms, self._cut_some)
        self._now_and_then(faults.deafen_every_ms, self._deafen_the_primary)
        self._now_and_then(faults.witness_down_every_ms, self._witness_down)
        self._now_and_then(faults.switchover_every_ms, self._switch_over)
        self._now_and_then(faults.crash_every_ms * 4, self._stop_one)

    def _now_and_then(self, every_ms: float, action: Callable[[], None]) -> None:
        if every_ms == NEVER:
            return

        def again() -> None:
            if not self.world.quiet:
                action()
                self.world.after(self.world.chance.uniform(0.1, 2) * every_ms, again)

        self.world.after(self.world.chance.uniform(0, 2) * every_ms, again)

    # -- processes -------------------------------------------------------------------------------

    def _some_server(self) -> SimulatedServer:
        """Draw one; every other time the primary, whose absence matters most."""
        leading = self._leading()
        if leading and self.world.chance.random() < 0.5:
            return leading[0]
        return self.world.chance.choice(list(self.simulation.servers.values()))

    def _leading(self) -> list[SimulatedServer]:
        servers = self.simulation.servers.values()
        return [server for server in servers if server.replica and server.replica.primary]

    def _crash_one(self) -> None:
        server = self._some_server()
        server.crash(wipe=self.may_wipe(server))

    def may_wipe(self, server: SimulatedServer) -> bool:
        """Draw whether a crash loses the disk; never the last one that holds everything."""
        view = self.simulation.witness.view
        if view is None or not self.world.happens(self.faults.wipe):
            return False
        others = [name for name in view.in_sync if name != server.name]
        return any(view.names(name, self.simulation.servers[name].journal.incarnation) for name in others)

    def would_lose_everything(self, view: View) -> bool:
        """Whether all disks that this view names are lost: nobody can promise anything then."""
        servers = self.simulation.servers.items()
        return not any(view.names(name, server.journal.incarnation) for name, server in servers)

    def _pause_one(self) -> None:
        server = self._some_server()
        server.pause()
        self.world.after(self.world.chance.choice([20, 200, 400, 1500, 3000]), server.resume)

    def _switch_over(self) -> None:
        for server in self._leading()[:1]:
            self.world.note(f"{server.name}: asked to switch over")
            server.take(SwitchoverAsked(None, None))

    def _stop_one(self) -> None:
        server = self._some_server()
        if server.alive and not server.paused:
            self.world.note(f"{server.name}: asked to stop")
            boot = server.boot
            server.take(StopAsked())
            self.world.after(1500, lambda: server.crash() if server.boot == boot else None)

    # -- network ---------------------------------------------------------------------------------

    def _cut_some(self) -> None:
        """Cut a pair, one server off from all, or the world in two."""
        chance, clients = self.world.chance, [client.name for client in self.simulation.clients]
        names = [*self.simulation.servers, "witness", *clients]
        one, other = chance.sample(names, 2)
        kind = chance.random()
        if kind < 0.3:
            pairs = {(one, other)}
        elif kind < 0.5:
            pairs = both_ways({one}, {other})
        elif kind < 0.65:
            pairs = both_ways({one}, set(names) - {one})
        else:
            side = {name for name in names if chance.random() < 0.5}
            pairs = both_ways(side, set(names) - side)
        self._cut_for_a_while(pairs)

    def _cut_for_a_while(self, pairs: set[tuple[str, str]]) -> None:
        self.world.note(f"cut {sorted(pairs)[:3]}")
        self.world.cut(pairs)
        self.world.after(self.world.chance.choice([50, 500, 1000, 2500]), lambda: self.world.heal(pairs))

    def _deafen_the_primary(self) -> None:
        """Acknowledgements come later and later, then nothing that it says arrives; readers do not notice.

        This is what a lease is for: a primary that is alone without knowing it, and still asked.
        """
        for server in self._leading()[:1]:
            self._deafen(server)

    def _deafen(self, server: SimulatedServer) -> None:
        chance, world = self.world.chance, self.world
        others = {name for name in self.simulation.servers if name != server.name}
        writers = {client.name for client in self.simulation.clients if not client.mostly_reads}
        inward = {(other, server.name) for other in others}
        outward = {(server.name, name) for name in {*others, "witness"}} | {("witness", server.name)}
        world.note(f"{server.name}: hears the others late")
        world.lag(inward, chance.choice([0, 50, 200, 400]))
        if chance.random() < 0.8:
            outward |= both_ways({server.name}, writers)
            world.cut(both_ways({server.name}, writers))
        world.after(chance.uniform(0, 1200), lambda: self._cut_for_a_while(outward))
        world.after(chance.uniform(1200, 2500), lambda: world.lag(inward, 0))

    def _witness_down(self) -> None:
        self.simulation.witness.up = False
        self.world.note("witness: down")
        self.world.after(self.world.chance.choice([100, 1000, 3000]), self._witness_up)

    def _witness_up(self) -> None:
        self.simulation.witness.up = True


def both_ways(some: set[str], others: set[str]) -> set[tuple[str, str]]:
    """Return every direction between the two sides."""
    return {pair for one in some for other in others for pair in ((one, other), (other, one))}
