"""A channel: a session, its connections, and the attempts of one call.  The same for both clients.

It does what `attempts` decides, and keeps what came of it until the driver asks for it (`tell`). What differs
between the clients is how a link is made, and how one waits for news: theirs to bring.

Rule 1: one call at a time (O3). Between two calls it keeps the connection that answered last, and no other.
Rule 2: a connection on which an answer is still to come is closed when the call ends: it is nobody's.
Rule 3: a kept connection is looked at before it is used: one that the server has closed meanwhile is
        replaced, and nothing was sent.
Rule 4: whatever goes wrong here is news of the attempt, never an exception.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from bankrmi.client.calls import FIRST, ClientCall
from bankrmi.client.decisions import (
    Answered,
    Candidate,
    Connect,
    Decision,
    Failed,
    Greeted,
    Heard,
    News,
    Ping,
    Send,
    Unconnected,
)
from bankrmi.client.failing import news_of_failure, too_old
from bankrmi.client.requests import Session, object_of
from bankrmi.rmi import Limits, Link, TlsCredentials, handshake, over_tls

__all__ = ["LIMITS", "Channel", "NewLink", "now_ms"]

NewLink = Callable[
    [str, str, Mapping[str, object], Callable[[Mapping[str, Any]], None], Callable[[str], None]], Link
]
"""Makes a link of an address, an object id, a handshake, `on_up` and `on_lost`."""

LIMITS = Limits(server_message_bytes=16 << 20, server_items=1 << 17)
"""What a server's answer may cost a client: ten times a full batch."""

_HANDSHAKE = handshake("client")
_CONNECTING_SECONDS = 3600.0
"""`attempts` gives up; the link does not."""


class _Line:
    """The connection of one attempt."""

    __slots__ = ("_channel", "candidate", "is_asked", "link", "needs_protocol", "number")

    def __init__(
        self,
        channel: Channel,
        number: int,
        candidate: Candidate,
        link: Link | None,
        needs_protocol: int = 1,
    ) -> None:
        self._channel = channel
        self.number = number
        self.candidate = candidate
        self.link = link
        self.is_asked = False  # An answer is to come on it.
        self.needs_protocol = needs_protocol
        """The version that its server has to speak to be asked."""

    def answered(self, value: object) -> None:
        """Take what the link answers."""
        self._channel.take(self, value)


