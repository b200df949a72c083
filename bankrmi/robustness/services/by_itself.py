"""A service by itself: the author's class, or a plain one in its place, and nothing of ours around it.

What has come of calls under failures is held against what comes of them here, one after the other, in the
order of the journal.

Rule 1: the class runs on a database of its own, in memory, in a transaction a call; how a server runs it,
        undoes it, and tells it is not used here, so that a mistake there is not made twice.
Rule 2: an exception changes nothing here either. A plain object is copied before a call of which it is known
        that it raised.
Rule 3: an update sees the time of its record, and chance from its request, as the promise says: `now`,
        `random` and `new_id()` of a plain object are set, too.
Rule 4: a query sees the time that it is told, else that of the newest record.
Assumption: a query does not go by chance.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from bankrmi.errors import ConfigurationError
from bankrmi.replication.record import Scalar
from bankrmi.robustness.services.outcomes import CallOutcome
from bankrmi.robustness.services.plain_runs import all_rows, came_of, made_plain
from bankrmi.robustness.services.together import ServicesTogether
from bankrmi.robustness.services.wanted import operation_in_words
from bankrmi.service.calls import Called
from bankrmi.service.declaring import Description, Given, Method, Service, described
from bankrmi.service.guard import watched
from bankrmi.service.served_services import ServedServices, plain_name
from bankrmi.service.tables import Doing, ServiceTables
from bankrmi.storage.database import open_in_memory
from bankrmi.storage.state_machine import Moment

__all__ = ["ModelMaker", "ServiceByItself"]

ModelMaker = Callable[[], object]
"""What makes a plain object that the service is held against: a class, most of the time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BETWEEN = 16


class ServiceByItself:
    """One state of it, from its beginning on (a `verifying.model.Model`, as far as calls have one)."""

    def __init__(self, description: Description | ServedServices, model: ModelMaker | None = None) -> None:
        """`model` makes what the class is held against; None: the class itself.

        Raises ConfigurationError if that lacks a method of the class.
        """
        self._description = description
        self._runs = _what_runs(description, model)
        name = _name(model) if model is not None else description.name
        for method in description.methods:
            if not self._runs.has(method):
                raise ConfigurationError(f"{name} has no method {method}, and {description.name} has")
        self._name = name
        self._newest_us = 0
        self._is_a_service = type(self._runs) is not _PlainObject
        self._is_the_class = model is None or (
            isinstance(description, Description) and model is description.kind
        )

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"{self._name} by itself"

    def update(self, call: Called, moment: Moment, told: CallOutcome) -> CallOutcome:
        """Do it; return what comes of it here. `told` is what is said to have come of it."""
        time_us, (session, sequence) = moment
        self.note_time(time_us)
        seed = hashlib.blake2b(f"{session}:{sequence}:{time_us}".encode(), digest_size=16).digest()
        given = Given(_EPOCH + timedelta(microseconds=time_us), seed)
        return self._runs.update(self._method(call), call, given, may_raise=bool(told.raised))

    def note_time(self, time_us: int) -> None:
        """The newest record is of then."""
        self._newest_us = time_us

    def contradiction(
        self, call: Called, told: CallOutcome, between_us: tuple[int, int] | None = None
    ) -> CallOutcome | None:
        """Return what a query comes to here if it cannot have come to `told`; None if it can.

        `between_us`: it was asked by a clock that said something between these.
        """
        moments = [None] if between_us is None else _moments(*between_us)
        for moment in moments:
            here = self.query(call, moment)
            if self.agrees(told, here):
                return None
        return here

    def query(self, call: Called, now_us: int | None = None) -> CallOutcome:
        """Ask it; by default at the time of the newest record."""
        method = self._description.methods.get(call.method)
        if method is None or method.is_update:
            return CallOutcome(raised="LookupError", words=f"there is no query {call.method!r:.80}")
        now = _EPOCH + timedelta(microseconds=self._newest_us if now_us is None else now_us)
        return self._runs.query(method, call, now)

    def _method(self, call: Called) -> Method:
        method = self._description.methods.get(call.method)
        if method is None:
            raise ValueError(f"there is no method {call.method!r:.80}")
        return method

    def agrees(self, told: CallOutcome, here: CallOutcome) -> bool:
        """Whether a service that does what this does may say `told` where `here` is what comes of it.

        Values are the same, and so are errors that are declared. Of an error that nobody declared the class
        counts, and, where a plain object stands for the service, only that there is one.
        """
        if not told.raised or not here.raised:
            return told.raised == here.raised and (
                told.packed == here.packed or _equal(told.value, here.value)
            )
        if told.raised in self._declared:
            return (told.raised, told.words) == (here.raised, here.words)
        return not self._is_a_service or told.raised == here.raised

    @property
    def _declared(self) -> frozenset[str]:
        methods = self._description.methods.values()
        return frozenset(error.__qualname__ for method in methods for error in method.raises)

    def rows(self) -> list[tuple[Any, ...]] | None:
        """Return the whole state as tables hold it; None where it is another class that stands here."""
        return self._runs.rows() if self._is_the_class else None

    # -- as far as calls have a model ------------------------------------------------------------

    @property
    def values(self) -> Mapping[Any, Any]:
        """A service has no keys: its state is seen by its queries."""
        return {}

    def apply(self, operation: Any) -> tuple[str, Scalar]:
        """Calls go by the time of their record, too: see `update`."""
        raise AssertionError(f"{operation_in_words(operation)} is done by `update`")

    def key(self, operation: Any) -> Any:
        """A call may change anything."""
        raise AssertionError(f"{operation_in_words(operation)} has no key")

    def keys(self, _operation: Any) -> tuple[Any, ...]:
        """A call may change anything."""
        return ()

    def in_words(self, operation: Any) -> str:
        """Return the call as one would write it."""
        return operation_in_words(operation)

    def audit(self, _values: Mapping[Any, Any]) -> Iterator[str]:
        """Nothing more is known of a class."""
        return iter(())


