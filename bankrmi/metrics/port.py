"""The port for whoever watches a process: served from its event loop, and within a budget of its time.

Rule 1: what watchers cost has a budget, a small share of the time of one core; while it is spent nobody is
        accepted, and waits in the system's queue, where he costs nothing.
Rule 2: there are `SEATS` connections at most. When all are taken, whoever has been here for longest makes
        room, once he had `STAYS_S` to say what he wants. A watcher says it at once; and while a page is
        being made for him, he stays.
Rule 3: a request is whole, and its answer taken, in `DEADLINE_S`, or the connection is cut; the head of a
        request comes in a few pieces. What is sent after it is thrown away, up to a bound.
Rule 4: a page is made in pieces (`page`), so no turn of the loop is long for it.
Assumption: nothing here is secret from whoever can reach the port; it changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

import structlog

from bankrmi.metrics.health import Checks
from bankrmi.metrics.http import HttpRequest, RequestError, Status, answer, request_in
from bankrmi.metrics.measure import MeasureTaken
from bankrmi.metrics.page import CONTENT_TYPE, Pages
from bankrmi.rmi.accepting import Acceptor, listening_socket
from bankrmi.rmi.addresses import Address, joined

__all__ = ["FILES", "MetricsPort"]

log = structlog.get_logger("bankrmi.metrics")

SEATS = 64
STAYS_S = 0.1
DEADLINE_S = 5.0
SHARE = 0.05
"""Of the time of one core, for all watchers together."""

SAVED_S = 0.1
"""How much of the share that was not used is kept for later."""

CONNECTION_S = 0.0002
"""What a connection takes beside what is measured here: to be accepted, and closed."""

PIECES = 32
"""In so many may the head of a request come; and in so many what follows, and is thrown away."""

FILES = SEATS + 8 + 1
"""That the process may need to have open for this: connections, those that are being accepted, the port."""

_BACKLOG = 128
_SWEEP_S = 0.25


class MetricsPort:
    """What is asked here is answered by `checks`, by path; `take` reads the figures for `/metrics`."""

    def __init__(self, take: Callable[[], list[MeasureTaken]], checks: Checks) -> None:
        self._loop = asyncio.get_running_loop()
        self._budget = _Budget()
        self._pages = Pages(take, self._budget.spend)
        self._checks = checks
        self._acceptor: Acceptor | None = None
        self._connections: dict[_Watcher, None] = {}  # In the order in which they came.
        self._sweeping: asyncio.TimerHandle | None = None
        self.address: Address = ""
        """Where it listens; with port 0 asked for, the port that it got."""

    async def listen(self, address: Address) -> None:
        """Begin to serve.  Raises OperationFailed or ConfigurationError, as `listening_socket` does."""
        listening = await listening_socket(address)
        listening.listen(_BACKLOG)
        self.address = joined(*listening.getsockname()[:2])
        self._acceptor = Acceptor(listening, lambda _: _Watcher(self), self._has_room, lambda: None)
        self._sweep()
        log.info("metrics", address=self.address)

    def close(self) -> None:
        """End all connections, and listen no more."""
        if self._acceptor is not None:
            self._acceptor.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._pages.close()
        for watcher in list(self._connections):
            watcher.abort()

    # -- connections -----------------------------------------------------------------------------

    def _has_room(self, coming: int) -> bool:
        """Whether one more may be accepted beside the `coming`; who was here for long enough makes room."""
        if not self._budget.is_left:
            return False
        now_s = perf_counter()
        while len(self._connections) + coming >= SEATS:
            longest = next((one for one in self._connections if not one.awaits_answer), None)
            if longest is None or now_s - longest.since_s < STAYS_S:
                return False
            longest.abort()
            self._connections.pop(longest, None)  # At once: the loop tells only later.
        return True

    def opened(self, watcher: _Watcher) -> None:
        """One more is connected."""
        self._budget.spend(CONNECTION_S)
        self._connections[watcher] = None

    def closed(self, watcher: _Watcher) -> None:
        """It is gone."""
        self._connections.pop(watcher, None)

    def _sweep(self) -> None:
        """Cut whoever is overdue."""
        now_s = perf_counter()
        for watcher in [one for one in self._connections if now_s - one.since_s >= DEADLINE_S]:
            watcher.abort()
        self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)

    # -- requests --------------------------------------------------------------------------------

    def heard(self, watcher: _Watcher, head: bytes) -> bool:
        """Answer a request, if it is whole; return whether it is."""
        began_s = perf_counter()
        try:
            request = request_in(head)
            if request is not None:
                self._answer(watcher, request)
        except RequestError as error:
            watcher.tell(error.answer)
            return True
        finally:
            self._budget.spend(perf_counter() - began_s)
        return request is not None

    def _answer(self, watcher: _Watcher, request: HttpRequest) -> None:
        if request.path == "/metrics":
            self._pages.ask(lambda page: watcher.tell(_page_answer(page, request)))
            return
        check = self._checks.get(request.path)
        if check is None:
            known = ", ".join(["/metrics", *self._checks])
            raise RequestError(Status.NOT_FOUND, f"here are {known}", head_only=request.head_only)
        well, sentence = check()
        status = Status.OK if well else Status.UNAVAILABLE
        watcher.tell(answer(status, sentence, head_only=request.head_only))


def _page_answer(page: bytes | None, request: HttpRequest) -> bytes:
    if page is None:
        return answer(Status.ERROR, "the figures cannot be shown: see the log", head_only=request.head_only)
    return answer(Status.OK, page, head_only=request.head_only, content_type=CONTENT_TYPE)


class _Budget:
    """What is left of the watchers' share of the time."""

    def __init__(self) -> None:
        self._left_s = SAVED_S
        self._seen_s = perf_counter()

    @property
    def is_left(self) -> bool:
        """Whether anything is."""
        now_s = perf_counter()
        self._left_s = min(SAVED_S, self._left_s + SHARE * (now_s - self._seen_s))
        self._seen_s = now_s
        return self._left_s > 0

    def spend(self, seconds: float) -> None:
        """So much was spent."""
        self._left_s -= seconds


class _Watcher(asyncio.Protocol):
    """One connection."""

    def __init__(self, port: MetricsPort) -> None:
        self.since_s = perf_counter()
        self._port = port
        self._transport: asyncio.Transport
        self._head = b""
        self._pieces = 0
        self._asked = self._told = self._says_no_more = False

    @property
    def awaits_answer(self) -> bool:
        """Whether it has asked, and was told nothing yet."""
        return self._asked and not self._told

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP transport is one
        self._port.opened(self)

    def data_received(self, data: bytes) -> None:
        self._pieces += 1
        if self._asked or self._pieces > PIECES:
            self._discard()
            return
        self._head += data
        self._asked = self._port.heard(self, self._head)
        if self._asked:
            self._head, self._pieces = b"", 0

    def _discard(self) -> None:
        """Closing on unread bytes would reset what was answered; but it is not read for ever."""
        if not self._asked or self._pieces > PIECES:
            self.abort()

    def eof_received(self) -> bool:
        """Who says no more may still want the answer that is being made."""
        self._says_no_more = True
        return self.awaits_answer

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - how does not matter
        self._port.closed(self)

    def tell(self, whole: bytes) -> None:
        """Send an answer, the only one; the other side closes when it has read it, or the sweep does."""
        self._told = True
        if self._transport.is_closing():
            return
        self._transport.write(whole)
        if self._says_no_more:
            self._transport.close()
            return
        with suppress(OSError, RuntimeError):  # It is gone, and nobody has told us yet.
            self._transport.write_eof()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
