"""A stock Pyro proxy, simulated: bound to one server for good, it asks there for a balance again and again.

Nobody tells it who leads, so it is where a primary that was deposed without knowing it is still asked.
Our own clients are soon elsewhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bankrmi.errors import BankError, Busy
from bankrmi.replication.effects import Read, Reply
from bankrmi.replication.events import ReadArrived
from bankrmi.rmi import Peer
from bankrmi.robustness.simulator.asked import SimulatedCall
from bankrmi.robustness.simulator.cluster import Cluster, OtherServer
from bankrmi.server.answering import Kept, too_late

__all__ = ["StockClient", "stock_clients"]

PAUSES_MS = (None, 20, 60, 200)
"""The longest time between two calls; None: there are no such clients in this world."""

PATIENCE_MS = 600.0


@dataclass(slots=True, eq=False)
class StockAttempt:
    """One call."""

    owner: StockClient
    asked: SimulatedCall
    is_refused: bool = False  # The connection does not deliver it once more.
    waited_ms: float = 0.0

    def answer(self, reply: Reply) -> None:
        """The server answers."""
        self.is_refused = not isinstance(reply, Read)
        self.owner.cluster.answered(self.owner.server.name, self, reply)

    @property
    def client(self) -> str:
        """Who asks."""
        return self.owner.name

    @property
    def gone(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.owner.waits_for is not self

    @property
    def peer(self) -> Peer:
        """Who asks, as the server sees it."""
        return Peer(address=f"there:{self.owner.name}")

    @property
    def request_id(self) -> None:
        """It asks for balances only."""

    def begin_waiting(self, operations: int) -> None:
        """Nothing is kept of it here."""

    @property
    def takes_packed(self) -> bool:
        """It asks for nothing long."""
        return False

    def answer_in_turn(self, _kept: Kept, _made: Callable[[Any], None]) -> None:
        """No request here is that long."""
        raise AssertionError("an answer here would take more than a turn")

    def give_up(self) -> None:
        """The server says that it has taken too long."""
        self.tell(too_late(None))

    def tell(self, error: BankError) -> None:
        """The server answers with an error."""
        self.is_refused = isinstance(error, Busy)
        world, server = self.owner.cluster.world, self.owner.server
        world.send(server.name, self.client, str(error), lambda: self._failed(error))

    def _failed(self, error: BankError) -> None:
        self.asked.error = error
        self.owner.answer(self, None)


class StockClient:
    """The proxy; `calls` is its history."""

    def __init__(self, cluster: Cluster, server: OtherServer, pause_ms: float) -> None:
        self.cluster = cluster
        self.server = server
        self.name = f"pyro-{server.name}"
        self.calls: list[SimulatedCall] = []
        self.waits_for: StockAttempt | None = None
        self._pause_ms = pause_ms

    def begin(self) -> None:
        """Ask, after a pause."""
        world = self.cluster.world
        if not world.quiet:
            world.after(self._pause_ms * world.chance.random(), self._call)

    def _call(self) -> None:
        cluster, world, server = self.cluster, self.cluster.world, self.server
        if world.quiet:
            return
        asked = SimulatedCall(self.name, world.now_ms, cluster.told, 0, None)
        asked.query = cluster.workload.query(world.chance)
        if asked.query is None:
            self.begin()
            return
        attempt = self.waits_for = StockAttempt(self, asked)
        self.calls.append(asked)
        event, boot = ReadArrived(attempt, asked.query), server.boot
        world.send(self.name, server.name, event, lambda: server.called(boot, self.name, event))
        world.after(PATIENCE_MS, lambda: self._give_up(attempt))

    def answer(self, attempt: StockAttempt, reply: Reply) -> None:
        """An answer arrived."""
        if self.waits_for is not attempt:
            return
        self.waits_for = None
        attempt.asked.reply = reply if isinstance(reply, Read) else None
        attempt.asked.completed_ms = self.cluster.world.now_ms
        self.cluster.completed(attempt.asked)
        self.begin()

    def _give_up(self, attempt: StockAttempt) -> None:
        if self.waits_for is attempt:
            self.waits_for = None
            self.begin()


def stock_clients(cluster: Cluster) -> list[StockClient]:
    """Return one for each server, or none: drawn apart."""
    chance = random.Random(f"stock clients of seed {cluster.world.seed}")
    pause_ms = chance.choice(PAUSES_MS)
    if pause_ms is None:
        return []
    return [StockClient(cluster, server, pause_ms) for server in cluster.servers.values()]
