"""A machine with one server on it, simulated: its disk, its clock, and the processes that run there.

Rule: a crash loses memory, and of what is not durable yet as much as chance will; the disk stays, unless it
      is wiped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import apsw

from bankrmi.replication.events import Event
from bankrmi.replication.journal import Adopted
from bankrmi.replication.replica import Replica
from bankrmi.replication.settings import Settings
from bankrmi.rmi.turn import Line
from bankrmi.robustness.simulator.asked import Asking
from bankrmi.robustness.simulator.cluster import Cluster
from bankrmi.robustness.simulator.disk import SimulatedDisk
from bankrmi.robustness.simulator.folded import WatchedJournal
from bankrmi.robustness.simulator.images import Image, Images
from bankrmi.robustness.simulator.process import SimulatedProcess
from bankrmi.server.peer_links import PeerLinks
from bankrmi.storage.database import open_in_memory
from bankrmi.storage.journal import SqliteJournal

__all__ = ["SimulatedServer"]


class SimulatedServer:
    """One machine with one server on it."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.settings = settings
        self.name = settings.server
        self.boot = 0
        self.paused = False
        self.stays_down = False
        self.has_left = False  # It found that the bank has no such server, or has it elsewhere (V12).
        self._for_good = False  # It is paused, and stays so.
        self.disk = SimulatedDisk(self.world)
        self.release = 0  # Of the code of its newest process.
        self.journal = self._empty_disk()
        self.images = Images(self.journal)
        self.acted_in = 0  # The highest epoch that is adopted durably on this disk.
        self._process: SimulatedProcess | None = None
        self._lost_disk: SqliteJournal | None = None
        self._clock_rate = cluster.clock_rate(settings)
        self._clock_began_ms = self.world.chance.uniform(0, 1e6)

    def _empty_disk(self) -> SqliteJournal:
        return self.journal_on(open_in_memory())

    def _reopened(self) -> SqliteJournal:
        """What the next process will find: all that is durable, and perhaps more of what was written."""
        kept = self.images.under_way
        if kept:
            kept = self.world.chance.randint(0, kept)
        return self.journal_on(self.images.after_crash(kept).database())

    def journal_on(self, database: apsw.Connection) -> SqliteJournal:
        """Return a journal in this database, as a process of this server opens it."""
        machine = self.cluster.workload.machine(self.release)
        behind = self.cluster.behind
        return WatchedJournal(
            database,
            machine,
            partial(self.cluster.folded, self.name),
            new_incarnation=self.world.new_id,
            behind=behind,
            keeping=self.cluster.keeping,
        )

    @property
    def now_ms(self) -> float:
        """What this machine's clock says: it started when it wanted, and runs a little wrong."""
        return self._clock_began_ms + self.world.now_ms * self._clock_rate

    @property
    def start_id(self) -> str:
        """Id of the running process."""
        return f"{self.name}#{self.boot}"

    @property
    def alive(self) -> bool:
        """Whether a process runs."""
        return self._process is not None

    @property
    def process(self) -> SimulatedProcess | None:
        """The process that runs."""
        return self._process

    @property
    def replica(self) -> Replica | None:
        """The rules of the running process."""
        return self._process.replica if self._process is not None else None

    @property
    def links(self) -> PeerLinks | None:
        """The links of the running process."""
        return self._process.links if self._process is not None else None

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a process on the disk as it is."""
        self.boot += 1
        self.paused = False
        if self.boot > 1:
            self.settings = self.cluster.settings_after_restart(self.settings)
        self._take_code(self.cluster.release_of(self.name))
        why_not = self.cluster.workload.why_not_opened(self.release, self.journal)
        if why_not:
            self.world.note(self.name, "does not start:", why_not)
            return
        self.world.note(self.name, "starts as", self.start_id, f"with a lease of {self.settings.lease_ms} ms")
        self._process = SimulatedProcess(self)
        self._process.begin()

    def _take_code(self, release: int) -> None:
        """The process that starts now has what is on the machine."""
        if release != self.release:
            self.release = release
            self.world.note(self.name, "has code of release", release)
            self._put_in(self.journal_on(self.images.durable.database()))
        self.settings = replace(self.settings, code=self.cluster.workload.code(release))

    @property
    def address(self) -> str:
        """Where the others call the process that runs, as its configuration says."""
        return self.settings.home

    def leave(self) -> None:
        """The process ends, and nobody starts it again as it is."""
        self.has_left = True
        self.crash()

    def start_at(self, address: str, addresses: Mapping[str, str]) -> None:
        """An operator starts it there, with a file that has the others at these addresses."""
        self.crash()
        self.has_left = False
        told = self.settings.with_servers({**addresses, self.name: address})
        self.settings = replace(told, address=address)
        if not self.stays_down:
            self.start()

    def start_again(self, boot: int) -> None:
        """Start, unless it was started since that boot, or is never to come back."""
        if not self.alive and self.boot == boot and not self.stays_down and not self.has_left:
            self.start()

    def crash(self, *, wipe: bool = False) -> None:
        """Kill the process; its neighbours' kernels say so, unless they are cut off."""
        if self._process is None:
            return
        self.world.note(self.name, "dies, its disk is lost" if wipe else "dies")
        self._process.die()
        self._process = None
        self._put_in(self._reopened())
        if wipe:
            self._lost_disk = self.journal
            self.acted_in = 0
            self._put_in(self._empty_disk())
        self.cluster.died(self.name)

    def _put_in(self, journal: SqliteJournal) -> None:
        """This is what is on the disk from now on, all of it durable."""
        self.journal = journal
        self.images = Images(journal)
        self.cluster.committed(self.name)

    def put_in_place(self, copy: SqliteJournal, adopted: Adopted) -> None:
        """A copy is what is on this disk from now on, and knows the epoch that was adopted with it (V8).

        Unless it is of another history: then it knows what its source knew.
        """
        if copy.adopted is None or copy.adopted.history == adopted.history:
            self.acted_in = max(self.acted_in, adopted.epoch)
        self._put_in(copy)

    @property
    def has_lost_a_disk(self) -> bool:
        """Whether there is a disk that may be found again."""
        return self._lost_disk is not None

    def find_disk(self) -> None:
        """The disk that was lost was only not mounted; what has been put in its place since is gone."""
        self.crash()
        self.world.note(self.name, "finds the disk that it had lost")
        assert self._lost_disk is not None
        self.acted_in = 0
        self._put_in(self.journal_on(Image.of(self._lost_disk).database()))  # By the code that is here now.
        self._lost_disk = None

    def pause(self) -> None:
        """SIGSTOP: nothing is done, connections stay."""
        if self._process is not None and not self.paused:
            self.world.note(self.name, "pauses")
            self.paused = True
            self._process.hold()

    def pause_for_good(self) -> None:
        """SIGSTOP, and nobody ever says SIGCONT."""
        self.pause()
        self._for_good = True

    def resume(self) -> None:
        """SIGCONT."""
        if self._process is not None and self.paused and not self._for_good:
            self.world.note(self.name, "resumes")
            self.paused = False
            self._process.go_on()

    # -- what reaches it -------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Something happened to the running process."""
        if self._process is not None:
            self._process.take(event)

    def called(self, boot: int, caller: str, event: Asking) -> None:
        """A client's message arrives, for the process of that boot."""
        process = self._process
        if process is not None and self.boot == boot:
            cost_ms = self.cluster.work.call_ms(event)
            process.asked(caller, cost_ms, event)

    def when_free(self, boot: int, action: Callable[[], None]) -> None:
        """Something small is asked of the shell of that boot's process: it is done as soon as it may be."""
        if self._process is not None and self.boot == boot:
            self._process.arrive(action)

    def called_by_stranger(self, boot: int, caller: str, cost_ms: float, served: Callable[[], None]) -> bool:
        """Somebody's message arrives that costs only time; False if nobody is there."""
        if self._process is None or self.boot != boot:
            return False
        self._process.called(caller, Line.STRANGERS, cost_ms, served)
        return True

    def lose_link(self, other: str, boot: int) -> None:
        """The process of another server is gone, and this machine hears of it."""
        process = self._process  # It may die of the first, and then does nothing of the second.
        if process is not None:
            process.arrive(lambda: process.network.lose(other, boot))
            process.arrive(lambda: process.copies.lose(other, boot))

    def greets(self, caller: str) -> bool:
        """Whether a connection of this caller would be answered now."""
        return self.alive and not self.paused and not self.world.are_apart(caller, self.name)
