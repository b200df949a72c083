"""A whole cluster in one process: servers, witness, clients, faults; watched after every step.

Rule 1: the rules, the storage and the clients' retry module are the production ones, unchanged.
Rule 2: the promises are watched all the time (`promises`); what clients were told is judged at the end.
Rule 3: at last the faults stop for as many copies as the bank needs, for the witness and the clients; then
        everyone is answered, and all servers that are up are in sync, or that is a failure (`recovery`).
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bankrmi.config import LimitSettings
from bankrmi.errors import BrokenInvariant
from bankrmi.replication.effects import Decided, Read, Reply
from bankrmi.replication.record import Record
from bankrmi.replication.settings import Settings
from bankrmi.replication.view import View
from bankrmi.robustness.checker.verdict import Copy
from bankrmi.robustness.checker.without_collector import without_collector
from bankrmi.robustness.simulator.asked import SimulatedCall
from bankrmi.robustness.simulator.bank_mover import BankMover
from bankrmi.robustness.simulator.bounds import AdmissionBounds
from bankrmi.robustness.simulator.chart import chart
from bankrmi.robustness.simulator.client import OPERATIONS_AT_MOST, SimulatedClient
from bankrmi.robustness.simulator.exporting import Exporter
from bankrmi.robustness.simulator.failure import SimulationFailure
from bankrmi.robustness.simulator.history import calls_of, copy_of
from bankrmi.robustness.simulator.load import SimulatedLoad, shortest_ms
from bankrmi.robustness.simulator.maintenance import Maintenance
from bankrmi.robustness.simulator.nemesis import SimulatedNemesis
from bankrmi.robustness.simulator.operator import Operator
from bankrmi.robustness.simulator.promises import PromiseMonitor
from bankrmi.robustness.simulator.recovery import Recovery
from bankrmi.robustness.simulator.rollout import Rollout
from bankrmi.robustness.simulator.server import SimulatedServer
from bankrmi.robustness.simulator.steward import Steward
from bankrmi.robustness.simulator.stock_client import StockClient, stock_clients
from bankrmi.robustness.simulator.trace import COMMITTED, Happening
from bankrmi.robustness.simulator.witness import SimulatedWitness
from bankrmi.robustness.simulator.work import Work, longest_request_ms
from bankrmi.robustness.simulator.workload import BankWorkload, BrokenWorkload, MethodCounts, Workload
from bankrmi.robustness.simulator.world import FARTHEST_MS, TRACE_LENGTH, World, both_ways
from bankrmi.server.rates import Rate
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import SqliteJournal, WriteBehind

__all__ = ["DURATION_MS", "Simulation", "SimulationResult", "simulate"]

DURATION_MS = 30_000.0
CLIENTS = 4
LEASES_MS = ((0, 20), (200, 20), (400, 160), (1000, 20), (1000, 160))
"""Leases and drifts that a seed may have."""
CATCH_UP_OPERATIONS = (2048, 2048, 1, 3, 8)
EPOCHS_UNSEEN = (100, 100, 100, 0, 1, 3)
SILENT_MS = 8000.0
"""After this long the system notices that the machine at the other end is gone, though nothing is sent."""
RECORDS_BEHIND = (0, 2, 20, 4096)
KEPT_OPERATIONS = (0, 0, 1, 5, 40)
"""0 keeps everything."""
SESSIONS_MS = (0, 200, 2_000)
COPIES_FAIL = (0.0, 0.0, 0.02, 0.2)
"""Of all that may fail about a copy, how much does."""
BATCH_EVERY_MS = (0, 0, 100, 400)
"""How often a caller may send a full batch; 0 is without limit."""
WORK_SHARE = 0.2
"""Of the shortest timeout: the heaviest request takes no longer than that."""


@dataclass(slots=True, kw_only=True)
class SimulationResult:
    """What became of one seed.  `chart` shows what happened last, if it failed or that was asked for.

    `trace` is all that happened, between these `parties`, if that was asked for.
    """

    seed: int
    servers: int
    clocks_apart: bool = False
    under_load: bool = False
    events: int
    acknowledged: int
    calls: int
    simulated_ms: float
    views: int = 0
    failure: SimulationFailure | None = None
    chart: Sequence[str] = ()
    trace: Sequence[Happening] = ()
    parties: Sequence[str] = ()
    methods: Mapping[str, MethodCounts] = field(default_factory=dict)
    """What calls of each method came to, where a class is replicated."""
    newest: Sequence[str] = ()
    """The newest of its calls that were acknowledged, if it failed."""


class Simulation:
    """One seed.

    With `clocks_apart`, clocks run apart by more than `drift_ms`: then a read may be stale, and everything
    else must hold all the same.  `under_load` nothing goes wrong, and there is much to do (see `load`).
    """

    def __init__(
        self,
        seed: int,
        *,
        servers: int = 2,
        clocks_apart: bool = False,
        under_load: bool = False,
        workload: Workload | None = None,
        duration_ms: float = DURATION_MS,
        trace_length: int | None = TRACE_LENGTH,
        note_commits: bool = False,
    ) -> None:
        self._note_commits = note_commits
        self.workload = workload or BankWorkload()
        haste = self.workload.haste
        self.world = World(seed, trace_length=trace_length, faultless=under_load, haste=haste)
        self.load = SimulatedLoad(self) if under_load else None
        self.clocks_apart = clocks_apart
        self.under_load = under_load
        self.duration_ms = duration_ms
        self.told = 0  # The highest action id that any client has been told.
        self._lease_chance = random.Random(f"leases of seed {seed}")
        self._leases_differ = self._lease_chance.random() < 0.4
        self.promises = PromiseMonitor(self)
        self.witness = SimulatedWitness(self.world)
        self.witness.on_change = self._view_changed
        drawn = self._drawn(servers)
        self.work = self._drawn_work(drawn[0])
        self.copies_fail = 0.0 if under_load else random.Random(f"copies of {seed}").choice(COPIES_FAIL)
        behind = random.Random(f"what is written behind in seed {seed}").choice(RECORDS_BEHIND)
        self.behind = WriteBehind(0, 0) if self.workload.keeps_whole else WriteBehind(records=behind)
        self.keeping = self._drawn_keeping()
        self.bounds = self._drawn_bounds()
        self.told_busy = 0
        if self.load is not None:
            self.work, self.bounds = self.load.drawn(drawn[0])
        self.witness.work = self.work
        self.servers = {one.server: SimulatedServer(self, self.work.scaled(one)) for one in drawn}
        count = CLIENTS if self.load is None else self.load.clients
        self.clients = [SimulatedClient(self, f"c{number}") for number in range(1, count + 1)]
        self.stock_clients = stock_clients(self) if self.load is None else []
        self._callers: dict[str, SimulatedClient | StockClient] = {one.name: one for one in self.clients}
        self._callers.update((one.name, one) for one in self.stock_clients)
        self.operator = Operator(self)
        self.steward: Steward = Steward(self)
        self.rollout: Rollout = Rollout(self)
        self.exporter: Exporter = Exporter(self)
        self.nemesis = SimulatedNemesis(self)
        self.maintenance = Maintenance(self)
        self.mover = BankMover(self)
        self._place_far()
        self.witness.loses = self.nemesis.would_lose_everything
        self.witness.is_well = self.nemesis.leads_and_is_heard

    def _drawn(self, servers: int) -> list[Settings]:
        names = tuple(f"s{number}" for number in range(1, servers + 1))
        chance = self.world.chance
        copies_min = 2 if chance.random() < 0.15 else 1
        lease_ms, drift_ms = chance.choice(LEASES_MS)
        hasty = chance.random() < 0.3
        first = Settings(
            code=self.workload.code(0),
            server=names[0],
            servers=names,
            lease_ms=lease_ms,
            drift_ms=drift_ms,
            copies_min=copies_min,
            heartbeat_ms=25 if hasty else 100,
            checkpoint_timeout_ms=chance.choice([60, 150]) if hasty else 500,
            switchover_timeout_ms=chance.choice([50, 300, 2000]),
            catch_up_operations=chance.choice(CATCH_UP_OPERATIONS),
            group_bytes=chance.choice([1 << 20, 200]),
        )
        unseen = self._lease_chance.choice(EPOCHS_UNSEEN)
        if self.load is not None:  # Else a let-in may take who is far longer than the time limit.
            unseen = max(EPOCHS_UNSEEN)
        return [self._with_own_lease(replace(first, server=name, epochs_unseen=unseen)) for name in names]

    def _with_own_lease(self, settings: Settings) -> Settings:
        """Now and then the servers of a bank are given different leases; drawn apart, as distances are."""
        chance = self._lease_chance
        if not self._leases_differ:
            return settings
        lease_ms, drift_ms = chance.choice(LEASES_MS)
        return replace(settings, lease_ms=lease_ms, drift_ms=drift_ms)

    def settings_after_restart(self, settings: Settings) -> Settings:
        """Return what the next process is told: an operator may have changed its lease meanwhile."""
        changes = self._leases_differ and self._lease_chance.random() < 0.5
        return self._with_own_lease(settings) if changes else settings

    def _drawn_work(self, settings: Settings) -> Work:
        """In most worlds work costs time: as much as a server can do without being taken for gone.

        Drawn apart, as distances are.
        """
        chance = random.Random(f"work of seed {self.world.seed}")
        shortest_ms = min(settings.checkpoint_timeout_ms, settings.silence_ms)
        heaviest = round(WORK_SHARE * shortest_ms / longest_request_ms(OPERATIONS_AT_MOST))
        return Work(0 if chance.random() < 0.3 else round(heaviest ** chance.random()))

    def _drawn_keeping(self) -> Keeping:
        """In some worlds the journal is folded, and sessions are forgotten; drawn apart, as distances are."""
        chance = random.Random(f"what is kept in seed {self.world.seed}")
        operations, session_ms = chance.choice(KEPT_OPERATIONS), chance.choice(SESSIONS_MS)
        if self.under_load or self.workload.keeps_whole:
            return Keeping()
        return Keeping(operations=operations, session_us=1000 * session_ms)

    def _drawn_bounds(self) -> AdmissionBounds:
        """In some worlds there is a limit to a caller's batches a second; drawn apart, as distances are."""
        chance = random.Random(f"rates of seed {self.world.seed}")
        full_batch = OPERATIONS_AT_MOST * max(1, self.work.weight)
        batch_ms = chance.choice(BATCH_EVERY_MS)
        per_caller = round(1000 * full_batch / batch_ms) if batch_ms else 0
        rate = Rate(per_caller=per_caller, per_address=2 * per_caller)
        return AdmissionBounds(waiting_bytes=LimitSettings().waiting_bytes, rate=rate, full_batch=full_batch)

    def _place_far(self) -> None:
        """Now and then have a server so far from the others that an answer may take more than a heartbeat.

        Drawn apart, so that all other seeds are what they were without. Not if a joiner gets a few entries a
        round trip: it could be slower than the bank, for ever. Nor if clocks run apart: timeouts do, too.
        """
        chance = random.Random(f"distance of seed {self.world.seed}")
        server = self.servers[chance.choice(sorted(self.servers))]
        quick = server.settings.catch_up_operations == max(CATCH_UP_OPERATIONS) and not self.clocks_apart
        if quick and chance.random() < 0.25:
            at_most_ms = 0.3 * server.settings.checkpoint_timeout_ms
            if self.load is not None:  # Requests and the disk take theirs.
                at_most_ms = 0.15 * shortest_ms(server.settings)
            longest_ms = min(at_most_ms, FARTHEST_MS)
            others = {*self.servers, self.witness.name} - {server.name}
            self.world.place_far(both_ways({server.name}, others), longest_ms * chance.uniform(0.5, 1))

    def clock_rate(self, settings: Settings) -> float:
        """Draw how fast a server's clock runs."""
        if self.clocks_apart:
            return self.world.chance.choice([0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0])
        leases_ms = LEASES_MS if self._leases_differ else [(settings.lease_ms, settings.drift_ms)]
        off = 0.9 * min(drift_ms / (lease_ms or 1000) for lease_ms, drift_ms in leases_ms)
        return 1 + self.world.chance.choice([-off, off])

    @property
    def parties(self) -> list[str]:
        """Everybody who sends and gets messages."""
        return [
            *self._callers,
            *self.servers,
            self.witness.name,
            self.operator.name,
        ]

    # -- running ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Run to the end; raises SimulationFailure."""
        world = self.world
        for server in self.servers.values():
            world.after(world.chance.uniform(0, 200), server.start)
        if self.load is not None:
            self.load.run()
        else:
            for caller in self._callers.values():
                caller.begin()
            self.nemesis.arrange()
            self.maintenance.arrange()
            self.mover.arrange()
            self.exporter.begin()
            self.steward.begin()
            self.rollout.begin()
            world.run_until(self.duration_ms)
            self.maintenance.end()
            self.mover.end()
        survivors = Recovery(self, self.rollout).run()
        self._final_verdict(survivors)

    def _view_changed(self) -> None:
        before, view = self.witness.before, self.witness.view
        if view is not None and view.forced and before is not None:
            self._was_forced(before, view)
        self.promises.view_changed()
        self.nemesis.view_changed()
        if self.load is not None:
            self.load.view_changed()

    def _was_forced(self, before: View, view: View) -> None:
        """An operator's force has waived some of what was acknowledged (V7)."""
        kept = self.promises.forced(before, self.servers[view.primary])
        self.world.note(view.primary, "has won by force, and keeps what was acknowledged up to", kept)
        self.maintenance.forced += 1
        self.mover.give_up()
        self.operator.note_history(view.history)
        self.exporter.waive(kept)
        self.told = min(self.told, kept)

    # -- what players ask of the others, or tell them (see `cluster`) -----------------------------

    def may_wipe(self, server: str) -> bool:
        """Draw whether a crash of this server loses its disk."""
        return self.nemesis.may_wipe(self.servers[server])

    def release_of(self, server: str) -> int:
        """Return which release of the code is on this machine now."""
        return self.rollout.installed[server]

    def proposes_twice(self) -> float | None:
        """Draw whether what is to migrate the state is proposed once more, and after how many ms."""
        return self.rollout.proposes_twice()

    def migrated(self, server: str) -> int | None:
        """The state on a server has got another version; return before which effect from here it crashes."""
        return self.rollout.migrated(self.servers[server])

    def delay_until_the_view_changes(self, deliver: Callable[[], None]) -> None:
        """Something arrives once more, when another epoch is led or one of those after it."""
        self.nemesis.delay_until_the_view_changes(deliver)

    def died(self, server: str) -> None:
        """A process died: tell its neighbours, and start it again some time."""
        world, dead = self.world, self.servers[server]
        boot, silent = dead.boot, world.happens(world.faults.silent_death)
        for other in self.servers.values():
            wait_ms = 2500 if world.is_cut(server, other.name) else world.chance.uniform(0.1, 2)
            wait_ms = SILENT_MS if silent else wait_ms
            world.after(wait_ms, lambda other=other: other.lose_link(server, boot))  # type: ignore[misc]
        for client in self.clients:
            if not world.is_cut(server, client.name):
                world.after(0.5, lambda client=client: client.connection_lost(server))  # type: ignore[misc]
        again_ms = 5.0 if world.quiet else world.chance.choice([2, 20, 300, 2500])
        world.after(again_ms, lambda: dead.start_again(boot))

    def stepped(self, server: str) -> None:
        """A server has taken an event; its effects are not carried out yet."""
        self.promises.stepped(self.servers[server])

    def said(self, server: str, what: object) -> None:
        """A server has said this to another one, or to whoever asked."""
        self.promises.said(self.servers[server], what)

    def committed(self, server: str) -> None:
        """What a server has written is durable, or a copy is in place."""
        if self._note_commits:
            self.world.note(server, COMMITTED, self.servers[server].journal.tip.action_id)
        self.promises.committed(self.servers[server])

    def folded(self, server: str, journal: SqliteJournal, records: Sequence[Record]) -> None:
        """These records have left the journal on a server's disk."""
        self.promises.folded(self.servers[server], journal, records)

    def is_waived(self, history: str, action_id: int) -> bool:
        """Whether a forced takeover has left a history before it had come so far."""
        return action_id > self.promises.kept.get(history, action_id)

    def acknowledged_records(self, above: int, up_to: int) -> Sequence[Record]:
        """Return what is acknowledged between these action ids."""
        return [record for record in self.promises.records if above < record.action_id <= up_to]

    def shown(self, server: str, action_id: int) -> None:
        """A server shows the state at this action id."""
        self.promises.shown(self.servers[server], action_id)

    def left(self, records: Sequence[Record], *, opens: bool) -> None:
        """A database has all that there ever is of the bank, as whoever moves it was told; or it `opens`."""
        self.promises.left(records, opens=opens)

    def stays(self) -> None:
        """That was taken away there: the servers may keep the bank."""
        self.promises.stays()

    def turned_away(self) -> None:
        """A server has told a caller that it is busy."""
        self.told_busy += 1

    def answered(self, server: str, attempt: Any, reply: Reply) -> None:
        """An answer to this attempt of a client leaves a server."""
        self.promises.answered(self.servers[server], attempt.asked, reply)
        caller = self._callers[attempt.asked.client]
        self.world.send(server, caller.name, reply, lambda: caller.answer(attempt, reply))

    def completed(self, asked: SimulatedCall) -> None:
        """A client was told something."""
        reply = asked.reply
        if isinstance(reply, Decided):
            self._was_told(reply.history, reply.record.action_id)
        elif isinstance(reply, Read):
            self._was_told(reply.history, reply.action_id)

    def _was_told(self, history: str, action_id: int) -> None:
        self.told = max(self.told, min(action_id, self.promises.kept.get(history, action_id)))

    # -- the end ---------------------------------------------------------------------------------

    def _final_verdict(self, survivors: Sequence[SimulatedServer]) -> None:
        journals = [server.journal for server in survivors]
        first, *others = journals
        copies = [self._copy_of(server) for server in survivors]
        held = [one.digest for one in copies[0].records for _ in range(one.operation_count)]
        for action_id, digest in enumerate(self.promises.acknowledged, 1):
            if action_id > len(held) or held[action_id - 1] != digest:
                raise SimulationFailure(
                    "safety", f"the acknowledged operation at action id {action_id} is gone"
                )
        state = list(first.export())
        if any(list(other.export()) != state for other in others):
            raise SimulationFailure("safety", "equal journals add up to different states")
        calls = calls_of(
            (call for caller in self._callers.values() for call in caller.calls), self.promises.kept
        )
        verdict = self.workload.judge(calls, copies, journals, fresh_reads=not self.clocks_apart)
        for sentence in verdict.violations:
            raise SimulationFailure("safety", sentence)

    def _copy_of(self, server: SimulatedServer) -> Copy:
        """Return a server's disk, with what was folded there: that was acknowledged, and so is known."""
        self.promises.check_anchor(server.name, server.journal)
        folded = self.acknowledged_records(0, server.journal.anchor.action_id)
        return copy_of(server.name, server.journal, self.workload.model(), folded)


