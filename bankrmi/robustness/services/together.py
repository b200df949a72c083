"""Several services by themselves, on one database: a call of one may call another, and nothing of ours is
around.

Rule 1: an inner call is as a call from outside, but for its transaction: a savepoint, and copies of what is
        in attributes. An exception changes nothing, caught or not.
Rule 2: as in `by_itself`, how a server does all that is not used here.
Rule 3: each service has a version of its own, and is migrated, or created, where the journal says so.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from bankrmi.errors import ConfigurationError
from bankrmi.replication.code_versions import StateVersion, version_of
from bankrmi.robustness.services.outcomes import CallOutcome
from bankrmi.robustness.services.plain_objects import came_of_migration
from bankrmi.robustness.services.plain_runs import (
    OURS,
    all_rows,
    as_plain,
    came_of,
    made_plain,
    rows_of_attributes,
)
from bankrmi.service.calls import Called
from bankrmi.service.declaring import Description, Given, Method, migration_name
from bankrmi.service.guard import watched, within
from bankrmi.service.served_services import ServedServices, plain_name
from bankrmi.service.tables import Doing, ServiceTables, check_tables
from bankrmi.service.using import Uses
from bankrmi.storage.database import open_in_memory

__all__ = ["ServicesTogether"]


class ServicesTogether:
    """The services of one pair."""

    def __init__(self, services: ServedServices, version: StateVersion) -> None:
        """`version`: at the beginning; 0 of a service that comes later.

        Raises ConfigurationError if one cannot be created.
        """
        self._services = services
        self._database = open_in_memory()
        self._tables = ServiceTables(self._database, tuple(services.beside))
        self._goes_on: list[str] = []
        self._known: dict[str, Description] = {}  # Of which version each is, of those that are there.
        self._objects: dict[str, Any] = {}
        for name, one in services.each():
            if begins_at := version_of(version, name):
                self._known[name] = one.of_version[begins_at]
                self._objects[name] = self._made(name, self._known[name])

    def _made(self, name: str, one: Description) -> Any:
        try:
            with watched(one.kind.__module__, is_update=True), self._at(name, Doing.CREATE):
                if one.kind._keeps_attributes:
                    made = made_plain(one.kind)
                else:
                    made = one.kind()
                    _set(made, "db", self._tables)
                    _set(made, "_moment", None)
                    made.create()
        except Exception as error:
            raise ConfigurationError(f"{one.name}.create failed: {type(error).__name__}: {error}") from error
        _set(made, "_others", partial(self._other, one))
        return made

    @contextmanager
    def _at(self, name: str, doing: Doing) -> Iterator[None]:
        before, self._tables.doing = self._tables.doing, doing
        try:
            with self._tables.of(name):
                yield
        finally:
            self._tables.doing = before

    def has(self, name: str, version: int) -> bool:
        """Whether a service has such a method in a version."""
        service, plain = plain_name(name)
        one = self._services.find(service)
        known = None if one is None else one.of_version.get(version)
        return known is not None and plain in known.methods

    def rows(self) -> list[tuple[Any, ...]]:
        """Return all that they hold."""
        attributes = [
            row
            for name, made in self._objects.items()
            if self._keeps(name)
            for row in rows_of_attributes(name, made)
        ]
        return all_rows(self._database) + attributes

    def update(
        self,
        method: Method,
        call: Called,
        given: Given,
        version: int,  # noqa: ARG002 - that of the service that is called
        *,
        may_raise: bool,
    ) -> CallOutcome:
        """Do it, in a transaction of its own; return what comes of it."""
        return self._in_transaction(lambda: self._run(method, call, given, Doing.UPDATE), may_raise=may_raise)

    def query(self, method: Method, call: Called, given: Given, version: int) -> CallOutcome:  # noqa: ARG002
        """Ask it; return what comes of it."""
        return self._run(method, call, given, Doing.QUERY)

    def _in_transaction(self, do: Callable[[], CallOutcome], *, may_raise: bool) -> CallOutcome:
        before = self._attributes() if may_raise else None
        self._database.execute("BEGIN IMMEDIATE")
        came = do()
        if self._database.in_transaction:
            self._database.execute("ROLLBACK" if came.raised else "COMMIT")
        if came.raised and before is not None:
            self._put_back(before)
        return came

    def _run(self, method: Method, call: Called, given: Given, doing: Doing) -> CallOutcome:
        service, plain = plain_name(call.method)
        one = self._known[service]
        for made in self._objects.values():
            _set(made, "_moment", given)
        function: Callable[..., Any] = getattr(self._objects[service], plain)
        self._tables.interrupted = False
        self._goes_on = [service]
        guard = watched(one.kind.__module__, is_update=doing is Doing.UPDATE)
        try:
            with guard, self._at(service, doing):
                return came_of(method, call, lambda args, kwargs: function(*args, **kwargs))
        finally:
            self._goes_on = []

    # -- migrations ------------------------------------------------------------------------------

    def migrate(self, service: str, target: int, given: Given) -> CallOutcome:
        """Make the next version of a service; return what comes of that."""
        known_before, made_before = self._known[service], self._objects[service]
        one = self._of_version(service, target)
        self._known[service], self._objects[service] = one, self._made_newer(one, made_before)
        _set(self._objects[service], "_moment", given)
        came = self._in_transaction(lambda: self._migrated(service, target), may_raise=True)
        if came.raised:
            self._known[service], self._objects[service] = known_before, made_before
        return came

    def create(self, service: str, target: int) -> CallOutcome:
        """Create a service that comes later; return what comes of that."""
        one = self._of_version(service, target)

        def created() -> None:
            self._objects[service] = self._made(service, one)
            self._check_tables(one)

        came = self._in_transaction(lambda: came_of_migration(created), may_raise=True)
        if came.raised:
            self._objects.pop(service, None)
        else:
            self._known[service] = one
        return came

    def _of_version(self, service: str, version: int) -> Description:
        one = self._services.find(service)
        assert one is not None
        return one.of_version[version]

    def _made_newer(self, one: Description, before: Any) -> Any:
        """Return an object of the next class, with the attributes that the one before has."""
        made = object.__new__(as_plain(one.kind)) if one.kind._keeps_attributes else one.kind()
        vars(made).update(copy.deepcopy(_attributes_of(before)))
        if not one.kind._keeps_attributes:
            _set(made, "db", self._tables)
        _set(made, "_others", partial(self._other, one))
        return made

    def _migrated(self, service: str, target: int) -> CallOutcome:
        one = self._known[service]
        migration = getattr(self._objects[service], migration_name(target))
        self._tables.interrupted = False

        def migrated() -> None:
            with self._at(service, Doing.MIGRATION):
                migration()
            self._check_tables(one)

        with watched(one.kind.__module__, is_update=True):
            return came_of_migration(migrated)

    def _check_tables(self, one: Description) -> None:
        with self._at("", Doing.OURS):
            if self._database.execute("SELECT 1 FROM pragma_foreign_key_check LIMIT 1").get:
                raise ValueError("rows are left that refer to rows which are not there (FOREIGN KEY)")
            check_tables(self._database, one.name)

    # -- one calls another -----------------------------------------------------------------------

    def _other(self, user: Description, uses: Uses[Any]) -> Any:
        if not self._goes_on:
            raise RuntimeError(f"{user.name} calls other services while an update or a query of it runs")
        service = self._services.used(user, uses)
        if service not in self._known:
            raise LookupError(f"{service} is not there yet")
        return _Part(self, service)

    def inner(self, service: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a method of another service; return what it returns."""
        one = self._known[service]
        method = one.methods[name]
        bound = method.bound(args, kwargs)
        if service in self._goes_on:
            raise RuntimeError(f"a call of {one.name} goes on")
        if method.is_update and self._tables.doing is Doing.QUERY:
            raise PermissionError(f"{name} is an update")
        made_args, made_kwargs = method.made(*bound)
        before, depth = self._attributes(), len(self._goes_on)
        with self._at("", Doing.OURS):
            self._database.execute(f"SAVEPOINT s{depth}")
        self._goes_on.append(service)
        try:
            doing = Doing.UPDATE if method.is_update else Doing.QUERY
            with within(one.kind.__module__), self._at(service, doing):
                function = getattr(self._objects[service], name)
                return method.returned(method.result(function(*made_args, **made_kwargs)))
        except BaseException:
            self._put_back(before)
            with self._at("", Doing.OURS):
                if self._database.in_transaction:
                    self._database.execute(f"ROLLBACK TO s{depth}")
            raise
        finally:
            self._goes_on.pop()
            with self._at("", Doing.OURS):
                if self._database.in_transaction:
                    self._database.execute(f"RELEASE s{depth}")

    def _attributes(self) -> dict[str, dict[str, Any]]:
        """Return copies of what is in attributes."""
        return {
            name: copy.deepcopy(_attributes_of(made))
            for name, made in self._objects.items()
            if self._keeps(name)
        }

    def has_method(self, service: str, name: str) -> bool:
        """Whether a service has it now."""
        return name in self._known[service].methods

    def _put_back(self, before: dict[str, dict[str, Any]]) -> None:
        for name, attributes in before.items():
            held = vars(self._objects[name])  # If it was to be migrated: of an object that is let go.
            for key in [key for key in held if key not in OURS]:
                del held[key]
            held.update(copy.deepcopy(attributes))

    def _keeps(self, name: str) -> bool:
        one = self._known.get(name)
        return one is not None and one.kind._keeps_attributes


class _Part:
    """Another service, as a method sees it."""

    def __init__(self, together: ServicesTogether, service: str) -> None:
        self._together = together
        self._service = service

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not self._together.has_method(self._service, name):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._together.inner(self._service, name, args, kwargs)

        return call


def _attributes_of(made: object) -> dict[str, Any]:
    """Return those that are its author's."""
    return {key: value for key, value in vars(made).items() if key not in OURS}


def _set(made: object, name: str, value: object) -> None:
    object.__setattr__(made, name, value)
