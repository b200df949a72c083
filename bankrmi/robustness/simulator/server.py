"""A server process, simulated: the production rules and storage; its life, disk, links and clock are ours.

Rule 1: effects are carried out in order; a crash or a pause may come between any two.
Rule 2: a crash loses memory and what was not committed; the disk stays, unless it is wiped.
Rule 3: a commit that fails stops the process (F1); whether it is on the disk nobody can tell, so either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import apsw

from bankrmi.replication.believing import CONTRADICTION
from bankrmi.replication.effects import (
    Answer,
    Commit,
    Effect,
    FetchCopy,
    InstallCopy,
    Probe,
    Propose,
    ReadView,
    Refusal,
    Reply,
    Report,
    Send,
    Stop,
)
from bankrmi.replication.events import (
    AnswerArrived,
    CopyEnded,
    CopyInstalled,
    Event,
    Proceed,
    Tick,
)
from bankrmi.replication.journal import Adopted
from bankrmi.replication.replica import Replica
from bankrmi.replication.settings import Settings
from bankrmi.robustness.simulator.disk import Disk
from bankrmi.robustness.simulator.failure import Failure
from bankrmi.robustness.simulator.links import ServerToken, SimulatedLinks
from bankrmi.robustness.simulator.operator import OperatorToken
from bankrmi.storage.database import DiskFailed, open_in_memory
from bankrmi.storage.journal import SqliteJournal

if TYPE_CHECKING:
    from bankrmi.robustness.simulator.simulation import Simulation

__all__ = ["SimulatedServer"]

TICK_MS = 25.0
PAUSES_MS = (5, 50, 200, 400, 1500, 3000)


class SimulatedServer:
    """One machine with one server on it."""

    def __init__(self, simulation: Simulation, settings: Settings) -> None:
        self.simulation = simulation
        self.world = simulation.world
        self.settings = settings
        self.name = settings.server
        self.boot = 0
        self.alive = False
        self.paused = False
        self.stays_down = False
        self._for_good = False  # It is paused, and stays so.
        self.uncommitted = False
        self.disk = Disk(self.world)
        self.journal = self._empty_disk()
        self.acted_in = 0  # The highest epoch that is adopted durably on this disk.
        self.replica: Replica | None = None
        self.links = SimulatedLinks(self)
        self._inbox: deque[Event] = deque()
        self._duties: deque[Effect] = deque()
        self._busy = False
        self._proceeding = False
        self._copy: SqliteJournal | None = None
        self._lost_disk: tuple[SqliteJournal, int] | None = None
        self._clock_rate = simulation.clock_rate(settings)
        self._clock_began_ms = self.world.chance.uniform(0, 1e6)

    def _empty_disk(self) -> SqliteJournal:
        return self._journal_on(open_in_memory())

    def _reopened(self) -> SqliteJournal:
        """What the next process will find: everything committed, and nothing else."""
        database = self.journal.database
        if database.in_transaction:
            database.execute("ROLLBACK")
        return self._journal_on(database)

    def _journal_on(self, database: apsw.Connection) -> SqliteJournal:
        machine = self.simulation.workload.machine()
        return SqliteJournal(database, machine, new_incarnation=self.world.new_id)

    @property
    def now_ms(self) -> float:
        """What this machine's clock says: it started when it wanted, and runs a little wrong."""
        return self._clock_began_ms + self.world.now_ms * self._clock_rate

    @property
    def start_id(self) -> str:
        """Id of the running process."""
        return f"{self.name}#{self.boot}"

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a process on the disk as it is."""
        self.boot += 1
        self.alive = True
        self.paused = self._busy = self._proceeding = False
        self.links = SimulatedLinks(self)
        self._inbox.clear()
        self._duties.clear()
        if self.boot > 1:
            self.settings = self.simulation.settings_after_restart(self.settings)
        self.world.note(self.name, "starts as", self.start_id, f"with a lease of {self.settings.lease_ms} ms")
        self.replica = Replica(
            self.settings,
            self.journal,
            start_id=self.start_id,
            now_ms=self.now_ms,
            new_id=self.world.new_id,
        )
        self._every(TICK_MS, self._tick)
        self.links.open()

    def start_again(self, boot: int) -> None:
        """Start, unless it was started since that boot, or is never to come back."""
        if not self.alive and self.boot == boot and not self.stays_down:
            self.start()

    def _every(self, interval_ms: float, action: Callable[[], None]) -> None:
        boot = self.boot

        def again() -> None:
            if self.alive and self.boot == boot:
                action()
                self.world.after(interval_ms, again)

        self.world.after(self.world.chance.uniform(0, interval_ms), again)

    def _tick(self) -> None:
        if not self.paused and not any(isinstance(event, Tick) for event in self._inbox):
            self.take(Tick())

    def crash(self, *, wipe: bool = False) -> None:
        """Kill the process; its neighbours' kernels say so, unless they are cut off."""
        if not self.alive:
            return
        self.world.note(self.name, "dies, its disk is lost" if wipe else "dies")
        self.alive = False
        self.replica = None
        self.uncommitted = False
        self.journal = self._reopened()
        if wipe:
            self._lost_disk = (self.journal, self.acted_in)
            self.journal, self.acted_in = self._empty_disk(), 0
        self.simulation.died(self)

    @property
    def has_lost_a_disk(self) -> bool:
        """Whether there is a disk that may be found again."""
        return self._lost_disk is not None

    def find_disk(self) -> None:
        """The disk that was lost was only not mounted; what has been put in its place since is gone."""
        self.crash()
        self.world.note(self.name, "finds the disk that it had lost")
        assert self._lost_disk is not None
        self.journal, self.acted_in = self._lost_disk
        self._lost_disk = None

    def pause(self) -> None:
        """SIGSTOP: nothing is done, connections stay."""
        if self.alive and not self.paused:
            self.world.note(self.name, "pauses")
            self.paused = True

    def pause_for_good(self) -> None:
        """SIGSTOP, and nobody ever says SIGCONT."""
        self.pause()
        self._for_good = True

    def resume(self) -> None:
        """SIGCONT."""
        if self.alive and self.paused and not self._for_good:
            self.world.note(self.name, "resumes")
            self.paused = False
            self._go_on()

    # -- the loop --------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Something happened to this process."""
        if self.alive:
            self._inbox.append(event)
            self._go_on()

    def take_for(self, boot: int, event: Event) -> None:
        """Something happened that only the process of this boot has to do with."""
        if self.boot == boot:
            self.take(event)

    def _go_on(self) -> None:
        while self.alive and not self.paused and not self._busy:
            if self._duties:
                self._carry_out(self._duties.popleft())
            elif self._inbox:
                self._step(self._inbox.popleft())
            else:
                break

    def _step(self, event: Event) -> None:
        assert self.replica is not None
        effects = self.replica.step(event, now_ms=self.now_ms)
        if effects:
            self.uncommitted = any(type(effect) is Commit for effect in effects)
            self._duties.extend(effects)
        else:
            self.uncommitted = False
        if self.replica.has_work and not self._proceeding and not isinstance(event, Proceed):
            self._proceeding = True
            self.world.after(0.02, self._proceed)
        self.simulation.promises.stepped(self)

    def _proceed(self) -> None:
        self._proceeding = False
        self.take(Proceed(int(self.now_ms * 1000)))

    def _carry_out(self, effect: Effect) -> None:
        if self.world.happens(self.world.faults.crash_between_effects):
            self.crash(wipe=self.simulation.misfortune.may_wipe(self))
            return
        if self.world.happens(self.world.faults.pause_between_effects):
            self._duties.appendleft(effect)
            self.pause()
            self.world.after(self.world.chance.choice(PAUSES_MS), self.resume)
            return
        match effect:
            case Commit():
                self._commit()
            case Send(to=to, message=message):
                self.links.send(to, message)
            case Answer(token=token, reply=reply):
                if isinstance(token, ServerToken):
                    self._answer_server(token, reply)
                elif isinstance(token, OperatorToken):
                    self.world.send(self.name, "operator", reply, lambda: token.reply(self.name, reply))
                elif token is not None:
                    self.simulation.answered(self, token, reply)
            case ReadView(since_epoch=epoch):
                boot = self.boot
                self.simulation.witness.read(self.name, epoch, lambda event: self.take_for(boot, event))
            case Propose(view=view, expected=expected):
                boot = self.boot
                self.simulation.witness.propose(
                    self.name, view, expected, lambda event: self.take_for(boot, event)
                )
            case Probe():
                self.links.probe(effect)
            case FetchCopy():
                self._fetch_copy(effect)
            case InstallCopy(adopted=adopted):
                self._install_copy(adopted)
            case Report(event=event, details=details):
                self.world.note(self.name, event, details)
                if event == CONTRADICTION:
                    raise Failure("safety", f"{details['server']} says what cannot be: {details['why']}")
            case Stop():
                self.crash()

    def _answer_server(self, token: ServerToken, reply: Reply) -> None:
        if isinstance(reply, Refusal):
            raise Failure("safety", f"{token.sender.name} says what cannot be: {reply.why}")
        answer = AnswerArrived(reply, self.name)  # type: ignore[arg-type]

        def arrive() -> None:
            token.sender.take_for(token.boot, answer)

        self.world.send(self.name, token.sender.name, reply, arrive)
        if self.world.happens(self.world.faults.late_answer):
            self.simulation.misfortune.delay_until_the_view_changes(arrive)

    def _install_copy(self, adopted: Adopted | None) -> None:
        copy, self._copy = self._copy, None
        if copy is None or adopted is None:
            return
        copy.make_own(self.world.new_id(), adopted)
        copy.commit()
        self.journal = copy
        self.acted_in = max(self.acted_in, adopted.epoch)
        self._inbox.appendleft(CopyInstalled(copy))
        self.simulation.promises.committed(self)

    def _commit(self) -> None:
        boot = self.boot
        self._busy = True

        def done() -> None:
            if self.alive and self.boot == boot:
                self._end_commit()

        self.world.after(self.disk.commit_ms(), done)

    def _end_commit(self) -> None:
        """As production's driver does: what stands behind a commit that failed is not carried out (F1)."""
        try:
            self.disk.commit(self.journal)
        except DiskFailed as failed:
            self.world.note(self.name, str(failed))
            self.crash()
            return
        self.uncommitted = False
        self._busy = False
        self.simulation.promises.committed(self)
        self._go_on()

    # -- the network -----------------------------------------------------------------------------

    def greets(self, caller: str) -> bool:
        """Whether a connection of this caller would be answered now."""
        return self.alive and not self.paused and not self.world.are_apart(caller, self.name)

    def _fetch_copy(self, effect: FetchCopy) -> None:
        """Get a copy of whatever the process that lives there holds then; it takes a while to arrive."""
        boot, source, chance = self.boot, self.simulation.servers[effect.primary], self.world.chance

        def begin() -> None:
            if not source.greets(self.name) or source.uncommitted or source.journal.adopted is None:
                self.take_for(boot, CopyEnded(fetched=False))
                return
            self.world.note(self.name, "gets a copy of", source.name, source.journal.tip.action_id)
            copy = self._journal_on(source.journal.copied_to(open_in_memory()))
            self.world.after(chance.choice([1, 50, 1000]) * chance.random(), lambda: arrive(copy))

        def arrive(copy: SqliteJournal) -> None:
            if self.alive and self.boot == boot:
                self._copy = copy
                self.take(CopyEnded(fetched=True))

        self.world.after(chance.uniform(5, 100), begin)
