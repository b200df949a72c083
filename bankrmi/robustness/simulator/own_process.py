"""A simulated process as its own parts see it, and its server as it sees that itself.

Rule: parts of a process (its network, copies, desk) ask the process for what is here, and never each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import apsw

from bankrmi.replication.events import Event
from bankrmi.replication.journal import Adopted
from bankrmi.replication.replica import Replica
from bankrmi.replication.settings import Settings
from bankrmi.robustness.simulator.cluster import Cluster
from bankrmi.robustness.simulator.disk import SimulatedDisk
from bankrmi.robustness.simulator.images import Images
from bankrmi.robustness.simulator.loop import Loop
from bankrmi.robustness.simulator.world import World
from bankrmi.server.ports import Clock
from bankrmi.storage.journal import SqliteJournal

__all__ = ["OwnProcess", "OwnServer"]


class OwnServer(Protocol):
    """The machine that a process runs on."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def cluster(self) -> Cluster:
        """Everything around it."""

    @property
    def settings(self) -> Settings:
        """What its process was told at its start."""

    @property
    def address(self) -> str:
        """Where the others call it."""

    @property
    def boot(self) -> int:
        """Which of its processes this is."""

    @property
    def release(self) -> int:
        """Of its code."""

    @property
    def start_id(self) -> str:
        """Id of this process."""

    @property
    def now_ms(self) -> float:
        """What its clock says."""

    @property
    def paused(self) -> bool:
        """Whether the process stands still."""

    @property
    def images(self) -> Images:
        """What that disk holds durably, and what is on its way there."""

    @property
    def disk(self) -> SimulatedDisk:
        """Its disk."""

    @property
    def journal(self) -> SqliteJournal:
        """What is on it."""

    def journal_on(self, database: apsw.Connection) -> SqliteJournal:
        """Return a journal in this database, as a process of this server opens it."""

    def put_in_place(self, copy: SqliteJournal, adopted: Adopted) -> None:
        """A copy is what is on its disk from now on."""

    def leave(self) -> None:
        """The process ends, and nobody starts it again as it is."""

    def crash(self, *, wipe: bool = False) -> None:
        """Kill the process."""

    def pause(self) -> None:
        """Have the process stand still."""

    def resume(self) -> None:
        """Have it go on."""


class OwnProcess(Clock, Protocol):
    """The process, with its clock."""

    @property
    def name(self) -> str:
        """The name of its server."""

    @property
    def cluster(self) -> Cluster:
        """Everything around it."""

    @property
    def world(self) -> World:
        """Time, chance and the network."""

    @property
    def server(self) -> OwnServer:
        """The machine that it runs on."""

    @property
    def replica(self) -> Replica:
        """Its rules."""

    @property
    def alive(self) -> bool:
        """Whether it still lives."""

    @property
    def loop(self) -> Loop:
        """Its event loop."""

    def arrive(self, action: Callable[[], None]) -> None:
        """Something of its own, or from another server, wants to be dealt with."""

    def take(self, event: Event) -> None:
        """Something happened that the rules have to know."""
