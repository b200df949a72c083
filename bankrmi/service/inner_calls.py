"""One service called by another of its pair, within one update or query (S8).

Rule 1: it is called as from outside: arguments are checked, and what comes back is a value of the caller's
        own. Nothing of the other service's object is to be had but its updates and queries.
Rule 2: an exception changes nothing: what the inner call had changed is taken back before the caller sees it.
Rule 3: a query calls no updates; and no service is called again while a call of it goes on, so calls go no
        deeper than there are services.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import apsw

from bankrmi.service.declaring import Description, Method

__all__ = ["CallPath", "OtherService", "in_savepoint"]

_SAVEPOINT, _RELEASE, _ROLL_BACK = "SAVEPOINT inner", "RELEASE inner", "ROLLBACK TO inner"


class OtherService:
    """Another service, as a method sees it."""

    __slots__ = ("_call", "_known")

    def __init__(
        self, known: Description, call: Callable[[Method, Sequence[Any], Mapping[str, Any]], Any]
    ) -> None:
        self._known = known
        self._call = call

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = self._known.methods.get(name)
        if method is None:
            raise AttributeError(
                f"{self._known.name} has no method {name!r} that is marked update or query, and nothing else "
                "of another service can be used",
                name=name,
                obj=self,
            )

        @wraps(method.function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._call(method, args, kwargs)

        return call

    def __setattr__(self, name: str, value: object) -> None:
        if name not in OtherService.__slots__:
            raise AttributeError(f"{name} is of another service: only its own methods change what it keeps")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<the service {self._known.name}, beside this one>"


class CallPath:
    """Which services have called which, in the call that goes on."""

    def __init__(self, in_words: Callable[[str], str]) -> None:
        """`in_words`: a method as people write it."""
        self._in_words = in_words
        self._steps: list[tuple[str, str]] = []
        self.entered: dict[str, None] = {}
        """The methods that were called by other services, since the call began, each once."""

    def begin(self, service: str, method: str) -> None:
        """A call from outside begins."""
        self._steps = [(service, method)]
        if self.entered:
            self.entered = {}

    def end(self) -> None:
        """It is over."""
        self._steps = []

    @property
    def is_empty(self) -> bool:
        """Whether no method runs."""
        return not self._steps

    @property
    def service(self) -> str:
        """Whose method runs."""
        return self._steps[-1][0]

    @contextmanager
    def deeper(self, service: str, method: str) -> Iterator[None]:
        """A call of another service, until the context ends; raises RuntimeError if its call goes on
        already."""
        if any(one == service for one, _ in self._steps):
            steps = [*(step for _, step in self._steps), method]
            way = ", which calls ".join(map(self._in_words, steps))
            raise RuntimeError(f"{way}: a service is not called again while a call of it goes on")
        self._steps.append((service, method))
        self.entered[method] = None
        try:
            yield
        finally:
            self._steps.pop()


@contextmanager
def in_savepoint(database: apsw.Connection) -> Iterator[None]:
    """Take back what is changed until the context ends if it ends with an exception."""
    database.execute(_SAVEPOINT)
    try:
        yield
    except BaseException:
        if database.in_transaction:  # Else a statement was interrupted, and all of the call is taken back.
            database.execute(_ROLL_BACK)
            database.execute(_RELEASE)
        raise
    database.execute(_RELEASE)
