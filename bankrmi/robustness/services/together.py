"""Several services by themselves, on one database: a call of one may call another, and nothing of ours is
around.

Rule 1: an inner call is as a call from outside, but for its transaction: a savepoint, and copies of what is
        in attributes. An exception changes nothing, caught or not.
Rule 2: as in `by_itself`, how a server does all that is not used here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from bankrmi.errors import ConfigurationError
from bankrmi.robustness.services.outcomes import CallOutcome
from bankrmi.robustness.services.plain_runs import OURS, all_rows, came_of, made_plain, rows_of_attributes
from bankrmi.service.calls import Called
from bankrmi.service.declaring import Description, Given, Method
from bankrmi.service.guard import watched, within
from bankrmi.service.served_services import ServedServices, plain_name
from bankrmi.service.tables import Doing, ServiceTables
from bankrmi.service.using import Uses
from bankrmi.storage.database import open_in_memory

__all__ = ["ServicesTogether"]


class ServicesTogether:
    """The services of one pair, at their beginning."""

    def __init__(self, services: ServedServices) -> None:
        """Raises ConfigurationError if one cannot be created."""
        self._services = services
        self._database = open_in_memory()
        self._tables = ServiceTables(self._database, tuple(services.beside))
        self._goes_on: list[str] = []
        self._objects = {name: self._made(name, one) for name, one in services.each()}

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

    def has(self, name: str) -> bool:
        return name in self._services.methods

    def rows(self) -> list[tuple[Any, ...]]:
        attributes = [
            row
            for name, made in self._objects.items()
            if self._keeps(name)
            for row in rows_of_attributes(name, made)
        ]
        return all_rows(self._database) + attributes

    def update(self, method: Method, call: Called, given: Given, *, may_raise: bool) -> CallOutcome:
        before = self._attributes() if may_raise else None
        self._database.execute("BEGIN IMMEDIATE")
        came = self._run(method, call, given, Doing.UPDATE)
        if self._database.in_transaction:
            self._database.execute("ROLLBACK" if came.raised else "COMMIT")
        if came.raised and before is not None:
            self._put_back(before)
        return came

    def query(self, method: Method, call: Called, given: Given) -> CallOutcome:
        return self._run(method, call, given, Doing.QUERY)

    def _run(self, method: Method, call: Called, given: Given, doing: Doing) -> CallOutcome:
        service, plain = plain_name(method.name)
        one = self._services.find(service)
        assert one is not None
        for made in self._objects.values():
            _set(made, "_moment", given)
        function: Callable[..., Any] = getattr(self._objects[service], plain)
        self._tables.interrupted = False
        self._goes_on = [service]
        guard = watched(one.kind.__module__, is_update=doing is Doing.UPDATE)
        with guard, self._at(service, doing):
            return came_of(method, call, lambda args, kwargs: function(*args, **kwargs))

    # -- one calls another -----------------------------------------------------------------------

    def _other(self, user: Description, uses: Uses[Any]) -> Any:
        return _Part(self, self._services.used(user, uses))

    def inner(self, service: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a method of another service; return what it returns."""
        one = self._services.find(service)
        assert one is not None
        method = one.methods[name]
        if service in self._goes_on:
            raise RuntimeError(f"a call of {one.name} goes on")
        if method.is_update and self._tables.doing is Doing.QUERY:
            raise PermissionError(f"{name} is an update")
        made_args, made_kwargs = method.made(*method.bound(args, kwargs))
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
            name: copy.deepcopy({key: value for key, value in vars(made).items() if key not in OURS})
            for name, made in self._objects.items()
            if self._keeps(name)
        }

    def _put_back(self, before: dict[str, dict[str, Any]]) -> None:
        for name, attributes in before.items():
            held = vars(self._objects[name])
            for key in [key for key in held if key not in OURS]:
                del held[key]
            held.update(copy.deepcopy(attributes))

    def _keeps(self, name: str) -> bool:
        one = self._services.find(name)
        return one is not None and one.kind._keeps_attributes


class _Part:
    """Another service, as a method sees it."""

    def __init__(self, together: ServicesTogether, service: str) -> None:
        self._together = together
        self._service = service

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._together.inner(self._service, name, args, kwargs)

        return call


def _set(made: object, name: str, value: object) -> None:
    object.__setattr__(made, name, value)
