"""One method, run within bounds, with all that it calls of other services.

Rule 1: whatever a method does, this returns its value or raises `Raised`: what it raised, that it took too
        long, that it wanted to end the process. A disk that fails is no exception of the method's:
        `DatabaseGaveUp`.
Rule 2: a method has a time (see `time_limit`). Only the server that decides counts it: the others follow what
        is recorded.
Rule 3: an update sees the time, chance and ids of its record; so does another service that it calls.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import apsw
import msgpack

from bankrmi.errors import InvalidRequest
from bankrmi.patient_handlers import keep_waiting
from bankrmi.service.calls import Called, Raised, arguments_of
from bankrmi.service.declaring import Description, Given, Method, Service, migration_name
from bankrmi.service.guard import watched, within
from bankrmi.service.hosted import HostedService, give
from bankrmi.service.inner_calls import CallPath, OtherService, in_savepoint
from bankrmi.service.object_state import ObjectState
from bankrmi.service.plain_values import NotPlain, plain
from bankrmi.service.served_services import HOME, ServedServices, plain_name, qualified
from bankrmi.service.tables import DatabaseGaveUp, Doing, ServiceTables
from bankrmi.service.time_limit import OutOfTime, TimeLimit
from bankrmi.service.traced import line_of
from bankrmi.service.using import Uses
from bankrmi.storage.state_machine import Moment

__all__ = ["Runner"]

T = TypeVar("T")

_RECURSION = 900
"""So many calls within each other a method may make."""
_DEPTH = re.compile(r"depth (\d+)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEPS = 10_000
"""Of SQLite's machine, between two looks at the clock: some 0.1 ms."""
_WORDS_AT_MOST = 1000
RESULT_BYTES_AT_MOST = 1 << 16
"""Packed: what came of a group of calls goes to the other copies in one message."""
_MORE_TIME = ": while automatic takeover is paused (`bankrmi pause`) it is given more, and is tried again"


