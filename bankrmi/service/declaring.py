"""What an author writes, and what is made of it.

    class Inventory(bankrmi.Service):
        def create(self):
            self.db.execute("CREATE TABLE item (name TEXT PRIMARY KEY, count INTEGER NOT NULL)")
        @bankrmi.update
        def put(self, name: str, count: int) -> int: ...
        @bankrmi.query
        def get(self, name: str) -> int | None: ...

Rule 1: what cannot be served is refused when the class is looked at, in a sentence, and not when it is
        called.
Rule 2: arguments are checked before anything is recorded, against the signature and the annotations.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Self, TypeVar, overload

from bankrmi.errors import ConfigurationError, InvalidRequest
from bankrmi.replication.code_versions import CodeVersions
from bankrmi.service.plain_values import Annotation, NotPlain, plain
from bankrmi.service.served_alone import ServedAlone
from bankrmi.service.tables import ServiceTables
from bankrmi.service.using import Uses

__all__ = [
    "MIGRATION",
    "Description",
    "Given",
    "Marked",
    "Method",
    "Service",
    "described",
    "migration_name",
    "query",
    "takes_ledger",
    "update",
]

_F = TypeVar("_F", bound=Callable[..., Any])

_MARK = "__bankrmi_method__"
_TAKEN = frozenset(
    {
        *("update", "query", "outcome", "status", "service", "close"),
        *("create", "version", "previous", "served_alone", "db", "now", "random", "new_id"),
    }
)
"""Names that methods of a service cannot have: they are something else on the wire, at a client, or here."""
_LONGEST_NAME = 64
_LEDGER = "ledger"
"""The parameter of a `create` that takes the balances of the ledger file, by account id."""
MIGRATION = re.compile(r"migrate_(\d+)_to_(\d+)")
_VERSION_AT_MOST = 999_999


@dataclass(frozen=True, slots=True)
class Marked:
    """What a decorator noted of a method."""

    is_update: bool
    raises: tuple[type[Exception], ...] = ()


class Given:
    """What a call may go by beside its arguments."""

    __slots__ = ("_random", "_seed", "now", "request_id")

    def __init__(self, now: datetime, seed: bytes | None, request_id: str = "") -> None:
        """`seed` is what chance is drawn from; None: it is another one on every copy.

        `request_id` is that of the call that came from outside; a query has none.
        """
        self.now = now
        self.request_id = request_id
        self._seed = seed
        self._random: Random | None = None

    def random(self) -> Random:
        """Return what draws; the same one in all of a call."""
        if self._random is None:
            self._random = Random(None if self._seed is None else int.from_bytes(self._seed, "big"))
        return self._random


class Service:
    """What is replicated; its state is in SQLite, in `db`, and nowhere else.

    `create` makes the tables, once, when the history of the service begins. Methods that are marked `update`
    change the state, and are run on every copy, so they go by nothing that differs from one to another:
    `now`, `random` and `new_id` are the same on all of them. Methods marked `query` change nothing.

    When the class is changed, it gets the next `version`, and a method `migrate_1_to_2` that makes of its
    tables what the new methods expect; `previous` is the class as it was, by which calls are done until then.
    """

    version: ClassVar[int] = 1
    previous: ClassVar[type[Service] | None] = None
    served_alone: ClassVar[ServedAlone | None] = None
    """What serves the class where it is alone, if the usual way costs too much for it."""
    _keeps_attributes: ClassVar[bool] = False
    """Whether the state are the attributes of the object (see `objects`)."""

    db: ServiceTables
    """The tables of the service."""
    _moment: Given | None
    """What is the same on every copy, of the call that goes on; None in `create`."""
    _others: Any = None
    """What gives another service of the pair, to be called. (Set on the object, by who runs methods.)"""

    @property
    def now(self) -> datetime:
        """When the call was decided, in UTC, by the clock of the server that leads."""
        return self._given().now

    @property
    def random(self) -> Random:
        """Chance that is the same on every copy, and another one in every call."""
        return self._given().random()

    def _given(self) -> Given:
        if self._moment is None:
            raise RuntimeError(
                "`create` is done by each server, and has to come out alike: nothing there may "
                "go by the time, or by chance"
            )
        return self._moment

    def _other_service(self, uses: Uses[Any]) -> Any:
        """Return another service, to be called."""
        if self._others is None:
            raise RuntimeError(
                f"{uses.kind.__name__} is there to be called while a method of {type(self).__name__} runs on "
                "a server, and not before or after"
            )
        return self._others(uses)

    def create(self) -> None:
        """Make the tables. Called once on each copy; what it leaves behind is the opening state.

        With a parameter `ledger` (`ledger: Mapping[int, int] | None = None`) it is given the balances of the
        ledger file, by account id; None where the service is added to a pair that has begun.
        """

    def new_id(self) -> str:
        """Return a text of 32 hexadecimal digits that no other call gets."""
        return f"{self.random.getrandbits(128):032x}"

    # --- of one that `bankrmi.connect` has returned -------------------------------------------------

    def __enter__(self) -> Self:
        """A client is a context manager, that closes it."""
        raise _of_clients("used in a `with`")

    def __exit__(self, *_: object) -> None:
        raise _of_clients("used in a `with`")

    def close(self) -> None:
        """Close a client's connections."""
        raise _of_clients("closed")

    def outcome(self, request_id: str) -> Any:
        """Return what came of a call, for good, or raise what it raised; `Cancelled` if it never arrived."""
        raise _of_clients(f"asked for the outcome of {request_id}")

    def status(self) -> dict[str, Any]:
        """Return what the server that is asked first says of itself."""
        raise _of_clients("asked for its status")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"self.{name} would be kept by one process alone, and lost with it: keep it in self.db"
        )


