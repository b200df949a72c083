"""Copies of a service on real databases."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from bankrmi.replication.code_versions import migration_session, version_of
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import Record, unpacked
from bankrmi.service import ServedServices, Service, ServiceMachine, described
from bankrmi.service.calls import Called, packed_call, result_of
from bankrmi.service.declaring import migration_name
from bankrmi.service.machine import Told
from bankrmi.service.served_services import plain_name, qualified
from bankrmi.storage.database import open_database
from bankrmi.storage.journal import SqliteJournal, WriteBehind

__all__ = ["Copy"]

_incarnations = count(1)


class Copy:
    """One copy: calls are decided here, or appended from another one."""

    def __init__(
        self,
        path: Path,
        kind: type[Service] | ServedServices,
        *,
        limit_ms: float = 5000.0,
        clients: str = "s",
    ) -> None:
        """`clients`: what the sessions of those begin with who call this copy."""
        self._clients = clients
        self.path = path
        path.parent.mkdir(exist_ok=True)
        self._services, self._limit_ms = _services(kind), limit_ms
        self._sequence = count(1)
        self._open()
        if self.journal.adopted is None:
            self.journal.open(Adopted(history="h", epoch=1, primary="a", start_id="a#1"))
            self.journal.commit()

    def _open(self) -> None:
        self.machine = ServiceMachine(self._services, limit_ms=self._limit_ms)
        self.journal = SqliteJournal(
            open_database(self.path),
            self.machine,
            new_incarnation=lambda: f"i{next(_incarnations)}",
            rolled_back_to=self.path.parent,
            behind=WriteBehind(0, 0),
        )

    def restart(self) -> None:
        """Close it in good order, and open it again."""
        self.journal.close()
        self._open()

    def change(self, kind: type[Service] | ServedServices) -> None:
        """Close it in good order, and open it again with another class."""
        self._services = _services(kind)
        self.restart()

    def migrate(
        self,
        target: int,
        service: str = "",
        *,
        creates: bool = False,
        limit_ms: float = 5000.0,
        commits: bool = True,
    ) -> Record:
        """Decide the migration of a service to this version, or that it is created so."""
        self.machine.migration_limit_ms = limit_ms
        number, session = next(self._sequence), migration_session(target, service)
        request = session, self.journal.tip.action_id + 1
        method = qualified(service, "create" if creates else migration_name(target))
        call = packed_call(method, [], {})
        record = self.journal.decide(1, request, 1, call, 1_000_000 * number)
        if commits:
            self.journal.commit()
        return record

    def crash(self) -> None:
        """End as `kill -9` would, and open it again."""
        self.journal.close(writes=False)
        self._open()

    def decide(self, method: str, *args: Any, commits: bool = True, **kwargs: Any) -> Record:
        """Decide one call."""
        service, plain = plain_name(method)
        one = self._services.find(service)
        assert one is not None, service
        known = one.of_version[version_of(self.journal.version, service)]
        args_, kwargs_ = known.methods[plain].bound(args, kwargs)
        number = next(self._sequence)
        record = self.journal.decide(
            1, (f"{self._clients}{number}", 1), 1, packed_call(method, args_, kwargs_), 1_000_000 * number
        )
        if commits:
            self.journal.commit()
        return record

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Decide one call; return its value, or raise Raised."""
        [outcome] = unpacked(self.decide(method, *args, **kwargs).outcomes)
        return result_of(outcome)

    def call_unchecked(self, method: str, *args: Any) -> Any:
        """Decide one call that nobody has checked; return its value, or raise Raised."""
        number = next(self._sequence)
        call = packed_call(method, args, {})
        record = self.journal.decide(1, (f"{self._clients}{number}", 1), 1, call, 1_000_000 * number)
        self.journal.commit()
        [outcome] = unpacked(record.outcomes)
        return result_of(outcome)

    def follow(self, *records: Record) -> None:
        """Append what another one has decided."""
        self.journal.append(records)
        self.journal.commit()

    def ask(self, method: str, *args: Any) -> Any:
        """Ask a query; raises Raised."""
        answer = self.journal.read(Called(method, list(args), {}))
        if isinstance(answer, Told):
            return answer.value
        raise answer

    def state(self) -> list[tuple[Any, ...]]:
        """Return all rows."""
        return list(self.machine.export())


def _services(kind: type[Service] | ServedServices) -> ServedServices:
    return kind if isinstance(kind, ServedServices) else ServedServices(described(kind))
