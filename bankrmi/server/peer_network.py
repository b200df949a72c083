"""The other servers, on real sockets: links of `rmi` that speak the servers' messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from bankrmi.replication.events import PeerAnswer
from bankrmi.replication.messages import Message
from bankrmi.rmi import Link, NotConnected, ProbeAnswer, handshake, probe
from bankrmi.server.peer_links import Found, Greeting
from bankrmi.server.wire import METHODS, answer_from_wire, message_to_wire

__all__ = ["STANDBY_ID", "PeerNetwork"]

log = structlog.get_logger("bankrmi.server")

STANDBY_ID = "bankrmi.standby."
"""What the ids of standby objects begin with; the name of the server follows."""

CONNECT_SECONDS = 1.0
PROBE_SECONDS = 0.25


class PeerNetwork:
    """Opens links to the servers at these addresses (see `peer_links.Network`)."""

    def __init__(self, server: str, start_id: str, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
        self._handshake = handshake("server", server=server, start_id=start_id)
        self._looks: set[Link] = set()

    def connect(
        self, server: str, on_up: Callable[[Greeting], None], on_lost: Callable[[], None]
    ) -> _PeerLink:
        """Open a link."""
        link = Link(
            self._addresses[server],
            STANDBY_ID + server,
            self._handshake,
            lambda greeting: on_up(_greeting(greeting)),
            lambda _: on_lost(),
        )
        link.open(CONNECT_SECONDS)
        return _PeerLink(server, link)

    def look(self, server: str, on_found: Callable[[Found], None]) -> None:
        """Try a connection: "refused" is a proof that nobody lives there, silence is none (R3)."""

        def found(answer: ProbeAnswer) -> None:
            self._looks.discard(link)
            on_found(answer == "refused" if isinstance(answer, str) else _greeting(answer))

        link = probe(self._addresses[server], STANDBY_ID + server, self._handshake, found, PROBE_SECONDS)
        self._looks.add(link)

    def warn(self, event: str, **details: str) -> None:
        """Note in the log what should not be."""
        log.error(event, **details)

    def close(self) -> None:
        """Give up all looks that are under way."""
        for link in list(self._looks):
            link.close()


class _PeerLink:
    """A link that takes messages and gives answers (see `peer_links.PeerLink`)."""

    def __init__(self, server: str, link: Link) -> None:
        self._server = server
        self._link = link

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
                    log.warning("refused by another server", by=self._server, reason=str(form))
                return
            on_answer(answer_from_wire(form))

        link.call(METHODS[type(message)], message_to_wire(message), answered)

    def close(self) -> None:
        self._link.close()


def _greeting(form: Mapping[str, Any]) -> Greeting:
    return Greeting(str(form.get("server")), str(form.get("start_id")))