def _of_clients(what: str) -> RuntimeError:
    return RuntimeError(f"what is {what} is a client of the service, which bankrmi.connect returns")


@overload
def update(method: _F, /) -> _F: ...
@overload
def update(*, raises: Sequence[type[Exception]] = ()) -> Callable[[_F], _F]: ...
def update(method: Any = None, /, *, raises: Sequence[type[Exception]] = ()) -> Any:
    """Mark a method that changes the state. Errors in `raises` are raised at the caller as themselves."""

    def mark(function: _F) -> _F:
        setattr(function, _MARK, Marked(is_update=True, raises=tuple(raises)))
        return function

    return mark if method is None else mark(method)


@overload
def query(method: _F, /) -> _F: ...
@overload
def query(*, raises: Sequence[type[Exception]] = ()) -> Callable[[_F], _F]: ...
def query(method: Any = None, /, *, raises: Sequence[type[Exception]] = ()) -> Any:
    """Mark a method that only reads. Errors in `raises` are raised at the caller as themselves."""

    def mark(function: _F) -> _F:
        setattr(function, _MARK, Marked(is_update=False, raises=tuple(raises)))
        return function

    return mark if method is None else mark(method)


_IN_THEIR_ORDER = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

_Turn = Callable[["Annotation | None", Any], Any]
"""What becomes of one argument, by its annotation."""


def _checked(hint: Annotation | None, value: Any) -> Any:
    return plain(value) if hint is None else hint.checked(value)


def _made(hint: Annotation | None, value: Any) -> Any:
    return value if hint is None else hint.made(value)


