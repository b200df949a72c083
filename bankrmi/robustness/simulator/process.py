"""One process of a simulated server: production's carrier and links; clock, disk and witness are ours.

Rule 1: a crash or a pause may come before any effect; what is behind it is not carried out, or later.
Rule 2: what comes while a process stands still, or is busy, waits; its disk works on meanwhile.
Rule 3: a commit that fails stops the process (F1); whether it is on the disk nobody can tell, so either.
Rule 4: a commit takes a while, and the process goes on; one sync covers all that was written before it began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bankrmi.bank.accounts import Accounts
from bankrmi.coordination.coordinator import Expected, OnSilence
from bankrmi.replication.believing import CONTRADICTION
from bankrmi.replication.code_versions import StateVersion
from bankrmi.replication.effects import Answer, Effect, Reply, SendMessage
from bankrmi.replication.events import CoordinatorSilent, Event, Proceed, Proposed, Tick, ViewRead
from bankrmi.replication.journal import Journal
from bankrmi.replication.replica import Replica
from bankrmi.replication.view import View
from bankrmi.rmi.turn import Line
from bankrmi.robustness.simulator.asked import Asking
from bankrmi.robustness.simulator.copying import SimulatedCopies
from bankrmi.robustness.simulator.desk import TIMEOUT_MS, Desk
from bankrmi.robustness.simulator.failure import SimulationFailure
from bankrmi.robustness.simulator.loop import Loop
from bankrmi.robustness.simulator.network import SimulatedNetwork
from bankrmi.robustness.simulator.own_process import OwnServer
from bankrmi.server.backing_up import Backups
from bankrmi.server.carrier import Carrier
from bankrmi.server.exporting import Exports
from bankrmi.server.folding import Folder
from bankrmi.server.peer_links import PeerLinks
from bankrmi.server.ports import Token
from bankrmi.server.waiting import SLOW_SHARE
from bankrmi.storage.database import DiskFailed
from bankrmi.storage.journal import SqliteJournal

__all__ = ["SimulatedProcess"]

SOON_MS = 0.02
PAUSES_MS = (5, 50, 200, 400, 1500, 3000)
NO_DELAY_MS = 0.0


class SimulatedProcess:
    """A process, from its start to its death; all ports of its carrier (see `server.ports`)."""

    def __init__(self, server: OwnServer) -> None:
        self.server = server
        self.cluster = server.cluster
        self.world = server.cluster.world
        self.name = server.name
        self.alive = True
        self._tip_before = 0
        self._version_before: StateVersion = 1
        self._crashes_in: int | None = None  # So many effects from here.
        self._syncing = 0  # How many of those who wait for the disk the sync under way covers.
        self._written: deque[Callable[[], None]] = deque()
        self.loop = Loop(self.world, self._may_go_on, self._free, unread_ms=SLOW_SHARE * TIMEOUT_MS)
        self.replica = Replica(
            server.settings,
            server.journal,
            start_id=server.start_id,
            now_ms=server.now_ms,
            new_id=self.world.new_id,
        )
        self.carrier = Carrier(
            self.replica,
            clock=self,
            disk=self,
            keeper=_Keeper(self),
            callers=self,
            life=self,
            watcher=self,
        )
        self.network = SimulatedNetwork(self)
        others = {name: server.settings.address_of(name) for name in server.settings.others}
        self.links = PeerLinks(others, self.network, self, self.carrier.take)
        self.copies = SimulatedCopies(self)
        self.carrier.links, self.carrier.copies = self.links, self.copies
        self.exports = Exports(
            self,
            self._accounts,
            server=self.name,
            now_ms=lambda: self.world.now_ms,
            timeout_ms=TIMEOUT_MS,
            page=1,
        )
        self.backups = Backups(
            self, self._accounts, server=self.name, now_ms=lambda: self.world.now_ms, wall_us=self.wall_us
        )
        self.desk = Desk(self, self.carrier.take, self.carrier.read_at_once)
        self._migrate = self.cluster.workload.migrations(server.release, self)
        self.folder = Folder(self, self, lambda: self.exports.any_waits or self.copies.server.is_wanted)

    def begin(self) -> None:
        """Connect to the others, and begin to tick."""
        tick_ms = self.server.settings.tick_ms
        self.after(self.world.chance.uniform(0, tick_ms), lambda: self.carrier.tick_every(tick_ms))
        self.links.open()
        self.desk.open()
        self.after(self.server.settings.tick_ms, self.folder.look)

    def die(self) -> None:
        """Do nothing any more."""
        self.alive = False
        self.carrier.end()

    def hold(self) -> None:
        """Stand still."""
        self.carrier.hold()

    def go_on(self) -> None:
        """Move, after standing still or being busy: do what is left to be done, then take what came."""
        if self.alive and not self.server.paused and not self.loop.is_busy:
            self.carrier.release()
            self.loop.go_on()

    def _free(self) -> None:
        self.go_on()

    def _may_go_on(self) -> bool:
        return self.alive and not self.carrier.held and self.carrier.is_between_steps

    # -- what reaches it -------------------------------------------------------------------------

    def arrive(self, action: Callable[[], None]) -> None:
        """Something of this process's own, or from another server, wants to be dealt with."""
        if self.alive:
            self.loop.arrive(action)

    def take(self, event: Event) -> None:
        """Something happened that the rules have to know."""
        self.arrive(lambda: self.carrier.take(event))

    def called(self, caller: str, line: Line, cost_ms: float, action: Callable[[], None]) -> None:
        """A caller's message is here: it takes `cost_ms` to read, and then `action` is to be done."""
        self.loop.call(caller, line, cost_ms, action)

    def asked(self, caller: str, cost_ms: float, event: Asking) -> None:
        """A client's call is here, for the desk."""
        unread = partial(self.desk.turn_away, event) if event.token.peer.our_protocol else None
        self.loop.call(caller, Line.OURS, cost_ms, partial(self.desk.ask, event), unread)

    @property
    def journal(self) -> SqliteJournal:
        """What is on its disk."""
        return self.server.journal

    def _accounts(self) -> Accounts:
        machine = self.journal.machine
        assert isinstance(machine, Accounts)
        return machine

    # -- the clock -------------------------------------------------------------------------------

    def now_ms(self) -> float:
        """Return what this machine's clock says."""
        return self.server.now_ms

    def wall_us(self) -> int:
        """Return the time of day, as this machine believes."""
        return int(self.server.now_ms * 1000)

    def after(self, delay_ms: float, action: Callable[[], None]) -> _Timer:
        """Let something happen later, if this process still lives."""
        timer = _Timer(action)
        self.world.after(delay_ms, lambda: self.arrive(timer.go_off))
        return timer

    def soon(self, action: Callable[[], None]) -> None:
        """Let something happen in a moment."""
        self.after(SOON_MS, action)

    # -- the disk --------------------------------------------------------------------------------

    def commit(self, done: Callable[[], None]) -> None:
        """Write, and begin to make it durable; the disk works on while its process stands still."""
        self.server.disk.write(self.journal)
        self.server.images.written(self.journal)
        self._written.append(done)
        if not self._syncing:
            self._begin_sync()

    def _begin_sync(self) -> None:
        self._syncing = len(self._written)
        if not self.server.disk.hangs:
            self.world.after(self.server.disk.sync_ms(), self._sync_ended)

    def _sync_ended(self) -> None:
        if not self.alive or not self._syncing:
            return
        try:
            self.server.disk.sync(self.journal)
        except DiskFailed as failed:
            self.world.note(self.name, str(failed))
            self.server.crash()
            return
        self._durable(self._syncing)
        self._syncing = 0
        if self._written:
            self._begin_sync()
        self.loop.go_on()

    def _durable(self, commits: int) -> None:
        """The next `commits` are on the disk; the rules hear of each."""
        done = [self._written.popleft() for _ in range(commits)]
        for _ in done:
            self.server.images.ended()
        self.cluster.committed(self.name)
        for one in done:
            one()

    def finish(self) -> None:
        """Make durable at once all that was written."""
        self._syncing = 0
        self.server.disk.sync(self.journal)
        self._durable(len(self._written))

    def use(self, journal: Journal) -> None:
        """The copy is in place."""

    # -- callers ---------------------------------------------------------------------------------

    def answer(self, token: Token, reply: Reply) -> None:
        """Hand over an answer."""
        self.desk.answer(token, reply)

    # -- life ------------------------------------------------------------------------------------

    def report(self, event: str, details: dict[str, Any]) -> None:
        """Note a sentence in the trace."""
        self.world.note(self.name, event, details)
        if event == CONTRADICTION:
            raise SimulationFailure("safety", f"{details['server']} says what cannot be: {details['why']}")

    def stop(self, _why: str) -> None:
        """The process ends, as it was asked to."""
        self.server.crash()

    def leave(self, why: str) -> None:
        """The process ends: the bank has no such server, or has it elsewhere."""
        self.world.note(self.name, "leaves:", why)
        self.server.leave()

    def failed(self, error: Exception) -> None:
        """A disk that fails ends the process; whatever else must not happen ends the simulation."""
        if not isinstance(error, DiskFailed):
            raise error
        self.world.note(self.name, str(error))
        self.server.crash()

    # -- what is seen of it ----------------------------------------------------------------------

    def taking(self, _event: Event) -> None:
        """What is written from now on is this event's work."""
        self._tip_before = self.replica.journal.tip.action_id
        if self._migrate is not None:
            self._version_before = self.replica.journal.version

    def taken(self, event: Event, effects: Sequence[Effect]) -> None:
        """A step was made: the promises are looked at; what it wants is carried out when its work is done."""
        self.cluster.stepped(self.name)
        decided = self.replica.journal.tip.action_id - self._tip_before if type(event) is Proceed else 0
        self.loop.spend(self.cluster.work.step_ms(event, effects, decided))
        if type(event) is Tick and self.exports:
            self.soon(self.exports.tick)
        if self._migrate is not None:
            self._look_at_version(event)
        if self.loop.is_busy:
            self.carrier.hold()

    def _look_at_version(self, event: Event) -> None:
        if type(event) is Tick:
            self.soon(self._migrate_now)
        if self.replica.journal.version != self._version_before:
            self._crashes_in = self.cluster.migrated(self.name)

    def _migrate_now(self) -> None:
        if self.alive and self._migrate is not None:
            self._migrate()

    def say(self, what: str, details: object) -> None:
        """Note something in the trace."""
        self.world.note(self.name, what, details)

    def twice(self, do: Callable[[], None]) -> None:
        """Now and then do something once more."""
        after_ms = self.cluster.proposes_twice()
        if after_ms is not None:
            self.after(after_ms, do)

    def doing(self, _effect: Effect) -> bool:
        """A crash or a pause may come between any two effects."""
        world = self.world
        if self._crashes_in is not None:
            self._crashes_in -= 1
        if self._crashes_in == 0 or world.happens(world.faults.crash_between_effects):
            self.server.crash(wipe=self.cluster.may_wipe(self.name))
            return False
        if world.happens(world.faults.pause_between_effects):
            self.server.pause()
            world.after(world.chance.choice(PAUSES_MS), self.server.resume)
            return False
        return True

    def done(self, effect: Effect) -> None:
        """What a server says of epochs is looked at as it leaves."""
        match effect:
            case SendMessage(message=message):
                self.cluster.said(self.name, message)
            case Answer(reply=reply):
                self.cluster.said(self.name, reply)


class _Timer:
    """Something that happens unless it is called off (see `ports.Timer`)."""

    __slots__ = ("_action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self._action = None

    def go_off(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()


class _Keeper:
    """The simulated witness, as one server asks it (see `ports.Keeper`)."""

    def __init__(self, process: SimulatedProcess) -> None:
        self._process = process
        self._server = process.name
        self._witness = process.cluster.witness

    def read(self, on_answer: Callable[[View | None], None], on_silence: OnSilence) -> None:
        def answered(event: Event) -> None:
            if isinstance(event, ViewRead):
                on_answer(event.view)
            else:
                on_silence("no answer", True)

        self._witness.read(self._server, lambda event: self._process.arrive(lambda: answered(event)))

    def propose(
        self,
        expected: Expected,
        view: View,
        on_answer: Callable[[View | None, bool], None],
        on_silence: OnSilence,
    ) -> None:
        def answered(event: Event) -> None:
            if isinstance(event, Proposed):
                on_answer(event.view, event.view == view)
            elif isinstance(event, CoordinatorSilent):
                on_silence("no answer", event.sent)

        self._witness.propose(
            self._server, view, expected, lambda event: self._process.arrive(lambda: answered(event))
        )
