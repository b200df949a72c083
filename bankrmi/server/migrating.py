"""When the state gets the next version of its class: as a request of the primary's own (S6).

    every server has the class? ──no──> say who has not (`status`), and look again
             │ yes
             └─> propose the migration ──> done: the next one, if there is one
                                        └> it failed: say so; try again with more time, or in another process

Rule 1: nothing is decided here. A migration is a request as any other, and the machine runs it from the
        version before and from no other: one that is proposed twice does nothing the second time.
Rule 2: while automatic takeover is paused a migration may take long: nobody leads in the place of who is
        silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from bankrmi.replication.code_versions import MIGRATIONS, migration_session
from bankrmi.replication.events import Event, RequestArrived
from bankrmi.replication.replica import Replica
from bankrmi.service.calls import packed_call
from bankrmi.service.declaring import Description, migration_name
from bankrmi.service.machine import ServiceMachine
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


@dataclass(frozen=True, slots=True)
class _Proposed:
    """A migration that was given to the rules, in an epoch, with a journal up to `tip`."""

    target: int
    epoch: int
    tip: int
    limit_ms: float


class Migrations:
    """Migrates the state of one server's class while that server leads."""

    def __init__(self, host: MigrationHost, description: Description, log: Any) -> None:
        self._host = host
        self._description = description
        self._log = log
        self._proposed: _Proposed | None = None
        self._failed_with_ms: dict[int, float] = {}  # By target: the most time with which it failed.
        self._said = ""
        self._version: int | None = None

    def tick(self) -> None:
        """Look whether there is something to do."""
        host, code = self._host, self._description.code
        version = host.journal.version
        if self._version not in (None, version):
            self._log.info("the state is of another version", version=version, was=self._version)
        self._version = version
        if not code.migrates(version) and self._proposed is None:
            return
        why = host.replica.why_not_migrated()
        machine = host.journal.machine
        if why is None or not isinstance(machine, ServiceMachine):
            self._proposed = None  # It leads no more, or there is nothing to do.
            return
        self._learn(machine, version)
        if why and why != self._said:
            self._log.info("the next version of the class waits", version=version + 1, why=why)
        self._said = why
        if why == "" and self._proposed is None and code.migrates(version):
            self._propose(machine, version + 1)

    def _learn(self, machine: ServiceMachine, version: int) -> None:
        """Find out what came of what was proposed."""
        proposed, failure = self._proposed, machine.failure
        if proposed is None:
            return
        if failure is not None and failure.action_id > proposed.tip:
            self._failed_with_ms[proposed.target] = proposed.limit_ms
            self._log.error(
                "a migration failed",
                migration=migration_name(proposed.target),
                stays_at_version=version,
                why=failure.words,
            )
            self._proposed = None
        elif version >= proposed.target or self._epoch != proposed.epoch:
            self._proposed = None

    def _propose(self, machine: ServiceMachine, target: int) -> None:
        view = self._host.replica.view
        is_paused = view is not None and view.paused is not None
        limit_ms = PAUSED_LIMIT_MS if is_paused else machine.limit_ms
        if limit_ms <= self._failed_with_ms.get(target, 0.0):
            return
        machine.migration_limit_ms = limit_ms
        tip = self._host.journal.tip.action_id
        self._proposed = _Proposed(target, self._epoch, tip, limit_ms)
        call = packed_call(migration_name(target), [], {})
        request = migration_session(target), tip + 1
        self._host.take(RequestArrived(None, request, call, 1, None, MIGRATIONS))

    @property
    def _epoch(self) -> int:
        view = self._host.replica.view
        return 0 if view is None else view.epoch
