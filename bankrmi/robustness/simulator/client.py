"""A client, simulated: the production retry rules, one session, and a memory of all that it was told."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from bankrmi import protocol_versions
from bankrmi.client.attempts import Attempts
from bankrmi.client.decisions import (
    Answered,
    Candidate,
    Connect,
    Failed,
    Finish,
    Greeted,
    Heard,
    Lost,
    News,
    Ping,
    Send,
    Unconnected,
    Wait,
)
from bankrmi.client.signs import Signs
from bankrmi.errors import BankError, Behind, Busy, Forgotten, NotPrimary, Refused, Stale
from bankrmi.replication.effects import (
    Decided,
    IsBehind,
    IsBusy,
    IsForgotten,
    IsStale,
    NotLeading,
    Read,
    Refusal,
    Reply,
)
from bankrmi.replication.events import OutcomeAsked, ReadArrived, RequestArrived
from bankrmi.rmi import Peer
from bankrmi.robustness.simulator.asked import Asking, SimulatedCall
from bankrmi.robustness.simulator.cluster import Cluster
from bankrmi.robustness.simulator.failure import SimulationFailure
from bankrmi.robustness.simulator.workload import Talk
from bankrmi.server.answering import Kept, busy, too_late

__all__ = ["DEADLINE_MS", "OPERATIONS_AT_MOST", "Attempt", "SimulatedClient"]

DEADLINE_MS = 4000
PATIENCE_MS = (100, 300)
STIRRED_CALLS = 30
OPERATIONS_AT_MOST = 9
OUR_MACHINE = "here"
PRESSED_CALLS = 1_000_000
_REPEATED_READS = 0.3
_REST_BETWEEN_TALKS_MS = 1000
_GREETING_LOOK_MS = 20


@lru_cache(maxsize=64)
def _peer(name: str) -> Peer:
    return Peer(address=f"{OUR_MACHINE}:{name}", protocol=protocol_versions.NEWEST)


@dataclass(slots=True, eq=False)
class Attempt:
    """One connection of one call."""

    owner: SimulatedClient
    asked: SimulatedCall
    number: int
    server: str
    boot: int
    is_asked: bool = False
    enquires: bool = False
    is_refused: bool = False  # This server did not look at it; a connection does not deliver it once more.
    waited_ms: float = 0.0
    is_in: bool = False  # It did look at it: what it says of a second delivery, nobody hears.
    is_answered: bool = False  # It has said what came of it; that it did not look at a second, nobody hears.

    def answer(self, reply: Reply) -> None:
        """The server answers."""
        if isinstance(reply, IsBusy) or (isinstance(reply, NotLeading) and reply.undecided):
            if self.is_answered:
                return
            self.is_refused = True
        else:
            self.is_answered = True
        self.owner.cluster.answered(self.server, self, reply)

    @property
    def client(self) -> str:
        """Who asks."""
        return self.owner.name

    @property
    def gone(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return not self.owner.waits_on(self)

    @property
    def peer(self) -> Peer:
        """Who asks, as the server sees it: all of ours are on one machine."""
        return _peer(self.owner.name)

    @property
    def request_id(self) -> str | None:
        """The id of what is asked, as text."""
        request = self.asked.request
        return None if request is None else f"{request[0]}:{request[1]}"

    def begin_waiting(self, operations: int) -> None:  # noqa: ARG002 - how many does not matter
        """It is let in; nothing is kept of it here."""
        self.is_in = True

    @property
    def takes_packed(self) -> bool:
        """It asks for nothing long."""
        return False

    def answer_in_turn(self, _kept: Kept, _made: Callable[[Any], None]) -> None:
        """No request here is that long."""
        raise AssertionError("an answer here would take more than a turn")

    def give_up(self) -> None:
        """The server says that it has taken too long."""
        self.tell(too_late(self.request_id))

    def tell(self, error: BankError) -> None:
        """The server answers with an error."""
        if self.is_in and isinstance(error, Busy):
            return
        self.is_refused = isinstance(error, Busy)
        world = self.owner.cluster.world
        world.send(self.server, self.client, str(error), lambda: self.owner.failed(self, error))


@dataclass(slots=True)
class SimulatedClient:
    """One client; `calls` is its history."""

    cluster: Cluster
    name: str
    calls: list[SimulatedCall] = field(default_factory=list)
    preferred: Candidate | None = None
    seen: tuple[str, int] | None = None
    last_calls: int = 0  # To be made when all is well again.
    _reads: float = 0.0
    _stuck: float = 0.0
    _fickle: float = 0.0
    _patience_ms: int = 0
    _batches: float = 0.0
    _repeats: float = 0.0  # Of its updates: earlier ones without an answer, once more.
    _asks: float = 0.0  # Instead of an update: what became of one.
    _stubborn: bool = False  # It goes on in its session after a request that it gave up.
    _rest_ms: float = 0.0
    _burst: int = 1
    _burst_left: int = 0
    _connected: set[tuple[str, int]] = field(default_factory=set)  # The servers, and their boots.
    _signs: Signs = field(default_factory=Signs)
    _turns: int = 0  # How often it went on; a wait that is overtaken by news is over.
    _session: int = -1
    _sequence: int = 0
    _session_id: str = ""  # One that says when it began; else it is named after the client.
    _says_when: bool = False
    _clock_began_ms: float = 0.0
    _attempts: Attempts | None = None
    _asked: SimulatedCall | None = None
    _talk: Talk | None = None
    _said: SimulatedCall | None = None  # The newest call of that talk.
    _open: dict[int, Attempt] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Draw a temperament: writer or reader, hasty or slow, and how stuck to the server it knows."""
        chance = self.cluster.world.chance
        self._reads = 0.95 if self.name == "c1" else chance.choice([0.1, 0.3, 0.3, 0.95])
        self._burst = chance.choice([1, 10, 30])
        self._rest_ms = chance.choice([50, 200, 1000] if self.mostly_reads else [300, 2000, 6000])
        self._stuck = chance.choice([0, 0.1, 0.9])
        self._fickle = chance.choice([0, 0.05, 0.3])
        self._stubborn = chance.random() < 0.3
        self._patience_ms = chance.choice(PATIENCE_MS)
        self._batches = chance.choice([0, 0.2, 0.6])
        self._repeats = chance.choice([0, 0.06, 0.2])
        self._asks = chance.choice([0, 0.08, 0.3])
        apart = random.Random(f"clock of {self.name} of seed {self.cluster.world.seed}")
        self._says_when, self._clock_began_ms = apart.random() < 0.8, apart.uniform(0, 1e6)
        self._talk = self.cluster.workload.talk(self.name)
        if self._talk is not None and self.name != "c1":  # What it repeats is the smaller part.
            self._reads = min(self._reads, _REPEATED_READS)
            self._rest_ms = min(self._rest_ms, _REST_BETWEEN_TALKS_MS)
        self._rest_ms /= self.cluster.workload.haste
        self._begin_session()

    def press(self, chance: random.Random, *, batches_only: bool) -> None:
        """From now on make one call after the other, most of them batches, and repeat nothing needlessly."""
        self._reads = 0.0 if batches_only else chance.choice([0.0, 0.1, 0.5])
        self._batches = 1.0 if batches_only else chance.choice([0.2, 0.9])
        self._stuck = self._fickle = self._repeats = self._asks = self._rest_ms = 0.0
        self._burst = self._burst_left = PRESSED_CALLS
        self._stubborn = False

    @property
    def mostly_reads(self) -> bool:
        """Whether it would hardly notice that its server acknowledges nothing."""
        return self._reads > 0.9

    def begin(self) -> None:
        """Make the next call, after a pause for thought; calls come in bursts, with a rest between them."""
        chance = self.cluster.world.chance
        pause_ms: float = chance.choice((0, 2, 20))
        self._burst_left -= 1
        if self._burst_left < 0 and not self.cluster.world.quiet:
            self._burst_left = chance.randint(1, self._burst)
            pause_ms = self._rest_ms
        self.cluster.world.after(pause_ms * chance.random(), self._call)

    def stir(self) -> None:
        """Break off the rest: something happens, and everybody wants to know."""
        if self.is_idle and not self.cluster.world.quiet:
            self._burst_left = STIRRED_CALLS
            self.cluster.world.after(20 * self.cluster.world.chance.random(), self._call)

    def _call(self) -> None:
        world = self.cluster.world
        if not self.is_idle or (world.quiet and self.last_calls <= 0):
            return
        if world.quiet:
            self.last_calls -= 1
        asked = self._drawn()
        self.calls.append(asked)
        self._asked = asked
        self._attempts = Attempts(
            self._candidates(asked),
            deadline_ms=int(world.now_ms) + DEADLINE_MS,
            patience_ms=self._patience_ms,
            signs=self._signs,
            draw=world.chance.random,
            preferred=self._believed_to_lead(),
            request_id=None if asked.request is None else f"{asked.request[0]}:{asked.request[1]}",
            may_be_under_way=asked.request is not None and not asked.operations,
        )
        self._go_on()

    def _drawn(self) -> SimulatedCall:
        """Draw a look-up, a question about an earlier request, the repetition of one, or a new one."""
        world, chance = self.cluster.world, self.cluster.world.chance
        seen = self.seen[1] if self.seen is not None else 0
        asked = SimulatedCall(self.name, world.now_ms, self.cluster.told, seen, None)
        if chance.random() < self._reads:
            asked.query = self.cluster.workload.query(chance)
            if asked.query is not None:
                return asked
        doubtful, kind = self._doubtful(), chance.random()
        if doubtful is not None and kind < self._repeats:
            asked.request, asked.operations = doubtful.request, doubtful.operations
        elif kind < self._repeats + self._asks:
            asked.request = doubtful.request if doubtful is not None else self._new_request()
        elif self._talk is not None:
            self._say_next(self._talk, asked)
        else:
            asked.request = self._new_request()
            operations = chance.randint(2, OPERATIONS_AT_MOST) if chance.random() < self._batches else 1
            asked.operations = [self.cluster.workload.operation(chance) for _ in range(operations)]
        return asked

    def _say_next(self, talk: Talk, asked: SimulatedCall) -> None:
        wanted, is_operation = talk.wanted()
        if is_operation:
            asked.request, asked.operations = self._new_request(), [wanted]
        else:
            asked.query = wanted
        self._said = asked

    def _doubtful(self) -> SimulatedCall | None:
        """A request without an answer: one of somebody's that is under way, or one that was given up."""
        chance = self.cluster.world.chance
        client = chance.choice(self.cluster.clients) if chance.random() < 0.5 else self
        recent = [call for call in client.calls[-20:] if call.operations and call.reply is None]
        return chance.choice(recent) if recent else None

    def _new_request(self) -> tuple[str, int]:
        self._sequence += 1
        return (self._session_id or f"{self.name}.{self._session}", self._sequence)

    def _begin_session(self) -> None:
        """Begin another session; its id says when, in most worlds where sessions are forgotten."""
        self._session += 1
        self._sequence = 0
        if self.cluster.keeping.session_us and self._says_when:
            began_ms = int(self._clock_began_ms + self.cluster.world.now_ms)
            drawn = int(self.name.removeprefix("c")) << 32 | self._session
            self._session_id = f"t{began_ms:011x}{drawn:016x}"

    @property
    def is_idle(self) -> bool:
        """Whether no call of it is under way."""
        return not self.calls or self.calls[-1].completed_ms is not None

    @property
    def is_done(self) -> bool:
        """Whether it has made its last calls, and they are answered."""
        return self.last_calls == 0 and self.is_idle

    def _believed_to_lead(self) -> Candidate | None:
        """Whoever answered last; now and then whom the name server names, which may be late to know."""
        world = self.cluster.world
        if not world.happens(self._fickle):
            return self.preferred
        name = world.chance.choice(list(self.cluster.servers))
        return Candidate(name, name)

    def _candidates(self, asked: SimulatedCall) -> list[Candidate]:
        """All servers; or, like a proxy that was resolved once, the one that answered last and no other."""
        if not asked.operations and self.preferred and self.cluster.world.happens(self._stuck):
            return [self.preferred]
        return [Candidate(server, server) for server in self.cluster.servers]

    def _go_on(self) -> None:
        world = self.cluster.world
        self._turns += 1
        while self._attempts is not None:
            match self._attempts.decide(int(world.now_ms)):
                case Finish(value=value, error=error):
                    self._finish(value, error)
                    return
                case Wait(wait_ms=wait_ms):
                    self._go_on_after(wait_ms)
                    return
                case Connect(number=number, candidate=candidate, drops=drops):
                    if drops is not None:
                        self._drop(self._open[drops])
                    self._connect(number, candidate.server)
                case Send(number=number, enquires=enquires):
                    self._send(number, enquires=enquires)
                case Ping(number=number):
                    self._ping(number)

    def _go_on_after(self, wait_ms: int) -> None:
        """Unless there is news before."""
        turn = self._turns
        self.cluster.world.after(wait_ms, lambda: self._go_on() if self._turns == turn else None)

    def _connect(self, number: int, name: str) -> None:
        world, server = self.cluster.world, self.cluster.servers[name]
        assert self._asked is not None
        attempt = self._open[number] = Attempt(self, self._asked, number, name, server.boot)
        there = (name, server.boot)
        if there in self._connected and server.alive:
            self._connected.discard(there)
            world.after(0, lambda: self._tell(attempt, Greeted()))
        elif world.are_apart(self.name, name):
            pass  # Nobody will ever hear of it.
        elif not server.alive:
            world.after(0.3, lambda: self._tell(attempt, Unconnected("refused")))
        else:
            self._await_greeting(attempt)

    def _await_greeting(self, attempt: Attempt) -> None:
        """A process that is paused greets when it goes on."""
        world, server = self.cluster.world, self.cluster.servers[attempt.server]
        if self._open.get(attempt.number) is not attempt or server.boot != attempt.boot or not server.alive:
            return  # That it died is told by `connection_lost`.
        if server.greets(self.name):
            world.after(0, lambda: self._tell(attempt, Greeted()))
        else:
            world.after(_GREETING_LOOK_MS, lambda: self._await_greeting(attempt))

    def _send(self, number: int, *, enquires: bool) -> None:
        world, attempt = self.cluster.world, self._open[number]
        server = self.cluster.servers[attempt.server]
        attempt.is_asked, attempt.enquires = True, enquires
        if enquires:
            self._ask_back(attempt, "who leads?", lambda: Answered({"role": self._role(attempt)}))
            return
        event = self._event(attempt.asked, attempt)
        world.send(self.name, server.name, event, lambda: server.called(attempt.boot, self.name, event))

    def _ping(self, number: int) -> None:
        self._ask_back(self._open[number], "ping", Heard)

    def _ask_back(self, attempt: Attempt, what: str, answer: Callable[[], News]) -> None:
        """Ask something that the server's shell answers: what it is, there and then."""
        world, server = self.cluster.world, self.cluster.servers[attempt.server]

        def arrived() -> None:
            news = answer()
            world.send(server.name, self.name, news, lambda: self._tell(attempt, news))

        world.send(self.name, server.name, what, lambda: server.when_free(attempt.boot, arrived))

    def _role(self, attempt: Attempt) -> str:
        replica = self.cluster.servers[attempt.server].replica
        return replica.role.value if replica is not None else ""

    def _event(self, asked: SimulatedCall, attempt: Attempt) -> Asking:
        if asked.request is None:
            return ReadArrived(attempt, asked.query, self.seen)
        if not asked.operations:
            return OutcomeAsked(attempt, asked.request, self.seen, self.name)
        return RequestArrived.of(attempt, asked.request, asked.operations, self.seen, self.name)

    def connection_lost(self, server: str) -> None:
        """The server's process died."""
        self._connected = {there for there in self._connected if there[0] != server}
        for attempt in [one for one in self._open.values() if one.server == server]:
            lost = Lost("connection reset") if attempt.is_asked else Unconnected("connection reset")
            self._tell(attempt, lost)

    def answer(self, attempt: Any, reply: Reply) -> None:
        """An answer arrived."""
        match reply:
            case NotLeading(primary=primary, undecided=undecided):
                error = NotPrimary("another server leads", primary=primary, undecided=undecided)
                self._tell(attempt, Failed(error))
            case IsBehind():
                self._tell(attempt, Failed(Behind("this copy is older")))
            case IsBusy():
                self._tell(attempt, Failed(busy(attempt.request_id)))
            case IsStale():
                self._tell(attempt, Failed(Stale("a newer request was decided")))
            case IsForgotten():
                self._tell(attempt, Failed(Forgotten("it is too old")))
            case Refusal(why=why):
                self._tell(attempt, Failed(Refused(why)))
            case _:
                self._tell(attempt, Answered(reply))

    def waits_on(self, attempt: Attempt) -> bool:
        """Whether an answer on this connection would still be taken."""
        return self._open.get(attempt.number) is attempt

    def failed(self, attempt: Attempt, error: BankError) -> None:
        """The server answered with an error."""
        self._tell(attempt, Failed(error))

    def _tell(self, attempt: Attempt, news: News) -> None:
        if self._open.get(attempt.number) is not attempt or self._attempts is None:
            return  # It was dropped, or its call is over.
        if isinstance(news, (Failed, Answered)):
            self._connected.add((attempt.server, attempt.boot))
        if not isinstance(news, (Greeted, Heard)):
            self._close(attempt.number)
        self._attempts.observe(attempt.number, news, int(self.cluster.world.now_ms))
        self._go_on()

    def _drop(self, attempt: Attempt) -> None:
        if self.cluster.under_load and attempt.is_asked and not attempt.enquires:
            waits = f"{self.name} drops the connection to {attempt.server} that it waits on"
            raise SimulationFailure("liveness", f"nothing was wrong, and {waits}")
        self._close(attempt.number)

    def _close(self, number: int) -> None:
        self._open.pop(number, None)

    def _finish(self, value: Any, error: BankError | None) -> None:
        asked, attempts = self._asked, self._attempts
        assert asked is not None
        assert attempts is not None
        self._attempts = None
        self._open.clear()
        self.preferred = attempts.preferred
        if attempts.all_are_behind:
            self.seen = None
        asked.completed_ms = self.cluster.world.now_ms
        asked.reply, asked.error = value, error
        if isinstance(value, Decided):
            self._saw(value.history, value.record.action_id)
        elif isinstance(value, Read):
            self._saw(value.history, value.action_id)
        if error is not None and asked.operations and not self._stubborn:
            self._begin_session()  # What is in doubt stays settleable: nothing newer overtakes it.
        elif isinstance(error, Forgotten) and asked.operations:
            self._begin_session()
        if self._talk is not None and asked is self._said:
            self._talk.told(value, error)
        self.cluster.completed(asked)
        self.begin()

    def _saw(self, history: str, action_id: int) -> None:
        if self.seen is None or self.seen[0] != history or self.seen[1] < action_id:
            self.seen = (history, action_id)
