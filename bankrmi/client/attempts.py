"""What does a caller try next, how long does it wait, and when does it give up?  For both clients.

One `Attempts` is one call. The driver (blocking or asyncio) asks `decide`, does what it is told, says with
`observe` what came of it, and asks again, until the decision is `Finish`:

    Try       send the request, with the same id as ever, to this server
    Wait      every server was asked in this round, none could answer: pause, then ask them all again
              (in between, others may have become known: `go_on_with`)
    Finish    the result, or the error that says honestly whether it happened

Rule 1: a `Refused` that a server answered is final, and so is a result; nothing is sent after it.
Rule 2: `Unreached` ("it did not happen") is said only while nothing was ever sent, or of a read, which
        changes nothing wherever it got to. Anything else that ends without an answer is `InDoubt`.
Rule 3: being denied access by one server, or told that the request is none (its limits may be others), says
        nothing about what another one was sent before.  That an id was used for something else (the error
        names it) is what the journal says, and final.
Rule 4: nothing here reads a clock, opens a socket or draws a number; the caller brings the time.
Assumption: the servers treat requests of one id as one request (rule O1), so asking again is harmless.

The order within a round: first who is believed to lead (last known, or named by `NotPrimary`), then the
others as configured, and last those that were silent in this call. A broken or refused connection costs no
wait: the next server is asked at once, and looks for itself whether the primary is gone. A server that was
silent gets less time to greet us the next time (a live one greets in a round trip, a stopped one never), and,
once it has greeted, twice as long to answer as before: it may just have much to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from bankrmi.errors import AccessDenied, BankError, InDoubt, InvalidRequest, NotPrimary, Refused, Unreached

__all__ = [
    "BACKOFF_MS",
    "Answered",
    "Attempts",
    "Candidate",
    "Decision",
    "Failed",
    "Finish",
    "Lost",
    "Outcome",
    "TimedOut",
    "Try",
    "Unconnected",
    "Wait",
]

BACKOFF_MS = (1, 2, 5, 10, 20, 50, 100)
"""The shortest time from each round to the next; the last one for ever."""

_GREETING_SHARE = 3
"""A server that was silent gets a third of the patience to greet us."""

_DOUBLINGS = 3
"""A server that greets but does not answer in time gets 2, 4, 8 times the patience, and never more."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server that may be asked."""

    server: str
    address: str


# What may come of an attempt.


@dataclass(frozen=True, slots=True)
class Unconnected:
    """There was no connection, so nothing was sent.

    `silent` if that took time: nobody refused it (the address), denied it (the server) or broke it.
    A server denies connections while it stops or has too many; so it is asked again.
    """

    reason: str
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection broke after the request, or a part of it, was sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The request was sent, and for as long as allowed there was no answer."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The server answered with an error."""

    error: BankError


@dataclass(frozen=True, slots=True)
class Answered:
    """The server answered."""

    value: object


Outcome = Unconnected | Lost | TimedOut | Failed | Answered


# What is to be done next.


@dataclass(frozen=True, slots=True)
class Try:
    """Ask this server.  From the beginning of the attempt, so long to greet us, and so long to answer."""

    candidate: Candidate
    connect_ms: int
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so long."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The call is over: raise `error` if there is one, else return `value`."""

    value: object = None
    error: BankError | None = None


Decision = Try | Wait | Finish


