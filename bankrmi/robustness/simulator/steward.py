"""Who runs the machines, simulated: adds, removes and moves servers, and starts them where they live (V12).

Rule 1: drawn apart from everything else, so that the worlds in which nobody comes or goes are what they were.
Rule 2: he makes mistakes: he starts a server elsewhere before anybody was told, asks for what cannot be, has
        files that say where everybody lived long ago, and puts an empty disk in the new machine.
Rule 3: at last every server that the view names runs where the view says, or none of this is tried at all.
Assumption: of one server one process runs at a time.
"""

from __future__ import annotations

import random

from bankrmi.replication.cause import CauseKind
from bankrmi.replication.effects import Refusal, Reply, ServersChanged
from bankrmi.replication.events import ServersAsked
from bankrmi.replication.view import View
from bankrmi.robustness.simulator.server import SimulatedServer
from bankrmi.robustness.simulator.whole_cluster import WholeCluster

__all__ = ["Steward", "StewardToken"]

WORLDS = 0.3
"""In how many of them servers come and go."""
EVERY_MS = (400, 1500, 6000)
TENDS_EVERY_MS = 250.0
STARTS_AFTER_MS = (1, 50, 500, 2500)


class StewardToken:
    """Where the answer to the steward's wish goes."""

    __slots__ = ("_steward",)

    def __init__(self, steward: Steward) -> None:
        self._steward = steward

    def reply(self, reply: Reply) -> None:
        """Hand it over."""
        self._steward.told(reply)


class Steward:
    """Somebody who runs `bankrmi server add`, `remove` and `move` while everything else goes on."""

    def __init__(self, cluster: WholeCluster) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._chance = random.Random(f"servers of seed {cluster.world.seed}")
        self.changes = self._chance.random() < WORLDS and not cluster.under_load
        self._every_ms = self._chance.choice(EVERY_MS)
        self._machines = 0
        self.done = dict.fromkeys((CauseKind.ADDED, CauseKind.REMOVED, CauseKind.MOVED), 0)
        """How often which change was heard to be done."""

    def begin(self) -> None:
        """Change something now and then, if this is a world in which that is done."""
        if self.changes:
            self._world.after(self._pause_ms(), self._change_again)
            self._world.after(TENDS_EVERY_MS, self._tend_again)

    def _pause_ms(self) -> float:
        return self._every_ms * self._chance.uniform(0.2, 2)

    # -- asking ----------------------------------------------------------------------------------

    def _change_again(self) -> None:
        if not self._world.quiet:
            self._change_something()
            self._world.after(self._pause_ms(), self._change_again)

    def _change_something(self) -> None:
        """Ask whoever leads; now and then somebody else, or for what cannot be."""
        servers, chance = self._cluster.servers, self._chance
        leading = [one for one in servers.values() if one.replica and one.replica.primary]
        asked = chance.choice(leading or list(servers.values()))
        name = chance.choice(sorted(servers))
        view = self._cluster.witness.view
        missing = [] if view is None or view.servers is None else sorted(servers.keys() - view.servers.keys())
        if missing and chance.random() < 0.6:
            name = chance.choice(missing)
        is_known = view is None or view.servers is None or name in view.servers
        kind = chance.choice([CauseKind.MOVED, CauseKind.MOVED, CauseKind.REMOVED])
        if not is_known or chance.random() < 0.05:
            kind = CauseKind.ADDED
        address = None if kind is CauseKind.REMOVED else self._new_address(name)
        if kind is CauseKind.ADDED and chance.random() < 0.3:
            address = servers[name].address  # The machine is still there, with all that it held.
        self._world.note("steward", f"wants {name}", kind.value, address or "")
        asked.take(ServersAsked(StewardToken(self), kind, name, address, "steward"))
        files_count = view is None or view.servers is None
        if kind is CauseKind.MOVED and chance.random() < 0.1 and not files_count:
            self._start(servers[name], str(address))  # Too early, or for nothing.

    def _new_address(self, name: str) -> str:
        self._machines += 1
        return f"{name}@{self._machines}"

    def told(self, reply: Reply) -> None:
        """It was done, or it was not; what is to be started then is seen in the view."""
        match reply:
            case ServersChanged(after=after) if after.cause is not None:
                self.done[after.cause.kind] += 1
                self._world.note("steward", "is told", after.cause.in_words)
            case Refusal(why=why):
                self._world.note("steward", "is told", why)

    # -- machines --------------------------------------------------------------------------------

    def _tend_again(self) -> None:
        self.tend()
        self._world.after(TENDS_EVERY_MS, self._tend_again)

    def tend(self) -> None:
        """Start what the view names where it says; in the end at once, and before that after a while."""
        view = self._cluster.witness.view
        for server in self._cluster.servers.values():
            if not server.stays_down and self._is_misplaced(server, view):
                after_ms = 0 if self._world.quiet else self._chance.choice(STARTS_AFTER_MS)
                self._world.after(after_ms, lambda server=server: self._put_right(server))  # type: ignore[misc]

    def _is_misplaced(self, server: SimulatedServer, view: View | None) -> bool:
        if view is None:  # Whoever restores it has to ask everybody.
            return server.has_left
        if view.servers is None:  # As restored by whoever did not know: all go by their files again.
            lives = {one.name: one.address for one in self._cluster.servers.values()}
            return server.has_left or server.settings.where_all_live() != lives
        return server.name in view.servers and (
            server.has_left or server.address != view.servers[server.name]
        )

    def _put_right(self, server: SimulatedServer) -> None:
        view = self._cluster.witness.view
        if server.stays_down or not self._is_misplaced(server, view):
            return
        servers = {} if view is None or view.servers is None else view.servers
        address = servers.get(server.name, server.address)
        is_another = address != server.address
        if is_another and self._chance.random() < 0.4 and not self._world.quiet:
            server.crash(wipe=self._cluster.may_wipe(server.name))  # Another machine, with an empty disk.
        self._start(server, address)

    def _start(self, server: SimulatedServer, address: str) -> None:
        """Start it there; its file has the others where they live now, or where this one was told last."""
        lives = {one.name: one.address for one in self._cluster.servers.values()}
        view = self._cluster.witness.view
        files_count = view is None or view.servers is None
        stale = self._chance.random() < 0.5 and not files_count
        server.start_at(address, server.settings.where_all_live() if stale else lives)
