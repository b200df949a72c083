"""One method, run within bounds.

Rule 1: whatever a method does, this returns its value or raises `Raised`: what it raised, that it took too
        long, that it wanted to end the process. A disk that fails is no exception of the method's:
        `DatabaseGaveUp`.
Rule 2: a method has so many milliseconds of the processor's time, and three times as long by the clock: a
        busy machine is no reason to fail. Then it is interrupted, in Python by a signal, in SQL by SQLite,
        again and again until it gives in. Only the server that decides counts the time: the others follow
        what is recorded.
Rule 3: an update sees the time, chance and ids of its record.
Assumption: called in the main thread; elsewhere only SQL is interrupted.
"""

from __future__ import annotations

import hashlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any, NamedTuple, TypeVar

import apsw
import msgpack

from bankrmi.errors import InvalidRequest
from bankrmi.service.calls import Called, Raised
from bankrmi.service.declaring import Description, Given, Method, Service, migration_name
from bankrmi.service.guard import watched
from bankrmi.service.kept_values import KeptValues
from bankrmi.service.object_state import ObjectState
from bankrmi.service.plain_values import NotPlain, plain
from bankrmi.service.tables import DatabaseGaveUp, Doing, ServiceTables
from bankrmi.service.traced import line_of
from bankrmi.storage.state_machine import Moment

__all__ = ["Runner"]

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AGAIN_SECONDS = 0.02
_STEPS = 10_000
"""Of SQLite's machine, between two looks at the clock: some 0.1 ms."""
_WORDS_AT_MOST = 1000
RESULT_BYTES_AT_MOST = 1 << 16
"""Packed: what came of a group of calls goes to the other copies in one message."""
_monotonic, _thread_time, _signal, _setitimer = (
    time.monotonic,
    time.thread_time,
    signal.signal,
    signal.setitimer,
)
_WAITING_TIMES = 3
"""So many times longer than it may work a method may take: others have the processor, or it sleeps."""


class _Deadline(NamedTuple):
    """Until when a method may go on: by the processor's time of this thread, and by the clock."""

    work_s: float
    end_s: float


class _OutOfTime(BaseException):
    """It took too long. Not an `Exception`: a method that catches those does not catch this."""


