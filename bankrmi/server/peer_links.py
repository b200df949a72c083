"""The connections to the other servers: kept up, for as long as the process lives.

Rule 1: a lost connection is tried again at once, then with growing pauses.
Rule 2: what cannot be sent now is dropped; the rules send it again when it matters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from bankrmi.replication.events import AnswerArrived, Event, LinkChanged, Probed
from bankrmi.replication.messages import Message
from bankrmi.rmi import Link, NotConnected, ProbeAnswer, handshake, probe
from bankrmi.server.agreement import Difference, compared
from bankrmi.server.clock import now_ms
from bankrmi.server.wire import METHODS, answer_from_wire, message_to_wire

__all__ = ["STANDBY_ID", "PeerLinks"]

log = structlog.get_logger("bankrmi.server")

STANDBY_ID = "bankrmi.standby."
"""What the ids of standby objects begin with; the name of the server follows."""

RETRY_SECONDS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2)
CONNECT_SECONDS = 1.0
PROBE_SECONDS = 0.25
UNSENT_LIMIT_BYTES = 64 << 20


class PeerLinks:
    """One link to each other server."""

    def __init__(
        self,
        server: str,
        start_id: str,
        addresses: Mapping[str, str],
        take: Callable[[Event], None],
        settings: Mapping[str, Any],
    ) -> None:
        """Of `server`; `settings` are its own, as it states them (see `agreement`)."""
        self._take = take
        self._addresses = {name: address for name, address in addresses.items() if name != server}
        self._handshake = handshake("server", server=server, start_id=start_id)
        self._links: dict[str, Link] = {}
        self._failures: dict[str, int] = {}
        self._probes: set[Link] = set()
        self._complaints: dict[str, tuple[str, str]] = {}
        self._settings = settings
        self._met: dict[str, tuple[str, list[Difference]]] = {}
        self._closed = False

    def open(self) -> None:
        """Begin to connect to all."""
        for name in self._addresses:
            self._connect(name)

    def close(self) -> None:
        """Close all, and tell nobody."""
        self._closed = True
        for link in [*self._links.values(), *self._probes]:
            link.close()

    def _connect(self, name: str) -> None:
        if self._closed:
            return
        begun_ms = now_ms()

        def up(greeting: Mapping[str, Any]) -> None:
            if greeting.get("server") != name:
                log.error("another server answers there", at=self._addresses[name], expected=name)
                link.close()
                return
            start_id = str(greeting.get("start_id"))
            if not self._agrees(name, start_id, greeting.get("settings")):
                link.close()
                return
            self._failures[name] = 0
            log.debug("connected", to=name)
            self._take(LinkChanged(server=name, up=True, start_id=start_id, begun_ms=begun_ms))

        def lost(_: str) -> None:
            was_up = self._failures.get(name) == 0
            self._links.pop(name, None)
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            if self._closed:
                return
            if was_up:
                self._take(LinkChanged(server=name, up=False))
            pause = RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1]
            asyncio.get_running_loop().call_later(pause, self._connect, name)

        self._failures.setdefault(name, 1)
        link = self._links[name] = Link(self._addresses[name], STANDBY_ID + name, self._handshake, up, lost)
        link.open(CONNECT_SECONDS)

    def _agrees(self, name: str, start_id: str, theirs: object) -> bool:
        """Compare settings with another server that we meet; say what differs, once for each meeting."""
        differences = compared(self._settings, theirs)
        if self._met.get(name) != (start_id, differences):
            self._met[name] = (start_id, differences)
            for one in differences:
                say = log.error if one.refused else log.warning
                what = "settings differ, no connection" if one.refused else "settings differ"
                say(what, key=one.key, ours=one.ours, theirs=one.theirs, server=name, so=one.so)
        return not any(one.refused for one in differences)

    def send(self, to: str, message: Message) -> None:
        """Say something to another server; its answer arrives as an event."""
        link = self._links.get(to)
        if link is None or not link.up or link.unsent_bytes > UNSENT_LIMIT_BYTES:
            return

        def answered(form: object) -> None:
            if isinstance(form, Exception):
                if not isinstance(form, NotConnected) and link.up:
                    self._complain("refused by another server", to, str(form))
                return
            try:
                answer = answer_from_wire(form, to)
            except ValueError as error:
                self._complain("an answer that cannot be read", to, str(error))
                return
            self._take(AnswerArrived(answer, to))

        link.call(METHODS[type(message)], message_to_wire(message), answered)

    def _complain(self, what: str, server: str, reason: str) -> None:
        """Log what is wrong with another server's answers: once, until something else is."""
        if self._complaints.get(server) != (what, reason):
            self._complaints[server] = (what, reason)
            log.warning(what, by=server, reason=reason)

    def probe(self, server: str, epoch: int, delay_ms: float) -> None:
        """Look whether a process lives at the server's address; what is found arrives as an event."""
        if delay_ms > 0:
            asyncio.get_running_loop().call_later(delay_ms / 1000, self._probe, server, epoch)
        else:
            self._probe(server, epoch)

    def _probe(self, server: str, epoch: int) -> None:
        if self._closed:
            return
        begun_ms = now_ms()

        def found(answer: ProbeAnswer) -> None:
            self._probes.discard(link)
            start_id = None
            if not isinstance(answer, str) and answer.get("server") == server:
                start_id = str(answer.get("start_id"))
            self._take(
                Probed(
                    server=server,
                    begun_ms=begun_ms,
                    epoch=epoch,
                    refused=answer == "refused",
                    start_id=start_id,
                )
            )

        link = probe(self._addresses[server], STANDBY_ID + server, self._handshake, found, PROBE_SECONDS)
        self._probes.add(link)