class Runner:
    """Runs the methods of the services of one pair on one database."""

    def __init__(
        self,
        services: ServedServices,
        database: apsw.Connection,
        *,
        limit_ms: float,
        version_of: Callable[[str], int],
    ) -> None:
        """`version_of`: the version of the state of a service; 0: it is not there."""
        self._services = services
        self._database = database
        self._version_of = version_of
        self._limit_s = limit_ms / 1000
        self._time_limit = TimeLimit()
        self._path = CallPath(services.in_words)
        self._given: Given | None = None
        self._used: dict[Uses[Any], str] = {}  # Which service each of them means.
        self.tables = ServiceTables(database, tuple(services.beside))
        self._hosted = {name: HostedService(one, self.tables) for name, one in services.each()}
        for name, hosted in self._hosted.items():
            for version, service in hosted.objects.items():
                known = hosted.description.of_version[version]
                if known.uses:
                    give(service, "_others", partial(self._other, name, known))
        database.set_progress_handler(self._time_limit.is_over, _STEPS)

    def forget(self) -> None:
        """The database has changed by itself: nothing in memory is of now."""
        for hosted in self._hosted.values():
            hosted.forget()

    def prepare(self) -> None:
        """Have in memory what the database has, if it is much: no call waits for that then."""
        for name in self._hosted:
            if version := self._version_of(name):
                with suppress(Raised):  # Whoever calls is told.
                    self._state_of(name, version)

    def _state_of(self, service: str, version: int) -> ObjectState | None:
        hosted = self._hosted[service]
        if not hosted.keeps_attributes:
            return None
        with self.tables.of(service):
            return hosted.state_of(version)

    def now(self) -> datetime:
        """Return what a query is told of the time."""
        return datetime.now(UTC)

    def create(self, ledger: Mapping[int, int] | None = None) -> None:
        """Make the tables of all services; `ledger` is for those that take it."""
        for name, hosted in self._hosted.items():
            self._begin(name, hosted.description.version, ledger)

    def _begin(self, service: str, version: int, ledger: Mapping[int, int] | None = None) -> None:
        module = self._hosted[service].description.of_version[version].kind.__module__
        with self.tables.of(service), self._doing(Doing.CREATE), watched(module, is_update=True):
            self._hosted[service].begin(version, ledger)

    def run(self, call: Called, moment: Moment | None, *, limited: bool) -> Any:
        """Return what the method returns, as plain values; raises Raised.

        `moment`: of an update; None: a query.
        """
        name, plain_method = plain_name(call.method)
        hosted = self._hosted.get(name)
        version = self._version_of(name)
        known = None if hosted is None else hosted.description.of_version.get(version)
        method = None if known is None else known.methods.get(plain_method)
        is_update = moment is not None
        if hosted is None or method is None or method.is_update is not is_update:
            where = "" if version == 1 else f" in version {version}"
            raise Raised(
                "LookupError", "builtins", f"there is no {_kind(is_update)} {call.method!r:.80}{where}", None
            )
        service, doing = hosted.objects[version], Doing.UPDATE if is_update else Doing.QUERY
        state = self._state_of(name, version)
        limit_s = self._limit_s if limited else 0.0

        def work() -> Any:
            self._path.begin(name, call.method)
            try:
                value = self._value(service, method, call)
            finally:
                self._path.end()
            if state is not None:
                state.write() if is_update else state.end_query()
            return value

        self.tables.service = name
        try:
            return self._bounded(work, call.method, service, moment, doing, limit_s)
        except Raised:
            if state is not None:
                state.take_back()
            for entered in {plain_name(one)[0] for one in self._path.entered}:
                self._hosted[entered].forget()  # What they had written is taken back with the whole call.
            raise
        finally:
            self.tables.service = HOME

    @property
    def inner_calls(self) -> tuple[str, ...]:
        """The methods of other services that the newest call has called, as a journal names methods."""
        return tuple(self._path.entered)

    # -- one service called by another -----------------------------------------------------------

    def _other(self, user: str, known: Description, uses: Uses[Any]) -> OtherService:
        """Return what a service uses, to be called."""
        if self._path.is_empty or self._path.service != user:
            raise RuntimeError(
                f"{known.name} calls other services while an update or a query of it runs, and not else"
            )
        name = self._used.get(uses)
        if name is None:
            name = self._used[uses] = self._services.used(known, uses)
        version = self._version_of(name)
        found = self._hosted[name].description.of_version.get(version)
        if found is None:
            raise LookupError(f"{self._services.called(name)} is not there yet, or about to be migrated")

        def call(method: Method, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
            return self._inner(name, version, method, *method.bound(args, kwargs))

        return OtherService(found, call)

    def _inner(
        self, name: str, version: int, method: Method, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        if self._path.is_empty:
            raise RuntimeError("another service is called while a method of a service runs, and not else")
        hosted = self._hosted[name]
        service = hosted.objects[version]
        words = qualified(name, method.name)
        if method.is_update and self.tables.doing is Doing.QUERY:
            raise PermissionError(
                f"a query changes nothing, and {self._services.in_words(words)} is an update: mark what "
                "calls it with @bankrmi.update"
            )
        doing = Doing.UPDATE if method.is_update else Doing.QUERY
        with self._path.deeper(name, words), self._at_another(name, service, doing):
            with self._doing(Doing.OURS):
                state = hosted.state_of(version)
            try:
                if not method.is_update:
                    return self._value_of_inner(service, method, args, kwargs, state)
                with self._in_savepoint():
                    return self._value_of_inner(service, method, args, kwargs, state)
            except BaseException:
                if state is not None:
                    state.take_back()
                raise

    @contextmanager
    def _at_another(self, name: str, service: Service, doing: Doing) -> Iterator[None]:
        """Be at another service, which sees the time and the chance of the same call, until the context
        ends."""
        give(service, "_moment", self._given)
        with self.tables.of(name), self._doing(doing), within(type(service).__module__):
            yield

    @contextmanager
    def _in_savepoint(self) -> Iterator[None]:
        """See `inner_calls.in_savepoint`: a savepoint is no statement of the service's."""
        doing = self.tables.doing
        self.tables.doing = Doing.OURS
        try:
            with in_savepoint(self._database):
                self.tables.doing = doing
                try:
                    yield
                finally:
                    self.tables.doing = Doing.OURS
        finally:
            self.tables.doing = doing

    def _value_of_inner(
        self,
        service: Service,
        method: Method,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        state: ObjectState | None,
    ) -> Any:
        value = self._value(service, method, Called(method.name, args, kwargs))
        if state is not None:
            state.write() if method.is_update else state.end_query()
        return method.returned(value)

    # -- migrations ------------------------------------------------------------------------------

    def migrate(
        self,
        service: str,
        target: int,
        moment: Moment,
        work: Callable[[Callable[[], None]], T],
        limit_s: float,
    ) -> T:
        """Return what `work` does, around the migration that it is given; raises Raised. 0: without a
        limit."""
        hosted = self._hosted.get(service)
        name = migration_name(target) if self._version_of(service) else "create"
        known, function = self._migration(service, target)
        if hosted is None or known is None:
            raise Raised("LookupError", "builtins", f"there is no {qualified(service, name)}", None)
        one, state = hosted.objects[known.version], None
        if function is not None:
            state = self._state_of(service, known.version)

        def migration() -> None:
            if function is None:
                self._begin(service, target)
                return
            with self._doing(Doing.MIGRATION):
                function(one)
                if state is not None:
                    state.write()

        try:
            with self.tables.of(service):
                return self._bounded(
                    lambda: work(migration),
                    name,
                    one,
                    moment,
                    Doing.OURS,
                    limit_s,
                    _MORE_TIME,
                )
        except Raised:
            self.forget()
            raise

    def _migration(self, service: str, target: int) -> tuple[Description | None, Callable[..., None] | None]:
        """Return the class that makes a version of a service, and its method for that; or, where the service
        is not there yet, the class in that version."""
        description = self._services.find(service)
        if description is None:
            return None, None
        if not self._version_of(service):
            return description.of_version.get(target), None
        found = description.migration(target)
        return (None, None) if found is None else found

    @keep_waiting
    def _bounded(
        self,
        work: Callable[[], T],
        name: str,
        service: Service,
        moment: Moment | None,
        doing: Doing,
        limit_s: float,
        more: str = "",
    ) -> T:
        """Return what a method returns; raises Raised. `more`: what is said of a limit that was too short."""
        self._set_moment(service, moment)
        guard = watched(type(service).__module__, is_update=moment is not None)
        self.tables.interrupted = False
        try:
            with self._doing(doing), guard:
                value = self._time_limit.keep(
                    limit_s, lambda: _as_deep_everywhere(work), lambda: self.tables.is_over
                )
        except DatabaseGaveUp:
            raise
        except OutOfTime:
            raise Raised(
                "TimeoutError", "builtins", f"{name} took more than {limit_s * 1000:.0f} ms{more}", None
            ) from None
        except BaseException as error:  # Also one that wants to end the process: that is not for a method.
            raise _raised(error, self._services.modules) from None
        finally:
            failed, self.tables.failed = self.tables.failed, None
            if failed is not None:
                raise DatabaseGaveUp(str(failed)) from failed
        return value

    def _value(self, service: Service, method: Method, call: Called) -> Any:
        args, kwargs = method.made(call.args, call.kwargs)
        value = method.function(service, *args, **kwargs)
        try:
            result = method.result(value)
        except NotPlain as error:
            raise TypeError(f"{call.method} returned what it should not: {error}") from None
        size = len(msgpack.packb(result))
        if size > RESULT_BYTES_AT_MOST:
            raise OverflowError(
                f"{call.method} returned {size} bytes: at most {RESULT_BYTES_AT_MOST} are told"
            )
        return result

    def _set_moment(self, service: Service, moment: Moment | None) -> None:
        if moment is None:
            self._given = Given(self.now(), None)
        else:
            time_us, (session, sequence) = moment
            seed = hashlib.blake2b(f"{session}:{sequence}:{time_us}".encode(), digest_size=16).digest()
            now = _EPOCH + timedelta(microseconds=time_us)
            self._given = Given(now, seed, f"{session}:{sequence}")
        give(service, "_moment", self._given)

    @contextmanager
    def _doing(self, what: Doing) -> Iterator[None]:
        before, self.tables.doing = self.tables.doing, what
        try:
            yield
        finally:
            self.tables.doing = before


def _as_deep_everywhere(work: Callable[[], T]) -> T:
    """Return what this returns, with room for the same recursion on every copy, whatever called it there.

    Else whoever may say how deep a method goes could stop a copy: done here, and too deep there.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(_depth_now() + _RECURSION)
    try:
        return work()
    finally:
        sys.setrecursionlimit(limit)


def _depth_now() -> int:
    """Return how deep the interpreter's stack is: it says so when it refuses a limit below that."""
    try:
        sys.setrecursionlimit(1)
    except RecursionError as error:
        return int(_DEPTH.findall(str(error))[-1])
    raise AssertionError("this is a call within a call")


def _kind(is_update: bool) -> str:
    return "update" if is_update else "query"


def _raised(error: BaseException, modules: Collection[str]) -> Raised:
    """Return an exception as the journal keeps it, and where in these modules it was raised."""
    if isinstance(error, Raised):
        return error
    try:
        words = error.message if isinstance(error, InvalidRequest) else str(error)
    except BaseException:  # Its author may have written anything there, too.
        words = "it does not say what it is"
    try:
        values = plain(list(arguments_of(error)))
        told = json.dumps(values)  # Text in the details of an error, on the wire: bytes are none.
    except (NotPlain, TypeError):
        values, told = None, ""
    if len(told) > _WORDS_AT_MOST:
        values = None
    kind = type(error)
    made = Raised(
        _text(kind.__qualname__, 100), _text(kind.__module__, 200), _text(words, _WORDS_AT_MOST), values
    )
    made.at = line_of(error, modules)
    return made


def _text(words: object, at_most: int) -> str:
    """Return what is said as the journal can keep it: what is no character (a surrogate) is written out."""
    return str(words)[:at_most].encode(errors="backslashreplace").decode()[:at_most]
