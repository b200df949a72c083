"""The last phase of a simulation: faults stop, for enough of the bank, and then all must be well soon.

Rule 1: it is enough that `copies_min` members of the view live and can speak to each other, the witness and
        the clients; of the other servers each comes back, stays dead, stopped or cut off from all, or cannot
        speak to the witness, perhaps with a disk that hangs.
Rule 2: well means: every call has been answered, all servers that are up are in sync, and a call that is made
        now is not answered with an excuse.  Who cannot speak to the witness may be in sync, and may lead; but
        then nobody else is let in, and the view may be a newer one, won unheard, that nobody acts in.
"""

from __future__ import annotations

from bankrmi.errors import Busy, Unreached, Unsettled
from bankrmi.replication.events import SwitchoverAsked
from bankrmi.replication.replica import Replica
from bankrmi.replication.view import View
from bankrmi.robustness.simulator.failure import SimulationFailure
from bankrmi.robustness.simulator.rollout import Rollout
from bankrmi.robustness.simulator.server import SimulatedServer
from bankrmi.robustness.simulator.whole_cluster import WholeCluster
from bankrmi.robustness.simulator.world import both_ways

__all__ = ["Recovery"]

WELL_WITHIN_MS = 20_000.0
FATES = ("dead", "stopped", "cut off", "without the witness", "with a disk that hangs")
LAST_CALLS = 2
LAST_CLIENTS = 4
"""Not the crowd of a world under load: that would be too many at once."""


