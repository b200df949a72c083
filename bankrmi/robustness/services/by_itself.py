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
Rule 5: it is migrated where the journal says that the service was, from the version before and no other. A
        plain class that stands for a service in several versions has a `previous`, too, and a
        `migrate_1_to_2` that is called on an object of the newer class with the attributes of the older one.
Rule 6: of several services each has its own version, and is migrated, or created, by itself.
Assumption: a query does not go by chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from bankrmi.errors import ConfigurationError
from bankrmi.replication.code_versions import StateVersion, version_of, with_version
from bankrmi.replication.record import Scalar
from bankrmi.robustness.services.outcomes import CallOutcome
from bankrmi.robustness.services.plain_objects import (
    ModelMaker,
    PlainAttributes,
    PlainModel,
    came_of_migration,
    kinds_of,
    name_of,
)
from bankrmi.robustness.services.plain_runs import all_rows, came_of
from bankrmi.robustness.services.plain_services import PlainModelOfSeveral
from bankrmi.robustness.services.together import ServicesTogether
from bankrmi.robustness.services.wanted import operation_in_words
from bankrmi.service.calls import Called
from bankrmi.service.declaring import Description, Given, Method, Service, described, migration_name
from bankrmi.service.guard import watched
from bankrmi.service.served_services import HOME, ServedServices, plain_name, qualified
from bankrmi.service.tables import Doing, ServiceTables, check_tables
from bankrmi.storage.database import open_in_memory
from bankrmi.storage.state_machine import Moment

