"""The values that a state is made of.  Servers are numbered from 0; an incarnation is a number from 1.

Rule: whatever two orders of events have in common is the same value, so that a state is recognized.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "REINSTATED",
    "Acknowledgement",
    "Database",
    "Disk",
    "Entry",
    "Homes",
    "Journal",
    "Lease",
    "Members",
    "Message",
    "Mover",
    "Proposal",
    "Server",
    "State",
    "View",
    "Write",
    "common",
]


class Entry(NamedTuple):
    """One decided request; where it stands in a journal is its action id."""

    epoch: int
    request: int


Journal = tuple[Entry, ...]
Members = tuple[int, ...]
"""For each server the incarnation that counts, 0 if none does."""


Homes = tuple[int, ...]
"""For each server its address, 1 or 2; 0 if it is none of the bank's. Empty where nobody comes or goes."""


REINSTATED = -1
"""Of a proposal: the servers are not retired any more."""


class Proposal(NamedTuple):
    """A view that may follow the one there is; `handed_over_by` is -1 if nobody gave the lead away.

    `retired`: the epoch in which the servers were, as it will be in the view; 0: as it is.
    """

    primary: int
    members: Members
    handed_over_by: int = -1
    forced: bool = False
    homes: Homes = ()
    retired: int = 0


class View(NamedTuple):
    """What the witness holds; `gone`: the process that won it is, and its primary has to win another (V4)."""

    epoch: int
    primary: int
    members: Members
    handed_over_by: int = -1
    forced: bool = False
    homes: Homes = ()
    retired: int = 0
    gone: bool = False


class Disk(NamedTuple):
    """What a commit makes durable: journal, adopted epoch (0: empty), whether it led that, leases granted.

    `retired`: of an epoch that it led, when the servers were.
    """

    journal: Journal
    adopted: int
    led: bool = False
    noted: int = 0
    retired: int = 0


class Acknowledgement(NamedTuple):
    """The server's disk holds the first `matched` entries, as the primary of the epoch has them."""

    epoch: int
    server: int
    incarnation: int
    matched: int


class Lease(NamedTuple):
    """So long a primary of the epoch may rely on this disk of this server not to lead."""

    granter: int
    incarnation: int
    epoch: int
    left: int


class Write(NamedTuple):
    """A commit on its way: what the disk will hold, and what waits for it."""

    disk: Disk
    acknowledgement: Acknowledgement | None = None
    lease: Lease | None = None  # Granted by the acknowledgement, from the arrival of the checkpoint.
    begins: bool = False  # To lead: the epoch was won, and is acted in from then on.


class Message(NamedTuple):
    """Every checkpoint of one epoch: any beginning of the journal may arrive, at any time, at anybody."""

    epoch: int
    leader: int
    base: int
    journal: Journal
    lease: int
    home: int = 1  # Where its sender says that it lives.


class Server(NamedTuple):
    """One process and its disk."""

    incarnation: int
    disk: Disk
    waits: tuple[int, ...]
    """For each server, how long its lease binds, as this process knows."""
    writes: tuple[Write, ...] = ()
    leads: bool = False
    members: Members = ()
    mandatory: Members = ()
    unsettled: int = 0  # Servers, as bits, whose let-in may win unheard.
    reached: int = 0  # All up to there was acknowledged by this process, or it began to lead with it.
    stopped: bool = False
    retired: int = 0  # Of the epoch that it leads: the one in which the servers were; 0: they serve.
    owes: int = 0  # Requests, as bits, that it has decided itself since it leads; where the bank may move.
    proofs: int = 0  # Servers, as bits, that were found dead; the news is on its way.
    lease: int = 0  # What this process was told, and counts as a primary.
    started_in: int = 0  # Of an empty server: the witness's epoch when its process started.
    aside: tuple[int, Disk] | None = None  # Another disk of this server, and its incarnation.
    home: int = 1  # Where this process listens.
    file: Homes = ()  # Where the others live, as its configuration file says.
    knows: Homes = ()  # As the newest view says that it has read; empty: it has read none yet.
    granted_at: Homes = ()  # Where whoever has a lease of it said that it lives; 0: that is forgotten.

    @property
    def memory(self) -> Disk:
        """What this process knows, durable or not."""
        return self.writes[-1].disk if self.writes else self.disk

    def follower(self) -> Server:
        """Return the same process when it no longer leads."""
        return self._replace(
            leads=False,
            members=(),
            mandatory=(),
            unsettled=0,
            reached=0,
            stopped=False,
            retired=0,
            owes=0,
        )


class Database(NamedTuple):
    """To where the bank moves: the row of what is arriving (0: none), and how many there were; or open."""

    row: int = 0
    rows: int = 0
    open: bool = False
    journal: Journal = ()


class Mover(NamedTuple):
    """Somebody who moves the bank: by which row, and the newest retired view that he has seen."""

    row: int
    seen: int = 0
    frozen: bool = False
    """All that there ever is was copied."""
    journal: Journal = ()


class State(NamedTuple):
    """The world."""

    view: View
    proposals: frozenset[Proposal]
    servers: tuple[Server, ...]
    sent: frozenset[Message]
    acknowledgements: frozenset[Acknowledgement]
    acknowledged: frozenset[tuple[int, Entry]]
    leases: frozenset[Lease]
    crashes: int
    disks: int
    restores: int
    forces: int = 0
    changes: int = 0
    database: Database = Database()
    movers: tuple[Mover, ...] = ()
    cancelled: tuple[int, ...] = ()
    """For each time that a move was cancelled: the retirement that was seen before; 0: none was."""

    def with_server(self, place: int, server: Server) -> State:
        """Return the world in which one server is another value."""
        return self._replace(servers=(*self.servers[:place], server, *self.servers[place + 1 :]))


def common(one: Journal, other: Journal) -> int:
    """Return how far two journals are the same."""
    matched = 0
    for mine, yours in zip(one, other, strict=False):
        if mine != yours:
            break
        matched += 1
    return matched
