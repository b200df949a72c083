"""One service of a pair: its object in each version that is known; its attributes, if those are the state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bankrmi.service.calls import Raised
from bankrmi.service.declaring import Description, Service, takes_ledger
from bankrmi.service.kept_values import KeptValues
from bankrmi.service.object_state import ObjectState
from bankrmi.service.tables import ServiceTables

__all__ = ["HostedService", "give"]


class HostedService:
    """One service: its object, and its attributes if those are the state, in each version."""

    def __init__(self, description: Description, tables: ServiceTables) -> None:
        self.description = description
        self.objects: dict[int, Service] = {}
        self._states: dict[int, ObjectState] = {}
        self._newest_state: ObjectState | None = None  # Whose memory is of now.
        for version, one in description.of_version.items():
            kind = one.kind
            service = self.objects[version] = kind.__new__(kind)
            if kind._keeps_attributes:
                self._states[version] = ObjectState(tables, KeptValues(kind.__module__))
                give(service, "_state", self._states[version])
            else:
                give(service, "db", tables)

    @property
    def keeps_attributes(self) -> bool:
        """Whether its state are attributes, in any version."""
        return bool(self._states)

    def forget(self) -> None:
        """The database has changed by itself: nothing in memory is of now."""
        for state in self._states.values():
            state.forget()

    def state_of(self, version: int) -> ObjectState | None:
        """Return the attributes of the class in this version, as the database has them; None: it has
        tables.  Raises Raised."""
        state = self._states.get(version)
        if state is None:
            return None
        if state is not self._newest_state:
            state.forget()
            self._newest_state = state
        try:
            state.read()
        except ValueError as error:
            raise Raised("ValueError", "builtins", str(error), None) from None
        return state

    def begin(self, version: int, ledger: Mapping[int, int] | None = None) -> None:
        """Make the opening state; `ledger` is for a class that takes it."""
        service, state = self.objects[version], self._states.get(version)
        give(service, "_moment", None)
        if state is None:
            create: Any = service.create
            create(ledger=ledger) if takes_ledger(create) else create()
            return
        state.make_table()
        begin: Any = type(service).__init__
        if begin is not Service.__init__:
            begin(service)
        else:
            service.create()
        state.write()
        self._newest_state = state


def give(service: Service, name: str, value: object) -> None:
    """Set what is ours of an object; its author's own attributes are refused, or the state."""
    object.__setattr__(service, name, value)