def simulate(
    seed: int,
    *,
    servers: int = 2,
    clocks_apart: bool = False,
    under_load: bool = False,
    workload: Workload | None = None,
    duration_ms: float = DURATION_MS,
    whole_chart: bool = False,
    whole_trace: bool = False,
) -> SimulationResult:
    """Run one seed to its end; the result says what went wrong, if anything did.

    With `whole_chart` it shows all that happened, whether anything went wrong or not; with `whole_trace` it
    has that as values, commits included.
    """
    simulation = Simulation(
        seed,
        servers=servers,
        clocks_apart=clocks_apart,
        under_load=under_load,
        workload=workload,
        duration_ms=duration_ms,
        trace_length=None if whole_chart or whole_trace else TRACE_LENGTH,
        note_commits=whole_trace,
    )
    failure = None
    try:
        with without_collector():
            simulation.run()
    except SimulationFailure as broken:
        failure = broken
    except BrokenInvariant as broken:
        failure = SimulationFailure("safety", f"a server stopped, for what cannot be was: {broken}")
    except BrokenWorkload:
        raise
    except Exception as mistake:
        where = "".join(traceback.format_exception(mistake))
        failure = SimulationFailure("crash", f"{type(mistake).__name__}: {mistake}\n{where}")
    world, view = simulation.world, simulation.witness.view
    return SimulationResult(
        seed=seed,
        servers=servers,
        clocks_apart=clocks_apart,
        under_load=under_load,
        events=world.events,
        acknowledged=len(simulation.promises.acknowledged),
        calls=sum(len(client.calls) for client in simulation.clients),
        simulated_ms=world.now_ms,
        views=view.epoch if view is not None else 0,
        failure=failure,
        chart=chart(simulation.parties, world.trace) if failure is not None or whole_chart else (),
        trace=tuple(world.trace) if whole_trace else (),
        parties=tuple(simulation.parties) if whole_trace else (),
        methods=dict(simulation.workload.counts),
        newest=tuple(simulation.workload.newest) if failure is not None else (),
    )