class Recovery:
    """The end of one simulation."""

    def __init__(self, cluster: WholeCluster, rollout: Rollout) -> None:
        self._cluster = cluster
        self._rollout = rollout
        self._world = cluster.world
        self._survivors = self._drawn()
        self._without_witness: set[str] = set()

    def _drawn(self) -> list[SimulatedServer]:
        """Draw who comes back: everybody, or enough members of the view and perhaps others."""
        servers, view, chance = self._cluster.servers, self._cluster.witness.view, self._world.chance
        needed = next(iter(servers.values())).settings.copies_min
        members = [
            server
            for name, server in servers.items()
            if view is not None and view.names(name, server.journal.incarnation)
        ]
        if chance.random() < 0.5 or view is None or len(members) < len(view.in_sync):
            return list(servers.values())
        if len(members) < needed:
            return list(servers.values())
        kept = chance.sample(members, needed)
        kept += [one for one in servers.values() if one not in kept and chance.random() < 0.2]
        return [one for one in servers.values() if one in kept]

    def run(self) -> list[SimulatedServer]:
        """Let all become well, and see that it stays so; return who came back.  Raises SimulationFailure."""
        self._calm_down()
        within_ms = self._world.now_ms + WELL_WITHIN_MS
        self._world.run_until(within_ms, stop=lambda: not self._what_is_wrong())
        wrong = self._what_is_wrong()
        if wrong:
            raise SimulationFailure("liveness", f"the faults stopped, and still: {wrong}")
        self._call_once_more()
        view = self._cluster.witness.view
        assert view is not None
        return [server for server in self._survivors if server.name in view.in_sync]

    def _calm_down(self) -> None:
        world, survivors = self._world, self._survivors
        names = [server.name for server in survivors]
        world.note("", "the faults stop, and these are well again:", [*names, "witness"])
        world.quiet = True
        world.heal_all()
        self._cluster.witness.up = True
        self._rollout.end(survivors)
        for server in survivors:
            server.disk.recover()
            server.start_again(server.boot)
            server.resume()
        for server in self._cluster.servers.values():
            if server not in survivors:
                self._lose(server)

    def _lose(self, server: SimulatedServer) -> None:
        """It never is well again: dead, stopped, cut off from all, or from the witness; or its disk hangs.

        What it has proposed is lost, too: else it might win, and then none of the view's members survives.
        """
        self._cluster.witness.lost.add(server.name)
        fate = self._world.chance.choice(FATES)
        if fate == "stopped" and not server.alive:
            fate = "dead"
        self._world.note(server.name, "stays", fate)
        if fate == "dead":
            server.stays_down = True
            server.crash()
        elif fate == "stopped":
            server.stays_down = True  # Whoever kills it now does not start it again.
            server.pause_for_good()
        elif fate == "without the witness":
            self._part_from_witness(server)
        elif fate == "with a disk that hangs":
            self._part_from_witness(server)
            server.disk.hangs = True
        else:
            self._world.cut(both_ways({server.name}, set(self._cluster.parties) - {server.name}))

    def _part_from_witness(self, server: SimulatedServer) -> None:
        """It lives, and does not hear the witness; perhaps it is to give the lead away just then."""
        self._without_witness.add(server.name)
        self._world.cut(both_ways({server.name}, {self._cluster.witness.name}))
        server.disk.recover()
        server.start_again(server.boot)
        server.resume()
        if self._world.chance.random() < 0.5:
            server.take(SwitchoverAsked(None, None))

    def _call_once_more(self) -> None:
        """A call that ends with an honest error is answered, too; but now there is no reason for one.

        Unless somebody had to take over meanwhile (one who is without the witness may lose touch with the
        other, too): what waits undecided for half of its time is turned away, as nothing was done.
        """
        view = self._cluster.witness.view
        assert view is not None
        clients = self._cluster.clients[:LAST_CLIENTS]
        before = {client.name: len(client.calls) for client in clients}
        for client in clients:
            client.last_calls = LAST_CALLS
            client.begin()
        self._world.run_until(
            self._world.now_ms + WELL_WITHIN_MS,
            stop=lambda: all(client.is_done for client in clients) and not self._what_is_wrong(),
        )
        wrong = self._what_is_wrong()
        if wrong:
            raise SimulationFailure("liveness", f"all was well, and then: {wrong}")
        is_calm = self._cluster.witness.view == view
        leader = self._leader(self._cluster.witness.view or view)
        assert leader is not None
        journal = self._cluster.servers[leader.settings.server].journal
        for client in clients:
            for call in client.calls[before[client.name] :]:
                is_busy = isinstance(call.error, Busy)
                if is_busy and self._cluster.workload.is_busy_for_long(call, journal):
                    continue
                if isinstance(call.error, (Unsettled, Unreached)) or (is_calm and is_busy):
                    raise SimulationFailure(
                        "liveness", f"all is well, and {client.name} is told: {call.error}"
                    )

    def _what_is_wrong(self) -> str:
        view = self._cluster.witness.view
        if view is None:
            return "there is no view"
        open_calls = [one.calls[-1] for one in self._cluster.clients if one.calls and not one.is_idle]
        if open_calls:
            return f"{len(open_calls)} calls have no answer"
        leader = self._leader(view)
        if leader is None:
            return f"{view.primary} does not lead epoch {view.epoch}"
        if view.retired_for is not None or leader.primary is None or leader.primary.view.retired_for:
            return f"the servers are retired (epoch {view.epoch})"
        names = {server.name for server in self._survivors}
        if view.servers is not None:
            names &= view.servers.keys()
        missing = names - view.in_sync and leader.settings.server not in self._without_witness
        if missing or not view.in_sync <= names | self._without_witness:
            return f"in sync are {sorted(view.in_sync)}, up are {sorted(names)} (epoch {view.epoch})"
        tips = [leader.journal.tip]
        tips += [server.journal.tip for server in self._survivors if server.name in view.in_sync]
        if len(set(tips)) > 1:
            return f"journals differ: {[tip[:2] for tip in tips]}"
        are_all_here = len(self._survivors) == len(self._cluster.servers) and names >= {
            *leader.settings.others
        }
        if are_all_here and self._rollout.is_complete:
            return self._cluster.workload.unmigrated(self._cluster.servers[leader.settings.server].journal)
        return ""

    def _leader(self, view: View) -> Replica | None:
        """Whoever leads the view; else who cannot hear of it, and goes on in an epoch before."""
        replicas = [server.replica for server in self._cluster.servers.values()]
        leading = [replica for replica in replicas if replica is not None and replica.primary is not None]
        for replica in leading:
            if replica.primary is not None and replica.primary.view == view:
                return replica
        return next((one for one in leading if one.settings.server in self._without_witness), None)
