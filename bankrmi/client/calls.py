"""One call from its beginning to its end.

Between the decisions (`attempts`) and the channels, which only carry out. Nearly every call goes *straight*:
there is a connection to who leads, the request is sent on it, and the answer is a result. What `attempts`
would decide cannot come out otherwise then, so nobody asks it. Whatever else happens (no such connection, an
error, an answer that cannot be believed, none within half of the patience), it goes on from there.

Rule 1: whatever attempt it is, the request is the same, with the same id; only `seen` may have grown.
Rule 2: what was learned in a call (who leads, how new the state is) serves the next one; from an answer that
        cannot be believed nothing is learned.
Rule 3: whatever ends a call is a result, one of our errors, or an interruption that carries `request_id`.
Rule 4: a call that goes straight is sent when, where and as `attempts` would have it sent, and leaves the
        same signs for other calls.
"""

from __future__ import annotations

import random
from typing import Any

from bankrmi.client.answers import check_error, news_of
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
    Wait,
)
from bankrmi.client.memory import Memory
from bankrmi.client.requests import Request, Session
from bankrmi.errors import BankError, Busy, Unreached, Unsettled

__all__ = ["FIRST", "ClientCall"]

FIRST = 1
"""The number of the first attempt."""


class ClientCall:
    """A request on its way: it may have to wait for other calls of the client, then it begins."""

    __slots__ = (
        "_args",
        "_attempts",
        "_began",
        "_began_with",
        "_enquiries",
        "_finish",
        "_leader",
        "_memory",
        "_news",
        "_request",
        "_sent_ms",
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
        self._enquiries: frozenset[int] = frozenset()
        self._news: tuple[str, int] | None = None
        self._began = memory.seen.turns
        self._began_with: Candidate | None = None
        self._attempts: Attempts | None = None
        self._leader: Candidate | None = None  # To whom it went straight,
        self._sent_ms = 0  # and when.
        self._finish: Finish | None = None

    @property
    def seconds_in_queue(self) -> float:
        """How long it may wait for other calls of its client: begun later, it might end in doubt."""
        return LATEST_SHARE * self._memory.timeout_ms / 1000

    def not_begun(self) -> Busy:
        """Return the error of a call that has waited for `seconds_in_queue`."""
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

    def begin(self, now_ms: int) -> Candidate | None:
        """Begin, with what is known now about who leads; return who does, if nobody else is asked first."""
        memory = self._memory
        self._began_with = memory.primary
        leader = memory.signs.leader
        goes_first = leader in memory.candidates and self._request.takes_seen and now_ms < self.deadline_ms
        return leader if goes_first else None

    def go_straight(self, leader: Candidate, now_ms: int) -> Wait:
        """The request is about to be sent, on a connection that was there; return how long to wait."""
        self._leader, self._sent_ms = leader, now_ms
        self._memory.signs.hear(leader, now_ms)
        usual = self._memory.usual_wait
        return usual if now_ms + usual.wait_ms <= self.deadline_ms else Wait(self.deadline_ms - now_ms)

    def _deciding(self) -> Attempts:
        """Return what decides, if the call does not go straight, or no longer."""
        attempts = self._attempts
        if attempts is not None:
            return attempts
        memory, request = self._memory, self._request
        attempts = self._attempts = Attempts(
            memory.candidates,
            deadline_ms=self.deadline_ms,
            patience_ms=memory.patience_ms,
            signs=memory.signs,
            draw=random.random,
            preferred=self._began_with,
            request_id=self.request_id,
            may_be_under_way=request.request_id is not None,
            leader_answers=request.takes_seen,
            learn=memory.learn,
        )
        attempts.nobody = memory.nobody
        if self._leader is not None:
            attempts.go_on_from(self._leader, self._sent_ms)
            self.take_learned()
        return attempts

    def learn_seconds(self, now_ms: int) -> float:
        """Return how long to ask the name server for other servers; 0: do not ask.

        It is asked while nobody is known, or none of those that are has answered for as long as the patience.
        """
        memory = self._memory
        began_ms = self.deadline_ms - memory.timeout_ms
        if memory.candidates and now_ms - began_ms < memory.learns_after_ms:
            return 0.0
        return memory.learn_seconds(self.deadline_ms, now_ms)

    def take_learned(self) -> None:
        """Go on with the servers that are known now."""
        memory, attempts = self._memory, self._attempts
        if attempts is not None and (memory.learns or not attempts.knows(memory.candidates)):
            attempts.go_on_with(memory.candidates, memory.primary)
            attempts.nobody = memory.nobody

    @property
    def preferred(self) -> Candidate | None:
        """Who is believed to lead."""
        return self._attempts.preferred if self._attempts is not None else self._leader

    @property
    def needs_protocol(self) -> int:
        """The version of the protocol that a server has to speak to be asked."""
        return self._request.needs_protocol

    def args(self) -> tuple[object, ...]:
        """Return the arguments of the next attempt."""
        return (*self._args, self._memory.seen.on_wire()) if self._request.takes_seen else self._args

    def decide(self, now_ms: int) -> Decision:
        """Return what to do now."""
        if self._finish is not None:
            return self._finish
        decision = self._deciding().decide(now_ms)
        if type(decision) is Send and decision.enquires:
            self._enquiries |= {decision.number}
        elif type(decision) is Connect and decision.number > FIRST:
            self._tell_whoever_waits()
        return decision

    def observe(self, number: int, news: News, now_ms: int) -> bool:
        """Take in what came of an attempt; return whether the server can be believed."""
        believed = True
        if number not in self._enquiries:
            try:
                if type(news) is Answered:
                    value = self._request.read(news.value, self.request_id)
                    self._news = news_of(news.value)
                    if self._attempts is None:
                        self._arrive(value, now_ms)
                        return True
                    news = Answered(value)
                elif type(news) is Failed:
                    check_error(news.error, self._request.accounts, self.request_id)
            except Exception as why:  # Unbelievable, and whatever else a stranger's values lead to
                believed = False
                news = Failed(Unsettled(f"its answer cannot be believed: {why}"))
        attempts = self._deciding()
        attempts.observe(number, news, now_ms)
        if isinstance(news, Unconnected | Lost | Failed) and not attempts.ended:
            self._tell_whoever_waits()
        return believed

    def _arrive(self, value: object, now_ms: int) -> None:
        """It went straight, and this is the result."""
        assert self._leader is not None
        signs = self._memory.signs
        signs.hear(self._leader, now_ms)
        signs.lead(self._leader, now_ms)
        self._finish = Finish(value)

    def _tell_whoever_waits(self) -> None:
        """The first that does not end the call is told, once."""
        if not self._waiting:
            self._waiting = True
            if self._memory.on_waiting is not None:
                self._memory.on_waiting()

    def finish(self, end: Finish) -> Any:
        """Remember what was learned; return the answer, or raise the error."""
        memory = self._memory
        memory.take_primary(self.preferred, self._began_with)
        news = self._news if end.error is None else news_of(end.error)
        if news is not None:
            memory.seen.learn(*news, began=self._began)
        if end.error is None:
            return end.value
        if self._deciding().all_are_behind:
            memory.seen.forget()
        raise end.error

    def broken_off(self, error: Exception) -> BankError:
        """Return the error of ours that says what is true after one that is not ours."""
        why = f"{type(error).__name__}: {error!s:.200}"
        if self._attempts is None and self._leader is None:
            return Unreached(f"nothing was sent: {why}")
        return self._deciding().given_up(why)

    def note_on(self, interruption: BaseException) -> None:
        """Leave the request id with an exception that is not ours (Ctrl-C, a cancelled task)."""
        if self.request_id is None:
            self.identify(Session())
        interruption.request_id = self.request_id  # type: ignore[attr-defined]
        if self.request_id is not None:
            asked = self.request_id
            taken = self._leader is not None
            if self._attempts is not None:
                taken = self._attempts.may_have_been_taken
            interruption.add_note(f"the outcome of {asked} is unknown" if taken else f"{asked} was not sent")
