"""What whoever plays in a simulation may ask of the others.

`simulation` assembles everything, is the one `Cluster` that there is, and hands itself to each player.

Rule 1: a player imports this file and what is below it; never another player, and never whoever made it.
Rule 2: a player tells the cluster what has happened, and to which server; the cluster knows whom to tell.
Rule 3: nothing is here that no player asks for. How a process sees its own server is in `own_process`;
        whoever watches, harms, loads or ends the cluster is handed a `WholeCluster`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from bankrmi.replication.effects import Reply
from bankrmi.replication.events import Event
from bankrmi.replication.record import Record
from bankrmi.replication.replica import Replica
from bankrmi.replication.settings import Settings
from bankrmi.rmi.turn import Line
from bankrmi.robustness.simulator.asked import Asking, SimulatedCall
from bankrmi.robustness.simulator.bounds import AdmissionBounds
from bankrmi.robustness.simulator.witness import SimulatedWitness
from bankrmi.robustness.simulator.work import Work
from bankrmi.robustness.simulator.workload import Workload
from bankrmi.robustness.simulator.world import World
from bankrmi.server.backing_up import Backups
from bankrmi.server.copy_fetching import Question
from bankrmi.server.copy_serving import CopyCall
from bankrmi.server.exporting import Exports
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import SqliteJournal, WriteBehind

__all__ = ["Cluster", "JoinerCall", "OtherClient", "OtherCopies", "OtherProcess", "OtherServer"]


class OtherClient(Protocol):
    """A client, as another one sees it."""

    @property
    def calls(self) -> Sequence[SimulatedCall]:
        """All that it has asked."""


class JoinerCall(CopyCall, Protocol):
    """A question of a server that wants a copy."""

    @property
    def joiner(self) -> tuple[str, int]:
        """Who wants it: a server, and which of its processes."""


class OtherCopies(Protocol):
    """The copies that a process makes, as a joiner sees them."""

    def asked(self, question: Question, call: JoinerCall) -> None:
        """Another process asks for something of a copy."""

    def has_lost(self, process: tuple[str, int]) -> bool:
        """Whether this process, a server and its boot, is known to be gone."""


class OtherProcess(Protocol):
    """A process, as those see it that do not belong to it."""

    @property
    def copies(self) -> OtherCopies:
        """The copies that it makes."""

    @property
    def exports(self) -> Exports:
        """The exports that it serves."""

    @property
    def backups(self) -> Backups:
        """What it gives to whoever takes a backup, or moves the bank."""

    def arrive(self, action: Callable[[], None]) -> None:
        """Something from another server wants to be dealt with."""

    def called(self, caller: str, line: Line, cost_ms: float, action: Callable[[], None]) -> None:
        """A caller's message is here: it takes `cost_ms` to read, and then `action` is to be done."""


class OtherServer(Protocol):
    """A server, as its callers and the other servers see it."""

    @property
    def settings(self) -> Settings:
        """What its rules go by."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def address(self) -> str:
        """Where the others call the process that runs."""

    @property
    def boot(self) -> int:
        """Which of its processes runs, or ran last."""

    @property
    def start_id(self) -> str:
        """Id of that process."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""

    @property
    def paused(self) -> bool:
        """Whether it stands still."""

    @property
    def process(self) -> OtherProcess | None:
        """The process that runs."""

    @property
    def replica(self) -> Replica | None:
        """Its rules."""

    @property
    def journal(self) -> SqliteJournal:
        """What is on its disk."""

    def greets(self, caller: str) -> bool:
        """Whether a connection of this caller would be answered now."""

    def take(self, event: Event) -> None:
        """Something happened to the running process."""

    def called(self, boot: int, caller: str, event: Asking) -> None:
        """A client's message arrives, for the process of that boot."""

    def called_by_stranger(self, boot: int, caller: str, cost_ms: float, served: Callable[[], None]) -> bool:
        """Somebody's message arrives that costs only time; False if nobody is there."""

    def when_free(self, boot: int, action: Callable[[], None]) -> None:
        """Something small is asked of the shell of that boot's process: it is done as soon as it may be."""


class Cluster(Protocol):
    """Everything around one player."""

    # -- what is there ---------------------------------------------------------------------------

    @property
    def world(self) -> World:
        """Time, chance and the network."""

    @property
    def workload(self) -> Workload:
        """What is replicated, and may be asked for."""

    @property
    def work(self) -> Work:
        """What work costs."""

    @property
    def behind(self) -> WriteBehind:
        """How far what follows from a journal may lag behind it on a disk."""

    @property
    def keeping(self) -> Keeping:
        """How much of a journal is kept."""

    @property
    def bounds(self) -> AdmissionBounds:
        """How much callers may have waiting at a server, and add."""

    @property
    def copies_fail(self) -> float:
        """Of all that may fail about a copy, how much does."""

    @property
    def clocks_apart(self) -> bool:
        """Whether clocks run apart by more than `drift_ms`."""

    @property
    def under_load(self) -> bool:
        """Whether nothing goes wrong in this world."""

    @property
    def servers(self) -> Mapping[str, OtherServer]:
        """All of them, by name."""

    @property
    def clients(self) -> Sequence[OtherClient]:
        """All of ours."""

    @property
    def witness(self) -> SimulatedWitness:
        """The keeper of the view."""

    @property
    def told(self) -> int:
        """The highest action id that any client has been told."""

    # -- what is drawn ---------------------------------------------------------------------------

    def clock_rate(self, settings: Settings) -> float:
        """Draw how fast a server's clock runs."""

    def settings_after_restart(self, settings: Settings) -> Settings:
        """Return what the next process is told: an operator may have changed its lease meanwhile."""

    def may_wipe(self, server: str) -> bool:
        """Draw whether a crash of this server loses its disk."""

    def release_of(self, server: str) -> int:
        """Return which release of the code is on this machine now: its next process will have it."""

    def proposes_twice(self) -> float | None:
        """Draw whether what is to migrate the state is proposed once more, and after how many ms."""

    # -- what has happened -----------------------------------------------------------------------

    def stepped(self, server: str) -> None:
        """A server has taken an event; its effects are not carried out yet."""

    def said(self, server: str, what: object) -> None:
        """A server has said this to another one, or to whoever asked."""

    def committed(self, server: str) -> None:
        """What a server has written is durable, or a copy is in place."""

    def folded(self, server: str, journal: SqliteJournal, records: Sequence[Record]) -> None:
        """These records have left the journal on a server's disk."""

    def is_waived(self, history: str, action_id: int) -> bool:
        """Whether a forced takeover has left a history before it had come so far."""

    def acknowledged_records(self, above: int, up_to: int) -> Sequence[Record]:
        """Return what is acknowledged between these action ids."""

    def died(self, server: str) -> None:
        """A process died."""

    def migrated(self, server: str) -> int | None:
        """The state on a server has got another version; return before which effect from here it crashes."""

    def answered(self, server: str, attempt: Any, reply: Reply) -> None:
        """An answer to this attempt of a client leaves a server."""

    def shown(self, server: str, action_id: int) -> None:
        """A server shows the state at this action id."""

    def left(self, records: Sequence[Record], *, opens: bool) -> None:
        """A database has all that there ever is of the bank, as whoever moves it was told; or it `opens`."""

    def stays(self) -> None:
        """That was taken away there: the servers may keep the bank."""

    def turned_away(self) -> None:
        """A server has told a caller that it is busy."""

    def completed(self, asked: SimulatedCall) -> None:
        """A client was told something."""

    def delay_until_the_view_changes(self, deliver: Callable[[], None]) -> None:
        """Something arrives once more, when another epoch is led or one of those after it."""
