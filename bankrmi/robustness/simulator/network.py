"""The network that a server's links run over, simulated: connections, greetings, refusals, resets.

What keeps the links up, and what they make of all that, is production's `PeerLinks`.

Rule 1: a connection is refused only where nobody lives: a dead process's address, or one that its server does
      not have (any more).
Rule 2: a link leads to a process: once that is gone, whatever is sent on it reaches nobody, and ends it.
Rule 3: whoever stands still accepts connections (its kernel does), and greets nobody before it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bankrmi.replication.effects import Refusal, Reply
from bankrmi.replication.events import MessageArrived, PeerAnswer
from bankrmi.replication.messages import Message
from bankrmi.replication.replica import Replica
from bankrmi.robustness.simulator.cluster import OtherServer
from bankrmi.robustness.simulator.failure import SimulationFailure
from bankrmi.robustness.simulator.own_process import OwnProcess
from bankrmi.server.peer_links import Found, Greeting

__all__ = ["SimulatedNetwork"]

CONNECT_MS = 1000.0
PROBE_TIMEOUT_MS = 250.0
REFUSED_MS = 0.1
STILL_MS = 20.0
LATE_PROBES_MS = (40, 200, 1500)


class SimulatedNetwork:
    """What one process reaches of the others (see `peer_links.Network`)."""

    def __init__(self, process: OwnProcess) -> None:
        self._process = process
        self._links: dict[str, _SimulatedLink] = {}

    def connect(
        self, server: str, address: str, on_up: Callable[[Greeting], None], on_lost: Callable[[], None]
    ) -> _SimulatedLink:
        """Begin to connect."""
        link = _SimulatedLink(self._process, server, address, on_up, on_lost)
        self._links[server] = link
        link.open()
        return link

    def lose(self, server: str, boot: int) -> None:
        """The process of that boot is gone, and its kernel, or ours, says so."""
        link = self._links.get(server)
        if link is not None and link.boot == boot:
            link.close()

    def reach(self, servers: Mapping[str, str]) -> None:
        """`PeerLinks` connects to these from now on."""

    def look(self, server: str, address: str, on_found: Callable[[Found], None]) -> None:
        """See whether a process lives there; what was seen may be told late."""
        process, world = self._process, self._process.world
        other = process.cluster.servers[server]
        lives_there = other.alive and other.address == address
        found: Found = not lives_there and not world.are_apart(process.name, server)
        if lives_there and other.greets(process.name):
            found = Greeting(server, other.start_id)
        wait_ms = PROBE_TIMEOUT_MS if found is False else world.delay_ms()
        if world.happens(world.faults.late_probe):
            wait_ms += world.chance.choice(LATE_PROBES_MS) * world.chance.random()
        process.after(wait_ms, lambda: on_found(found))

    def warn(self, event: str, server: str, reason: str) -> None:
        """Nothing of that kind may happen here."""
        raise AssertionError(f"{self._process.name}: {event} at {server}: {reason}")


class _SimulatedLink:
    """A connection from one process to another (see `peer_links.PeerLink`)."""

    unsent_bytes = 0

    def __init__(
        self,
        process: OwnProcess,
        to: str,
        address: str,
        on_up: Callable[[Greeting], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.up = False
        self._address = address
        self.boot = 0  # Of the process that it leads to.
        self._process = process
        self._world = process.world
        self._other = process.cluster.servers[to]
        self._on_up = on_up
        self._on_lost = on_lost
        self._over = False

    def open(self) -> None:
        """Begin; whoever is not greeted in time gives up."""
        self._process.after(self._world.delay_ms(), self._reach)
        self._process.after(CONNECT_MS, lambda: None if self.up else self.close())

    def _reach(self) -> None:
        """What was sent to connect arrives, unless it is lost."""
        world, process, other = self._world, self._process, self._other
        if self._over or world.are_apart(process.name, other.name):
            return
        if not other.alive or other.address != self._address:
            process.after(REFUSED_MS, self.close)
        elif other.paused:
            process.after(STILL_MS, self._reach)
        elif not _agree(process.replica, other.replica):
            process.after(world.delay_ms(), self.close)
        else:
            self.boot = other.boot
            code, version = other.settings.code, other.journal.version
            greeting = Greeting(other.name, other.start_id, code=code, state_version=version)
            process.after(world.delay_ms(), lambda: self._greeted(greeting))

    def _greeted(self, greeting: Greeting) -> None:
        """It has greeted us; on the way here it may have died, and another process taken its place."""
        if self._over:
            return
        self.up = True
        if self._other.boot != self.boot or not self._other.alive:
            self._process.after(REFUSED_MS, self.close)
        self._on_up(greeting)

    def close(self) -> None:
        """End it, and tell the owner."""
        if not self._over:
            self._over, self.up = True, False
            self._on_lost()

    def send(self, message: Message, on_answer: Callable[[PeerAnswer], None]) -> None:
        """Say something; what is answered may come late, twice, or never."""
        other, boot, process = self._other, self.boot, self._process

        def arrive() -> None:
            if other.boot == boot:
                token = _ServerToken(process, other, on_answer)
                other.take(MessageArrived(token, message, process.server.address))
            else:  # That process is gone, and its machine, which is there again, says so.
                process.after(REFUSED_MS, self.close)

        self._world.send(process.name, other.name, message, arrive)


def _agree(ours: Replica, theirs: Replica | None) -> bool:
    """Whether files that count have everybody at the same address (see `agreement`)."""
    if theirs is None or ours.goes_by_view or theirs.goes_by_view:
        return True
    return ours.settings.where_all_live() == theirs.settings.where_all_live()


class _ServerToken:
    """Where the answer to another server's message goes."""

    __slots__ = ("_asked", "_asking", "_on_answer")

    def __init__(self, asking: OwnProcess, asked: OtherServer, on_answer: Callable[[Any], None]) -> None:
        self._asking = asking
        self._asked = asked
        self._on_answer = on_answer

    def reply(self, reply: Reply) -> None:
        """Answer; now and then the answer comes once more when the view has changed."""
        world = self._asking.world
        if isinstance(reply, Refusal):
            raise SimulationFailure("safety", f"{self._asking.name} says what cannot be: {reply.why}")

        def arrive() -> None:
            self._asking.arrive(lambda: self._on_answer(reply))

        world.send(self._asked.name, self._asking.name, reply, arrive)
        if world.happens(world.faults.late_answer):
            self._asking.cluster.delay_until_the_view_changes(arrive)
