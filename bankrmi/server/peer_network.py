"""The other servers, on real sockets: links of `rmi` that speak the servers' messages.

Rule: each link is pinged now and then, so that people are told at once which one is silent. The rules do not
use that: they go by the answers to what they said.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from bankrmi.errors import AccessDenied
from bankrmi.replication.code_versions import CodeVersions, state_version_of
from bankrmi.replication.events import PeerAnswer
from bankrmi.replication.fields import CannotBeSaid
from bankrmi.replication.messages import Message
from bankrmi.rmi import (
    ConnectDenied,
    DeniedByOther,
    Link,
    NotConnected,
    ProbeAnswer,
    TlsCredentials,
    handshake,
    over_tls,
    probe,
)
from bankrmi.server.agreement import LEFT_WITNESS_ID, WITNESS_ID, Difference, compared
from bankrmi.server.peer_links import Found, Greeting
from bankrmi.server.wire import METHODS, answer_from_wire, message_to_wire

__all__ = ["STANDBY_ID", "PeerNetwork"]

log = structlog.get_logger("bankrmi.server")

STANDBY_ID = "bankrmi.standby."
"""What the ids of standby objects begin with; the name of the server follows."""

CONNECT_SECONDS = 1.0
PROBE_SECONDS = 0.25
PING_EVERY_SECONDS = 0.5
SILENT_SECONDS = 1.0
"""Whoever owes the answer to a ping for this long is silent."""


def _ignore(_: object) -> None:
    """Nobody has connections to us; nobody wants to know who the others are."""


class PeerNetwork:
    """Opens links to the servers at these addresses (see `peer_links.Network`)."""

    def __init__(
        self,
        server: str,
        start_id: str,
        address: str,
        settings: dict[str, Any],
        cut_off: Callable[[str], None] = _ignore,
        credentials: TlsCredentials | None = None,
        on_servers: Callable[[Mapping[str, str]], None] = _ignore,
    ) -> None:
        """Of `server`, which lives at `address`; `settings` are its own, as it states them (see `agreement`).
        `on_servers` is told whenever there are other servers, or they live elsewhere (V12).

        `cut_off` ends what connections a server has to us, once it is refused: it has met us before we stated
        what we state now, and has to compare again.
        """
        self._cut_off = cut_off
        self._on_servers = on_servers
        self._server, self._address = server, address
        self._linked: dict[str, tuple[Link, str, object, str]] = {}
        """With the process, the witness that it stated, and the address."""
        self._met_for: dict[str, tuple[str, set[str]]] = {}
        """Which process of a server was met again, for which witnesses."""
        said = handshake("server", server=server, start_id=start_id, address=address)
        self._handshake = over_tls(said, credentials)
        self._credentials = credentials
        self._settings = settings
        self._met: dict[str, tuple[str, list[Difference]]] = {}
        self._complaints: dict[str, tuple[str, str]] = {}
        self._looks: set[Link] = set()
        self._links: dict[str, _PeerLink] = {}

    def reach(self, servers: Mapping[str, str]) -> None:
        """From now on these are the others, each at its address; of who is none any more nothing is kept."""
        kept_of: tuple[dict[str, Any], ...] = (
            self._linked,
            self._links,
            self._met,
            self._met_for,
            self._complaints,
        )
        for kept in kept_of:
            for gone in kept.keys() - servers.keys():
                del kept[gone]
        self._on_servers(servers)

    def connect(
        self, server: str, address: str, on_up: Callable[[Greeting], None], on_lost: Callable[[], None]
    ) -> _PeerLink:
        """Open a link; it is closed again where settings differ that must not."""

        def up(form: Mapping[str, Any]) -> None:
            greeting = replace(_greeting(form), protocol=link.protocol)
            if greeting.server == server and not self._agrees(greeting, form.get("settings")):
                link.close()
                return
            self._linked[server] = link, greeting.start_id, _witness_id(form.get("settings")), address
            peer.begin_to_ping()
            on_up(greeting)

        def lost(_: str) -> None:
            self._tell_if_denied(server, link.failure)
            if server in self._linked and self._linked[server][0] is link:
                del self._linked[server]
            on_lost()

        link = Link(address, STANDBY_ID + server, self._handshake, up, lost)
        peer = self._links[server] = _PeerLink(server, link, self.warn)
        link.open(CONNECT_SECONDS)
        return peer

    def _tell_if_denied(self, server: str, failure: Exception | None) -> None:
        match failure:
            case DeniedByOther(retry_ms=None):
                add = f"`bankrmi server add {self._server} {self._address}`"
                self.warn(
                    "denied by another server",
                    server,
                    f"{failure}; if {self._server} is to join that bank: {add}",
                )
            case ConnectDenied():
                self.warn("no handshake with another server", server, str(failure))

    def cut_refused(self) -> None:
        """Close the links to servers whose certificate counts no more."""
        for peer in self._links.values():
            if self._credentials is not None and peer.is_refused_by(self._credentials):
                peer.close()

    def silent(self) -> set[str]:
        """Return the servers to which a link is up, and that do not answer on it."""
        return {server for server, link in self._links.items() if link.is_silent}

    def round_trips_ms(self) -> dict[str, float | None]:
        """Return how long the last sign of life took, by server; None of one that gives none."""
        return {
            server: link.round_trip_ms if link.up and not link.is_silent else None
            for server, link in self._links.items()
        }

    def met_witness(self, witness_id: str | None, left_id: str | None = None) -> None:
        """State this one from now on.  Who stated another one, or none, is met again, once a process.

        Who stated none may not have known it yet: it is asked beside the link, which goes on meanwhile.
        `left_id`: of the one that was closed in favour of this one, which others may state a little longer.
        """
        self._settings[WITNESS_ID], self._settings[LEFT_WITNESS_ID] = witness_id, left_id
        if witness_id is None:
            return
        for server, (link, start_id, theirs, address) in list(self._linked.items()):
            known = theirs == witness_id or (theirs is not None and theirs == left_id)
            process, met_for = self._met_for.get(server, (start_id, set[str]()))
            if process != start_id:
                met_for = set()
            if known or witness_id in met_for:
                continue
            self._met_for[server] = start_id, met_for | {witness_id}
            if theirs is None:
                self._meet_again(server, address, link)
            else:
                link.close()

    def _meet_again(self, server: str, address: str, link: Link) -> None:
        def found(answer: ProbeAnswer) -> None:
            self._looks.discard(asking)
            if isinstance(answer, str):
                return
            greeting = _greeting(answer)
            if greeting.server == server and not self._agrees(greeting, answer.get("settings")):
                link.close()

        asking = probe(address, STANDBY_ID + server, self._handshake, found, CONNECT_SECONDS)
        self._looks.add(asking)

    def _agrees(self, greeting: Greeting, theirs: object) -> bool:
        """Compare settings with another server that we meet; say what differs, once for each meeting."""
        differences = compared(self._settings, theirs)
        if self._met.get(greeting.server) != (greeting.start_id, differences):
            self._met[greeting.server] = (greeting.start_id, differences)
            for one in differences:
                say = log.error if one.refused else log.warning
                what = "settings differ, no connection" if one.refused else "settings differ"
                say(what, key=one.key, ours=one.ours, theirs=one.theirs, at=greeting.server, so=one.so)
            if any(one.refused for one in differences):
                self._cut_off(greeting.server)
        return not any(one.refused for one in differences)

    def look(self, server: str, address: str, on_found: Callable[[Found], None]) -> None:
        """Try a connection: "refused" proves that nobody lives there, silence does not (R3)."""

        def found(answer: ProbeAnswer) -> None:
            self._looks.discard(link)
            on_found(answer == "refused" if isinstance(answer, str) else _greeting(answer))

        link = probe(address, STANDBY_ID + server, self._handshake, found, PROBE_SECONDS)
        self._looks.add(link)

    def warn(self, event: str, server: str, reason: str) -> None:
        """Note in the log what should not be: once, until something else is wrong there."""
        if self._complaints.get(server) != (event, reason):
            self._complaints[server] = (event, reason)
            log.warning(event, by=server, reason=reason)

    def close(self) -> None:
        """Give up all looks that are under way."""
        for link in list(self._looks):
            link.close()


class _PeerLink:
    """A link that takes messages and gives answers (see `peer_links.PeerLink`)."""

    def __init__(self, server: str, link: Link, warn: Callable[[str, str, str], None]) -> None:
        self._server = server
        self._link = link
        self._warn = warn
        self._pinged_s: float | None = None
        self._sent_s = 0.0
        self.round_trip_ms: float | None = None
        """Of the last ping that was answered."""

    def is_refused_by(self, credentials: TlsCredentials) -> bool:
        """Whether the certificate of the other side counts no more."""
        if self._link.certificate:
            try:
                credentials.identity_of(self._link.certificate)
            except AccessDenied:
                return True
        return False

    def begin_to_ping(self) -> None:
        """Ask again and again whether anybody is there, until the link is lost."""
        if not self._link.up:
            return
        loop = asyncio.get_running_loop()
        if self._pinged_s is None:
            self._pinged_s = loop.time()
            self._sent_s = time.monotonic()  # The loop's own clock may count whole milliseconds.
            self._link.ping(self._answered_ping)
        loop.call_later(PING_EVERY_SECONDS, self.begin_to_ping)

    def _answered_ping(self) -> None:
        if self._pinged_s is not None:
            self.round_trip_ms = 1000 * (time.monotonic() - self._sent_s)
        self._pinged_s = None

    @property
    def is_silent(self) -> bool:
        """Whether the other side is connected, and has not answered a ping for too long."""
        if self._pinged_s is None or not self._link.up:
            return False
        return asyncio.get_running_loop().time() - self._pinged_s >= SILENT_SECONDS

    @property
    def up(self) -> bool:
        return self._link.up

    @property
    def unsent_bytes(self) -> int:
        return self._link.unsent_bytes

    def send(self, message: Message, on_answer: Callable[[PeerAnswer], None]) -> None:
        link = self._link

        def answered(form: object) -> None:
            if isinstance(form, Exception):
                if not isinstance(form, NotConnected) and link.up:
                    self._warn("refused by another server", self._server, str(form))
                return
            try:
                answer = answer_from_wire(form, link.protocol, self._server)
            except ValueError as error:
                self._warn("an answer that cannot be read", self._server, str(error))
                return
            on_answer(answer)

        try:
            form = message_to_wire(message, link.protocol)
        except CannotBeSaid as error:
            self._warn("not said to another server", self._server, str(error))
            return
        link.call(METHODS[type(message)], form, answered)

    def close(self) -> None:
        self._link.close()


def _witness_id(settings: object) -> object:
    return settings.get(WITNESS_ID) if isinstance(settings, Mapping) else None


def _greeting(form: Mapping[str, Any]) -> Greeting:
    settings = form.get("settings")
    copies_min = settings.get("copies_min") if isinstance(settings, Mapping) else None
    server, start_id = str(form.get("server")), str(form.get("start_id"))
    copies = copies_min if type(copies_min) is int else 1
    told = settings.get("code") if isinstance(settings, Mapping) else None
    code, version = CodeVersions.of_stated(told), state_version_of(told)
    return Greeting(server, start_id, copies, code=code, state_version=version)