class Attempts:
    """The attempts of one call.

    `request_id` is None for a read. `may_be_under_way` says that somebody may have sent the request before
    (the caller brought its id, or asks for its outcome): then this call can never say "it did not happen"
    only because it reached nobody.
    """

    __slots__ = (
        "_asked",
        "_candidates",
        "_deadline_ms",
        "_denied",
        "_finish",
        "_last_reason",
        "_patience_ms",
        "_preferred",
        "_queue",
        "_round",
        "_round_began_ms",
        "_sent",
        "_silences",
        "_waited",
        "nobody",
        "request_id",
    )

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        deadline_ms: int,
        patience_ms: int,
        preferred: Candidate | None = None,
        request_id: str | None = None,
        may_be_under_way: bool = False,
    ) -> None:
        self.request_id = request_id
        self._candidates = candidates
        self._deadline_ms = deadline_ms
        self._patience_ms = patience_ms
        self._preferred = preferred
        self._sent = may_be_under_way
        self._queue: list[Candidate] = []
        self._asked: Candidate | None = None
        self._round = 0
        self._round_began_ms = 0
        self._waited = True
        self._denied: dict[Candidate, BankError] = {}
        self._silences: dict[Candidate, int] = {}
        self._last_reason = "there was no time to ask anyone"
        self.nobody = ""
        """Why there is nobody to ask, if there is nobody."""
        self._finish: Finish | None = None

    @property
    def preferred(self) -> Candidate | None:
        """Who is believed to lead, as far as this call has learned."""
        return self._preferred

    @property
    def ended(self) -> bool:
        """Whether there is a result or a final error."""
        return self._finish is not None

    def decide(self, now_ms: int) -> Decision:
        """Return what to do now."""
        if self._finish is not None:
            return self._finish
        remaining_ms = self._deadline_ms - now_ms
        if remaining_ms <= 0:
            return self._end(self._given_up())
        if not self._queue:
            if not self._waited:
                self._waited = True
                return Wait(min(self._pause_ms(now_ms), remaining_ms))
            self._begin_round(now_ms)
            if not self._queue:
                self._waited = True
                return Wait(min(self._pause_ms(now_ms), remaining_ms))
        candidate = self._queue.pop(0)
        self._asked = candidate
        silences = self._silences.get(candidate, 0)
        patience_ms = self._patience_ms << min(silences, _DOUBLINGS)
        greeting_ms = max(1, self._patience_ms // _GREETING_SHARE) if silences else patience_ms
        return Try(candidate, min(greeting_ms, remaining_ms), min(patience_ms, remaining_ms))

    def observe(self, outcome: Outcome) -> None:
        """Take in what came of the last `Try`."""
        asked = self._asked
        assert asked is not None, "observed an outcome of nothing that was tried"
        self._asked = None
        match outcome:
            case Answered(value=value):
                self._preferred = asked
                self._finish = Finish(value=value)
            case Failed(error=error):
                self._take_failure(asked, error)
            case Unconnected(reason=reason, silent=silent):
                self._suspect(asked, reason, silent=silent)
            case Lost(reason=reason):
                self._sent = True
                self._suspect(asked, reason, silent=False)
            case TimedOut():
                self._sent = True
                self._suspect(asked, "it did not answer in time", silent=True)
            case _:
                assert_never(outcome)

    def go_on_with(self, candidates: Sequence[Candidate], preferred: Candidate | None) -> None:
        """Ask these from the next round on, first the one that is believed to lead."""
        self._candidates = candidates
        if preferred is not None:
            self._preferred = preferred

    def _take_failure(self, asked: Candidate, error: BankError) -> None:
        if isinstance(error, AccessDenied) or (self._sent and self._is_an_opinion(error)):
            self._exclude(asked, error)
        elif isinstance(error, Refused):
            self._preferred = asked
            self._finish = Finish(error=error)
        else:
            self._sent = True
            self._last_reason = f"{asked.server}: {error.message}"
            self._silences.pop(asked, None)
            if isinstance(error, NotPrimary):
                self._follow_hint(asked, error.details.get("primary"))

    def _is_an_opinion(self, error: BankError) -> bool:
        """Whether a server refused an update before it looked into the journal."""
        changes = self.request_id is not None
        return changes and isinstance(error, InvalidRequest) and "request_id" not in error.details

    def _follow_hint(self, asked: Candidate, primary: object) -> None:
        named = next((one for one in self._candidates if one.server == primary), None)
        if named is not None and named != asked:
            self._preferred = named
            self._queue.sort(key=self._rank)
        elif self._preferred == asked:
            self._preferred = None

    def _suspect(self, asked: Candidate, reason: str, *, silent: bool) -> None:
        self._last_reason = f"{asked.server} ({asked.address}): {reason}"
        if silent:
            self._silences[asked] = self._silences.get(asked, 0) + 1
        if self._preferred == asked:
            self._preferred = None

    def _exclude(self, asked: Candidate, error: BankError) -> None:
        self._denied[asked] = error
        self._last_reason = f"{asked.server}: {error.message}"
        if self._preferred == asked:
            self._preferred = None
        if all(candidate in self._denied for candidate in self._candidates):
            self._finish = Finish(error=self._given_up() if self._sent else error)

    def _begin_round(self, now_ms: int) -> None:
        self._queue = [one for one in self._candidates if one not in self._denied]
        self._queue.sort(key=self._rank)
        self._round += 1
        self._round_began_ms = now_ms
        self._waited = False

    def _rank(self, candidate: Candidate) -> tuple[bool, bool]:
        return candidate in self._silences, candidate != self._preferred

    def _pause_ms(self, now_ms: int) -> int:
        """Return how long to wait before the next round; what the last one took counts towards it."""
        interval_ms = BACKOFF_MS[min(self._round, len(BACKOFF_MS)) - 1]
        return max(1, interval_ms - (now_ms - self._round_began_ms))

    def _end(self, error: BankError) -> Finish:
        self._finish = Finish(error=error)
        return self._finish

    def _given_up(self) -> BankError:
        reason = self._last_reason if self._candidates else self.nobody
        if not self._sent:
            return Unreached(f"no server could be reached, and nothing was done ({reason})")
        if self.request_id is None:
            return Unreached(f"no server answered in time, and nothing was changed ({reason})")
        return InDoubt(
            f"the outcome of {self.request_id} is unknown ({reason}); ask for it by this id",
            request_id=self.request_id,
        )
