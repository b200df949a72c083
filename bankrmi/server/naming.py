"""Keeps this server's name with the name server: again whenever it was away.

Rule: names are hints; nothing waits for them, and a name server that is away is no error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from bankrmi.config import Configuration
from bankrmi.rmi import NAMESERVER_NAME, Link, handshake, uri_of
from bankrmi.server.account import ACCOUNT_ID

__all__ = ["Naming"]

log = structlog.get_logger("bankrmi.server")

RETRY_SECONDS = 0.5
RENEW_SECONDS = 5.0
CONNECT_SECONDS = 1.0


class Naming:
    """One connection to the name server, kept to notice when it goes."""

    def __init__(self, configuration: Configuration, server: str, address: str) -> None:
        self._configuration = configuration
        self._name = ACCOUNT_ID + server
        self._uri = uri_of(ACCOUNT_ID + server, address)
        self._tags = [f"server:{server}", f"service:{configuration.service}"]
        self._handshake = handshake("server", server=server)
        self._link: Link | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._away = False
        self._closed = False

    def open(self) -> None:
        """Register, and go on registering."""
        if self._closed:
            return

        def up(_: Mapping[str, Any]) -> None:
            self._register()

        link = self._link = Link(
            self._configuration.nameserver, NAMESERVER_NAME, self._handshake, up, self._lost
        )
        link.open(CONNECT_SECONDS)

    def _register(self) -> None:
        link = self._link
        if self._closed or link is None or not link.up:
            return
        link.call("register", [self._name, self._uri, False, self._tags], self._registered)
        self._later(RENEW_SECONDS, self._register)

    def _registered(self, answer: object) -> None:
        if isinstance(answer, Exception):
            log.warning("the name server did not take our name", reason=str(answer))
        elif self._away:
            self._away = False
            log.info("the name server is back", name=self._name)

    def _lost(self, reason: str) -> None:
        if self._closed:
            return
        if not self._away:
            self._away = True
            address = self._configuration.nameserver
            log.info(
                "no name server: clients use the addresses of the configuration", at=address, reason=reason
            )
        self._later(RETRY_SECONDS, self.open)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, action)

    def close(self) -> None:
        """Let the name be: whoever finds it finds nobody there, and asks the others."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._link is not None:
            self._link.close()