class Channel:
    """Used by one call at a time."""

    def __init__(
        self,
        new_link: NewLink,
        wake: Callable[[], None],
        shown: Callable[[], TlsCredentials | None] = lambda: None,
        object_of: Callable[[str], str] = object_of,
    ) -> None:
        """`shown` returns what a connection that begins now shows, if anything; `object_of`, which object of
        a server is called."""
        self._shown = shown
        self._object_of = object_of
        self.session = Session()
        self.used_ms = 0
        """When it was last given back."""
        self._new_link = new_link
        self._wake = wake
        self._lines: dict[int, _Line] = {}
        self._kept: dict[Candidate, Link] = {}
        self._news: deque[tuple[int, News]] = deque()

    def tell(self, call: ClientCall) -> Decision:
        """Tell the call what came of its attempts, and return what to do next.

        The connections of attempts that are over are free then.
        """
        at_ms = now_ms()
        while self._news:
            number, news = self._news.popleft()
            believed = call.observe(number, news, at_ms)
            if not believed:
                self.drop(number)
            elif type(news) is Answered or type(news) is Failed:
                self._release(number)
        return call.decide(at_ms)

    def begin(self, call: ClientCall) -> Decision:
        """Begin: send it at once if there is a connection to who leads; return what to do next."""
        at_ms = now_ms()
        leader = call.begin(at_ms)
        link = self._take_kept(leader) if leader is not None else None
        if leader is not None and link is not None and _is_too_old(link, call.needs_protocol):
            self._kept[leader] = link  # It is told so when it would be asked.
            link = None
        if leader is None or link is None:
            return call.decide(at_ms)
        wait = call.go_straight(leader, at_ms)
        self._lines[FIRST] = _Line(self, FIRST, leader, link)
        self._send(FIRST, call.method, call.args())
        return wait

    @property
    def has_news(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._news)

    # --- what `attempts` decides ------------------------------------------------------------------------

    def carry_out(self, decision: Connect | Send | Ping, call: ClientCall) -> None:
        """Do it."""
        match decision:
            case Connect(number=number, candidate=candidate, drops=drops):
                if drops is not None:
                    self.drop(drops)
                self._connect(number, candidate, call.needs_protocol)
            case Send(number=number, enquires=enquires):
                if enquires:
                    self._send(number, "status", ())
                else:
                    self._send(number, call.method, call.args())
            case Ping(number=number):
                self._ping(number)

    def _connect(self, number: int, candidate: Candidate, needs_protocol: int) -> None:
        kept = self._take_kept(candidate)
        line = self._lines[number] = _Line(self, number, candidate, kept, needs_protocol)
        if kept is not None:
            self._greeted(line, kept)
        else:
            self._open(line)

    def _greeted(self, line: _Line, link: Link) -> None:
        """It may be asked; unless it is of a version that does not know what it would be asked for."""
        if _is_too_old(link, line.needs_protocol):
            refusal = too_old(line.candidate, link.protocol, line.needs_protocol)
            self._tell(line.number, Failed(refusal))
        else:
            self._tell(line.number, Greeted())

    def _take_kept(self, candidate: Candidate) -> Link | None:
        """Return the connection that was kept, if it is of use."""
        kept = self._kept.pop(candidate, None)
        if kept is None or (kept.up and not kept.has_news):
            return kept
        _close(kept)
        return None

    def _open(self, line: _Line) -> None:
        number, candidate = line.number, line.candidate

        def up(_: Mapping[str, Any]) -> None:
            self._greeted(line, link)

        def lost(_: str) -> None:
            if self._lines.get(number) is line:
                self._end(line, news_of_failure(link.failure))

        try:
            said = over_tls(_HANDSHAKE, self._shown())
            link = line.link = self._new_link(
                candidate.address, self._object_of(candidate.server), said, up, lost
            )
            link.open(_CONNECTING_SECONDS)
        except Exception as error:  # An invalid address, say: nothing was sent.
            self._end(line, Unconnected(str(error)))

    def _send(self, number: int, method: str, args: tuple[object, ...]) -> None:
        line = self._lines.get(number)
        if line is None or line.link is None:
            return  # Its end is among the news.

        try:
            line.is_asked = True
            line.link.call(method, args, line.answered)
        except Exception as error:  # It broke since it greeted: nothing was sent.
            self._end(line, Unconnected(str(error)))

    def take(self, line: _Line, value: object) -> None:
        """Take the answer on a line, or the error instead."""
        if self._lines.get(line.number) is line:
            line.is_asked = False
            self._tell(
                line.number, news_of_failure(value) if isinstance(value, Exception) else Answered(value)
            )

    def _ping(self, number: int) -> None:
        line = self._lines.get(number)
        if line is not None and line.link is not None:
            with suppress(Exception):  # That it is broken is among the news, or will be.
                line.link.ping(lambda: self._tell(number, Heard()))

    # --- afterwards -------------------------------------------------------------------------------------

    def _release(self, number: int) -> None:
        """An attempt is over, its connection is not: keep it for the next one to the same server."""
        line = self._lines.get(number)
        if line is None or line.is_asked or line.link is None or not line.link.up:
            self.drop(number)
            return
        del self._lines[number]
        previous = self._kept.get(line.candidate)
        if previous is not None and previous is not line.link:
            _close(previous)
        self._kept[line.candidate] = line.link

    def drop(self, number: int) -> None:
        """Close the connection of an attempt."""
        line = self._lines.pop(number, None)
        if line is not None and line.link is not None:
            _close(line.link)

    def end_call(self, keep: Candidate | None) -> None:
        """The call is over: keep the connection to this server, close the others."""
        for number in list(self._lines):
            self._release(number)
        for candidate in list(self._kept):
            if candidate != keep:
                _close(self._kept.pop(candidate))
        self._news.clear()

    def start_afresh(self) -> None:
        """Go on with nothing of what was: no connection, and another session."""
        self.close()
        self.session = Session()

    def close(self) -> None:
        """Close all connections."""
        for number in list(self._lines):
            self.drop(number)
        self.end_call(None)

    def abandon(self) -> None:
        """Let go of everything without a word to an event loop that is gone."""
        for link in [*self._kept.values(), *(line.link for line in self._lines.values())]:
            if link is not None:
                link.abandon()
        self._kept.clear()
        self._lines.clear()

    def _end(self, line: _Line, news: News) -> None:
        """The attempt has come to nothing."""
        self._lines.pop(line.number, None)
        self._tell(line.number, news)

    def _tell(self, number: int, news: News) -> None:
        self._news.append((number, news))
        self._wake()


def _is_too_old(link: Link, needs_protocol: int) -> bool:
    """Whether this is one of our servers, and of a version that does not know what it would be asked for."""
    return 0 < link.protocol < needs_protocol


def _close(link: Link) -> None:
    with suppress(Exception):  # Its event loop may be closed already.
        link.close()


def now_ms() -> int:
    """Return the time that calls go by, in milliseconds."""
    return time.monotonic_ns() // 1_000_000
