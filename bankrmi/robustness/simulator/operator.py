"""An operator, simulated: restores the view after the witness has lost its memory, as `witness restore` does.

Rule 1: which view is safe is decided by the production code, from what the servers say that they hold (V9).
Rule 2: the operator gives up only servers that cannot hold more than the others: those with empty disks, lost
        while others held everything, and those that have not followed the last restored history yet.
"""

from __future__ import annotations

from bankrmi.coordination.restore import NoSafeView, decide
from bankrmi.replication.effects import Reply
from bankrmi.replication.events import Event, MessageArrived
from bankrmi.replication.messages import Fence, Holdings
from bankrmi.robustness.simulator.cluster import Cluster, OtherServer
from bankrmi.robustness.simulator.world import World

__all__ = ["Operator", "OperatorToken"]

LOOK_AFTER_MS = (50, 500, 3000)
ANSWERS_WITHIN_MS = 400.0
AGAIN_MS = 300.0


class OperatorToken:
    """Where the answer to an operator's question goes."""

    __slots__ = ("_operator", "_round", "_server", "_world")

    def __init__(self, operator: Operator, of_round: int, server: str, world: World) -> None:
        self._operator = operator
        self._round = of_round
        self._server = server
        self._world = world

    def reply(self, reply: Reply) -> None:
        """Hand it over."""
        told, server = self._operator.told, self._server
        self._world.send(server, Operator.name, reply, lambda: told(server, self._round, reply))


class Operator:
    """Somebody who runs `bankrmi witness restore` until it succeeds."""

    name = "operator"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._round = 0
        self._called = False
        self._holdings: dict[str, Holdings | str] = {}
        self._histories: list[
            str
        ] = []  # Begun, or proposed, in this order; one that is held somewhere has won.

    def note_history(self, history: str) -> None:
        """Another history has begun, by force: what is of the ones before is behind it."""
        self._histories.append(history)

    def call(self) -> None:
        """Tell the operator that the witness has lost its memory."""
        look_after_ms = self._world.chance.choice(LOOK_AFTER_MS)
        if not self._called:
            self._called = True
            self._world.after(look_after_ms, self._ask)

    def _ask(self) -> None:
        if self._cluster.witness.view is not None:
            self._called = False
            return
        self._round += 1
        self._holdings = dict.fromkeys(self._cluster.servers, "it does not answer")
        for server in self._cluster.servers.values():
            self._send(server)
        self._world.after(ANSWERS_WITHIN_MS, self._restore)

    def _send(self, server: OtherServer) -> None:
        message, token = Fence(), OperatorToken(self, self._round, server.name, self._world)
        if server.greets(self.name):
            arrived = MessageArrived(token, message)
            self._world.send(self.name, server.name, message, lambda: server.take(arrived))

    def told(self, server: str, of_round: int, reply: Reply) -> None:
        """A server says what it holds."""
        if of_round == self._round and isinstance(reply, Holdings):
            self._holdings[server] = reply

    def _restore(self) -> None:
        holdings = self._holdings
        names, history = list(self._cluster.servers), self._world.new_id()
        verdict = decide(names, holdings, new_history=history, given_up=self._behind())
        if isinstance(verdict, NoSafeView):
            self._world.note(self.name, "no view is safe:", verdict.why)
        else:
            self._world.note(self.name, "restores:", verdict.why)
            self._histories.append(history)
            self._cluster.witness.propose(self.name, verdict.view, None, self._proposed)
        self._world.after(AGAIN_MS, self._ask)

    def _behind(self) -> list[str]:
        """Servers with an empty disk, or of a history that was restored away."""
        held = [one for one in self._holdings.values() if isinstance(one, Holdings)]
        histories = {one.history for one in held}
        newest = next((one for one in reversed(self._histories) if one in histories), None)
        return [
            one.server
            for one in held
            if one.history is None or (newest is not None and one.history != newest)
        ]

    def _proposed(self, event: Event) -> None:
        """Whatever became of it: the operator looks again."""
