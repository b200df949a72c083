"""Links for callers without an event loop: one thread waits for several at once.

    links = PolledLinks()
    link = PolledLink(links, address, object_id, handshake, on_up, on_lost)
    link.open()
    links.wait(0.3)          # callbacks are called in here

A `PolledLink` is a `Link`: the same calls, the same callbacks, the same frames. Only its bytes are carried by
poll(2) instead of asyncio.

Rule 1: nothing blocks but `wait`, and that no longer than it is told.
Rule 2: callbacks are called in `wait` (and in `close`), never in `open`, `call` or `ping`.
Assumption: one thread at a time; connections are closed by whoever opened them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from .addresses import Address, host_and_port, notice_silent_deaths
from .failures import ConnectFailed, connect_failure
from .limits import Limits
from .link import SILENT_SECONDS, Link

__all__ = ["PolledLink", "PolledLinks"]

_READ_BYTES = 1 << 18
_SLICE_SECONDS = 0.01
"""How often to look for what no poll tells: whether a name was resolved."""

_IN_PROGRESS = (0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR)


class PolledLinks:
    """The links of one thread."""

    __slots__ = ("_links", "_poll", "_unpolled")

    def __init__(self) -> None:
        self._poll = select.poll()
        self._links: dict[int, PolledLink] = {}
        self._unpolled: set[PolledLink] = set()

    def wait(self, seconds: float) -> None:
        """Carry bytes as they come, and call back; return after the first that came, or after `seconds`."""
        if self._unpolled:
            for link in list(self._unpolled):
                link.look()
            seconds = min(seconds, _SLICE_SECONDS if self._unpolled else 0)
        for number, events in self._poll.poll(max(0, seconds * 1000)):
            watched = self._links.get(number)
            if watched is not None:
                watched.turn(events)

    # --- called by the links ------------------------------------------------------------------------

    def look_at(self, link: PolledLink) -> None:
        """Have `look` called at every turn, until the link is watched or forgotten."""
        self._unpolled.add(link)

    def watch(self, link: PolledLink, connected: socket.socket, events: int) -> None:
        """Have `turn` called when that happens."""
        self._unpolled.discard(link)
        self._links[connected.fileno()] = link
        self._poll.register(connected, events)

    def forget(self, link: PolledLink, connected: socket.socket | None) -> None:
        """Stop calling it."""
        self._unpolled.discard(link)
        if connected is not None and self._links.pop(connected.fileno(), None) is not None:
            self._poll.unregister(connected)


class PolledLink(Link):
    """Calls one remote object; see `Link`."""

    def __init__(
        self,
        links: PolledLinks,
        address: Address,
        object_id: str,
        handshake: Mapping[str, object],
        on_up: Callable[[Mapping[str, Any]], None],
        on_lost: Callable[[str], None],
        *,
        limits: Limits,
    ) -> None:
        super().__init__(address, object_id, handshake, on_up, on_lost, limits=limits)
        self._links = links
        self._resolved: SimpleQueue[list[Any] | Exception] = SimpleQueue()
        self._addresses: list[Any] = []
        self._failures: list[OSError | UnicodeError] = []
        self._connected = False
        self._carried: asyncio.Protocol = self
        self._unsent = bytearray()
        self._broken_by: OSError | None = None

    def open(self, timeout: float = 0.0) -> None:  # noqa: ARG002 - the owner counts the time
        """Begin to connect; without a deadline: whoever waits gives up."""
        host, port = host_and_port(self.address)
        self._links.look_at(self)
        try:
            flags = socket.AI_NUMERICHOST  # Known at once, without a thread.
            self._resolved.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
        except (OSError, ValueError):
            self._resolve(host, port)

    def _resolve(self, host: str, port: int) -> None:
        """The system knows no deadline for this, so it is done beside us."""

        def resolve() -> None:
            try:
                self._resolved.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
            except Exception as unresolved:
                self._resolved.put(unresolved)

        try:
            Thread(target=resolve, name="resolver", daemon=True).start()
        except RuntimeError as no_thread:
            self._resolved.put(no_thread)

    # --- called by PolledLinks ------------------------------------------------------------------------

    def look(self) -> None:
        """See whether the host's name was resolved, or the connection found broken while sending."""
        if self._broken_by is not None:
            self.connection_lost(self._broken_by)
            return
        try:
            resolved = self._resolved.get_nowait()
        except Empty:
            return
        if isinstance(resolved, OSError | UnicodeError):
            self._end(connect_failure(self.address, [resolved]))
        elif isinstance(resolved, Exception):
            self._end(ConnectFailed(f"cannot connect to {self.address}: {resolved}"))
        else:
            self._addresses = resolved
            self._connect_next()

    def turn(self, events: int) -> None:
        """Do what can be done now."""
        if not self._connected:
            self._finish_connecting()
            return
        if events & select.POLLOUT:
            self._send_unsent()
        if events & ~select.POLLOUT and self._socket is not None:
            self._receive()

    def _connect_next(self) -> None:
        while self._addresses:
            family, kind, protocol, _, where = self._addresses.pop(0)
            trying = None
            try:
                trying = socket.socket(family, kind, protocol)
                trying.setblocking(False)
                trying.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                notice_silent_deaths(trying, within_seconds=SILENT_SECONDS)
                failed = trying.connect_ex(where)
                if failed not in _IN_PROGRESS:
                    raise OSError(failed, os.strerror(failed))
            except OSError as error:
                if trying is not None:
                    trying.close()
                self._failures.append(error)
            else:
                self._socket = trying
                self._links.watch(self, trying, select.POLLOUT)
                return
        self._end(connect_failure(self.address, self._failures))

    def _finish_connecting(self) -> None:
        connected = self._socket
        assert connected is not None
        failed = connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            self._failures.append(OSError(failed, os.strerror(failed)))
            self._let_go()
            self._connect_next()
            return
        self._connected = True
        self._links.watch(self, connected, select.POLLIN)
        self._carried = self._protocol()
        self._carried.connection_made(_PolledTransport(self))  # type: ignore[arg-type]  # what it needs of one

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.connection_lost(error)
            return
        if data:
            self._carried.data_received(data)
        else:
            self.connection_lost(None)

    # --- sending, and what the transport calls ---------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send what the system takes now; the rest when it takes more."""
        if self._socket is None:
            return
        if self._unsent:
            self._unsent += data
            return
        sent = self._taken_of(data)
        if sent < len(data):
            self._unsent += memoryview(data)[sent:]
            self._watch(select.POLLIN | select.POLLOUT)

    def _send_unsent(self) -> None:
        del self._unsent[: self._taken_of(self._unsent)]
        if not self._unsent:
            self._watch(select.POLLIN)

    def _taken_of(self, data: bytes | bytearray) -> int:
        """Return how much of it the system takes now; of what nobody will get, all."""
        if self._socket is None or self._broken_by is not None:
            return len(data)
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            # Told at the next turn: nobody is called back while he calls.
            self._broken_by = error
            self._links.look_at(self)
            return len(data)

    def _watch(self, events: int) -> None:
        if self._socket is not None and self._broken_by is None:
            self._links.watch(self, self._socket, events)

    @property
    def unsent(self) -> int:
        """How many bytes the system has not taken yet."""
        return len(self._unsent)

    @property
    def is_let_go(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._socket is None

    def let_go(self) -> None:
        """Close the connection."""
        self._let_go()

    def _let_go(self) -> None:
        self._links.forget(self, self._socket)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _end(self, failure: Any) -> None:
        super()._end(failure)
        self._let_go()


class _PolledTransport:
    """What a `Link` needs of asyncio's transports."""

    __slots__ = ("_link", "write")

    def __init__(self, link: PolledLink) -> None:
        self._link = link
        self.write = link.send

    def is_closing(self) -> bool:
        return self._link.is_let_go

    def get_write_buffer_size(self) -> int:
        return self._link.unsent

    def abort(self) -> None:
        self._link.let_go()

    close = abort
