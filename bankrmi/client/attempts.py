"""What does a caller try next, how long does it wait, and when does it give up?  For both clients.

One `Attempts` is one call. The driver (blocking, asyncio or simulated) asks `decide`, does what it is told,
brings what came of it with `observe` whenever it comes, and asks again, until the decision is `Finish`: the
result, or the error that says honestly whether it happened. (`decisions` has the values.) While it waits,
others may become known: `go_on_with`.

Rule 1: a `Refused` that a server answered is final, and so is a result; nothing is sent after it.
Rule 2: `Unreached` and `Busy` ("it did not happen") are said only while no server may have taken the request,
        or of a read, which changes nothing. Anything else that ends without an answer is `InDoubt`.
Rule 3: being denied access by one server, or told that the request is none (its limits may be others), says
        nothing about what another one was sent before.  That an id was used for something else (the error
        names it) is what the journal says, and final.
Rule 4: slow is not dead. A connection that has the request stays until the call ends, and its answer counts
        whenever it comes. As long as a server that has the request shows signs of life, nobody else gets it;
        another is asked, seldom, whether it leads. While any server has it, whoever said `NotPrimary` before
        is only asked whether it leads now, and no server gets it twice unless its connection is broken.
Rule 5: nothing here reads a clock, opens a socket or draws a number; the caller brings the time and `draw`.
Assumption: the servers treat requests of one id as one request (rule O1), so asking again is harmless.

A server is *silent* when there was no sign of life for the patience: no greeting, no answer, no answer to the
ping at half of it. Then the next one is asked: first who is believed to lead (last known, or named by
`NotPrimary`), then the others as configured, and last those that were silent. A broken or refused connection
costs no wait. When all have been asked in this round, there is a pause, and another round, without those
that still have the request. To a silent one a second connection is made from time to time: if the server
greets there, and still is not heard on the first, the first is broken, and the request goes out again.
A server that is `Busy` has not taken the request: it gets it again after a pause; an update not so late that
it would hardly be answered, and end in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import assert_never

from bankrmi.client.decisions import (
    Answered,
    Begun,
    Candidate,
    Connect,
    Decision,
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
from bankrmi.errors import (
    AccessDenied,
    BankError,
    Behind,
    Busy,
    InDoubt,
    InvalidRequest,
    NotPrimary,
    Refused,
    Unreached,
    Unsettled,
)

__all__ = ["BACKOFF_MS", "BUSY_MS", "LATEST_SHARE", "Attempts"]

BACKOFF_MS = (1, 2, 5, 10, 20, 50, 100)
"""The longest time from each round to the next, and half of it the shortest; the last one for ever."""

BUSY_MS = (10, 20, 40, 80, 160, 250)
"""The longest pause after each `Busy`, and half of it the shortest; the last one for ever."""

LATEST_SHARE = 0.45
"""Of its time: after that, an update that was turned away is not sent again; it might end in doubt."""

_RETRY_AT_MOST_MS = 1000
"""Longer than this no server can make a caller wait."""

_DOUBLINGS = 2
"""A server that answers pings is pinged after half the patience, the whole, and then twice the patience."""

_OWN_PATIENCES = 8
"""So many patiences may pass without a sign of life on a connection, if others hear the same server."""

_ENQUIRIES_AT_MOST = 16
"""Whether another one leads is asked after two patiences, then after 4, 8 and 16; no seldomer."""

_RENEWALS = 3
"""A server that was silent gets a second connection after two patiences, then after 4 and 8; no seldomer."""

_NOT_SAID_BY_SERVERS = (Unreached,)
"""Only a client can know this."""


class _Stage(Enum):
    CONNECTING = auto()
    GREETED = auto()
    ASKED = auto()


class _Attempt:
    """One connection, and what was sent on it."""

    __slots__ = ("begun_ms", "candidate", "enquires", "heard_ms", "number", "patience_ms", "pinged", "stage")

    def __init__(self, number: int, candidate: Candidate, now_ms: int, patience_ms: int, *, enquires: bool):
        self.number = number
        self.candidate = candidate
        self.enquires = enquires
        self.stage = _Stage.CONNECTING
        self.begun_ms = self.heard_ms = now_ms
        self.patience_ms = patience_ms
        self.pinged = False  # Since it was last heard.

    @property
    def has_the_request(self) -> bool:
        """Whether the server may have taken it."""
        return self.stage is _Stage.ASKED and not self.enquires


class Attempts:
    """The attempts of one call.

    `request_id` is None for a read. `may_be_under_way` says that somebody may have sent the request before
    (the caller brought its id, or asks for its outcome): then this call can never say "it did not happen"
    only because it reached nobody. `draw` returns numbers from 0 to 1. `leader_answers` is False for a
    question that every server answers.
    """

    __slots__ = (
        "_begun_ms",
        "_busy",
        "_candidates",
        "_deadline_ms",
        "_denied",
        "_disclaimed",
        "_draw",
        "_enquire_at_ms",
        "_enquire_in_ms",
        "_finish",
        "_last_asked_ms",
        "_last_reason",
        "_last_words",
        "_leader_answers",
        "_numbers",
        "_open",
        "_patience_ms",
        "_paused",
        "_preferred",
        "_queue",
        "_quiet",
        "_refusals",
        "_renewals",
        "_round",
        "_round_at_ms",
        "_round_began_ms",
        "_sent",
        "_signs",
        "nobody",
        "request_id",
    )

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        deadline_ms: int,
        patience_ms: int,
        signs: Signs,
        draw: Callable[[], float],
        preferred: Candidate | None = None,
        request_id: str | None = None,
        may_be_under_way: bool = False,
        leader_answers: bool = True,
    ) -> None:
        self.request_id = request_id
        self._candidates = candidates
        self._deadline_ms = deadline_ms
        self._patience_ms = patience_ms
        self._signs = signs
        self._draw = draw
        self._preferred = preferred
        self._sent = may_be_under_way
        self._leader_answers = leader_answers
        self._open: dict[int, _Attempt] = {}
        self._numbers = 0
        self._queue: list[Candidate] = []
        self._round = 0
        self._round_began_ms = 0
        self._round_at_ms = 0
        self._paused = True
        self._denied: dict[Candidate, BankError] = {}
        self._quiet: set[Candidate] = set()
        self._disclaimed: set[Candidate] = set()  # Said `NotPrimary`.
        self._busy: dict[Candidate, int] = {}  # When each is to be asked again.
        self._refusals = 0  # How often we heard `Busy`.
        self._begun_ms: int | None = None
        self._renewals = 0
        self._enquire_in_ms = 2 * patience_ms
        self._enquire_at_ms: int | None = None
        self._last_asked_ms = 0
        self._last_reason = "there was no time to ask anyone"
        self._last_words: dict[Candidate, type[BankError] | None] = {}
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

    @property
    def may_have_been_taken(self) -> bool:
        """Whether some server may have taken the request."""
        return self._sent or self._is_under_way

    @property
    def all_are_behind(self) -> bool:
        """Whether the last word of every server is `Behind`, or `NotPrimary` of some of them."""
        words = [self._last_words.get(candidate) for candidate in self._candidates]
        return Behind in words and all(word in (Behind, NotPrimary) for word in words)

    def go_on_with(self, candidates: Sequence[Candidate], preferred: Candidate | None) -> None:
        """Ask these from now on, first the one that is believed to lead."""
        if preferred is not None:
            self._preferred = preferred
        if tuple(candidates) != tuple(self._candidates):
            self._candidates = candidates
            self._queue = []
            self._paused, self._round_at_ms = True, 0

    # --- what to do now ---------------------------------------------------------------------------------

    def decide(self, now_ms: int) -> Decision:
        """Return what to do now."""
        if self._finish is not None:
            return self._finish
        if self._begun_ms is None:
            self._begun_ms = now_ms
        if now_ms >= self._deadline_ms:
            return self._end(self.given_up())
        patient = False
        for attempt in self._open.values():
            if attempt.stage is _Stage.GREETED:
                if now_ms >= self._send_at_ms(attempt):
                    return self._send(attempt, now_ms)
                continue
            if attempt.enquires:
                continue
            if now_ms >= self._silent_at_ms(attempt):
                self._take_silence(attempt)
            elif attempt.stage is _Stage.ASKED or attempt.candidate not in self._quiet:
                patient = True
                if attempt.stage is _Stage.ASKED and now_ms >= self._ping_at_ms(attempt):
                    return self._ping(attempt, now_ms)
        for candidate, at_ms in self._busy.items():
            if at_ms > now_ms:
                patient = True
            elif not patient:
                del self._busy[candidate]
                return self._connect(candidate, now_ms)
        decision = self._follow_the_leader(now_ms)
        if decision is None:
            decision = self._look_elsewhere(now_ms) if patient else self._ask_the_next(now_ms)
        return decision if decision is not None else self._wait(now_ms, patient=patient)

    def _send_at_ms(self, attempt: _Attempt) -> int:
        """Return when to send: now; or, if the server has the request, when that connection is broken."""
        if attempt.enquires:
            return attempt.heard_ms
        for other in self._asked(attempt.candidate):
            if other.has_the_request:
                if other.heard_ms >= attempt.heard_ms:
                    return self._deadline_ms
                return attempt.heard_ms + self._patience_ms
        return attempt.heard_ms

    def _send(self, attempt: _Attempt, now_ms: int) -> Send:
        attempt.stage = _Stage.ASKED
        attempt.heard_ms = now_ms
        if not attempt.enquires:
            self._last_asked_ms = now_ms
        return Send(attempt.number, attempt.enquires)

    def _ping(self, attempt: _Attempt, now_ms: int) -> Ping:
        attempt.pinged = True
        self._signs.ping(attempt.candidate, now_ms)
        return Ping(attempt.number)

    def _follow_the_leader(self, now_ms: int) -> Connect | None:
        """Somebody was found to lead since anybody was asked: by this call, or another one of this client."""
        signs, leader = self._signs, self._signs.leader
        if (
            leader is not None
            and self._leader_answers
            and signs.leading_since_ms > self._last_asked_ms
            and self._is_free(leader)
        ):
            return self._connect(leader, now_ms)
        return None

    def _look_elsewhere(self, now_ms: int) -> Connect | None:
        """Somebody has the request and is only slow: has another begun to lead meanwhile?"""
        if not self._leader_answers:
            return None
        if self._enquire_at_ms is None:
            self._enquire_at_ms = now_ms + self._jittered(self._enquire_in_ms)
        if now_ms < self._enquire_at_ms:
            return None
        interval_ms, longest_ms = self._enquire_in_ms, _ENQUIRIES_AT_MOST * self._patience_ms
        self._enquire_in_ms = min(2 * interval_ms, longest_ms)
        self._enquire_at_ms = now_ms + self._jittered(self._enquire_in_ms)
        for candidate in self._candidates:
            if self._is_free(candidate) and (asking := self._enquire(candidate, now_ms, interval_ms // 2)):
                return asking
        return None

    def _enquire(self, candidate: Candidate, now_ms: int, interval_ms: int) -> Connect | None:
        """Ask whether it leads, unless a call of this client has just done so."""
        if now_ms - self._signs.enquired_ms(candidate) < interval_ms:
            return None
        self._signs.enquire(candidate, now_ms)
        return self._connect(candidate, now_ms, enquires=True)

    def _is_free(self, candidate: Candidate) -> bool:
        """Whether nothing of this call is under way there, and may be."""
        return (
            candidate in self._candidates
            and candidate not in self._denied
            and candidate not in self._busy
            and all(attempt.candidate != candidate for attempt in self._open.values())
        )

    def _ask_the_next(self, now_ms: int) -> Connect | None:
        """Nobody who is there has the request: ask whose turn it is."""
        if not self._queue:
            if not self._paused:
                self._paused = True
                self._round_at_ms = max(now_ms + 1, self._round_began_ms + self._pause_ms())
            if now_ms < self._round_at_ms:
                return None
            self._begin_round(now_ms)
        while self._queue:
            candidate = self._queue.pop(0)
            if self._renewal_at_ms(candidate) > now_ms:
                continue
            if candidate not in self._disclaimed or not self._is_under_way:
                return self._connect(candidate, now_ms)
            if self._is_free(candidate) and (asking := self._enquire(candidate, now_ms, BACKOFF_MS[-1] // 2)):
                return asking
        return None

    @property
    def _is_under_way(self) -> bool:
        return any(attempt.has_the_request for attempt in self._open.values())

    def _begin_round(self, now_ms: int) -> None:
        self._queue = [one for one in self._candidates if self._renewal_at_ms(one) <= now_ms]
        if self._queue:
            self._queue.sort(key=self._rank)
            self._round += 1
            self._round_began_ms = now_ms
            self._paused = False

    def _renewal_at_ms(self, candidate: Candidate) -> int:
        """Return from when on it may be asked (again)."""
        if candidate in self._denied or candidate in self._busy:
            return self._deadline_ms
        asked = self._asked(candidate)
        if not asked:
            return 0
        if len(asked) > 1 and any(one.stage is _Stage.GREETED for one in asked):
            return self._deadline_ms  # Its second connection is ready.
        heard_ms = max(one.heard_ms for one in asked)
        return heard_ms + (self._patience_ms << min(1 + self._renewals, _RENEWALS))

    def _asked(self, candidate: Candidate) -> list[_Attempt]:
        return [one for one in self._open.values() if one.candidate == candidate and not one.enquires]

    def _connect(self, candidate: Candidate, now_ms: int, *, enquires: bool = False) -> Connect:
        drops = self._replaced(candidate)
        if not enquires:
            self._last_asked_ms = now_ms
        self._numbers += 1
        self._open[self._numbers] = _Attempt(
            self._numbers, candidate, now_ms, self._patience_ms, enquires=enquires
        )
        return Connect(self._numbers, candidate, drops)

    def _replaced(self, candidate: Candidate) -> int | None:
        """Two connections to a server are enough: return the number of the one that has to go."""
        there = [one for one in self._open.values() if one.candidate == candidate]
        self._renewals += any(not one.enquires for one in there)
        oldest = next((one for one in there if one.enquires), None)
        if oldest is None and len(there) > 1:
            oldest = next((one for one in there if not one.has_the_request), there[0])
        if oldest is None:
            return None
        self._sent = self._sent or oldest.has_the_request
        del self._open[oldest.number]
        return oldest.number

    def _rank(self, candidate: Candidate) -> tuple[bool, bool]:
        return candidate in self._quiet, candidate != self._preferred

    # --- time -------------------------------------------------------------------------------------------

    def _wait(self, now_ms: int, *, patient: bool) -> Wait:
        until_ms = self._deadline_ms
        for attempt in self._open.values():
            if attempt.stage is _Stage.GREETED:
                until_ms = min(until_ms, self._send_at_ms(attempt))
            elif not attempt.enquires:
                silent_at_ms = self._silent_at_ms(attempt)
                if now_ms < silent_at_ms:
                    until_ms = min(until_ms, silent_at_ms, self._ping_at_ms(attempt))
        for at_ms in self._busy.values():
            if now_ms < at_ms:
                until_ms = min(until_ms, at_ms)
        if not patient:
            renewals = map(self._renewal_at_ms, self._candidates)
            until_ms = min(until_ms, max(self._round_at_ms, min(renewals, default=until_ms)))
        elif self._enquire_at_ms is not None:
            until_ms = min(until_ms, self._enquire_at_ms)
        if not self._candidates:
            until_ms = min(until_ms, now_ms + BACKOFF_MS[-1])
        return Wait(max(1, until_ms - now_ms))

    def _quiet_since_ms(self, attempt: _Attempt) -> int:
        return max(attempt.heard_ms, self._signs.heard_ms(attempt.candidate))

    def _silent_at_ms(self, attempt: _Attempt) -> int:
        """Return from when on it counts as silent, unless it is heard before."""
        return min(
            self._quiet_since_ms(attempt) + attempt.patience_ms,
            attempt.heard_ms + _OWN_PATIENCES * self._patience_ms,
        )

    def _ping_at_ms(self, attempt: _Attempt) -> int:
        """Return when to ask for a sign of life; the deadline if somebody has done so."""
        if attempt.pinged or attempt.stage is not _Stage.ASKED:
            return self._deadline_ms
        own_ms = attempt.heard_ms + _OWN_PATIENCES * self._patience_ms // 2
        quiet_since_ms = self._quiet_since_ms(attempt)
        if self._signs.pinged_ms(attempt.candidate) > quiet_since_ms:
            return own_ms
        return min(own_ms, quiet_since_ms + attempt.patience_ms // 2)

    def _pause_ms(self) -> int:
        return self._jittered(BACKOFF_MS[min(self._round, len(BACKOFF_MS)) - 1])

    def _jittered(self, longest_ms: int) -> int:
        """Return something between half and all of it: callers who failed together must not come together."""
        return max(1, round(longest_ms * (1 + self._draw()) / 2))

    # --- what came of it --------------------------------------------------------------------------------

    def observe(self, number: int, news: News, now_ms: int) -> None:
        """Take in what came of an attempt; of one that was replaced nothing counts any more."""
        attempt = self._open.get(number)
        if attempt is None or self._finish is not None:
            return
        match news:
            case Begun():
                attempt.heard_ms = now_ms
            case Greeted():
                self._hear(attempt, now_ms)
                attempt.stage = _Stage.GREETED
            case Heard():
                self._hear(attempt, now_ms)
                longest_ms = self._patience_ms << _DOUBLINGS
                attempt.patience_ms = min(2 * attempt.patience_ms, longest_ms)
            case Unconnected() | Lost():
                self._take_loss(attempt, news)
            case Failed(error=error):
                self._hear(attempt, now_ms)
                del self._open[number]
                if not attempt.enquires:
                    self._take_failure(attempt.candidate, error, now_ms)
            case Answered(value=value):
                self._hear(attempt, now_ms)
                self._take_answer(attempt, value, now_ms)
            case _:
                assert_never(news)

    def _hear(self, attempt: _Attempt, now_ms: int) -> None:
        attempt.heard_ms = now_ms
        attempt.pinged = False
        self._quiet.discard(attempt.candidate)
        self._signs.hear(attempt.candidate, now_ms)

    def _take_silence(self, attempt: _Attempt) -> None:
        if attempt.candidate not in self._quiet:
            said = "it did not greet" if attempt.stage is _Stage.CONNECTING else "it did not answer"
            self._quiet.add(attempt.candidate)
            self._suspect(attempt.candidate, f"{said} in time")

    def _take_loss(self, attempt: _Attempt, news: Unconnected | Lost) -> None:
        del self._open[attempt.number]
        if attempt.enquires:
            return
        if isinstance(news, Lost):
            self._sent = True
        elif news.silent:
            self._quiet.add(attempt.candidate)
        self._suspect(attempt.candidate, news.reason)

    def _suspect(self, candidate: Candidate, reason: str) -> None:
        self._last_reason = f"{candidate.server} ({candidate.address}): {reason}"
        self._last_words[candidate] = None
        if self._preferred == candidate:
            self._preferred = None

    def _take_answer(self, attempt: _Attempt, value: object, now_ms: int) -> None:
        candidate = attempt.candidate
        if attempt.enquires:
            del self._open[attempt.number]
            if isinstance(value, dict) and value.get("role") == "primary":
                self._signs.lead(candidate, now_ms)
                self._preferred = candidate
            return
        if self._leader_answers:
            self._preferred = candidate
            self._signs.lead(candidate, now_ms)
        self._finish = Finish(value=value)

    def _take_failure(self, asked: Candidate, error: BankError, now_ms: int) -> None:
        self._last_reason = f"{asked.server}: {error.message}"
        self._last_words[asked] = type(error)
        if isinstance(error, AccessDenied) or (self.may_have_been_taken and self._is_an_opinion(error)):
            self._exclude(asked, error)
        elif isinstance(error, Busy):
            self._turn_away(asked, error, now_ms)
        elif isinstance(error, Refused) and not isinstance(error, _NOT_SAID_BY_SERVERS):
            self._preferred = asked
            self._finish = Finish(error=error)
        else:
            if not (isinstance(error, NotPrimary) and error.details.get("undecided") is True):
                self._sent = True
            if isinstance(error, NotPrimary):
                self._disclaimed.add(asked)
                self._follow_hint(asked, error.details.get("primary"))

    def _is_an_opinion(self, error: BankError) -> bool:
        """Whether a server refused an update before it looked into the journal."""
        changes = self.request_id is not None
        return changes and isinstance(error, InvalidRequest) and "request_id" not in error.details

    def _turn_away(self, asked: Candidate, error: Busy, now_ms: int) -> None:
        """It was not taken: ask again there, not before the server wants it."""
        wanted = error.details.get("retry_ms")
        wanted_ms = min(max(0, wanted), _RETRY_AT_MOST_MS) if type(wanted) is int else 0
        pause_ms = self._jittered(BUSY_MS[min(self._refusals, len(BUSY_MS) - 1)])
        again_ms = self._busy[asked] = now_ms + wanted_ms + pause_ms
        self._refusals += 1
        begun_ms = self._begun_ms if self._begun_ms is not None else now_ms
        is_late = again_ms > begun_ms + LATEST_SHARE * (self._deadline_ms - begun_ms)
        if is_late and self.request_id is not None and not self.may_have_been_taken:
            self._end(self.given_up())

    def _follow_hint(self, asked: Candidate, primary: object) -> None:
        named = next((one for one in self._candidates if one.server == primary), None)
        if named is not None and named != asked:
            self._preferred = named
            self._queue.sort(key=self._rank)
        elif self._preferred == asked:
            self._preferred = None

    def _exclude(self, asked: Candidate, error: BankError) -> None:
        self._denied[asked] = error
        if self._preferred == asked:
            self._preferred = None
        if all(candidate in self._denied for candidate in self._candidates):
            self._finish = Finish(error=self.given_up() if self.may_have_been_taken else error)

    # --- the end ----------------------------------------------------------------------------------------

    def _end(self, error: BankError) -> Finish:
        self._finish = Finish(error=error)
        return self._finish

    def given_up(self, why: str | None = None) -> BankError:
        """Return what is true of a call that ends now, without an answer."""
        reason = why or self._reason()
        if self.request_id is not None and self.may_have_been_taken:
            return InDoubt(
                f"the outcome of {self.request_id} is unknown ({reason}); ask for it by this id",
                request_id=self.request_id,
            )
        if self._refusals:
            return Busy(f"the bank has too much to do, and nothing was done ({reason})")
        if Unsettled in self._last_words.values():
            return Unsettled(f"no server gave an answer that can be used ({reason})")
        if self.may_have_been_taken:
            return Unreached(f"no server answered in time, and nothing was changed ({reason})")
        if NotPrimary in self._last_words.values():
            return Unreached(f"no server that leads could be reached, and nothing was done ({reason})")
        return Unreached(f"no server could be reached, and nothing was done ({reason})")

    def _reason(self) -> str:
        if not self._candidates:
            return self.nobody
        for attempt in self._open.values():
            if attempt.has_the_request and attempt.candidate not in self._quiet:
                return f"{attempt.candidate.server} has it, and has not answered in time"
        return self._last_reason
