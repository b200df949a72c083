"""What does a caller try next, how long does it wait, and when does it give up?  For both clients.

One `Attempts` is one call, unless that went straight (see `calls`). The driver (blocking, asyncio or
simulated) asks `decide`, does what it is told, brings what came of it with `observe` whenever it comes, and
asks again, until the decision is `Finish`: the result, or the error that says honestly whether it happened.
(`decisions` has the values.) While it waits, others may become known: `go_on_with`. What goes before what is
decided here. `open_attempts` knows who is silent, `rounds` whose turn it is, `pauses` how long pauses are,
`enquiries` when to ask who leads, `last_words` which error is true.

Rule 1: a `Refused` or `Forgotten` of a server is final, and so is a result; nothing is sent after it.
Rule 2: that a server may have taken the request is never forgotten; what is said in the end rests on it.
Rule 3: being denied access by one server, or told that the request is invalid (its limits may differ), says
        nothing about what another one was sent before; nor does it that one is too old to be asked.  That an
        id was used for something else (the error names it) is what the journal says, and final.
Rule 4: slow is not dead. A connection that has the request stays until the call ends, and its answer counts
        whenever it comes. As long as a server that has the request shows signs of life, nobody else gets it;
        another is asked, seldom, whether it leads. While any server has it, whoever said `NotPrimary` before
        is only asked whether it leads now, and no server gets it twice unless its connection is broken.
Rule 5: nothing here reads a clock, opens a socket or draws a number; the caller brings the time and `draw`.
Assumption: the servers treat requests of one id as one request (rule O1), so asking again is harmless.

When a server is silent, the next one is asked: first who is believed to lead (last known, or named by
`NotPrimary`), then the others as configured, and last those that were silent. A broken or refused connection
costs no wait. When all have been asked in this round, there is a pause, and another round, without those that
still have the request. A server that is `Busy` has not taken the request: it gets it again after a pause, but
not an update so late that it would hardly be answered, and end in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

from bankrmi.client.decisions import (
    Answered,
    Candidate,
    Connect,
    Decision,
    Failed,
    Finish,
    Greeted,
    Heard,
    Lost,
    News,
    Send,
    Unconnected,
    Wait,
    candidate_of,
)
from bankrmi.client.enquiries import Enquiries
from bankrmi.client.last_words import LastWords
from bankrmi.client.open_attempts import OpenAttempt, OpenAttempts, Stage
from bankrmi.client.pauses import BACKOFF_MS, Pauses
from bankrmi.client.rounds import RoundRobin
from bankrmi.client.signs import Signs
from bankrmi.errors import (
    AccessDenied,
    BankError,
    Busy,
    Forgotten,
    InvalidRequest,
    NotPrimary,
    Refused,
    Unreached,
)

__all__ = ["LATEST_SHARE", "Attempts"]

LATEST_SHARE = 0.45
"""Of its time: after that, an update that was turned away is not sent again; it might end in doubt."""

RETRIES_AT_LEAST = 5
"""What a busy server wants is believed up to one part in this many of a call's time: crowds pass."""