class Runner:
    """Runs the methods of one class on one database."""

    def __init__(self, description: Description, database: apsw.Connection, *, limit_ms: float) -> None:
        self._description = description
        self._limit_s = limit_ms / 1000
        self._deadline: _Deadline | None = None
        self._rings = False  # Whether the alarm is for the method that runs.
        self.tables = ServiceTables(database)
        self._services: dict[int, Service] = {}
        self._states: dict[int, ObjectState] = {}  # Of those whose state are attributes.
        self._newest_state: ObjectState | None = None  # Whose memory is of now.
        for version, one in description.of_version.items():
            kind = one.kind
            service = self._services[version] = kind.__new__(kind)
            if kind._keeps_attributes:
                self._states[version] = ObjectState(self.tables, KeptValues(kind.__module__))
                _give(service, "_state", self._states[version])
            else:
                _give(service, "db", self.tables)
        database.set_progress_handler(self._is_over, _STEPS)

    def forget(self) -> None:
        """The database has changed by itself: nothing in memory is of now."""
        for state in self._states.values():
            state.forget()

    def prepare(self, version: int) -> None:
        """Have in memory what the database has, if it is much: no call waits for that then."""
        with suppress(Raised):  # Whoever calls is told.
            self._state_of(version)

    def _state_of(self, version: int) -> ObjectState | None:
        """Return the attributes of the class in this version, as the database has them; None: it has
        tables."""
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

    def now(self) -> datetime:
        """Return what a query is told of the time."""
        return datetime.now(UTC)

    def create(self) -> None:
        """Make the tables of the service."""
        version = self._description.version
        service, state = self._services[version], self._states.get(version)
        _give(service, "_moment", None)
        with self._doing(Doing.CREATE), watched(self._description.kind.__module__, is_update=True):
            if state is None:
                service.create()
                return
            state.make_table()
            begin: Any = type(service).__init__
            if begin is not Service.__init__:
                begin(service)
            else:
                service.create()
            state.write()
            self._newest_state = state

    def run(self, call: Called, moment: Moment | None, *, version: int, limited: bool) -> Any:
        """Return what the method returns, as plain values; raises Raised.

        `moment`: of an update; None: a query. `version` is that of the tables, and of the class.
        """
        known = self._description.of_version.get(version)
        method = None if known is None else known.methods.get(call.method)
        is_update = moment is not None
        if known is None or method is None or method.is_update is not is_update:
            where = "" if version == 1 else f" in version {version}"
            raise Raised(
                "LookupError", "builtins", f"there is no {_kind(is_update)} {call.method!r:.80}{where}", None
            )
        service, doing = self._services[version], Doing.UPDATE if is_update else Doing.QUERY
        state = self._state_of(version)
        limit_s = self._limit_s if limited else 0.0

        def work() -> Any:
            value = self._value(service, method, call)
            if state is not None:
                state.write() if is_update else state.end_query()
            return value

        try:
            return self._bounded(work, call.method, service, moment, doing, limit_s)
        except Raised:
            if state is not None:
                state.take_back()
            raise

    def migrate(
        self, target: int, moment: Moment, work: Callable[[Callable[[], None]], T], limit_s: float
    ) -> T:
        """Return what `work` does, around the migration that it is given; raises Raised. 0: without a
        limit."""
        found = self._description.migration(target)
        if found is None:
            raise Raised("LookupError", "builtins", f"there is no {migration_name(target)}", None)
        known, function = found
        service, state = self._services[known.version], self._state_of(known.version)

        def migration() -> None:
            with self._doing(Doing.MIGRATION):
                function(service)
                if state is not None:
                    state.write()

        try:
            return self._bounded(
                lambda: work(migration),
                migration_name(target),
                service,
                moment,
                Doing.OURS,
                limit_s,
                ": while automatic takeover is paused (`bankrmi pause`) it is given more, and is tried again",
            )
        except Raised:
            self.forget()
            raise

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
                value = self._in_time(limit_s, work)
        except DatabaseGaveUp:
            raise
        except _OutOfTime:
            raise Raised(
                "TimeoutError", "builtins", f"{name} took more than {limit_s * 1000:.0f} ms{more}", None
            ) from None
        except BaseException as error:  # Also one that wants to end the process: that is not for a method.
            raise _raised(error, self._description.kind.__module__) from None
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
            _give(service, "_moment", Given(self.now(), None))
            return
        time_us, (session, sequence) = moment
        seed = hashlib.blake2b(f"{session}:{sequence}:{time_us}".encode(), digest_size=16).digest()
        _give(service, "_moment", Given(_EPOCH + timedelta(microseconds=time_us), seed))

    @contextmanager
    def _doing(self, what: Doing) -> Iterator[None]:
        before, self.tables.doing = self.tables.doing, what
        try:
            yield
        finally:
            self.tables.doing = before

    # -- time ------------------------------------------------------------------------------------

    def _is_over(self) -> bool:
        """Whether SQLite is to give up what it does; asked by it."""
        deadline = self._deadline
        return deadline is not None and (_thread_time() > deadline.work_s or _monotonic() > deadline.end_s)

    def _in_time(self, limit_s: float, work: Callable[[], T]) -> T:
        """Do it; raise _OutOfTime when its time is over (0: it has all the time in the world).

        In one function, and its first act at the end is one assignment: wherever the alarm rings then, it is
        not heard any more. Whoever had the alarm before has it again afterwards.
        """
        if limit_s <= 0:
            return work()
        began = _monotonic()
        self._deadline = _Deadline(_thread_time() + limit_s, began + _WAITING_TIMES * limit_s)
        in_main = threading.current_thread() is threading.main_thread()
        if in_main:
            before = _signal(signal.SIGALRM, self._ring)
            left_s, every_s = _setitimer(signal.ITIMER_REAL, limit_s, _AGAIN_SECONDS)
        try:
            self._rings = in_main
            value = work()
            if self.tables.is_over:  # It was interrupted, and has made something else of it.
                raise _OutOfTime
            return value
        except apsw.InterruptError:
            raise _OutOfTime from None
        finally:
            self._rings = False
            self._deadline = None
            if in_main:
                _setitimer(signal.ITIMER_REAL, 0)
                _signal(signal.SIGALRM, before)
                if left_s:
                    left_s -= _monotonic() - began
                    _setitimer(signal.ITIMER_REAL, max(0.001, left_s), every_s)

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        if self._rings and self._is_over():
            raise _OutOfTime


def _give(service: Service, name: str, value: object) -> None:
    object.__setattr__(service, name, value)


def _kind(is_update: bool) -> str:
    return "update" if is_update else "query"


def _raised(error: BaseException, module: str) -> Raised:
    """Return an exception as the journal keeps it, and where in this module it was raised."""
    if isinstance(error, Raised):
        return error
    try:
        words = error.message if isinstance(error, InvalidRequest) else str(error)
    except BaseException:  # Its author may have written anything there, too.
        words = "it does not say what it is"
    try:
        values = plain(list(error.args))
        told = json.dumps(values)  # Text in the details of an error, on the wire: bytes are none.
    except (NotPlain, TypeError):
        values, told = None, ""
    if len(told) > _WORDS_AT_MOST:
        values = None
    kind = type(error)
    made = Raised(
        _text(kind.__qualname__, 100), _text(kind.__module__, 200), _text(words, _WORDS_AT_MOST), values
    )
    made.at = line_of(error, module)
    return made


def _text(words: object, at_most: int) -> str:
    """Return what is said as the journal can keep it: what is no character (a surrogate) is written out."""
    return str(words)[:at_most].encode(errors="backslashreplace").decode()[:at_most]
