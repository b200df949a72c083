"""All ports of a carrier at once: nothing is done, everything is written down.

Rule 1: what a server does is a tuple of plain values and numbers of kept things; a commit is None.
Rule 2: a commit is durable as it is asked for. What can happen in between is for the model, which is searched
        with it, and for the simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from bankrmi.coordination.coordinator import Expected, OnSilence
from bankrmi.errors import BrokenInvariant
from bankrmi.replication.believing import CONTRADICTION
from bankrmi.replication.effects import Effect, ReadView, Refusal, Reply
from bankrmi.replication.events import Event
from bankrmi.replication.journal import Adopted, Journal
from bankrmi.replication.messages import Message
from bankrmi.replication.replica import Replica
from bankrmi.replication.view import View
from bankrmi.robustness.exhaustive.kept import InternTable
from bankrmi.server.carrier import Carrier

__all__ = ["PEER", "Deed", "deeds_of"]

Deed = tuple[Any, ...]
"""What a server does to the world: a word, and what it is about."""

PEER = "peer"
"""The other server, as a token: the answer goes to where the message came from."""


def deeds_of(
    replica: Replica,
    event: Event,
    now_ms: float,
    kept: InternTable,
    commit: Callable[[], None] = lambda: None,
) -> list[Deed | None]:
    """Let a server take an event; return what it does, in order.  `commit` is called for each commit."""
    scribe = _Scribe(now_ms, kept, commit)
    carrier = Carrier(
        replica, clock=scribe, disk=scribe, keeper=scribe, callers=scribe, life=scribe, watcher=scribe
    )
    carrier.links = carrier.copies = scribe
    carrier.take(event)
    return scribe.deeds


class _Scribe:
    """Writes down one step (see `server.ports`)."""

    def __init__(self, now_ms: float, kept: InternTable, commit: Callable[[], None]) -> None:
        self.deeds: list[Deed | None] = []
        self._now_ms = now_ms
        self._number = kept.number
        self._commit = commit
        self._effect: Effect | None = None

    # -- the clock: nothing happens by itself; what there is to do, and when, is for the search ---

    def now_ms(self) -> float:
        return self._now_ms

    def wall_us(self) -> int:
        return 0

    def after(self, _delay_ms: float, _action: Callable[[], None]) -> NoReturn:
        raise ValueError("no timer is set in a step")

    def soon(self, _action: Callable[[], None]) -> None:
        """There is work: `Replica.has_work` says so to whoever wants to know."""

    # -- what is done ----------------------------------------------------------------------------

    def commit(self, done: Callable[[], None]) -> None:
        self._commit()
        self.deeds.append(None)
        done()

    def finish(self) -> None:
        """A commit is durable at once."""

    def use(self, _journal: Journal) -> NoReturn:
        raise ValueError("beyond the bound of this search: a copy put in place")

    def send(self, _to: str, message: Message) -> None:
        self.deeds.append(("send", self._number(message)))

    def answer(self, token: Any, reply: Reply) -> None:
        if token == PEER and isinstance(reply, Refusal):
            raise BrokenInvariant(f"the other server says what cannot be: {reply.why}")
        if token == PEER:
            self.deeds.append(("answer", -1 if reply is None else self._number(reply)))
        else:
            self.deeds.append(("reply", token, self._number(reply)))

    def read(self, _on_answer: Callable[[View | None], None], _on_silence: OnSilence) -> None:
        assert isinstance(self._effect, ReadView)
        self.deeds.append(("read", self._effect.since_epoch))

    def propose(
        self,
        expected: Expected,
        view: View,
        _on_answer: Callable[[View | None, bool], None],
        _on_silence: OnSilence,
    ) -> None:
        self.deeds.append(("propose", self._number(view), expected))

    def probe(self, server: str, epoch: int, _delay_ms: float) -> None:
        self.deeds.append(("probe", server, epoch))

    def fetch(self, primary: str) -> NoReturn:
        raise ValueError(f"beyond the bound of this search: a copy of {primary}")

    def install(self, adopted: Adopted | None) -> NoReturn:
        raise ValueError(f"beyond the bound of this search: a copy put in place for {adopted}")

    def report(self, event: str, details: dict[str, Any]) -> None:
        """People read this, and nothing comes of it; but where all keep the rules, nothing contradicts."""
        if event == CONTRADICTION:
            raise BrokenInvariant(f"the other server says what cannot be: {details['why']}")

    def stop(self, why: str) -> NoReturn:
        raise ValueError(f"beyond the bound of this search: a server that stops {why}")

    def leave(self, why: str) -> NoReturn:
        raise ValueError(f"beyond the bound of this search: {why}")

    def reach(self, servers: Mapping[str, str]) -> NoReturn:
        raise ValueError(f"beyond the bound of this search: {', '.join(servers)} are the others")

    def failed(self, error: Exception) -> None:
        raise error

    # -- what is seen ----------------------------------------------------------------------------

    def taking(self, event: Event) -> None:
        """Nothing is to be seen yet."""

    def taken(self, event: Event, effects: Sequence[Effect]) -> None:
        """Nothing is to be seen yet."""

    def doing(self, effect: Effect) -> bool:
        self._effect = effect
        return True

    def done(self, effect: Effect) -> None:
        """It is written down."""
