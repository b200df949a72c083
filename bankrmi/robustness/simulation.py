"""A whole cluster in one process: servers, witness, clients, faults; checked after every step.

Rule 1: the rules, the storage and the clients' retry module are the production ones, unchanged.
Rule 2: after every step: nothing acknowledged is missing from an in-sync journal; one entry an action id.
Rule 3: at the end the faults stop, and everyone is answered and everything in sync, or that is a failure, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.effects import Decided, Read, Reply
from bankrmi.replication.entry import Entry, Position
from bankrmi.replication.events import StopAsked, SwitchoverAsked
from bankrmi.replication.settings import Settings
from bankrmi.replication.view import View
from bankrmi.robustness.simulated_client import Asked, SimulatedClient
from bankrmi.robustness.simulated_server import SimulatedServer
from bankrmi.robustness.simulated_witness import SimulatedWitness
from bankrmi.robustness.verdict import check_calls, check_journal
from bankrmi.robustness.world import World

__all__ = ["Failure", "Result", "Simulation", "simulate"]

LEDGER = {1: 100, 2: 300, 3: 450}
QUIET_AT_MOST_MS = 20_000.0
CLIENTS = 4


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

    def __init__(self, seed: int, *, servers: int = 2, calls: int = 300) -> None:
        self.world = World(seed)
        self.ledger = LEDGER
        self.calls_left = calls
        self.told = 0  # The highest action id that any client has been told.
        self.acknowledged: dict[int, bytes] = {}  # Digests, as answers left a server.
        self.newest = Position(0, 0, b"")
        self.witness = SimulatedWitness(self.world)
        self.witness.on_change = self._view_changed
        self.witness.loses = self._would_lose_everything
        names = tuple(f"s{number}" for number in range(1, servers + 1))
        copies_min = 2 if self.world.chance.random() < 0.15 else 1
        lease_ms = self.world.chance.choice([0, 300, 1000])
        self.servers = {
            name: SimulatedServer(
                self,
                Settings(server=name, servers=names, lease_ms=lease_ms, drift_ms=20, copies_min=copies_min),
            )
            for name in names
        }
        self.clients = [SimulatedClient(self, f"c{number}") for number in range(1, CLIENTS + 1)]

    # -- running ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Run to the end; raises Failure."""
        world = self.world
        for server in self.servers.values():
            world.after(world.chance.uniform(0, 200), server.start)
        for client in self.clients:
            client.begin()
        self._arrange_faults()
        world.run_until(30_000, stop=lambda: self.calls_left <= 0)
        self._calm_down()
        world.run_until(world.now_ms + QUIET_AT_MOST_MS, stop=self._all_is_well)
        if not self._all_is_well():
            raise Failure("liveness", f"the faults stopped, and still: {self._what_is_wrong()}")
        self._final_verdict()

    def _arrange_faults(self) -> None:
        faults = self.world.faults
        self._now_and_then(faults.crash_every_ms, self._crash_one)
        self._now_and_then(faults.pause_every_ms, self._pause_one)
        self._now_and_then(faults.cut_every_ms, self._cut_some)
        self._now_and_then(faults.witness_down_every_ms, self._witness_down)
        self._now_and_then(faults.switchover_every_ms, self._switch_over)
        self._now_and_then(faults.crash_every_ms * 4, self._stop_one)

    def _now_and_then(self, every_ms: float, action: Any) -> None:
        if every_ms == float("inf"):
            return

        def again() -> None:
            if not self.world.quiet:
                action()
                self.world.after(self.world.chance.uniform(0.1, 2) * every_ms, again)

        self.world.after(self.world.chance.uniform(0, 2) * every_ms, again)

    def _some_server(self) -> SimulatedServer:
        return self.world.chance.choice(list(self.servers.values()))

    def _crash_one(self) -> None:
        server = self._some_server()
        server.crash(wipe=self.may_wipe(server))

    def may_wipe(self, server: SimulatedServer) -> bool:
        """Draw whether a crash loses the disk; never the last one that holds everything."""
        view = self.witness.view
        if view is None or not self.world.happens(self.world.faults.wipe):
            return False
        holders = [
            name
            for name in view.in_sync
            if name != server.name and view.names(name, self.servers[name].journal.incarnation)
        ]
        return bool(holders)

    def _would_lose_everything(self, view: View) -> bool:
        """Whether all disks that this view names are lost: nobody can promise anything then."""
        return not any(view.names(name, server.journal.incarnation) for name, server in self.servers.items())

    def _pause_one(self) -> None:
        server = self._some_server()
        server.pause()
        self.world.after(self.world.chance.choice([20, 200, 1500, 3000]), server.resume)

    def _cut_some(self) -> None:
        chance = self.world.chance
        names = [*self.servers, "witness", *(client.name for client in self.clients)]
        one, other = chance.sample(names, 2)
        pairs = {(one, other)} if chance.random() < 0.4 else {(one, other), (other, one)}
        if chance.random() < 0.2:
            pairs = {pair for name in names if name != one for pair in ((one, name), (name, one))}
        self.world.note(f"cut {sorted(pairs)[:3]}")
        self.world.cut(pairs)
        self.world.after(chance.choice([50, 500, 2500]), lambda: self.world.heal(pairs))

    def _witness_down(self) -> None:
        self.witness.up = False
        self.world.note("witness: down")
        self.world.after(self.world.chance.choice([100, 1000, 3000]), self._witness_up)

    def _witness_up(self) -> None:
        self.witness.up = True

    def _switch_over(self) -> None:
        leading = [server for server in self.servers.values() if server.replica and server.replica.primary]
        if leading:
            self.world.note(f"{leading[0].name}: asked to switch over")
            leading[0].take(SwitchoverAsked(None, None))

    def _stop_one(self) -> None:
        server = self._some_server()
        if server.alive and not server.paused:
            self.world.note(f"{server.name}: asked to stop")
            boot = server.boot
            server.take(StopAsked())
            self.world.after(1500, lambda: server.crash() if server.boot == boot else None)

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
                self._acknowledge(server, entry)
        client = next(one for one in self.clients if one.name == token.asked.client)
        self.world.send(server.name, client.name, lambda: client.answer(token, reply))

    def _acknowledge(self, server: SimulatedServer, entry: Entry) -> None:
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
        journal = next(iter(self.servers.values())).journal
        entries = journal.entries(0, 1_000_000)
        for action_id, digest in self.acknowledged.items():
            if action_id > len(entries) or entries[action_id - 1].digest != digest:
                raise Failure("safety", f"the acknowledged entry at action id {action_id} is gone")
        calls = [call for client in self.clients for call in client.calls]
        for sentence in (
            *check_journal(entries, self.ledger, journal.read),
            *check_calls(calls, entries, self.ledger),
        ):
            raise Failure("safety", sentence)


def simulate(seed: int, *, servers: int = 2, calls: int = 300) -> Result:
    """Run one seed to its end; the result says what went wrong, if anything did."""
    simulation = Simulation(seed, servers=servers, calls=calls)
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
