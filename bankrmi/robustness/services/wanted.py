"""What a client of a service wants: one call, checked and plain, as the journal will have it.

Rule: a call is a value. What it looks like to people, and what makes two of them the same, is here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from bankrmi.replication.record import unpacked
from bankrmi.service.calls import Called, called, packed_call
from bankrmi.service.declaring import Description, Method
from bankrmi.service.in_words import call_in_words, value_in_words

__all__ = ["AskedCall", "CallMaker", "WantedCall", "in_version", "operation_in_words"]


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

    def __init__(self, description: Description, *, whole: bool = True) -> None:
        """`whole`: with the defaults of arguments that are not given; other versions may have others."""
        self._description = description
        self._whole = whole

    def _in_version(self, version: int) -> CallMaker:
        return CallMaker(self._description.of_version[version], whole=self._whole)

    def __getattr__(self, name: str) -> Callable[..., WantedCall]:
        method = self._description.methods.get(name)
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
