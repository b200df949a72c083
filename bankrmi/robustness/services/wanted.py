"""What a client of a service wants: one call, checked and plain, as the journal will have it.

Rule: a call is a value. What it looks like to people, and what makes two of them the same, is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

from bankrmi.replication.record import unpacked
from bankrmi.service.calls import Called, called, packed_call
from bankrmi.service.declaring import Description, Method
from bankrmi.service.in_words import call_in_words, value_in_words
from bankrmi.service.served_services import HOME, ServedServices, qualified

__all__ = ["AskedCall", "CallMaker", "WantedCall", "in_version", "operation_in_words"]

_S = TypeVar("_S")


class AskedCall(Called):
    """A call as a server is asked for it; it is shown as one would write it."""

    __slots__ = ()

    def __str__(self) -> str:
        return call_in_words(self)


class WantedCall:
    """One call of one method."""

    __slots__ = ("_content", "called", "method")

    def __init__(self, method: Method, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """`args` and `kwargs` are as `Method.bound` has returned them."""
        self.method = method
        self.called = AskedCall(method.name, args, kwargs)
        self._content = packed_call(method.name, args, kwargs)

    @property
    def is_update(self) -> bool:
        """Whether it changes the state."""
        return self.method.is_update

    @property
    def operation(self) -> Any:
        """Return it as one operation of a record that was read."""
        [operation] = unpacked(self._content)
        return operation

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WantedCall) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)

    def __str__(self) -> str:
        return call_in_words(self.called)

    def __repr__(self) -> str:
        return f"<{self}>"


def operation_in_words(operation: Any) -> str:
    """Return an operation of a record likewise."""
    try:
        return call_in_words(called(operation))
    except ValueError:
        return value_in_words(operation)


class CallMaker:
    """Stands for a service where nothing is called yet: each of its methods returns the call that is meant.

    A workload is given it, typed as the class itself.
    """

    def __init__(
        self, description: Description | ServedServices, service: str = HOME, *, whole: bool = True
    ) -> None:
        """`service`: whose methods they are, of several. `whole`: with the defaults of arguments that are not
        given; other versions may have others."""
        self._description = description
        self._service = service
        self._whole = whole

    def _in_version(self, version: int) -> CallMaker:
        known, service = self._description, self._service
        if isinstance(known, Description):
            return CallMaker(known.of_version[version], whole=self._whole)
        one = known.find(service)
        assert one is not None
        held = one.of_version[version]
        changed = {"beside": {**known.beside, service: held}} if service else {"home": held}
        return CallMaker(replace(known, **changed), service, whole=self._whole)

    def __getitem__(self, kind: type[_S]) -> _S:
        """Return the one for the service of this class, of several."""
        each = [] if isinstance(self._description, Description) else list(self._description.each())
        found = [name for name, one in each if one.kind is kind]
        if len(found) != 1:
            raise KeyError(f"{kind.__name__} is {'several' if found else 'none'} of {self._description.name}")
        made: Any = CallMaker(self._description, found[0], whole=self._whole)
        return made  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        method = self._description.methods.get(qualified(self._service, name))
        if method is None and self._service == HOME and isinstance(self._description, ServedServices):
            for service, _ in self._description.each():
                if name == self._description.called(service):
                    return CallMaker(self._description, service, whole=self._whole)
        if method is None:
            raise AttributeError(
                f"{self._description.name} has no method {name!r} that is marked update or query"
            )

        @wraps(method.function)
        def meant(*args: Any, **kwargs: Any) -> WantedCall:
            return WantedCall(method, *method.bound(args, kwargs, whole=self._whole))

        return meant

    def __repr__(self) -> str:
        return f"<calls of {self._description.name}>"


def in_version(maker: CallMaker, version: int) -> CallMaker:
    """Return what stands for the service at a client that has the class in this version."""
    return maker._in_version(version)
