"""A whole cluster in one process: servers, witness, clients, faults; checked after every step.

Rule 1: the rules, the storage and the clients' retry module are the production ones, unchanged.
Rule 2: after every step: nothing acknowledged is missing from an in-sync journal; one entry an action id.
Rule 3: at the end the faults stop, and everyone is answered and everything in sync, or that is a failure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bankrmi.errors import BrokenInvariant, Unreached, Unsettled
from bankrmi.replication.effects import Decided, Read, Reply
from bankrmi.replication.entry import Entry, Position
from bankrmi.replication.settings import Settings
from bankrmi.robustness.checker.verdict import judge
from bankrmi.robustness.simulator.client import Asked, SimulatedClient
from bankrmi.robustness.simulator.faults import Misfortune
from bankrmi.robustness.simulator.history import calls_of, copy_of
from bankrmi.robustness.simulator.server import SimulatedServer
from bankrmi.robustness.simulator.witness import SimulatedWitness
from bankrmi.robustness.simulator.workload import BankWorkload, Workload
from bankrmi.robustness.simulator.world import World

__all__ = ["Failure", "Result", "Simulation", "simulate"]

QUIET_AT_MOST_MS = 20_000.0
CLIENTS = 4
LAST_CALLS = 2


class Failure(Exception):
    """A rule was broken; the message says which."""

    def __init__(self, kind: str, rule: str) -> None:
        super().__init__(rule)
        self.kind = kind
        self.rule = rule


@dataclass(slots=True)
class Result:
    """What became of one seed."""

    seed: int
    events: int
    acknowledged: int
    simulated_ms: float
    failure: Failure | None = None
    trace: list[str] = field(default_factory=list)
    views: int = 0


class Simulation:
    """One seed."""

    def __init__(
        self, seed: int, *, servers: int = 2, calls: int = 300, workload: Workload | None = None
    ) -> None:
        self.world = World(seed)
        self.workload = workload or BankWorkload()
        self.calls_left = calls
        self.told = 0  # The highest action id that any client has been told.
        self.acknowledged: dict[int, bytes] = {}  # Digests, as answers left a server.
        self.leaders: dict[tuple[str, int], str] = {}  # By history and epoch.
        self.newest = Position(0, 0, b"")
        self.witness = SimulatedWitness(self.world)
        self.witness.on_change = self._view_changed
        names = tuple(f"s{number}" for number in range(1, servers + 1))
        copies_min = 2 if self.world.chance.random() < 0.15 else 1
        lease_ms, drift_ms = self.world.chance.choice([(0, 20), (200, 20), (400, 160), (1000, 20)])
        self.servers = {
            name: SimulatedServer(
                self,
                Settings(
                    server=name, servers=names, lease_ms=lease_ms, drift_ms=drift_ms, copies_min=copies_min
                ),
            )
            for name in names
        }
        self.clients = [SimulatedClient(self, f"c{number}") for number in range(1, CLIENTS + 1)]
        self.misfortune = Misfortune(self)
        self.witness.loses = self.misfortune.would_lose_everything

    # -- running ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Run to the end; raises Failure."""
        world = self.world
        for server in self.servers.values():
            world.after(world.chance.uniform(0, 200), server.start)
        for client in self.clients:
            client.begin()
        self.misfortune.arrange()
        world.run_until(30_000, stop=lambda: self.calls_left <= 0)
        self._calm_down()
        world.run_until(world.now_ms + QUIET_AT_MOST_MS, stop=self._all_is_well)
        if not self._all_is_well():
            raise Failure("liveness", f"the faults stopped, and still: {self._what_is_wrong()}")
        self._call_once_more()
        self._final_verdict()

    def _call_once_more(self) -> None:
        """A call that ends with an honest error is answered, too; but now there is no reason for one."""
        before = {client.name: len(client.calls) for client in self.clients}
        for client in self.clients:
            client.last_calls = LAST_CALLS
            client.begin()
        self.world.run_until(
            self.world.now_ms + QUIET_AT_MOST_MS,
            stop=lambda: all(client.is_done for client in self.clients) and self._all_is_well(),
        )
        if not self._all_is_well():
            raise Failure("liveness", f"all was well, and then: {self._what_is_wrong()}")
        for client in self.clients:
            for call in client.calls[before[client.name] :]:
                if isinstance(call.error, (Unsettled, Unreached)):
                    raise Failure("liveness", f"all is well, and {client.name} is told: {call.error}")

    def _calm_down(self) -> None:
        self.world.note("the faults stop")
        self.world.quiet = True
        self.world.heal()
        self.witness.up = True
        for server in self.servers.values():
            if not server.alive:
                server.start()
            server.resume()

    def died(self, server: SimulatedServer) -> None:
        """A process died: tell its neighbours, and start it again some time."""
        world = self.world
        for other in self.servers.values():
            if not world.is_cut(server.name, other.name):
                world.after(world.chance.uniform(0.1, 2), lambda other=other: other.lose_link(server.name))  # type: ignore[misc]
            else:
                world.after(2500, lambda other=other: other.lose_link(server.name))  # type: ignore[misc]
        for client in self.clients:
            if not world.is_cut(server.name, client.name):
                world.after(0.5, lambda client=client: client.connection_lost(server.name))  # type: ignore[misc]
        boot = server.boot
        again_ms = 5.0 if world.quiet else world.chance.choice([2, 20, 300, 2500])
        world.after(again_ms, lambda: server.start() if not server.alive and server.boot == boot else None)

    # -- checks ----------------------------------------------------------------------------------

    def answered(self, server: SimulatedServer, token: Any, reply: Reply) -> None:
        """An answer leaves a server: from here on, what it says is acknowledged."""
        if isinstance(reply, Decided):
            for entry in reply.entries:
                self._acknowledge(entry)
        client = next(one for one in self.clients if one.name == token.asked.client)
        self.world.send(server.name, client.name, lambda: client.answer(token, reply))

    def _acknowledge(self, entry: Entry) -> None:
        known = self.acknowledged.setdefault(entry.action_id, entry.digest)
        if known != entry.digest:
            raise Failure("safety", f"two different entries were acknowledged at action id {entry.action_id}")
        if entry.action_id > self.newest.action_id:
            self.newest = entry.position
            self._view_changed()

    def _view_changed(self) -> None:
        for server in self.servers.values():
            self._check_holds_all(server)

    def stepped(self, server: SimulatedServer) -> None:
        """A server has changed."""
        if not server.uncommitted:
            self._check_holds_all(server)
        primary = server.replica.primary if server.replica is not None else None
        if primary is not None:
            epoch = (primary.view.history, primary.view.epoch)
            if self.leaders.setdefault(epoch, server.start_id) != server.start_id:
                raise Failure("safety", f"{self.leaders[epoch]} and {server.start_id} lead epoch {epoch[1]}")

    def _check_holds_all(self, server: SimulatedServer) -> None:
        view = self.witness.view
        if view is None or not self.newest.action_id or server.uncommitted:
            return
        if not view.names(server.name, server.journal.incarnation):
            return
        if server.journal.position(self.newest.action_id) != self.newest:
            raise Failure(
                "safety",
                f"{server.name} is in sync in epoch {view.epoch}, and the acknowledged entry at action id "
                f"{self.newest.action_id} is missing from its journal",
            )

    def completed(self, asked: Asked) -> None:
        """A client was told something."""
        reply = asked.reply
        if isinstance(reply, Decided):
            self.told = max(self.told, reply.entries[-1].action_id)
        elif isinstance(reply, Read):
            self.told = max(self.told, reply.action_id)

    def _all_is_well(self) -> bool:
        return not self._what_is_wrong()

    def _what_is_wrong(self) -> str:
        view = self.witness.view
        if view is None:
            return "there is no view"
        open_calls = [call for client in self.clients for call in client.calls if call.completed_ms is None]
        if open_calls:
            return f"{len(open_calls)} calls have no answer"
        outside = [name for name in self.servers if name not in view.in_sync]
        if outside:
            return f"{outside} not in sync (epoch {view.epoch}, in sync {sorted(view.in_sync)})"
        primary = self.servers[view.primary].replica
        if primary is None or primary.primary is None or primary.primary.view != view:
            return f"{view.primary} does not lead epoch {view.epoch}"
        tip = primary.journal.tip
        if any(server.journal.tip != tip for server in self.servers.values()):
            return f"journals differ: {[server.journal.tip[:2] for server in self.servers.values()]}"
        return ""

    def _final_verdict(self) -> None:
        first, *others = [server.journal for server in self.servers.values()]
        entries = first.entries(0, 1_000_000)
        for action_id, digest in self.acknowledged.items():
            if action_id > len(entries) or entries[action_id - 1].digest != digest:
                raise Failure("safety", f"the acknowledged entry at action id {action_id} is gone")
        state = list(first.export())
        if any(list(other.export()) != state for other in others):
            raise Failure("safety", "equal journals add up to different states")
        model = self.workload.model()
        copies = [copy_of(server.name, server.journal, model) for server in self.servers.values()]
        calls = calls_of(call for client in self.clients for call in client.calls)
        for sentence in judge(calls, copies, model, begin_ns=0).violations:
            raise Failure("safety", sentence)


def simulate(seed: int, *, servers: int = 2, calls: int = 300, workload: Workload | None = None) -> Result:
    """Run one seed to its end; the result says what went wrong, if anything did."""
    simulation = Simulation(seed, servers=servers, calls=calls, workload=workload)
    failure = None
    try:
        simulation.run()
    except Failure as broken:
        failure = broken
    except BrokenInvariant as broken:
        failure = Failure("safety", f"BrokenInvariant: {broken}")
    world = simulation.world
    view = simulation.witness.view
    return Result(
        seed=seed,
        events=world.events,
        acknowledged=len(simulation.acknowledged),
        simulated_ms=world.now_ms,
        failure=failure,
        trace=list(world.trace),
        views=view.epoch if view else 0,
    )
