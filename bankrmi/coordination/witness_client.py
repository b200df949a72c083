"""A server's side of the witness: the three verbs over one link, with a deadline for each call.

Rule 1: no sign of life in time, a lost connection and an error are all silence. A call that was overdue drops
        the connection, so its answer, should it still come, reaches nobody.
Rule 2: there is no connection until something is asked; one that is lost is made anew by the next call.
Rule 3: slow is not dead. While a call waits the witness is pinged, and as long as it answers that (or has
        just greeted us) the call stays under way, up to `AT_MOST` times the timeout. After a silence the
        next call has twice the time, up to `PATIENCE` times the timeout; after an answer, twice what that
        took. So who is dead is noticed after the timeout, if the witness was quick before.
Rule 4: where no connection came about, the next one is tried a moment later: whoever asks again as soon as
        he is told so is no loop, and what he asks waits until then.
Rule 5: a view that needs a version of the protocol that the witness does not speak is not sent there.
Assumption: lives in one event loop; calls are rare (a view changes when a server fails, joins or leaves).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from bankrmi.coordination.coordinator import Expected, OnSilence
from bankrmi.coordination.witness import WITNESS_ID
from bankrmi.errors import Refused, ViewMoved
from bankrmi.replication.fields import flag
from bankrmi.replication.view import View
from bankrmi.rmi import Link, NotConnected

__all__ = ["WitnessClient"]

log = structlog.get_logger("bankrmi.coordination")

AT_MOST = 10
PATIENCE = 4
_AGAIN_SECONDS = 0.05
"""Before another connection is tried where none came about."""

_NOT_AN_ANSWER = (KeyError, TypeError, ValueError)


def _ignore(_: object) -> None:
    """Nobody wants to know."""


class _Ask:
    """A call that is not answered yet."""

    __slots__ = ("args", "begun", "deadline", "method", "needs_protocol", "on_answer", "on_silence", "sent")

    def __init__(
        self,
        method: str,
        args: list[object],
        on_answer: Callable[[Any], None],
        on_silence: OnSilence,
        needs_protocol: int,
    ) -> None:
        self.method = method
        self.args = args
        self.needs_protocol = needs_protocol
        self.on_answer: Callable[[Any], None] | None = on_answer
        self.on_silence = on_silence
        self.begun = 0.0
        self.deadline: asyncio.TimerHandle | None = None
        self.sent = False

    def settle(self, value: object) -> None:
        """Hand over the answer, or the reason why there is none; only the first one counts."""
        on_answer, self.on_answer = self.on_answer, None
        if on_answer is None:
            return
        if self.deadline is not None:
            self.deadline.cancel()
        if isinstance(value, Exception):
            self.on_silence(str(value), self.sent)
            return
        on_answer(value)

    def forget(self) -> None:
        """Say nothing any more."""
        self.on_answer = None
        if self.deadline is not None:
            self.deadline.cancel()


class WitnessClient:
    """A `Coordinator`: the view of `service`, kept by the witness at `address`."""

    def __init__(
        self, address: str, service: str, *, handshake: Mapping[str, object], timeout_ms: int = 500
    ) -> None:
        self._address = address
        self._service = service
        self._handshake = handshake
        self._timeout = self._allowed = timeout_ms / 1000
        self._heard = 0.0  # When there was a sign of life on this connection.
        self._pinged = False
        self._link: Link | None = None
        self._open_at = 0.0  # When the next connection may be tried.
        self._opening: asyncio.TimerHandle | None = None
        self.on_met: Callable[[str | None], None] = _ignore
        """Told the id of the witness that answers there; None when the connection is lost."""
        self.on_moved: Callable[[str], None] = _ignore
        """Told the id of the keeper to which the view was moved, whenever the witness says so."""
        self._asked: set[_Ask] = set()
        self._complained: dict[str, str] = {}
        """What was said last about answers to a method."""

    def read(self, on_answer: Callable[[View | None], None], on_silence: OnSilence) -> None:
        """Ask for the view."""
        self._ask("read", [self._service], _view, on_answer, on_silence)

    def propose(
        self,
        expected: Expected,
        view: View,
        on_answer: Callable[[View | None, bool], None],
        on_silence: OnSilence,
    ) -> None:
        """Propose `view` to follow `expected`."""
        args: list[object] = [self._service, expected, view.to_wire()]
        self._ask(
            "propose", args, _decision, lambda answer: on_answer(*answer), on_silence, view.needs_protocol
        )

    def history(
        self, after: Expected, on_answer: Callable[[list[View]], None], on_silence: OnSilence
    ) -> None:
        """Ask for the views that followed `after`, as many as fit one answer."""
        self._ask("history", [self._service, after], _views, on_answer, on_silence)

    def close(self) -> None:
        """Forget all that is under way, without a word."""
        asked, self._asked = self._asked, set()
        for ask in asked:
            ask.forget()
        if self._opening is not None:
            self._opening.cancel()
        self._drop()

    def _ask(
        self,
        method: str,
        args: list[object],
        read: Callable[[Any], Any],
        on_answer: Callable[[Any], None],
        on_silence: OnSilence,
        needs_protocol: int = 1,
    ) -> None:
        def take(value: object) -> None:
            try:
                answer = read(value)
            except _NOT_AN_ANSWER as error:
                why = f" ({error})" if isinstance(error, ValueError) else ""  # Then it is a sentence of ours.
                unread = f"the witness answered {method} with what cannot be read{why}"
                self._complain(method, "what the witness keeps cannot be read", unread)
                on_silence(unread, ask.sent)
                return
            self._complained.pop(method, None)
            on_answer(answer)

        ask = _Ask(method, args, take, on_silence, needs_protocol)
        ask.begun = asyncio.get_running_loop().time()
        self._look_after(ask, ask.begun)
        self._asked.add(ask)
        if self._link is None:
            self._open_in_time()
        elif self._link.up:
            self._send(ask)

    def _complain(self, method: str, event: str, why: str) -> None:
        """Log it once, until something else is wrong, or nothing: who asks, asks again and again."""
        if self._complained.get(method) != why:
            self._complained[method] = why
            log.error(event, method=method, why=why)

    def _open_in_time(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._open_at:
            self._open()
        elif self._opening is None:
            self._opening = loop.call_at(self._open_at, self._open_if_asked)

    def _open_if_asked(self) -> None:
        self._opening = None
        if self._link is None and self._asked:
            self._open()

    def _open(self) -> None:
        def up(greeting: Mapping[str, Any]) -> None:
            if self._link is link:
                self._hear()
                witness_id = greeting.get("witness_id")
                self.on_met(witness_id if isinstance(witness_id, str) else None)
                for ask in list(self._asked):
                    self._send(ask)

        def lost(_: str) -> None:
            if self._link is link:
                self._link = None
                if isinstance(link.failure, NotConnected):
                    self._open_at = asyncio.get_running_loop().time() + _AGAIN_SECONDS
                self.on_met(None)
                self._fail_all(link.failure or NotConnected("the witness is gone"))

        link = self._link = Link(self._address, WITNESS_ID, self._handshake, up, lost)
        self._heard, self._pinged = 0.0, False
        link.open(AT_MOST * self._timeout)

    def _send(self, ask: _Ask) -> None:
        sent = asyncio.get_running_loop().time()

        def answered(value: object) -> None:
            if not isinstance(value, NotConnected):
                self._hear()
                self._allowed = min(max(self._timeout, 2 * (self._heard - sent)), PATIENCE * self._timeout)
            self._asked.discard(ask)
            if isinstance(value, ViewMoved):
                self.on_moved(str(value.moved_to))
            elif isinstance(value, Refused):
                self._complain(ask.method, "the witness refused", value.message)
            ask.settle(value)

        assert self._link is not None
        if ask.needs_protocol > self._link.protocol:
            self._asked.discard(ask)
            ask.settle(
                NotConnected(
                    f"the witness at {self._address} speaks bankrmi protocol {self._link.protocol}, and "
                    f"what is proposed needs {ask.needs_protocol}: upgrade the witness"
                )
            )
            return
        ask.sent = True
        self._link.call(ask.method, ask.args, answered)

    # -- signs of life ---------------------------------------------------------------------------

    def _hear(self) -> None:
        self._heard, self._pinged = asyncio.get_running_loop().time(), False

    def _look_after(self, ask: _Ask, now: float) -> None:
        """Look again when the witness is to be pinged, or counts as silent."""
        quiet_since = max(ask.begun, self._heard)
        due = min(quiet_since + self._allowed, ask.begun + AT_MOST * self._timeout)
        if now >= due:
            self._overdue(ask, silent=now >= quiet_since + self._allowed)
            return
        ping_at = quiet_since + self._allowed / 2
        if now >= ping_at:
            self._ping()
        elif not self._pinged:
            due = min(due, ping_at)
        ask.deadline = asyncio.get_running_loop().call_at(due, self._look_again, ask)

    def _look_again(self, ask: _Ask) -> None:
        self._look_after(ask, asyncio.get_running_loop().time())

    def _ping(self) -> None:
        link = self._link
        if link is None or not link.up or self._pinged:
            return

        def pong() -> None:
            if self._link is link:
                self._hear()

        self._pinged = True
        link.ping(pong)

    def _overdue(self, ask: _Ask, *, silent: bool) -> None:
        if silent:
            self._allowed = min(2 * self._allowed, PATIENCE * self._timeout)
        self._asked.discard(ask)
        self._drop()
        ask.settle(TimeoutError(f"no answer from the witness at {self._address}"))

    def _drop(self) -> None:
        """Close the link; what else was asked on it has no answer either."""
        link, self._link = self._link, None
        if link is not None:
            self.on_met(None)
            self._fail_all(NotConnected("the connection to the witness was dropped"))
            link.close()

    def _fail_all(self, reason: Exception) -> None:
        asked, self._asked = self._asked, set()
        for ask in asked:
            ask.settle(reason)


def _view(value: Any) -> View | None:
    return None if value is None else View.from_wire(value)


def _decision(value: Any) -> tuple[View | None, bool]:
    return _view(value["view"]), flag(value["won"])


def _views(value: Any) -> list[View]:
    return [View.from_wire(form) for form in value]
