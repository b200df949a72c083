"""The nemesis of a simulated cluster: it harms processes, disks and the network, until the world is quiet.

Rule: no fault breaks an assumption of the design: a copy that was in sync survives, only a dead process's
      address refuses connections, and (unless a seed is run to see just that) clocks keep within `drift`.
"""

from __future__ import annotations

from collections.abc import Callable

from bankrmi.replication.events import StopAsked, SwitchoverAsked
from bankrmi.replication.view import View
from bankrmi.robustness.simulator.faults import NEVER
from bankrmi.robustness.simulator.server import SimulatedServer
from bankrmi.robustness.simulator.whole_cluster import WholeCluster
from bankrmi.robustness.simulator.world import both_ways

__all__ = ["SimulatedNemesis"]

FULL_MS = (100, 1000, 4000)
SLOW_DISK_MS = (5, 40, 150, 600)
ARRIVES_WITHIN_MS = 500
CUTS_MS = (50, 500, 1000, 2500)


class SimulatedNemesis:
    """Whatever goes wrong in one simulation, until it is quiet."""

    def __init__(self, cluster: WholeCluster) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.faults = cluster.world.faults
        self._delayed: list[tuple[int, Callable[[], None]]] = []  # Until the view has changed that often.

    def arrange(self) -> None:
        """Let every fault happen now and then."""
        faults = self.faults
        self._now_and_then(faults.crash_every_ms, self._crash_some)
        self._now_and_then(faults.pause_every_ms, self._pause_one)
        self._now_and_then(faults.stop_every_ms, self._stop_one)
        self._now_and_then(faults.switchover_every_ms, self._switch_over)
        self._now_and_then(faults.slow_disk_every_ms, self._slow_disk)
        self._now_and_then(faults.disk_full_every_ms, self._disk_full)
        self._now_and_then(faults.found_disk_every_ms, self._find_disk)
        self._now_and_then(faults.reset_every_ms, self._reset_one)
        self._now_and_then(faults.cut_every_ms, self._cut_some)
        self._now_and_then(faults.deafen_every_ms, self._deafen_the_primary)
        self._now_and_then(faults.witness_down_every_ms, self._witness_down)
        self._now_and_then(faults.witness_forgets_every_ms, self._witness_forgets)

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
        return self.world.chance.choice(list(self.cluster.servers.values()))

    def _leading(self) -> list[SimulatedServer]:
        servers = self.cluster.servers.values()
        return [server for server in servers if server.replica and server.replica.primary]

    def _crash_some(self) -> None:
        """Kill one server, now and then all of them at once."""
        if self.world.chance.random() < 0.15:
            for server in self.cluster.servers.values():
                server.crash()
        else:
            server = self._some_server()
            server.crash(wipe=self.may_wipe(server))

    def may_wipe(self, server: SimulatedServer) -> bool:
        """Draw whether a crash loses the disk; never the last one that holds everything."""
        return self._others_hold_all(server) and self.world.happens(self.faults.wipe)

    def _others_hold_all(self, server: SimulatedServer) -> bool:
        view = self.cluster.witness.view
        if view is None:
            return False
        others = [name for name in view.in_sync if name != server.name]
        return any(view.names(name, self.cluster.servers[name].journal.incarnation) for name in others)

    def would_lose_everything(self, view: View) -> bool:
        """Whether all disks that this view names are lost: nobody can promise anything then."""
        servers = self.cluster.servers.items()
        return not any(view.names(name, server.journal.incarnation) for name, server in servers)

    def leads_and_is_heard(self, name: str) -> bool:
        """Whether a server leads, and the others hear it."""
        server = self.cluster.servers[name]
        leads = server.replica is not None and server.replica.primary is not None
        linked = server.links.up if server.links is not None else []
        heard = [other for other in linked if not self.world.are_apart(name, other)]
        return leads and not server.paused and bool(heard) and len(heard) == len(linked)

    def _pause_one(self) -> None:
        server = self._some_server()
        server.pause()
        self.world.after(self.world.chance.choice([20, 200, 400, 1500, 3000]), server.resume)

    def _switch_over(self) -> None:
        """Ask whoever leads to give the lead away: to any, or to one that may not be fit."""
        for server in self._leading()[:1]:
            target = self.world.chance.choice([None, *server.settings.others])
            self.world.note(server.name, "is asked to switch over to", target or "any")
            server.take(SwitchoverAsked(None, target))

    def _stop_one(self) -> None:
        server = self._some_server()
        if server.alive and not server.paused:
            self.world.note(server.name, "is asked to stop")
            boot = server.boot
            server.take(StopAsked())
            self.world.after(1500, lambda: server.crash() if server.boot == boot else None)

    # -- disks -----------------------------------------------------------------------------------

    def _slow_disk(self) -> None:
        """For a while, each commit takes as long as a bad disk's; then it is a good one again."""
        server, chance = self._some_server(), self.world.chance
        server.disk.slow_ms = chance.choice(SLOW_DISK_MS)
        self.world.note(server.name, "has a slow disk", server.disk.slow_ms)
        self.world.after(chance.uniform(100, 3000), server.disk.recover)

    def _disk_full(self) -> None:
        """For a while no commit succeeds: the server stops, starts, and stops again."""
        server = self._some_server()
        server.disk.full = True
        self.world.note(server.name, "has no space left on its disk")
        self.world.after(self.world.chance.choice(FULL_MS), server.disk.recover)

    def _find_disk(self) -> None:
        """A server that was started on an empty disk by mistake is started on its own again."""
        for server in self.cluster.servers.values():
            if server.has_lost_a_disk and self._others_hold_all(server):
                server.find_disk()

    # -- network ---------------------------------------------------------------------------------

    def _reset_one(self) -> None:
        """Break a connection; what is on its way may still arrive, and overtake what the next one brings."""
        links = self._some_server().links
        if links is not None and links.up:
            links.lose(self.world.chance.choice(links.up))

    def _cut_some(self) -> None:
        """Cut a pair, one server off from all, or the world in two."""
        chance = self.world.chance
        clients = [client.name for client in self.cluster.clients]
        clients += [client.name for client in self.cluster.stock_clients]
        names = [*self.cluster.servers, "witness", *clients]
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
        if not self.world.quiet:
            self.world.note("", "a cut begins", sorted(pairs))
            self.world.after(self.world.chance.choice(CUTS_MS), self.world.cut(pairs))

    def _deafen_the_primary(self) -> None:
        """Acknowledgements come later and later, then nothing that it says arrives; readers do not notice.

        This is what a lease is for: a primary that is alone without knowing it, and still asked.
        """
        for server in self._leading()[:1]:
            self._deafen(server)

    def _deafen(self, server: SimulatedServer) -> None:
        chance, world = self.world.chance, self.world
        others = {name for name in self.cluster.servers if name != server.name}
        writers = {client.name for client in self.cluster.clients if not client.mostly_reads}
        inward = {(other, server.name) for other in others}
        outward = {(server.name, name) for name in {*others, "witness"}} | {("witness", server.name)}
        world.note(server.name, "hears the others late")
        world.lag(inward, chance.choice([0, 50, 200, 400]))
        if chance.random() < 0.8:
            world.after(chance.uniform(1200, 4000), world.cut(both_ways({server.name}, writers)))
        world.after(chance.uniform(0, 1200), lambda: self._cut_for_a_while(outward))
        world.after(chance.uniform(1200, 2500), lambda: world.lag(inward, 0))

    def delay_until_the_view_changes(self, deliver: Callable[[], None]) -> None:
        """Deliver something once more when another epoch is led, or the one after; see `view_changed`."""
        self._delayed.append((self.world.chance.randint(1, 3), deliver))

    def view_changed(self) -> None:
        """What was delayed until now arrives soon; and somebody may be cut off."""
        due = [deliver for changes, deliver in self._delayed if changes == 1]
        self._delayed = [(changes - 1, deliver) for changes, deliver in self._delayed if changes > 1]
        for deliver in due:
            self.world.after(self.world.chance.uniform(0, ARRIVES_WITHIN_MS), deliver)
        self._cut_at_change()

    def _cut_at_change(self) -> None:
        """Now and then whoever leads, or led, hears nothing any more just when the view changes.

        Its proposal has won, or another's, and it does not know; some of its clients still reach it.
        """
        leading = self._leading()
        if leading and self.world.happens(self.faults.cut_at_change):
            server, chance = self.world.chance.choice(leading), self.world.chance
            others = {*self.cluster.servers, "witness"} - {server.name}
            if chance.random() < 0.5:
                others |= {client.name for client in self.cluster.clients if not client.mostly_reads}
            self._cut_for_a_while(both_ways({server.name}, others))
            for client in self.cluster.clients:
                client.stir()

    def _witness_down(self) -> None:
        self.cluster.witness.up = False
        self.world.note("witness", "is down")
        self.world.after(self.world.chance.choice([100, 1000, 3000]), self._witness_up)

    def _witness_forgets(self) -> None:
        """Not while a disk that this view or the last one names is lost: one of the two can be restored."""
        view, servers = self.cluster.witness.view, self.cluster.servers
        if view is None or view.epoch < 2 or servers[view.primary].acted_in < view.epoch:
            return
        if all(view.names(name, servers[name].journal.incarnation) for name in view.in_sync):
            self.cluster.witness.lose_memory()
            self.cluster.operator.call()

    def _witness_up(self) -> None:
        self.cluster.witness.up = True
