"""What an author writes who has an object, and no tables: its attributes are the state.

    class KV(bankrmi.ObjectService):
        def __init__(self) -> None:
            self.items: dict[str, str] = {}
        @bankrmi.update
        def put(self, key: str, value: str) -> None:
            self.items[key] = value
        @bankrmi.query
        def get(self, key: str) -> str | None:
            return self.items.get(key)

Rule 1: attributes of the object are the state, and all of it; those of the class are constants.
Rule 2: what holds for tables holds for attributes: an exception leaves them as they were, a query changes
        none.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bankrmi.service.declaring import Service
from bankrmi.service.object_state import ObjectState

__all__ = ["ObjectService"]

_OURS = frozenset({"db", "_moment", "_others", "_state"})


class ObjectService(Service):
    """What is replicated; its state are its attributes.

    They hold None, bool, int, float, str, bytes, lists, tuples, dicts and dataclasses of those. `__init__`,
    without arguments, says what they begin with, once, when the history of the service begins. A dict that is
    an attribute is kept key by key, so it may be large; anything else is written whole when it has changed.
    """

    _keeps_attributes: ClassVar[bool] = True
    _state: ObjectState

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the state: what the class has is found before."""
        try:
            return object.__getattribute__(self, "_state").get(name)
        except KeyError:
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}: what there is from "
                "the beginning, __init__ sets",
                name=name,
                obj=self,
            ) from None

    def __setattr__(self, name: str, value: object) -> None:
        self._check_name(name)
        object.__getattribute__(self, "_state").set(name, value)

    def __delattr__(self, name: str) -> None:
        self._check_name(name)
        try:
            object.__getattribute__(self, "_state").delete(name)
        except KeyError:
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}", name=name, obj=self
            ) from None

    def _check_name(self, name: str) -> None:
        if name in _OURS or hasattr(type(self), name):
            raise AttributeError(
                f"self.{name} is of the class, and the same for good: give the attribute another name"
            )

    def __dir__(self) -> list[str]:
        state: ObjectState = object.__getattribute__(self, "_state")
        return sorted({*super().__dir__(), *state.names()})
