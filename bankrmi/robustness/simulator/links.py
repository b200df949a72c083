"""A server's connections to the others, simulated; what production's `PeerLinks` does.

Rule 1: a connection is refused only in a dead process's name.
Rule 2: a link leads to a process: once that is gone, whatever is sent on it reaches nobody, and ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bankrmi.replication.events import LinkChanged, MessageArrived, Probed

if TYPE_CHECKING:
    from bankrmi.replication.effects import Probe
    from bankrmi.robustness.simulator.server import SimulatedServer

__all__ = ["ServerToken", "SimulatedLinks"]

RECONNECT_MS = 15.0
PROBE_TIMEOUT_MS = 200.0
LATE_PROBES_MS = (40, 200, 1500)


class ServerToken:
    """Where the answer to another server's message goes."""

    __slots__ = ("boot", "sender")

    def __init__(self, sender: SimulatedServer) -> None:
        self.sender = sender
        self.boot = sender.boot


class SimulatedLinks:
    """The links of one process."""

    def __init__(self, server: SimulatedServer) -> None:
        self._server = server
        self._world = server.world
        self._boot = server.boot
        self.up: dict[str, int] = {}  # The others that can be spoken to, and of which boot they were.
        self._connecting: set[str] = set()
        self._reconnecting = False

    @property
    def _is_over(self) -> bool:
        return not self._server.alive or self._server.boot != self._boot

    def open(self) -> None:
        """Try again and again, as long as a link is missing."""

        def again() -> None:
            if self._is_over:
                return
            if not self._server.paused:
                self._connect_to_all()
            self._reconnecting = len(self.up) < len(self._server.settings.others)
            if self._reconnecting:
                self._world.after(RECONNECT_MS, again)

        if not self._reconnecting:
            self._reconnecting = True
            self._world.after(self._world.chance.uniform(0, RECONNECT_MS), again)

    def _connect_to_all(self) -> None:
        own = self._server.name
        for name, other in self._server.simulation.servers.items():
            missing = name != own and name not in self.up and name not in self._connecting
            if missing and other.greets(own):
                self._connect(other)

    def _connect(self, other: SimulatedServer) -> None:
        """The other process has greeted us; until we hear that, it may die, and another take its place."""
        server = self._server
        self._connecting.add(other.name)
        begun_ms, other_boot, start_id = server.now_ms, other.boot, other.start_id

        def greeted() -> None:
            if self._is_over:
                return
            self._connecting.discard(other.name)
            self.up[other.name] = other_boot
            server.take(LinkChanged(server=other.name, up=True, start_id=start_id, begun_ms=begun_ms))
            if other.boot != other_boot or not other.alive:
                self._world.after(0.1, lambda: server.links.lose(other.name, other_boot))

        self._world.after(self._world.delay_ms(), greeted)

    def lose(self, name: str, boot: int | None = None) -> None:
        """The connection to another server broke; to its process of that boot, if one is named."""
        if name in self.up and boot in (None, self.up[name]):
            del self.up[name]
            self._server.take(LinkChanged(server=name, up=False))
            self.open()

    def send(self, to: str, message: Any) -> None:
        """Say something to another server, if there is a link."""
        if to not in self.up:
            return
        server, boot, token = self._server, self.up[to], ServerToken(self._server)
        receiver = server.simulation.servers[to]

        def arrive() -> None:
            if receiver.boot == boot:
                receiver.take(MessageArrived(token, message))
            else:  # That process is gone, and its machine, which is there again, says so.
                self._world.after(0.1, lambda: server.links.lose(to, boot))

        self._world.send(server.name, to, message, arrive)

    def probe(self, effect: Probe) -> None:
        """Look whether a process lives where another server should be."""
        server, world, boot = self._server, self._world, self._boot
        other = server.simulation.servers[effect.server]

        def look() -> None:
            begun_ms = server.now_ms
            refused = not other.alive and not world.are_apart(server.name, other.name)
            start_id = other.start_id if other.greets(server.name) else None
            found = Probed(
                server=other.name, begun_ms=begun_ms, epoch=effect.epoch, refused=refused, start_id=start_id
            )
            known = refused or start_id is not None
            wait_ms = world.delay_ms() if known else PROBE_TIMEOUT_MS
            if world.happens(world.faults.late_probe):
                wait_ms += world.chance.choice(LATE_PROBES_MS) * world.chance.random()
            world.after(wait_ms, lambda: server.take_for(boot, found))

        world.after(effect.delay_ms, look)