def _learns_nobody(_server: object, _address: object) -> None:
    """A client that knows all servers there are."""


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
        "_enquiries",
        "_finish",
        "_last_asked",
        "_last_asked_ms",
        "_last_words",
        "_leader_answers",
        "_learn",
        "_open",
        "_pauses",
        "_preferred",
        "_rounds",
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
        learn: Callable[[object, object], Candidate | None] = _learns_nobody,
    ) -> None:
        """`learn` is given name and address of whom a server named, and returns who may be asked."""
        self._learn = learn
        self.request_id = request_id
        self._candidates = candidates
        self._deadline_ms = deadline_ms
        self._signs = signs
        self._pauses = Pauses(draw)
        self._rounds = RoundRobin(self._pauses)
        self._enquiries = Enquiries(patience_ms=patience_ms, pauses=self._pauses, signs=signs)
        self._open = OpenAttempts(deadline_ms=deadline_ms, patience_ms=patience_ms, signs=signs)
        self._last_words = LastWords()
        self._preferred = preferred
        self._sent = may_be_under_way
        self._leader_answers = leader_answers
        self._denied: set[Candidate] = set()
        self._disclaimed: set[Candidate] = set()  # Said `NotPrimary`.
        self._busy: dict[Candidate, int] = {}  # When each is to be asked again.
        self._begun_ms: int | None = None
        self._last_asked: Candidate | None = None
        self._last_asked_ms = 0
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
        return self._sent or self._open.is_under_way

    @property
    def all_are_behind(self) -> bool:
        """Whether the last word of every server is `Behind`, or `NotPrimary` of some of them."""
        return self._last_words.all_are_behind(self._candidates)

    def knows(self, candidates: Sequence[Candidate]) -> bool:
        """Whether these are among those that are asked."""
        return set(candidates) <= set(self._candidates)

    def go_on_with(self, candidates: Sequence[Candidate], preferred: Candidate | None) -> None:
        """Ask these from now on, first the one that is believed to lead."""
        if preferred is not None:
            self._preferred = preferred
        if tuple(candidates) != tuple(self._candidates):
            self._candidates = candidates
            self._busy = {one: at_ms for one, at_ms in self._busy.items() if one in candidates}
            self._rounds.begin_anew()

    def go_on_from(self, leader: Candidate, sent_ms: int) -> None:
        """Go on from a call that went straight, as if all of it had been decided here."""
        self._begun_ms = sent_ms
        self._note_asked(leader, sent_ms)
        self._open.begin_asked(leader, sent_ms)
        self._enquiries.begin(sent_ms)

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
        for attempt in self._open:
            if attempt.stage is Stage.GREETED:
                if now_ms >= self._open.send_at_ms(attempt):
                    return self._send(attempt, now_ms)
                continue
            if attempt.enquires:
                continue
            if attempt.stage is Stage.ASKED and now_ms >= self._open.ping_at_ms(attempt):
                return self._open.ping(attempt, now_ms)
            if now_ms >= self._open.silent_at_ms(attempt):
                self._take_silence(attempt)
            elif attempt.stage is Stage.ASKED or not self._open.is_silent(attempt.candidate):
                patient = True
        if self._busy and not patient:
            candidate = min(self._busy, key=self._busy.__getitem__)
            if self._busy[candidate] <= now_ms:
                del self._busy[candidate]
                return self._connect(candidate, now_ms)
            patient = True
        decision = self._follow_the_leader(now_ms)
        if decision is None:
            decision = self._look_elsewhere(now_ms) if patient else self._ask_the_next(now_ms)
        return decision if decision is not None else self._wait(now_ms, patient=patient)

    def _send(self, attempt: OpenAttempt, now_ms: int) -> Send:
        if not attempt.enquires:
            self._note_asked(attempt.candidate, now_ms)
        return self._open.send(attempt, now_ms)

    def _note_asked(self, candidate: Candidate, now_ms: int) -> None:
        self._last_asked, self._last_asked_ms = candidate, now_ms

    def _follow_the_leader(self, now_ms: int) -> Connect | None:
        """Somebody was found to lead since anybody was asked: by this call, or another one of this client."""
        signs, leader = self._signs, self._signs.leader
        if leader is None or not self._leader_answers or signs.leading_since_ms < self._last_asked_ms:
            return None
        if leader == self._last_asked and signs.leading_since_ms == self._last_asked_ms:
            return None  # In one millisecond two may be found, and the first one has been asked.
        return self._connect(leader, now_ms) if self._is_free(leader, now_ms) else None

    def _look_elsewhere(self, now_ms: int) -> Connect | None:
        """Somebody has the request and is only slow: has another begun to lead meanwhile?"""
        if not self._leader_answers or not self._enquiries.is_due(now_ms):
            return None
        free = [one for one in self._candidates if self._is_free(one, now_ms)]
        candidate = self._enquiries.take_turn(free, now_ms)
        return None if candidate is None else self._connect(candidate, now_ms, enquires=True)

    def _is_free(self, candidate: Candidate, now_ms: int) -> bool:
        """Whether nothing of this call is under way there, and may be."""
        return (
            candidate in self._candidates
            and candidate not in self._denied
            and candidate not in self._busy
            and not self._open.has(candidate, now_ms)
        )

    def _ask_the_next(self, now_ms: int) -> Connect | None:
        """Nobody who is there has the request: ask whose turn it is."""
        if self._rounds.is_over:
            due = [one for one in self._candidates if self._renewal_at_ms(one) <= now_ms]
            self._rounds.begin(sorted(due, key=self._rank), now_ms)
        while not self._rounds.is_over:
            candidate = self._rounds.take_turn()
            if self._renewal_at_ms(candidate) > now_ms:
                continue
            if candidate not in self._disclaimed or not self._open.is_under_way:
                return self._connect(candidate, now_ms)
            free = self._is_free(candidate, now_ms)
            if free and self._enquiries.take_on(candidate, now_ms, BACKOFF_MS[-1] // 2):
                return self._connect(candidate, now_ms, enquires=True)
        return None

    def _renewal_at_ms(self, candidate: Candidate) -> int:
        """Return from when on it may be asked (again)."""
        if candidate in self._denied or candidate in self._busy:
            return self._deadline_ms
        return self._open.renewal_at_ms(candidate)

    def _rank(self, candidate: Candidate) -> tuple[bool, bool]:
        return self._open.is_silent(candidate), candidate != self._preferred

    def _connect(self, candidate: Candidate, now_ms: int, *, enquires: bool = False) -> Connect:
        if not enquires:
            self._note_asked(candidate, now_ms)
        dropped = self._open.make_room(candidate)
        number = self._open.begin(candidate, now_ms, enquires=enquires)
        if dropped is None:
            return Connect(number, candidate)
        self._sent = self._sent or dropped.has_the_request
        return Connect(number, candidate, dropped.number)

    def _wait(self, now_ms: int, *, patient: bool) -> Wait:
        busy_until_ms = (at_ms for at_ms in self._busy.values() if now_ms < at_ms)
        until_ms = min((self._open.next_due_ms(now_ms), *busy_until_ms))
        if not patient:
            renewals = map(self._renewal_at_ms, self._candidates)
            until_ms = min(until_ms, max(self._rounds.next_at_ms, min(renewals, default=until_ms)))
        elif self._enquiries.at_ms is not None:
            until_ms = min(until_ms, self._enquiries.at_ms)
        if not self._candidates:
            until_ms = min(until_ms, now_ms + BACKOFF_MS[-1])
        return Wait(max(1, until_ms - now_ms))

    # --- what came of it --------------------------------------------------------------------------------

    def observe(self, number: int, news: News, now_ms: int) -> None:
        """Take in what came of an attempt; of one that was replaced nothing counts any more."""
        attempt = self._open.find(number)
        if attempt is None or self._finish is not None:
            return
        match news:
            case Greeted():
                self._open.hear(attempt, now_ms)
                attempt.stage = Stage.GREETED
            case Heard():
                self._open.hear(attempt, now_ms)
                self._open.have_more_patience(attempt)
            case Unconnected() | Lost():
                self._take_loss(attempt, news)
            case Failed(error=error):
                self._open.hear(attempt, now_ms)
                self._open.close(attempt)
                if not attempt.enquires:
                    self._take_failure(attempt.candidate, error, now_ms)
            case Answered(value=value):
                self._open.hear(attempt, now_ms)
                self._take_answer(attempt, value, now_ms)
            case _:
                assert_never(news)

    def _take_silence(self, attempt: OpenAttempt) -> None:
        if not self._open.is_silent(attempt.candidate):
            said = "it did not greet" if attempt.stage is Stage.CONNECTING else "it did not answer"
            self._open.fall_silent(attempt.candidate)
            self._suspect(attempt.candidate, f"{said} in time")

    def _take_loss(self, attempt: OpenAttempt, news: Unconnected | Lost) -> None:
        self._open.close(attempt)
        if attempt.enquires:
            return
        if isinstance(news, Lost):
            self._sent = True
        elif news.silent:
            self._open.fall_silent(attempt.candidate)
        self._suspect(attempt.candidate, news.reason)

    def _suspect(self, candidate: Candidate, reason: str) -> None:
        self._last_words.take_silence(candidate, reason)
        if self._preferred == candidate:
            self._preferred = None

    def _take_answer(self, attempt: OpenAttempt, value: object, now_ms: int) -> None:
        if attempt.enquires:
            self._open.close(attempt)
            leads = isinstance(value, dict) and value.get("role") == "primary"
        else:
            leads = self._leader_answers
            self._finish = Finish(value=value)
        if leads:
            self._preferred = attempt.candidate
            self._signs.lead(attempt.candidate, now_ms)

    def _take_failure(self, asked: Candidate, error: BankError, now_ms: int) -> None:
        self._last_words.take_failure(asked, error)
        is_too_old = "needs_protocol" in error.details  # That only this client says, who has not asked it.
        is_denied = isinstance(error, AccessDenied) or is_too_old
        if is_denied or (self.may_have_been_taken and self._is_an_opinion(error)):
            self._exclude(asked, error)
        elif isinstance(error, Busy):
            self._turn_away(asked, error, now_ms)
        elif isinstance(error, Forgotten) or (
            isinstance(error, Refused) and not isinstance(error, Unreached)  # That only a client can know.
        ):
            self._preferred = asked
            self._finish = Finish(error=error)
        else:
            if not (isinstance(error, NotPrimary) and error.details.get("undecided") is True):
                self._sent = True
            if isinstance(error, NotPrimary):
                self._disclaimed.add(asked)
                self._follow_hint(asked, error.details.get("primary"), error.details.get("address"))

    def _is_an_opinion(self, error: BankError) -> bool:
        """Whether a server refused an update before it looked into the journal."""
        changes = self.request_id is not None
        return changes and isinstance(error, InvalidRequest) and "request_id" not in error.details

    def _turn_away(self, asked: Candidate, error: Busy, now_ms: int) -> None:
        """It was not taken: ask again there, not before the server wants it."""
        begun_ms = self._begun_ms if self._begun_ms is not None else now_ms
        at_most_ms = (self._deadline_ms - begun_ms) // RETRIES_AT_LEAST
        pause_ms = self._pauses.after_busy_ms(
            self._last_words.refusals, error.details.get("retry_ms"), at_most_ms=at_most_ms
        )
        again_ms = self._busy[asked] = now_ms + pause_ms
        is_late = again_ms > begun_ms + LATEST_SHARE * (self._deadline_ms - begun_ms)
        if is_late and self.request_id is not None and not self.may_have_been_taken:
            self._end(self.given_up())

    def _follow_hint(self, asked: Candidate, primary: object, address: object) -> None:
        """Ask whom a server has named next; one who is not known is learned (V12)."""
        named = candidate_of(self._candidates, primary, address)
        if named is None and (learned := self._learn(primary, address)) is not None:
            named = learned
            self._candidates = (*self._candidates, learned)
            self._rounds.begin_anew()
        if named is not None and named != asked:
            self._preferred = named
            self._rounds.reorder(self._rank)
        elif self._preferred == asked:
            self._preferred = None

    def _exclude(self, asked: Candidate, error: BankError) -> None:
        self._denied.add(asked)
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
        return self._last_words.given_up(
            why or self._reason(),
            request_id=self.request_id,
            may_have_been_taken=self.may_have_been_taken,
        )

    def _reason(self) -> str:
        if not self._candidates:
            return self.nobody
        slow = self._open.slow_server
        return f"{slow} has it, and has not answered in time" if slow is not None else self._last_words.reason
