"""What stands for a service where it runs by itself, as a plain object in memory: a class that its author
names, with the same methods; or a service whose state are its attributes, as the object that it looks like.

Rule 1: an object is copied before a call of which it is known that it raised.
Rule 2: `now`, `random` and `new_id()` are set before each call, where the object has a place for them.
Rule 3: it becomes one of the next class where the service is migrated, with the attributes that it has.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from bankrmi.errors import ConfigurationError
from bankrmi.patient_handlers import keep_waiting
from bankrmi.robustness.services.outcomes import WORDS_AT_MOST, CallOutcome
from bankrmi.robustness.services.plain_runs import as_plain, came_of, made_plain, rows_of_attributes
from bankrmi.service.calls import Called
from bankrmi.service.declaring import Given, Method, migration_name
from bankrmi.service.guard import watched
from bankrmi.service.served_services import HOME

__all__ = [
    "ModelMaker",
    "PlainAttributes",
    "PlainModel",
    "came_of_migration",
    "kinds_of",
    "name_of",
    "set_moment",
    "unmakeable",
]

ModelMaker = Callable[[], object]
"""What makes a plain object that the service is held against: a class, most of the time."""


class PlainModel:
    """An object of a plain class, in memory."""

    def __init__(self, kinds: Mapping[int, Any], version: int) -> None:
        self._kinds = kinds
        made = kinds[version]
        try:
            self._object = made()
        except Exception as error:
            raise unmakeable(made, error) from error
        self._begins_at = version

    def has(self, name: str, version: int) -> bool:
        """Whether it has this method in this version."""
        if version == self._begins_at:
            return callable(getattr(self._object, name, None))
        return callable(getattr(self._kinds.get(version), name, None))

    def rows(self) -> list[tuple[Any, ...]] | None:
        """Return nothing: its state is not that of the tables."""
        return None

    def update(
        self,
        method: Method,
        call: Called,
        given: Given,
        version: int,  # noqa: ARG002
        *,
        may_raise: bool,
    ) -> CallOutcome:
        """Do it; return what comes of it."""
        before = copy.deepcopy(self._object) if may_raise else None
        self._set_moment(given)
        came = self._run(method, call)
        if came.raised and before is not None:
            self._object = before
        return came

    def migrate(self, service: str, target: int, given: Given) -> CallOutcome:  # noqa: ARG002
        """Become one of the next version."""
        before = self._object
        self._object = self._made_newer(target, copy.deepcopy(before))
        self._set_moment(given)
        came = came_of_migration(getattr(self._object, migration_name(target)))
        if came.raised:
            self._object = before
        return came

    def _made_newer(self, target: int, before: Any) -> Any:
        """Return an object of the next class, with the attributes that the one before had."""
        made: Any = object.__new__(self._kinds[target])
        vars(made).update(vars(before))
        return made

    def _set_moment(self, given: Given) -> None:
        set_moment([self._object], given)

    def query(self, method: Method, call: Called, given: Given, version: int) -> CallOutcome:  # noqa: ARG002
        """Ask it; return what comes of it."""
        self._set_moment(given)
        return self._run(method, call)

    def _found(self, name: str) -> Any:
        return getattr(self._object, name, None)

    def _run(self, method: Method, call: Called) -> CallOutcome:
        function = self._found(call.method)
        return came_of(method, call, lambda args, kwargs: function(*args, **kwargs))


class PlainAttributes(PlainModel):
    """A service whose state are its attributes, as the plain object that it looks like."""

    def __init__(self, kinds: Mapping[int, Any], version: int) -> None:
        kind = kinds[version]
        self._module = kind.__module__
        plain = {number: as_plain(one) for number, one in kinds.items()}
        super().__init__({**plain, version: lambda: made_plain(kind)}, version)

    def _set_moment(self, given: Given) -> None:
        object.__setattr__(self._object, "_moment", given)

    def update(
        self, method: Method, call: Called, given: Given, version: int, *, may_raise: bool
    ) -> CallOutcome:
        """Do it; return what comes of it."""
        with watched(self._module, is_update=True):
            return super().update(method, call, given, version, may_raise=may_raise)

    def migrate(self, service: str, target: int, given: Given) -> CallOutcome:
        """Become one of the next version."""
        with watched(self._module, is_update=True):
            return super().migrate(service, target, given)

    def rows(self) -> list[tuple[Any, ...]]:
        """Return its attributes, as rows."""
        return rows_of_attributes(HOME, self._object)


def set_moment(objects: Iterable[Any], given: Given) -> None:
    """Tell plain objects what the next call may go by."""
    drawn = {
        "now": given.now,
        "random": given.random(),
        "new_id": lambda: f"{given.random().getrandbits(128):032x}",
    }
    for one in objects:
        for name, value in drawn.items():
            with suppress(AttributeError):  # It has no place for it, and does not ask for it.
                setattr(one, name, value)


def came_of_migration(do: Callable[[], None]) -> CallOutcome:
    """Return what comes of a migration."""
    try:
        with keep_waiting:
            do()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return CallOutcome(raised=type(error).__qualname__[:100], words=str(error)[:WORDS_AT_MOST])
    return CallOutcome.returned(None)


def kinds_of(made: Any, newest: int) -> dict[int, Any]:
    """Return what stands for the service in each version; the one before is the `previous` of each."""
    kinds: dict[int, Any] = {}
    while made is not None and newest >= 1:
        kinds[newest] = made
        made, newest = getattr(made, "previous", None), newest - 1
    return kinds


def name_of(made: object) -> str:
    """Return how people call what makes a model."""
    made = getattr(made, "func", made)  # Of a partial.
    return str(getattr(made, "__qualname__", made))


def unmakeable(made: object, error: Exception) -> ConfigurationError:
    """Return what is said of a model that cannot be made."""
    return ConfigurationError(f"{name_of(made)} cannot be made: {type(error).__name__}: {error}")
