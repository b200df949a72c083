"""What a server process looks after at every tick, beside the rules: is it ready, who is certified."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from bankrmi.readiness import say_ready
from bankrmi.replication.replica import Replica
from bankrmi.replication.roles import Role
from bankrmi.rmi import Daemon
from bankrmi.server.admission import Admission
from bankrmi.server.clock import now_ms
from bankrmi.server.peer_network import PeerNetwork

if TYPE_CHECKING:
    from bankrmi.certificates import Credentials

__all__ = ["CertificateWatch", "ReadyLine", "each_of"]

log = structlog.get_logger("bankrmi.server")

_LOOK_AT_CERTIFICATES_MS = 1000.0


class ReadyLine:
    """Says once, to whoever started the process, that it has a role; and looks for overdue calls."""

    def __init__(self, replica: Replica, admission: Admission, ready_fd: int | None, address: str) -> None:
        self._replica = replica
        self._admission = admission
        self._ready_fd = ready_fd
        self._address = address
        self._ready = False

    def __call__(self) -> None:
        """Look at every tick."""
        self._admission.give_up_overdue()
        role = self._replica.role
        if self._ready or role not in (Role.PRIMARY, Role.STANDBY):
            return
        self._ready = True
        log.info("ready", role=role.value, address=self._address)
        server = self._replica.settings.server
        say_ready(self._ready_fd, server=server, address=self._address, role=role.value)


class CertificateWatch:
    """Looks whether certificates have changed on the disk, and cuts off whose were taken back."""

    def __init__(self, credentials: Credentials | None, daemon: Daemon, network: PeerNetwork) -> None:
        self._credentials = credentials
        self._daemon = daemon
        self._network = network
        self._looked_ms = now_ms()

    def __call__(self) -> None:
        """Look at a tick, every second."""
        if self._credentials is None or now_ms() - self._looked_ms < _LOOK_AT_CERTIFICATES_MS:
            return
        self._looked_ms = now_ms()
        self._credentials.look()
        self._daemon.cut_refused()
        self._network.cut_refused()


def each_of(*hooks: Callable[[], None]) -> Callable[[], None]:
    """Return all of these as one."""

    def call_each() -> None:
        for hook in hooks:
            hook()

    return call_each
