"""When the state gets the next version of its class: as a request of the primary's own (S6). So a service is
created, too, that the configuration names and the state has not yet (S8).

    every server has the class? ──no──> say who has not (`status`), and look again
             │ yes
             └─> propose the migration ──> not decided after all: look again
                                        ├> done: the next one, if there is one
                                        └> it failed: say so; try again with more time, or in another process

Rule 1: nothing is decided here. A migration is a request as any other, and the machine runs it from the
        version before and from no other: one that is proposed twice does nothing the second time.
Rule 2: while automatic takeover is paused a migration may take long: nobody leads in the place of who is
        silent.
Rule 3: one at a time; a service that waits for a server's code holds up no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from bankrmi.replication.code_versions import (
    MIGRATIONS,
    StateVersion,
    migration_session,
    version_in_words,
    version_of,
)
from bankrmi.replication.effects import Decided, Reply
from bankrmi.replication.events import Event, RequestArrived
from bankrmi.replication.replica import Replica
from bankrmi.service.calls import packed_call
from bankrmi.service.declaring import Description, migration_name
from bankrmi.service.machine import ServiceMachine
from bankrmi.service.served_services import ServedServices, qualified
from bankrmi.storage.journal import SqliteJournal

__all__ = ["PAUSED_LIMIT_MS", "Migrations"]

PAUSED_LIMIT_MS = 600_000.0
"""For a migration while automatic takeover is paused."""


class MigrationHost(Protocol):
    """Who serves."""

    @property
    def replica(self) -> Replica:
        """Its rules."""

    @property
    def journal(self) -> SqliteJournal:
        """What it writes to now."""

    def take(self, event: Event) -> None:
        """Give an event to the rules."""


@dataclass(slots=True, eq=False)
class _Proposed:
    """A migration that was given to the rules, in an epoch, with a journal up to `tip`; waits for the answer.

    What came of it is read in the journal (`_learn`); the answer says whether it was decided at all.
    """

    service: str
    target: int
    epoch: int
    tip: int
    limit_ms: float
    is_refused: bool = False

    def reply(self, reply: Reply) -> None:
        """Hand over the reply of the rules."""
        self.is_refused = not isinstance(reply, Decided)


class Migrations:
    """Migrates the state of one server's classes while that server leads."""

    def __init__(self, host: MigrationHost, services: Description | ServedServices, log: Any) -> None:
        self._host = host
        self._services = ServedServices.of(services)
        self._log = log
        self._proposed: _Proposed | None = None
        self._failed_with_ms: dict[tuple[str, int], float] = {}  # The most time with which one failed.
        self._said = ""
        self._version: StateVersion | None = None

    def tick(self) -> None:
        """Look whether there is something to do."""
        host, code = self._host, self._services.code
        version = host.journal.version
        if self._version not in (None, version):
            self._log.info(
                "the state is of another version", version=_told(version), was=_told(self._version)
            )
        self._version = version
        if not code.migrates(version) and self._proposed is None:
            return
        found = host.replica.next_migrations()
        machine = host.journal.machine
        if not found or not isinstance(machine, ServiceMachine):
            self._proposed = None  # It leads no more, or there is nothing to do.
            return
        self._learn(machine)
        if self._proposed is not None or not code.migrates(version):
            return
        if self._propose_next(machine, [service for service, why in found if not why]):
            self._said = ""
            return
        service, why = next((one for one in found if one[1]), found[0])
        if why and why != self._said:
            self._tell(service, version_of(version, service), why)
        self._said = why

    def _tell(self, service: str, version: int, why: str) -> None:
        named = {"service": self._services.called(service)} if self._services.beside else {}
        if version:
            self._log.info("the next version of the class waits", **named, version=version + 1, why=why)
        else:
            self._log.info("a service waits to be created", **named, why=why)

    def _learn(self, machine: ServiceMachine) -> None:
        """Find out what came of what was proposed."""
        proposed = self._proposed
        if proposed is None:
            return
        failure = machine.failures.get(proposed.service)
        version = machine.version_of(proposed.service)
        if failure is not None and failure.action_id > proposed.tip:
            self._failed_with_ms[proposed.service, proposed.target] = proposed.limit_ms
            self._log.error(
                "a migration failed",
                migration=_method_of(proposed.service, version, proposed.target),
                stays_at_version=version,
                why=failure.words,
            )
            self._proposed = None
        elif proposed.is_refused or version >= proposed.target or self._epoch != proposed.epoch:
            self._proposed = None

    def _propose_next(self, machine: ServiceMachine, services: Iterable[str]) -> bool:
        """Propose the first migration that has not failed yet with the time that there is; return whether
        there is one."""
        view = self._host.replica.view
        is_paused = view is not None and view.paused is not None
        limit_ms = PAUSED_LIMIT_MS if is_paused else machine.limit_ms
        for service in services:
            one = self._services.find(service)
            version = machine.version_of(service)
            target = version + 1 if version or one is None else one.version
            if limit_ms > self._failed_with_ms.get((service, target), 0.0):
                self._propose(machine, service, target, limit_ms)
                return True
        return False

    def _propose(self, machine: ServiceMachine, service: str, target: int, limit_ms: float) -> None:
        machine.migration_limit_ms = limit_ms
        tip = self._host.journal.tip.action_id
        self._proposed = proposed = _Proposed(service, target, self._epoch, tip, limit_ms)
        call = packed_call(_method_of(service, machine.version_of(service), target), [], {})
        request = migration_session(target, service), tip + 1
        self._host.take(RequestArrived(proposed, request, call, 1, None, MIGRATIONS))

    @property
    def _epoch(self) -> int:
        view = self._host.replica.view
        return 0 if view is None else view.epoch


def _method_of(service: str, version: int, target: int) -> str:
    """Return the method that makes a version of a service, of the one before; or that creates it."""
    return qualified(service, migration_name(target) if version else "create")


def _told(version: StateVersion | None) -> int | str | None:
    """Return a version as the log has it."""
    return version if version is None or isinstance(version, int) else version_in_words(version)
