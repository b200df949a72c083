"""What a service says of another one of its pair: that it calls it, as a plain object (S8).

    class Orders(bankrmi.Service):
        stock = bankrmi.Uses(Inventory)

        @bankrmi.update(raises=[OutOfStock])
        def place(self, name: str, count: int) -> str:
            self.stock.take(name, count)
            ...

Rule: it is typed as an object of that class, and what can be called of it are its updates and queries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

if TYPE_CHECKING:
    from bankrmi.service.declaring import Service

__all__ = ["Uses"]

_S = TypeVar("_S", bound="Service")


class Uses(Generic[_S]):
    """An attribute of a service that is another service of the same pair of servers."""

    @overload
    def __init__(self, kind: type[_S], *, service: str | None = None) -> None: ...
    @overload
    def __init__(self, kind: Callable[[], type[_S]], *, service: str | None = None) -> None: ...
    def __init__(self, kind: Any, *, service: str | None = None) -> None:
        """`kind` is its class; or, where that stands further down, `lambda: Inventory`.

        `service` is its name in the configuration, where the class is served under several.
        """
        self._kind = kind
        self.service = service

    @property
    def kind(self) -> type[Service]:
        """The class that is used."""
        found: type[Service] = self._kind if isinstance(self._kind, type) else self._kind()
        return found

    @overload
    def __get__(self, service: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, service: Service, owner: type | None = None) -> _S: ...
    def __get__(self, service: Any, owner: type | None = None) -> Any:
        if service is None:
            return self
        return service._other_service(self)

    def __set__(self, service: Service, value: object) -> None:
        raise AttributeError("another service of the pair is the same for good: it is called, and not set")
