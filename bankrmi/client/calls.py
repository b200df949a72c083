"""One call from its beginning to its end, and what a client remembers from one call to the next.

Between the decisions (`attempts`) and the two drivers (`bank_client`, `aio_client`), which only carry out.

Rule 1: whatever attempt it is, the request is the same, with the same id; only `seen` may have grown.
Rule 2: what was learned in a call (who leads, how new the state is) serves the next one.
Assumption: several threads may begin and end calls at once; each thing remembered is replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bankrmi.client.attempts import Answered, Attempts, Candidate, Decision, Finish, Outcome
from bankrmi.client.finding import (
    configured,
    learned,
    named_primary,
    primary_tag,
    service_tag,
    why_no_names,
)
from bankrmi.client.requests import Request, Session, news_of
from bankrmi.client.seen import Seen
from bankrmi.config import Configuration
from bankrmi.rmi import NamedObject

__all__ = ["Call", "Memory"]

_LOOK_UP_MS = 300
"""Longer than this nobody waits for a hint."""

_LEARN_AGAIN_MS = 250
"""The name server is asked so often who the servers are, while none of those that are known can answer."""


class Memory:
    """What a client knows: the servers, who led last, how new the newest answer was.

    Where the configuration names no servers, they are learned from the name server: at first, and again
    whenever none of those that are known could answer.
    """

    def __init__(
        self, configuration: Configuration, timeout: float | None, on_waiting: Callable[[], None] | None
    ) -> None:
        settings = configuration.client
        self.timeout_ms = settings.timeout_ms if timeout is None else max(0, int(timeout * 1000))
        self.patience_ms = settings.patience_ms
        self.on_waiting = on_waiting
        self.seen = Seen()
        self.nameserver = configuration.nameserver
        self.primary: Candidate | None = None
        self.candidates = configured(configuration.servers)
        self.learns = not configuration.servers
        self.nobody = f"the name server at {self.nameserver} was not asked yet" if self.learns else ""
        """Why there are no candidates, where there are none."""
        every = service_tag(configuration.service)
        self.tags = (every,) if self.learns else (every, primary_tag())
        self._insecure = configuration.insecure
        self._asked_ms: int | None = None

    def look_up_seconds(self, deadline_ms: int, now_ms: int) -> float:
        """Return how long to wait for the name server; 0 if it need not be asked."""
        return self._seconds(deadline_ms, now_ms) if self.primary is None else 0.0

    def learn_seconds(self, deadline_ms: int, now_ms: int) -> float:
        """The same, when nobody who is known could answer: a configuration names all there are."""
        return self._seconds(deadline_ms, now_ms) if self.learns else 0.0

    def _seconds(self, deadline_ms: int, now_ms: int) -> float:
        if self.learns:
            # One question serves all calls in progress.
            if self._asked_ms is not None and now_ms - self._asked_ms < _LEARN_AGAIN_MS:
                return 0.0
            self._asked_ms = now_ms
        return max(0, min(_LOOK_UP_MS, deadline_ms - now_ms)) / 1000

    def take_hint(self, found: Iterable[NamedObject]) -> None:
        """Take in what the name server says."""
        if self.learns:
            found = list(found)
            servers, why = learned(found, insecure=self._insecure)
            self.nobody = why or f"the name server at {self.nameserver} knows no server of {self.tags[0]}"
            # One that was started just now knows nobody yet, and others do not know better.
            self.candidates = servers or self.candidates
        if self.primary not in self.candidates:
            self.primary = None
        self.primary = named_primary(self.candidates, found) or self.primary

    def take_no_hint(self, error: Exception) -> None:
        """Go on without: whatever is wrong with the name server, it is not the result of an operation."""
        if self.learns:
            self.nobody = why_no_names(self.nameserver, error)


class Call:
    """A request on its way."""

    __slots__ = (
        "_args",
        "_attempts",
        "_deadline_ms",
        "_memory",
        "_takes_seen",
        "_waiting",
        "method",
        "request_id",
    )

    def __init__(self, request: Request, memory: Memory, session: Session, deadline_ms: int) -> None:
        self.method = request.method
        self.request_id = request.request_id
        self._args = request.args
        self._takes_seen = request.takes_seen
        self._memory = memory
        self._waiting = False
        if request.changes:
            self.request_id = request.request_id or session.next_request_id()
            self._args = (*request.args, self.request_id)
        self._attempts = Attempts(
            memory.candidates,
            deadline_ms=deadline_ms,
            patience_ms=memory.patience_ms,
            preferred=memory.primary,
            request_id=self.request_id,
            may_be_under_way=request.request_id is not None,
        )
        self._deadline_ms = deadline_ms
        self._attempts.nobody = memory.nobody

    def args(self) -> tuple[object, ...]:
        """Return the arguments of the next attempt."""
        return (*self._args, self._memory.seen.on_wire()) if self._takes_seen else self._args

    def decide(self, now_ms: int) -> Decision:
        """Return what to do now."""
        return self._attempts.decide(now_ms)

    def learn_seconds(self, now_ms: int) -> float:
        """Return how long to ask the name server for other servers before the next round; 0: do not ask."""
        return self._memory.learn_seconds(self._deadline_ms, now_ms)

    def take_learned(self) -> None:
        """Go on with the servers that are known now."""
        if self._memory.learns:
            self._attempts.go_on_with(self._memory.candidates, self._memory.primary)
            self._attempts.nobody = self._memory.nobody

    def observe(self, outcome: Outcome) -> None:
        """Take in what came of an attempt; the first that does not end the call is told to whoever waits."""
        self._attempts.observe(outcome)
        if type(outcome) is not Answered and not self._waiting and not self._attempts.ended:
            self._waiting = True
            if self._memory.on_waiting is not None:
                self._memory.on_waiting()

    def finish(self, end: Finish) -> Any:
        """Remember what was learned; return the answer, or raise the error."""
        memory = self._memory
        memory.primary = self._attempts.preferred
        news = news_of(end.value if end.error is None else end.error)
        if news is not None:
            memory.seen.learn(*news)
        if end.error is not None:
            raise end.error
        return end.value

    def note_on(self, interruption: BaseException) -> None:
        """Leave the request id with an exception that is none of ours (Ctrl-C, a cancelled task)."""
        if self.request_id is not None:
            interruption.add_note(f"the outcome of {self.request_id} is unknown")