__all__ = ["ServiceByItself"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BETWEEN = 16


class ServiceByItself:
    """One state of it, from its beginning on (a `verifying.model.Model`, as far as calls have one)."""

    def __init__(
        self,
        description: Description | ServedServices,
        model: ModelMaker | None = None,
        *,
        begins_at: StateVersion | None = None,
    ) -> None:
        """`model` makes what the class is held against; None: the class itself. None for `begins_at`, the
        version that it is opened with: that of the class.

        Raises ConfigurationError if a method of the class is missing there.
        """
        self._services = services = ServedServices.of(description)
        self._version = services.opening_version if begins_at is None else begins_at
        _check_beginning(services, self._version)
        made = description.kind if model is None and isinstance(description, Description) else model
        self._runs = _what_runs(description, made, self._version)
        for service, one in services.each():
            self._check(service, one, made)
        self.name = _called(description, made)
        """What it is, for people."""
        self._newest_us = 0
        self._asked_for_the_time = True
        """Whether the newest query did."""
        self._is_a_service = type(self._runs) not in (PlainModel, PlainModelOfSeveral)
        self._is_the_class = model is None or (
            isinstance(description, Description) and model is description.kind
        )

    def _check(self, service: str, one: Description, made: Any) -> None:
        """Raise ConfigurationError if what stands for a service lacks a method that this has."""
        begins_at = version_of(self._version, service)
        for version, known in one.of_version.items():
            wanted = [*known.methods] if version >= begins_at else []
            if version > begins_at > 0 and made is not None and not _is_of(made, Service):
                wanted.append(migration_name(version))
            for method in wanted:
                if not self._runs.has(qualified(service, method), version):
                    where = known.name if made is None else name_of(made)
                    raise ConfigurationError(f"{where} has no method {method}, and {known.name} has")

    def update(self, call: Called, moment: Moment, told: CallOutcome) -> CallOutcome:
        """Do it; return what comes of it here. `told` is what is said to have come of it."""
        time_us, (session, sequence) = moment
        self.note_time(time_us)
        method = self._method(call, is_update=True)
        if method is None:
            return self._no_method(call)
        given = _given(time_us, session, sequence)
        version = self.version_for(call)
        return self._runs.update(method, call, given, version, may_raise=bool(told.raised))

    def version_of(self, service: str) -> int:
        """Return the version of the state of a service; "" is the first one. 0: it is not there."""
        return version_of(self._version, service)

    def version_for(self, call: Called) -> int:
        """Return the version of the state of the service that is called."""
        return self.version_of(plain_name(call.method)[0])

    def migrate(self, service: str, target: int, moment: Moment, *, creates: bool = False) -> CallOutcome:
        """Make the next version of a service, from the one before, or create it; return what comes of that
        here."""
        time_us, (session, sequence) = moment
        self.note_time(time_us)
        held, one, runs = self.version_of(service), self._services.find(service), self._runs
        if one is None or target not in one.of_version:
            return CallOutcome(raised="LookupError", words=f"there is no version {target}")
        if held != (0 if creates else target - 1):
            return CallOutcome(raised="RuntimeError", words=f"the state is of version {held}")
        if held or not isinstance(runs, (ServicesTogether, PlainModelOfSeveral)):
            came = runs.migrate(service, target, _given(time_us, session, sequence))
        else:
            came = runs.create(service, target)
        if not came.raised:
            self._version = with_version(self._version, service, target)
        return came

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
            if not self._asked_for_the_time:
                break  # It comes to the same at any time.
        return here

    def query(self, call: Called, now_us: int | None = None) -> CallOutcome:
        """Ask it; by default at the time of the newest record."""
        method = self._method(call, is_update=False)
        if method is None:
            return self._no_method(call)
        clock = _Clock(_EPOCH + timedelta(microseconds=self._newest_us if now_us is None else now_us))
        came = self._runs.query(method, call, clock, self.version_for(call))
        self._asked_for_the_time = clock.was_asked
        return came

    def _method(self, call: Called, *, is_update: bool) -> Method | None:
        """Return what can be called in the version that the state has."""
        service, plain = plain_name(call.method)
        one = self._services.find(service)
        known = None if one is None else one.of_version.get(self.version_of(service))
        method = None if known is None else known.methods.get(plain)
        return method if method is not None and method.is_update is is_update else None

    def _no_method(self, call: Called) -> CallOutcome:
        words = f"there is no method {call.method!r:.80} in version {self.version_for(call)}"
        return CallOutcome(raised="LookupError", words=words)

    def agrees(self, told: CallOutcome, here: CallOutcome) -> bool:
        """Whether a service that does what this does may say `told` where `here` is what comes of it.

        Values are the same, and so are errors that are declared. Of an error that nobody declared the class
        counts, and, where a plain object stands for the service, only that there is one.
        """
        declared = self._declared
        if not told.raised or not here.raised:
            return told.raised == here.raised and (
                told.packed == here.packed or _equal(told.value, here.value)
            )
        if told.raised in declared or here.raised in declared:
            return (told.raised, told.words) == (here.raised, here.words)
        return not self._is_a_service or told.raised == here.raised

    @property
    def _declared(self) -> frozenset[str]:
        return frozenset(
            error.__qualname__
            for service, one in self._services.each()
            if (known := one.of_version.get(self.version_of(service))) is not None
            for method in known.methods.values()
            for error in method.raises
        )

    def rows(self) -> list[tuple[Any, ...]] | None:
        """Return the whole state as tables hold it (see `plain_runs.comparable`); None where it is another
        class that stands here."""
        return self._runs.rows() if self._is_the_class else None

    def reverse_unordered_rows(self) -> None:
        """From now on, where no ORDER BY says how rows come, have them come the other way round."""
        if isinstance(self._runs, _OnTables):
            self._runs.reverse_unordered_rows()

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


class _Clock(Given):
    """What a query may go by, which notes whether it was asked for the time."""

    __slots__ = ("_time", "was_asked")

    def __init__(self, now: datetime) -> None:
        super().__init__(now, None)
        self.was_asked = False

    @property
    def now(self) -> datetime:
        self.was_asked = True
        return self._time

    @now.setter
    def now(self, now: datetime) -> None:
        self._time = now


class _Runs(Protocol):
    """What stands for a service here, in each of its versions."""

    def has(self, name: str, version: int) -> bool: ...

    def update(
        self, method: Method, call: Called, given: Given, version: int, *, may_raise: bool
    ) -> CallOutcome: ...

    def query(self, method: Method, call: Called, given: Given, version: int) -> CallOutcome: ...

    def migrate(self, service: str, target: int, given: Given) -> CallOutcome: ...

    def rows(self) -> list[tuple[Any, ...]] | None: ...


def _check_beginning(services: ServedServices, version: StateVersion) -> None:
    """Raise ConfigurationError if a class does not know the version with which a state begins."""
    for name, one in services.each():
        begins_at = version_of(version, name)
        if begins_at and begins_at not in one.of_version:
            raise ConfigurationError(
                f"{one.name} knows nothing of version {begins_at}, with which this begins: name the class as "
                "it was as its `previous`"
            )


def _what_runs(description: Description | ServedServices, made: Any, version: StateVersion) -> _Runs:
    if isinstance(description, ServedServices):
        if made is None:
            return ServicesTogether(description, version)
        return PlainModelOfSeveral(description, made, version)
    kinds, begins_at = kinds_of(made, description.version), version_of(version, HOME)
    if begins_at not in kinds:
        raise ConfigurationError(
            f"{name_of(made)} knows nothing of version {begins_at}: name the model of the version before as "
            "its `previous`"
        )
    if _is_of(made, Service):
        if getattr(made, "_keeps_attributes", False):
            return PlainAttributes(kinds, begins_at)
        of_version = (description if made is description.kind else described(made)).of_version
        return _OnTables(of_version, begins_at)
    return PlainModel(kinds, begins_at)


def _is_of(made: Any, kind: type) -> bool:
    return isinstance(made, type) and issubclass(made, kind)


class _OnTables:
    """A class whose state is in tables."""

    def __init__(self, of_version: Mapping[int, Description], version: int) -> None:
        self._descriptions = of_version
        self._database = open_in_memory()
        self._tables = ServiceTables(self._database)
        self._objects = {number: one.kind() for number, one in self._descriptions.items()}
        for service in self._objects.values():
            object.__setattr__(service, "db", self._tables)
            object.__setattr__(service, "_moment", None)
        kind = self._descriptions[version].kind
        self._tables.doing = Doing.CREATE
        try:
            with watched(kind.__module__, is_update=True):
                self._objects[version].create()
        except Exception as error:
            raise ConfigurationError(
                f"{kind.__name__}.create failed: {type(error).__name__}: {error}"
            ) from error
        finally:
            self._tables.doing = Doing.OURS

    def has(self, name: str, version: int) -> bool:
        return version in self._descriptions and name in self._descriptions[version].methods

    def update(
        self,
        method: Method,
        call: Called,
        given: Given,
        version: int,
        *,
        may_raise: bool,  # noqa: ARG002
    ) -> CallOutcome:
        return self._in_transaction(lambda: self._run(method, call, Doing.UPDATE, given, version))

    def query(self, method: Method, call: Called, given: Given, version: int) -> CallOutcome:
        return self._run(method, call, Doing.QUERY, given, version)

    def migrate(self, service: str, target: int, given: Given) -> CallOutcome:  # noqa: ARG002
        made = self._objects[target]
        object.__setattr__(made, "_moment", given)

        def migrated() -> None:
            getattr(made, migration_name(target))()
            self._tables.doing = Doing.OURS
            if self._database.execute("SELECT 1 FROM pragma_foreign_key_check LIMIT 1").get:
                raise ValueError("rows are left that refer to rows which are not there (FOREIGN KEY)")
            check_tables(self._database, type(made).__name__)

        return self._in_transaction(
            lambda: self._watched(target, Doing.MIGRATION, lambda: came_of_migration(migrated))
        )

    def _in_transaction(self, do: Callable[[], CallOutcome]) -> CallOutcome:
        self._database.execute("BEGIN IMMEDIATE")
        came = do()
        if self._database.in_transaction:
            self._database.execute("ROLLBACK" if came.raised else "COMMIT")
        return came

    def _run(self, method: Method, call: Called, doing: Doing, given: Given, version: int) -> CallOutcome:
        service = self._objects[version]
        object.__setattr__(service, "_moment", given)
        function = self._descriptions[version].methods[method.name].function
        return self._watched(
            version,
            doing,
            lambda: came_of(method, call, lambda args, kwargs: function(service, *args, **kwargs)),
        )

    def _watched(self, version: int, doing: Doing, do: Callable[[], CallOutcome]) -> CallOutcome:
        self._tables.doing, self._tables.interrupted = doing, False
        module = self._descriptions[version].kind.__module__
        try:
            with watched(module, is_update=doing is not Doing.QUERY):
                return do()
        finally:
            self._tables.doing = Doing.OURS

    def reverse_unordered_rows(self) -> None:
        self._database.pragma("reverse_unordered_selects", True)

    def rows(self) -> list[tuple[Any, ...]]:
        return all_rows(self._database)


def _given(time_us: int, session: str, sequence: int) -> Given:
    seed = hashlib.blake2b(f"{session}:{sequence}:{time_us}".encode(), digest_size=16).digest()
    return Given(_EPOCH + timedelta(microseconds=time_us), seed, f"{session}:{sequence}")


def _moments(first_us: int, last_us: int) -> list[int | None]:
    """Return both ends, and some moments between them: what ends while it is asked may be seen or not."""
    steps = [first_us + (last_us - first_us) * step // _BETWEEN for step in range(1, _BETWEEN)]
    return [last_us, first_us, *steps]


def _called(description: Description | ServedServices, made: Any) -> str:
    if made is not None:
        return f"{name_of(made)} by itself"
    if isinstance(description, ServedServices):
        return f"a plain run of {description.name}"
    return f"{description.name} by itself"


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are, whatever order their dicts are in."""
    return type(one) is type(other) and bool(one == other)
