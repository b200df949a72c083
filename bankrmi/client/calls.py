"""One call from its beginning to its end, and what a client remembers from one call to the next.

Between the decisions (`attempts`) and the channels, which only carry out.

Rule 1: whatever attempt it is, the request is the same, with the same id; only `seen` may have grown.
Rule 2: what was learned in a call (who leads, how new the state is) serves the next one; from an answer that
        cannot be believed nothing is learned.
Rule 3: whatever ends a call is a result, one of our errors, or an interruption that carries `request_id`.
Assumption: several threads may begin and end calls at once; each thing remembered is replaced as a whole.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from typing import Any

from bankrmi.client.attempts import LATEST_SHARE, Attempts
from bankrmi.client.decisions import (
    Answered,
    Candidate,
    Connect,
    Decision,
    Failed,
    Finish,
    Lost,
    News,
    Send,
    Unconnected,
)
from bankrmi.client.finding import (
    configured,
    learned,
    named_primary,
    primary_tag,
    service_tag,
    why_no_names,
)
from bankrmi.client.requests import Request, Session, check_error, news_of
from bankrmi.client.seen import Seen
from bankrmi.client.signs import LONG_AGO_MS, Signs
from bankrmi.config import Configuration
from bankrmi.errors import BankError, Busy, ConfigurationError, Unreached, Unsettled
from bankrmi.rmi import NamedObject

__all__ = ["Call", "Memory"]

_LOOK_UP_MS = 300
"""Longer than this nobody waits for a hint."""

_LOOK_UP_AGAIN_MS = 1000
"""So long a name server that gave no hint is left alone."""

_LEARN_AGAIN_MS = 250
"""The name server is asked so often who the servers are, while none of those that are known can answer."""


class Memory:
    """What a client knows: the servers, who led last, how new the newest answer was, who was heard when.

    Where the configuration names no servers, they are learned from the name server: at first, and again
    whenever none of those that are known could answer.
    """

    def __init__(
        self, configuration: Configuration, timeout: float | None, on_waiting: Callable[[], None] | None
    ) -> None:
        settings = configuration.client
        self.timeout_ms = settings.timeout_ms if timeout is None else _milliseconds(timeout)
        self.patience_ms = settings.patience_ms
        self.calls_at_once = settings.calls_at_once
        self.on_waiting = on_waiting
        self.seen = Seen()
        self.signs = Signs()
        self.nameserver = configuration.nameserver
        self.primary: Candidate | None = None
        self.candidates = configured(configuration.servers)
        self.learns = not configuration.servers
        self.nobody = f"the name server at {self.nameserver} was not asked yet" if self.learns else ""
        """Why there are no candidates, where there are none."""
        every = service_tag(configuration.service)
        self.tags = (every,) if self.learns else (every, primary_tag())
        self._insecure = configuration.insecure
        self._looked_up_ms = LONG_AGO_MS

    @property
    def look_up_at_most(self) -> float:
        """How long to wait for another call of this client that asks the name server, in seconds."""
        return min(_LOOK_UP_MS, self.timeout_ms) / 1000

    def look_up_seconds(self, deadline_ms: int, now_ms: int) -> float:
        """Return how long to wait for the name server; 0 if it need not be asked (again)."""
        return self._seconds(deadline_ms, now_ms) if self.primary is None else 0.0

    def learn_seconds(self, deadline_ms: int, now_ms: int) -> float:
        """The same, when nobody who is known could answer: a configuration names all there are."""
        return self._seconds(deadline_ms, now_ms) if self.learns else 0.0

    def _seconds(self, deadline_ms: int, now_ms: int) -> float:
        again_ms = _LEARN_AGAIN_MS if self.learns else _LOOK_UP_AGAIN_MS
        if now_ms - self._looked_up_ms < again_ms:
            return 0.0
        self._looked_up_ms = now_ms
        return max(0, min(_LOOK_UP_MS, deadline_ms - now_ms)) / 1000

    def after_fork(self) -> None:
        """In the child: go on with what is known."""
        self.seen.after_fork()

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

    def take_primary(self, found: Candidate | None, was: Candidate | None) -> None:
        """Take in whom a call found to lead, or that `was`, with whom it began, does not."""
        if found is not None or self.primary == was:
            self.primary = found


def _milliseconds(timeout: float) -> int:
    try:
        usable = math.isfinite(timeout) and timeout >= 0
    except (TypeError, OverflowError):
        usable = False
    if not usable:
        raise ConfigurationError(f"not a timeout: {timeout!r:.40} (seconds, from 0 on)")
    return int(timeout * 1000)


class Call:
    """A request on its way: it may have to wait for other calls of the client, then it begins."""

    __slots__ = (
        "_args",
        "_attempts",
        "_began",
        "_began_with",
        "_enquiries",
        "_memory",
        "_news",
        "_request",
        "_waiting",
        "deadline_ms",
        "method",
        "request_id",
    )

    def __init__(self, request: Request, memory: Memory, now_ms: int) -> None:
        self.method = request.method
        self.request_id = request.request_id
        self.deadline_ms = now_ms + memory.timeout_ms
        self._request = request
        self._args = request.args
        self._memory = memory
        self._waiting = False
        self._enquiries: set[int] = set()
        self._news: tuple[str, int] | None = None
        self._began = memory.seen.turns
        self._began_with: Candidate | None = None
        self._attempts: Attempts | None = None

    @property
    def seconds_in_queue(self) -> float:
        """How long it may wait for other calls of its client: begun later, it might end in doubt."""
        return LATEST_SHARE * self._memory.timeout_ms / 1000

    def not_begun(self) -> Busy:
        """Return the error of a call that has waited for so long."""
        return Busy(
            f"nothing was sent: this client has {self._memory.calls_at_once} calls under way "
            f"(client.calls_at_once), and for {self.seconds_in_queue:g} s it was not this one's turn",
            request_id=self.request_id,
        )

    def identify(self, session: Session) -> None:
        """Give a change its request id, unless the caller has brought one."""
        if self._request.changes:
            self.request_id = self.request_id or session.next_request_id()
            self._args = (*self._request.args, self.request_id)

    def begin(self) -> None:
        """Begin, with what is known by now of who leads."""
        memory, request = self._memory, self._request
        self._began_with = memory.primary
        self._attempts = Attempts(
            memory.candidates,
            deadline_ms=self.deadline_ms,
            patience_ms=memory.patience_ms,
            signs=memory.signs,
            draw=random.random,
            preferred=memory.primary,
            request_id=self.request_id,
            may_be_under_way=request.request_id is not None,
            leader_answers=request.takes_seen,
        )
        self._attempts.nobody = memory.nobody

    def learn_seconds(self, now_ms: int) -> float:
        """Return how long to ask the name server for other servers; 0: do not ask.

        It is asked while nobody is known, or none of those that are has answered for as long as the patience.
        """
        memory = self._memory
        began_ms = self.deadline_ms - memory.timeout_ms
        if memory.candidates and now_ms - began_ms < memory.patience_ms:
            return 0.0
        return memory.learn_seconds(self.deadline_ms, now_ms)

    def take_learned(self) -> None:
        """Go on with the servers that are known now."""
        if self._memory.learns and self._attempts is not None:
            self._attempts.go_on_with(self._memory.candidates, self._memory.primary)
            self._attempts.nobody = self._memory.nobody

    @property
    def preferred(self) -> Candidate | None:
        """Who is believed to lead."""
        return self._attempts.preferred if self._attempts is not None else None

    def args(self) -> tuple[object, ...]:
        """Return the arguments of the next attempt."""
        return (*self._args, self._memory.seen.on_wire()) if self._request.takes_seen else self._args

    def decide(self, now_ms: int) -> Decision:
        """Return what to do now."""
        assert self._attempts is not None
        decision = self._attempts.decide(now_ms)
        if type(decision) is Send and decision.enquires:
            self._enquiries.add(decision.number)
        elif type(decision) is Connect and decision.number > 1:
            self._tell_whoever_waits()
        return decision

    def observe(self, number: int, news: News, now_ms: int) -> bool:
        """Take in what came of an attempt; return whether the server can be believed."""
        assert self._attempts is not None
        believed = True
        if number not in self._enquiries:
            try:
                news = self._checked(news)
            except Exception as why:  # Unbelievable, and whatever else a stranger's values lead to
                believed = False
                news = Failed(Unsettled(f"its answer cannot be believed: {why}"))
        self._attempts.observe(number, news, now_ms)
        if isinstance(news, Unconnected | Lost | Failed) and not self._attempts.ended:
            self._tell_whoever_waits()
        return believed

    def _checked(self, news: News) -> News:
        match news:
            case Answered(value=answer):
                read = self._request.read(answer, self.request_id)
                self._news = news_of(answer)
                return Answered(read)
            case Failed(error=error):
                check_error(error, self._request, self.request_id)
        return news

    def _tell_whoever_waits(self) -> None:
        """The first that does not end the call is told, once."""
        if not self._waiting:
            self._waiting = True
            if self._memory.on_waiting is not None:
                self._memory.on_waiting()

    def finish(self, end: Finish) -> Any:
        """Remember what was learned; return the answer, or raise the error."""
        memory, attempts = self._memory, self._attempts
        assert attempts is not None
        memory.take_primary(attempts.preferred, self._began_with)
        news = self._news if end.error is None else news_of(end.error)
        if news is not None:
            memory.seen.learn(*news, began=self._began)
        if end.error is None:
            return end.value
        if attempts.all_are_behind:
            memory.seen.forget()
        raise end.error

    def broken_off(self, error: Exception) -> BankError:
        """Return the error of ours that says what is true after one that is none of ours."""
        why = f"{type(error).__name__}: {error!s:.200}"
        if self._attempts is None:
            return Unreached(f"nothing was sent: {why}")
        return self._attempts.given_up(why)

    def note_on(self, interruption: BaseException) -> None:
        """Leave the request id with an exception that is none of ours (Ctrl-C, a cancelled task)."""
        if self.request_id is None:
            self.identify(Session())
        interruption.request_id = self.request_id  # type: ignore[attr-defined]
        if self.request_id is not None:
            taken = self._attempts is not None and self._attempts.may_have_been_taken
            asked = self.request_id
            interruption.add_note(f"the outcome of {asked} is unknown" if taken else f"{asked} was not sent")
