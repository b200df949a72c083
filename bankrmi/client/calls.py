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
from bankrmi.client.finding import configured, primary_tags, with_named_primary
from bankrmi.client.requests import Request, Session, news_of
from bankrmi.client.seen import Seen
from bankrmi.config import Configuration
from bankrmi.rmi import NamedObject

__all__ = ["Call", "Memory"]

_LOOK_UP_MS = 300
"""Longer than this nobody waits for a hint."""


class Memory:
    """What a client knows: the servers, who led last, how new the newest answer was."""

    def __init__(
        self, configuration: Configuration, timeout: float | None, on_waiting: Callable[[], None] | None
    ) -> None:
        settings = configuration.client
        self.timeout_ms = settings.timeout_ms if timeout is None else max(0, int(timeout * 1000))
        self.patience_ms = settings.patience_ms
        self.on_waiting = on_waiting
        self.seen = Seen()
        self.nameserver = configuration.nameserver
        self.tags = primary_tags(configuration.service)
        self.primary: Candidate | None = None
        self.candidates = self._configured = configured(configuration.servers)

    def look_up_seconds(self, deadline_ms: int, now_ms: int) -> float:
        """Return how long to wait for the name server; 0 if it need not be asked."""
        if self.primary is not None:
            return 0.0
        return max(0, min(_LOOK_UP_MS, deadline_ms - now_ms)) / 1000

    def take_hint(self, found: Iterable[NamedObject]) -> None:
        """Take in what the name server says."""
        self.candidates, self.primary = with_named_primary(self._configured, found)


class Call:
    """A request on its way."""

    __slots__ = ("_args", "_attempts", "_memory", "_takes_seen", "_waiting", "method", "request_id")

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

    def args(self) -> tuple[object, ...]:
        """Return the arguments of the next attempt."""
        return (*self._args, self._memory.seen.on_wire()) if self._takes_seen else self._args

    def decide(self, now_ms: int) -> Decision:
        """Return what to do now."""
        return self._attempts.decide(now_ms)

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