class Method:
    """One method of a service that can be called."""

    def __init__(self, name: str, function: Callable[..., Any], marked: Marked) -> None:
        """Raises NotPlain for an annotation that nothing can be checked against."""
        self.name = name
        self.function = function
        self.is_update = marked.is_update
        self.raises = marked.raises
        parameters = list(inspect.signature(function).parameters.values())[1:]
        self.signature = inspect.Signature(parameters)
        hints = typing.get_type_hints(function, include_extras=True)
        self._annotations = {
            parameter.name: Annotation(hints[parameter.name])
            for parameter in parameters
            if parameter.name in hints
        }
        self._result = Annotation(hints["return"]) if "return" in hints else None
        in_their_order = all(parameter.kind in _IN_THEIR_ORDER for parameter in parameters)
        self._plain_names = [parameter.name for parameter in parameters] if in_their_order else None

    def bound(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], *, whole: bool = True
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of a call as plain values; raises InvalidRequest if they are not what it
        takes. `whole`: with the defaults of those that are not given."""
        if self._are_plain(args, kwargs):
            return self._each_plain(args, _checked)
        try:
            given = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidRequest(f"{self.name} does not take these arguments: {error}") from None
        if whole:
            given.apply_defaults()
        return self._each(given, _checked)

    def made(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return what the method is given for arguments that `bound` has returned."""
        if self._are_plain(args, kwargs):
            return self._each_plain(args, _made)
        return self._each(self.signature.bind(*args, **kwargs), _made)

    def _are_plain(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether each argument is given, in its place, as nearly always: then nothing has to be bound."""
        return not kwargs and self._plain_names is not None and len(args) == len(self._plain_names)

    def _each_plain(self, args: Sequence[Any], turn: _Turn) -> tuple[list[Any], dict[str, Any]]:
        assert self._plain_names is not None
        turned = []
        for name, value in zip(self._plain_names, args, strict=True):
            try:
                turned.append(turn(self._annotations.get(name), value))
            except NotPlain as error:
                raise self._takes_no_such(name, error) from None
        return turned, {}

    def _takes_no_such(self, name: str, error: NotPlain) -> InvalidRequest:
        return InvalidRequest(f"{self.name} takes no such {name}: {error}")

    def _each(self, given: inspect.BoundArguments, turn: _Turn) -> tuple[list[Any], dict[str, Any]]:
        several = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
        for name, value in given.arguments.items():
            annotation, kind = self._annotations.get(name), self.signature.parameters[name].kind
            try:
                if kind not in several:
                    given.arguments[name] = turn(annotation, value)
                elif kind is inspect.Parameter.VAR_POSITIONAL:
                    given.arguments[name] = tuple(turn(annotation, one) for one in value)
                else:
                    given.arguments[name] = {key: turn(annotation, one) for key, one in value.items()}
            except NotPlain as error:
                raise self._takes_no_such(name, error) from None
        return list(given.args), dict(given.kwargs)

    def returned(self, value: Any) -> Any:
        """Return what the method returned for what a caller was told of it; raises NotPlain."""
        return value if self._result is None else self._result.made(value)

    def result(self, value: object) -> Any:
        """Return what the method returned, as plain values; raises NotPlain."""
        return plain(value) if self._result is None else self._result.checked(value)


@dataclass(frozen=True)
class Description:
    """A class that can be served."""

    kind: type[Service]
    methods: Mapping[str, Method]
    previous: Description | None = None
    uses: Mapping[str, Uses[Any]] = field(default_factory=dict)
    """The other services that it calls, by attribute."""

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.kind.__name__

    @property
    def version(self) -> int:
        """Of the class."""
        return self.kind.version

    @property
    def served_alone(self) -> ServedAlone | None:
        """What the class itself brings to be served alone: not what it inherits from has."""
        found: ServedAlone | None = vars(self.kind).get("served_alone")
        return found

    @cached_property
    def takes_ledger(self) -> bool:
        """Whether it opens with the accounts of the ledger file."""
        return takes_ledger(self.kind.create)

    @cached_property
    def of_version(self) -> Mapping[int, Description]:
        """The class in each version that is known, by that, the newest first."""
        known, one = {}, typing.cast("Description | None", self)
        while one is not None:
            known[one.version], one = one, one.previous
        return known

    def migration(self, target: int) -> tuple[Description, Callable[..., None]] | None:
        """Return what makes this version of the one before, and which class has it; None if none has."""
        for one in self.of_version.values():
            found = getattr(one.kind, migration_name(target), None)
            if one.version >= target and found is not None:
                return one, found
        return None

    @cached_property
    def code(self) -> CodeVersions:
        """What this class knows."""
        reached = self.version
        while reached > 1 and self.migration(reached) is not None:
            reached -= 1
        return CodeVersions(min(self.of_version), self.version, reached, _digest_of_source(self.kind))


def migration_name(target: int) -> str:
    """Return how the method is called that makes this version of the one before."""
    return f"migrate_{target - 1}_to_{target}"


def _digest_of_source(kind: type) -> str:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    try:
        return hashlib.blake2b(Path(file).read_bytes(), digest_size=8).hexdigest() if file else ""
    except OSError:
        return ""


def described(kind: object) -> Description:
    """Return what is known of a class; raises ConfigurationError if it cannot be served."""
    if not (isinstance(kind, type) and issubclass(kind, Service)):
        raise ConfigurationError(
            f"{_named(kind)} is not a service: make it a class that inherits from bankrmi.Service"
        )
    _check_beginning(kind)
    methods = {}
    for name, function in inspect.getmembers(kind, callable):
        marked = getattr(function, _MARK, None)
        if marked is not None:
            methods[name] = _method(kind, name, function, marked)
    if not methods:
        raise ConfigurationError(
            f"{kind.__name__} has no method that is marked with @bankrmi.update or @bankrmi.query: "
            "nobody could call it"
        )
    version: object = kind.version
    if type(version) is not int or not 1 <= version <= _VERSION_AT_MOST:
        raise ConfigurationError(
            f"{kind.__name__}.version is {version!r:.60}: it is a whole number from 1 on"
        )
    _check_migrations(kind)
    _check_alone(kind)
    return Description(kind, methods, _previous(kind), _uses(kind))


def takes_ledger(create: Callable[..., None]) -> bool:
    """Whether a `create` is given the ledger."""
    return _LEDGER in inspect.signature(create).parameters


def _check_alone(kind: type[Service]) -> None:
    brought: object = vars(kind).get("served_alone")
    if brought is not None and not isinstance(brought, ServedAlone):
        raise ConfigurationError(
            f"{kind.__name__}.served_alone is {brought!r:.60}: it is a bankrmi.service.ServedAlone, or None"
        )
    if brought is not None and (kind.version != 1 or kind._keeps_attributes):
        raise ConfigurationError(
            f"{kind.__name__}.served_alone names a state machine, which knows nothing of versions, nor of "
            "attributes: it is for a bankrmi.Service of version 1"
        )


def _uses(kind: type[Service]) -> dict[str, Uses[Any]]:
    found = {}
    for name in dir(kind):
        uses = inspect.getattr_static(kind, name, None)
        if isinstance(uses, Uses):
            try:
                used: object = uses.kind
            except NameError as error:
                raise ConfigurationError(f"{kind.__name__}.{name} uses what is not there: {error}") from None
            if not (isinstance(used, type) and issubclass(used, Service)):
                raise ConfigurationError(
                    f"{kind.__name__}.{name} uses {_named(used)}, which is no service: name a class that "
                    "inherits from bankrmi.Service"
                )
            found[name] = uses
    return found


def _check_beginning(kind: type[Service]) -> None:
    begins: Any = kind.__init__
    if begins is Service.__init__:
        return
    name = kind.__name__
    if not kind._keeps_attributes:
        raise ConfigurationError(f"{name} has an __init__: what it begins with belongs in `create`")
    if kind.create is not Service.create:
        raise ConfigurationError(
            f"{name} has an __init__, and `create`: what it begins with belongs in one of them"
        )
    if len(inspect.signature(begins).parameters) != 1:
        raise ConfigurationError(f"{name}.__init__ is called by the servers, once: with self only")


def _previous(kind: type[Service]) -> Description | None:
    """Return the class as it was in the version before, if it is named."""
    named: object = kind.previous
    if named is None:
        return None
    if named is kind:
        raise ConfigurationError(f"{kind.__name__} is its own `previous`: name the class as it was before")
    before = described(named)
    if before.kind._keeps_attributes is not kind._keeps_attributes:
        raise ConfigurationError(
            f"{kind.__name__} and its `previous` keep their state in different ways: both in tables "
            "(bankrmi.Service), or both in attributes (bankrmi.ObjectService)"
        )
    if before.version != kind.version - 1:
        raise ConfigurationError(
            f"{kind.__name__} is of version {kind.version}, and `previous` of version {before.version}: name "
            f"the class as it was in version {kind.version - 1}"
        )
    return before


def _check_migrations(kind: type[Service]) -> None:
    for name, function in inspect.getmembers(kind, callable):
        found = MIGRATION.fullmatch(name)
        if found is None:
            continue
        before, after = int(found[1]), int(found[2])
        where = f"{kind.__name__}.{name}"
        if after != before + 1 or not 1 < after <= kind.version:
            raise ConfigurationError(
                f"{where} is none of this class's migrations: it has version "
                f"{kind.version}, and they go from "
                "each version to the next one"
            )
        if hasattr(function, _MARK) or len(inspect.signature(function).parameters) != 1:
            raise ConfigurationError(
                f"{where} is called by the servers alone: without a mark, with self only"
            )


def _method(kind: type, name: str, function: Callable[..., Any], marked: Marked) -> Method:
    where = f"{kind.__name__}.{name}"
    if name in _TAKEN or name.startswith("_"):
        raise ConfigurationError(f"{where} cannot be called that: the name is taken, or begins with _")
    if len(name) > _LONGEST_NAME:
        raise ConfigurationError(f"{where} has a name of more than {_LONGEST_NAME} characters")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"{where} is a coroutine: a method of a service waits for nothing, write it with def"
        )
    if inspect.isgeneratorfunction(function):
        raise ConfigurationError(f"{where} is a generator: return a list")
    declared: tuple[object, ...] = marked.raises
    for error in declared:
        if not (isinstance(error, type) and issubclass(error, Exception)):
            raise ConfigurationError(f"{where} is said to raise {_named(error)}, which is no exception")
    try:
        return Method(name, function, marked)
    except (NotPlain, NameError, TypeError) as error:
        raise ConfigurationError(f"{where} has an annotation that cannot be used: {error}") from None


def _named(what: object) -> str:
    return what.__name__ if isinstance(what, type) else f"{what!r:.60}"
