"""Who puts new code on the machines, simulated: release after release, one server after the other.

Rule 1: drawn apart from everything else, so that worlds with one release are what they were.
Rule 2: the code of a process is what lay on its machine when it started. Now and then that is the one before:
        by mistake, or since somebody goes back.
Rule 3: what migrates the state is harmed then and there: who has done it dies before or after any of what
        follows, stands still, or is cut off; another server comes back with older code.
Rule 4: at last every server has the last release, which knows all versions; if anything was ever opened.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from bankrmi.replication.events import StopAsked
from bankrmi.robustness.simulator.server import SimulatedServer
from bankrmi.robustness.simulator.whole_cluster import WholeCluster
from bankrmi.robustness.simulator.world import both_ways

__all__ = ["Rollout"]

BETWEEN_SERVERS_MS = (5, 50, 200)
BETWEEN_RELEASES_MS = (300, 600, 1200)
STOPS_WITHIN_MS = 150.0
STARTS_AFTER_MS = (5, 40, STOPS_WITHIN_MS + 5)
HARMS = (0.2, 0.7, 1.0)
GOES_BACK = (0.0, 0.1, 0.3)
TWICE = (0.0, 0.3, 0.7)
EFFECTS_AT_MOST = 8
_DEPOSED = 0.7
CUTS_MS = (800, 1500, 2500)


class Rollout:
    """Somebody who replaces the module on one server after the other, and starts each again."""

    def __init__(self, cluster: WholeCluster) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._last = cluster.workload.releases - 1
        self._chance = chance = random.Random(f"releases of seed {cluster.world.seed}")
        self._between_servers_ms = chance.choice(BETWEEN_SERVERS_MS)
        self._between_releases_ms = chance.choice(BETWEEN_RELEASES_MS)
        self._harms = chance.choice(HARMS)
        self._goes_back = chance.choice(GOES_BACK)
        self._twice = chance.choice(TWICE)
        self.installed = dict.fromkeys(cluster.servers, 0)
        """The release on each machine: the next process there has it."""

    def begin(self) -> None:
        """Begin, if there is more than one release."""
        if self._last:
            self._after(self._between_servers_ms, self._roll_out)

    def _after(self, about_ms: float, do: Callable[[], None]) -> None:
        """Do something in about so long, unless the faults have stopped."""
        wait_ms = about_ms * self._chance.uniform(0.3, 1.5)
        self._world.after(wait_ms, lambda: None if self._world.quiet else do())

    def _roll_out(self) -> None:
        """Have the next release everywhere; when that is done, and a while has passed, the one after it."""
        if not self._is_opened:
            self._after(self._between_servers_ms, self._roll_out)
            return
        chance, installed = self._chance, self.installed
        release = min(min(installed.values()) + chance.choice((1, 1, 2)), self._last)
        if chance.random() < self._goes_back:
            release = max(max(installed.values()) - 1, 0)
        names = [name for name in installed if installed[name] != release]
        chance.shuffle(names)
        self._go_on(names, release)

    def _go_on(self, names: list[str], release: int) -> None:
        if not names:
            self._after(self._between_releases_ms, self._roll_out)
            return
        self._install(names[0], release)
        self._after(self._between_servers_ms, lambda: self._go_on(names[1:], release))

    @property
    def _is_opened(self) -> bool:
        """Whether there is an opening state, durably: that is to be the first release's."""
        return any(server.acted_in for server in self._cluster.servers.values())

    @property
    def is_complete(self) -> bool:
        """Whether the last release is everywhere."""
        return set(self.installed.values()) == {self._last}

    def _install(self, name: str, release: int) -> None:
        self.installed[name] = release
        self._world.note(name, "gets the code of release", release)
        if self._chance.random() < 0.9:  # Else its next process has it, whenever that is started.
            self._start_again(self._cluster.servers[name])

    def _start_again(self, server: SimulatedServer) -> None:
        """End its process, in good order or not, and start another one soon."""
        boot = server.boot
        if self._chance.random() < 0.5 and server.alive and not server.paused:
            server.take(StopAsked())
            self._world.after(STOPS_WITHIN_MS, lambda: self._crash(server, boot))
        else:
            server.crash()
        for after_ms in STARTS_AFTER_MS:
            self._world.after(after_ms, lambda: server.start_again(boot))

    # -- harm ------------------------------------------------------------------------------------

    def proposes_twice(self) -> float | None:
        """Draw whether a migration is proposed once more, and after how many ms."""
        if self._world.quiet or self._chance.random() >= self._twice:
            return None
        return self._chance.choice((0.0, 1.0, 20.0, 200.0))

    def migrated(self, server: SimulatedServer) -> int | None:
        """The state there has another version, or the one before; return at which effect it crashes."""
        chance = self._chance
        if self._world.quiet or chance.random() >= self._harms:
            return None
        primary = server.replica.primary if server.replica is not None else None
        if primary is not None and len(primary.view.in_sync) > 1 and chance.random() < _DEPOSED:
            self._cut_off(server)  # Somebody else leads before anybody has it: it is taken back.
            return None
        match chance.randrange(5):
            case 0:
                return chance.randint(1, EFFECTS_AT_MOST)
            case 1:
                boot = server.boot
                self._world.after(chance.uniform(0, 3), lambda: self._crash(server, boot))
            case 2:
                self._cut_off(server)
            case 3:
                self._cut_off(server)
                self._send_back(server)
            case 4:
                self._send_back(server)
        return None

    def _crash(self, server: SimulatedServer, boot: int) -> None:
        if server.boot == boot:
            server.crash()

    def _cut_off(self, server: SimulatedServer) -> None:
        """Nobody but some of the clients hears it any more, just when it has migrated."""
        others = {*self._cluster.servers, "witness"} - {server.name}
        if self._chance.random() < 0.5:
            others |= {client.name for client in self._cluster.clients}
        heal = self._world.cut(both_ways({server.name}, others))
        self._world.after(self._chance.choice(CUTS_MS), heal)

    def _send_back(self, server: SimulatedServer) -> None:
        """Another one is started again with older code."""
        others = [one for one in self._cluster.servers.values() if one is not server]
        other, back = self._chance.choice(others), self._chance.choice((1, 2))

        def start_with_older_code() -> None:
            if not self._world.quiet:
                self.installed[other.name] = max(0, self.installed[other.name] - back)
                other.crash()

        self._world.after(self._chance.uniform(0, 5), start_with_older_code)

    # -- the end ---------------------------------------------------------------------------------

    def end(self, survivors: Sequence[SimulatedServer]) -> None:
        """Have the last release everywhere; who is well again is started with it."""
        if not self._last or not self._is_opened:
            return
        self.installed = dict.fromkeys(self.installed, self._last)
        for server in survivors:
            if server.alive and server.release != self._last:
                server.crash()
