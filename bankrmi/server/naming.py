"""Keeps this server's names with the name server, one for each service: again whenever it was away, or this
server has another disk.

Rule 1: names are hints; nothing waits for them, and a name server that is away is not an error.
Rule 2: the handshake says which process and which disk has the name: roles go to those that the view names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog

from bankrmi.config import Configuration
from bankrmi.rmi import NAMESERVER_NAME, Link, TlsCredentials, handshake, over_tls, uri_of
from bankrmi.server.account import ACCOUNT_ID

__all__ = ["Naming"]

log = structlog.get_logger("bankrmi.server")

RETRY_SECONDS = 0.5
RENEW_SECONDS = 5.0
REFUSED_SECONDS = 1.0
"""A name that another process still has is asked for again so soon."""
CONNECT_SECONDS = 1.0
DISK_SECONDS = 0.5
"""How often we look whether a copy was installed: it is a disk of its own."""


class Naming:
    """One connection to the name server, kept to notice when it goes."""

    def __init__(
        self,
        configuration: Configuration,
        server: str,
        start_id: str,
        incarnation: Callable[[], str],
        credentials: TlsCredentials | None = None,
    ) -> None:
        self._credentials = credentials
        self._at = configuration.nameserver
        self._server = server
        self._start_id = start_id
        self._incarnation = incarnation
        self._name = ACCOUNT_ID + server
        self._said_of = {
            name: [
                name,
                uri_of(name, configuration.servers[server]),
                False,
                [f"server:{server}", f"service:{service}"],
            ]
            for service, name in _names(configuration, server).items()
        }
        self._link: Link | None = None
        self._said = ""
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._away = False
        self._refused: dict[str, str] = {}  # Why, by name.
        self._closed = False

    def open(self) -> None:
        """Register, and go on registering."""
        self._connect()
        self._look_at_disk()

    def _connect(self) -> None:
        if self._closed:
            return

        def up(_: Mapping[str, Any]) -> None:
            self._register()

        self._said = self._incarnation()
        said = handshake("server", server=self._server, start_id=self._start_id, incarnation=self._said)
        shown = over_tls(said, self._credentials)
        link = self._link = Link(
            self._at, NAMESERVER_NAME, shown, up, lambda reason: self._lost(link, reason)
        )
        link.open(CONNECT_SECONDS)

    def _register(self) -> None:
        link = self._link
        if self._closed or link is None or not link.up:
            return
        if link.pending:
            link.close()  # It has not answered since the last time: try whether it takes a new connection.
            return
        for name, said in self._said_of.items():
            link.call("register", said, partial(self._registered, link, name))
        self._later(RENEW_SECONDS, self._register)

    def _registered(self, link: Link, name: str, answer: object) -> None:
        if self._closed or not link.up:
            return  # Whoever closed it, or `_lost`, sees to it.
        if isinstance(answer, Exception):
            if self._refused.get(name) != str(answer):
                self._refused[name] = str(answer)
                log.warning("the name server did not take our name", name=name, reason=self._refused[name])
            self._later(REFUSED_SECONDS, self._register)
            return
        if self._away or name in self._refused:
            log.info("the name server is back" if self._away else "the name is ours again", name=name)
        self._away = False
        self._refused.pop(name, None)

    def _look_at_disk(self) -> None:
        """Introduce ourselves anew when we have another disk."""
        link = self._link
        if link is not None and link.up and self._incarnation() != self._said:
            self._link = None
            link.close()
            self._connect()
        self._looking = asyncio.get_running_loop().call_later(DISK_SECONDS, self._look_at_disk)

    def _lost(self, link: Link, reason: str) -> None:
        if self._closed or link is not self._link:
            return
        if not self._away:
            self._away = True
            log.info(
                "no name server: clients use the addresses of the configuration", at=self._at, reason=reason
            )
        self._later(RETRY_SECONDS, self._connect)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, action)

    def close(self) -> None:
        """Let the name be: whoever finds it finds nobody there, and asks the others."""
        self._closed = True
        for timer in (self._timer, self._looking):
            if timer is not None:
                timer.cancel()
        if self._link is not None:
            self._link.close()


def _names(configuration: Configuration, server: str) -> dict[str, str]:
    """Return the names of this server's objects, by what they serve."""
    names = {configuration.service: ACCOUNT_ID + server}
    return names | {one: f"{ACCOUNT_ID}{server}.{one}" for one in configuration.services if one not in names}
