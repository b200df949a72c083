"""The connections to the other servers: kept up, for as long as the process lives.

Rule 1: a lost connection is tried again at once, then with growing pauses.
Rule 2: what cannot be sent now is dropped; the rules send it again when it matters.
Rule 3: a link leads to the process that it was opened to, and to no other: once that is gone, so is the link.
Rule 4: who the others are, and where each lives, may change; a link to elsewhere ends, without a word.
Rule 5: no sockets and no clock here: `Network` opens links, on real ones or on the simulator's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bankrmi.protocol_versions import NEWEST
from bankrmi.replication.code_versions import VERSION_1, CodeVersions, StateVersion
from bankrmi.replication.events import AnswerArrived, Event, LinkChanged, PeerAnswer, Probed
from bankrmi.replication.messages import Message
from bankrmi.server.ports import Clock

__all__ = ["Found", "Greeting", "Network", "PeerLink", "PeerLinks"]

RETRY_MS = (0.0, 5.0, 20.0, 50.0, 100.0, 200.0)
"""Pauses before the first, second, ... new try after a connection was lost or did not come about."""

UNSENT_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Greeting:
    """Who answers at an address: which server it says that it is, as which process; and what is spoken."""

    server: str
    start_id: str
    copies_min: int = 1
    protocol: int = NEWEST
    code: CodeVersions = VERSION_1
    state_version: StateVersion = 1


Found = Greeting | bool
"""What a look at an address finds: a greeting; True, nobody, for it refuses; False, nothing is known."""


class PeerLink(Protocol):
    """A connection to another server, on its way up, up, or lost."""

    @property
    def up(self) -> bool:
        """Whether it has been greeted, and not lost yet."""

    @property
    def unsent_bytes(self) -> int:
        """How much the other side has not taken yet."""

    def send(self, message: Message, on_answer: Callable[[PeerAnswer], None]) -> None:
        """Say something; `on_answer` is called when an answer comes that can be read."""

    def close(self) -> None:
        """End it."""


class Network(Protocol):
    """Where the other servers are reached."""

    def connect(
        self, server: str, address: str, on_up: Callable[[Greeting], None], on_lost: Callable[[], None]
    ) -> PeerLink:
        """Open a link; `on_up` may be called once, `on_lost` is called once, after that or instead."""

    def look(self, server: str, address: str, on_found: Callable[[Found], None]) -> None:
        """Try a connection that is given up again at once; `on_found` is called once."""

    def reach(self, servers: Mapping[str, str]) -> None:
        """From now on these are the others, each at its address."""

    def warn(self, event: str, server: str, reason: str) -> None:
        """Note in the log what should not be, as often as is useful."""


class PeerLinks:
    """One link to each other server (see `ports.Links`)."""

    def __init__(
        self,
        servers: Mapping[str, str],
        network: Network,
        clock: Clock,
        take: Callable[[Event], None],
    ) -> None:
        """`servers` are the others, with their addresses; `take` is given what becomes of the links, and what
        comes on them."""
        self._addresses = dict(servers)
        self._meant = dict.fromkeys(servers, 0)  # How often another server, or address, was meant by a name.
        self._network = network
        self._clock = clock
        self._take = take
        self._links: dict[str, PeerLink] = {}
        self._was_up: set[str] = set()
        self._failures = dict.fromkeys(servers, 0)
        self._closed = False

    def open(self) -> None:
        """Begin to connect to all."""
        for server in self._addresses:
            self._connect(server)

    def reach(self, servers: Mapping[str, str]) -> None:
        """From now on these are the others; nothing more is taken from who is none, or lives elsewhere."""
        before, self._addresses = self._addresses, dict(servers)
        self._network.reach(servers)
        for server in dict.fromkeys([*before, *servers]):
            if before.get(server) == servers.get(server):
                continue
            self._meant[server] = self._meant.get(server, 0) + 1
            self._failures[server] = 0
            self._was_up.discard(server)
            link = self._links.pop(server, None)
            if link is not None:
                link.close()
            if server in servers:
                self._connect(server)

    def close(self) -> None:
        """Close all, and tell nobody."""
        self._closed = True
        for link in list(self._links.values()):
            link.close()

    @property
    def up(self) -> list[str]:
        """The servers that can be spoken to."""
        return sorted(server for server, link in self._links.items() if link.up)

    def lose(self, server: str) -> None:
        """Break the link to a server, as a reset of the connection does."""
        link = self._links.get(server)
        if link is not None:
            link.close()

    # -- keeping them up -------------------------------------------------------------------------

    def _connect(self, server: str) -> None:
        if self._closed:
            return
        begun_ms, meant, address = self._clock.now_ms(), self._meant[server], self._addresses[server]

        def up(greeting: Greeting) -> None:
            if meant != self._meant[server]:
                return
            if greeting.server != server:
                self._network.warn("another server answers there", server, f"it says it is {greeting.server}")
                self._links[server].close()
                return
            self._failures[server] = 0
            self._was_up.add(server)
            self._take(
                LinkChanged(
                    server=server,
                    up=True,
                    start_id=greeting.start_id,
                    begun_ms=begun_ms,
                    protocol=greeting.protocol,
                    copies_min=greeting.copies_min,
                    code=greeting.code,
                    state_version=greeting.state_version,
                    address=address,
                )
            )

        self._links[server] = self._network.connect(server, address, up, lambda: self._lost(server, meant))

    def _lost(self, server: str, meant: int) -> None:
        if meant != self._meant[server]:
            return
        self._links.pop(server, None)
        was_up = server in self._was_up
        self._was_up.discard(server)
        failures = self._failures[server]
        self._failures[server] += 1
        if self._closed:
            return
        if was_up:
            self._take(LinkChanged(server=server, up=False))
        pause_ms = RETRY_MS[min(failures, len(RETRY_MS) - 1)]
        self._clock.after(pause_ms, lambda: self._connect_again(server, meant))

    def _connect_again(self, server: str, meant: int) -> None:
        if meant == self._meant[server]:
            self._connect(server)

    # -- speaking --------------------------------------------------------------------------------

    def send(self, to: str, message: Message) -> None:
        """Say something to another server; its answer arrives as an event."""
        link = self._links.get(to)
        if link is not None and link.up and link.unsent_bytes <= UNSENT_LIMIT_BYTES:
            link.send(message, lambda answer: self._take(AnswerArrived(answer, to)))

    def probe(self, server: str, epoch: int, delay_ms: float) -> None:
        """Look whether a process lives at the server's address; what is found arrives as an event."""
        if delay_ms > 0:
            self._clock.after(delay_ms, lambda: self._look(server, epoch))
        else:
            self._look(server, epoch)

    def _look(self, server: str, epoch: int) -> None:
        if self._closed:
            return
        begun_ms, address = self._clock.now_ms(), self._addresses.get(server)
        if address is None:  # It was removed meanwhile: of that nothing is known.
            self._take(Probed(server=server, begun_ms=begun_ms, epoch=epoch, address=""))
            return

        def found(what: Found) -> None:
            greeting = what if isinstance(what, Greeting) and what.server == server else None
            self._take(
                Probed(
                    server=server,
                    begun_ms=begun_ms,
                    epoch=epoch,
                    refused=what is True,
                    start_id=greeting.start_id if greeting is not None else None,
                    address=address,
                )
            )

        self._network.look(server, address, found)