class _Runs(Protocol):
    """What stands for a service here."""

    def has(self, name: str) -> bool: ...

    def update(self, method: Method, call: Called, given: Given, *, may_raise: bool) -> CallOutcome: ...

    def query(self, method: Method, call: Called, now: datetime) -> CallOutcome: ...

    def rows(self) -> list[tuple[Any, ...]] | None: ...


def _what_runs(description: Description | ServedServices, model: ModelMaker | None) -> _Runs:
    if isinstance(description, ServedServices):
        if model is None:
            return ServicesTogether(description)
        return _PlainObject(model, description)
    made = description.kind if model is None else model
    if isinstance(made, type) and issubclass(made, Service):
        return (
            _PlainService(made) if getattr(made, "_keeps_attributes", False) else _OnTables(described(made))
        )
    return _PlainObject(made)


class _OnTables:
    """A class whose state is in tables."""

    def __init__(self, description: Description) -> None:
        self._description = description
        self._database = open_in_memory()
        self._tables = ServiceTables(self._database)
        self._object = description.kind()
        self._set("db", self._tables)
        self._set("_moment", None)
        self._tables.doing = Doing.CREATE
        try:
            with watched(description.kind.__module__, is_update=True):
                self._object.create()
        except Exception as error:
            raise ConfigurationError(
                f"{description.name}.create failed: {type(error).__name__}: {error}"
            ) from error
        finally:
            self._tables.doing = Doing.OURS

    def has(self, name: str) -> bool:
        return name in self._description.methods

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self._object, name, value)

    def update(self, method: Method, call: Called, given: Given, *, may_raise: bool) -> CallOutcome:  # noqa: ARG002
        self._set("_moment", given)
        self._database.execute("BEGIN IMMEDIATE")
        came = self._run(method, call, Doing.UPDATE)
        if self._database.in_transaction:
            self._database.execute("ROLLBACK" if came.raised else "COMMIT")
        return came

    def query(self, method: Method, call: Called, now: datetime) -> CallOutcome:
        self._set("_moment", Given(now, None))
        return self._run(method, call, Doing.QUERY)

    def _run(self, method: Method, call: Called, doing: Doing) -> CallOutcome:
        function = self._description.methods[method.name].function
        self._tables.doing, self._tables.interrupted = doing, False
        try:
            with watched(self._description.kind.__module__, is_update=doing is Doing.UPDATE):
                return came_of(method, call, lambda args, kwargs: function(self._object, *args, **kwargs))
        finally:
            self._tables.doing = Doing.OURS

    def rows(self) -> list[tuple[Any, ...]]:
        return all_rows(self._database)


class _PlainObject:
    """An object of a plain class, in memory."""

    def __init__(self, made: ModelMaker, services: ServedServices | None = None) -> None:
        """`services`: those that it stands for, where there are several: it has an object for each, by its
        name."""
        self._services = services
        try:
            self._object = made()
        except Exception as error:
            raise ConfigurationError(
                f"{_name(made)} cannot be made: {type(error).__name__}: {error}"
            ) from error

    def has(self, name: str) -> bool:
        return callable(self._found(name))

    def _found(self, name: str) -> Any:
        service, plain = plain_name(name)
        return getattr(self._part(service), plain, None)

    def _part(self, service: str) -> Any:
        if self._services is None:
            return self._object
        return getattr(self._object, self._services.called(service), None)

    def rows(self) -> None:
        return None

    def update(self, method: Method, call: Called, given: Given, *, may_raise: bool) -> CallOutcome:
        before = copy.deepcopy(self._object) if may_raise else None
        self._set_moment(given)
        came = self._run(method, call)
        if came.raised and before is not None:
            self._object = before
        return came

    def _set_moment(self, given: Given) -> None:
        drawn = {
            "now": given.now,
            "random": given.random(),
            "new_id": lambda: f"{given.random().getrandbits(128):032x}",
        }
        parts = [] if self._services is None else [self._part(name) for name, _ in self._services.each()]
        for part in (self._object, *parts):
            for name, value in drawn.items():
                with suppress(AttributeError):  # It has no place for it, and does not ask for it.
                    setattr(part, name, value)

    def query(self, method: Method, call: Called, now: datetime) -> CallOutcome:
        self._set_moment(Given(now, None))
        return self._run(method, call)

    def _run(self, method: Method, call: Called) -> CallOutcome:
        function = self._found(method.name)
        return came_of(method, call, lambda args, kwargs: function(*args, **kwargs))


class _PlainService(_PlainObject):
    """A service whose state are its attributes, as the plain object that it looks like."""

    def __init__(self, kind: type[Service]) -> None:
        self._module = kind.__module__
        super().__init__(lambda: made_plain(kind))

    def _set_moment(self, given: Given) -> None:
        object.__setattr__(self._object, "_moment", given)

    def update(self, method: Method, call: Called, given: Given, *, may_raise: bool) -> CallOutcome:
        with watched(self._module, is_update=True):
            return super().update(method, call, given, may_raise=may_raise)


def _moments(first_us: int, last_us: int) -> list[int | None]:
    """Return both ends, and some moments between them: what ends while it is asked may be seen or not."""
    steps = [first_us + (last_us - first_us) * step // _BETWEEN for step in range(1, _BETWEEN)]
    return [last_us, first_us, *steps]


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are, whatever order their dicts are in."""
    return type(one) is type(other) and bool(one == other)


def _name(made: object) -> str:
    made = getattr(made, "func", made)  # Of a partial.
    return str(getattr(made, "__qualname__", made))
