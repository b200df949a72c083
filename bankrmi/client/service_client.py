"""The client of a class that is replicated: `connect(Inventory, "inventory.yaml").put("apple", 3)`.

Its methods are those of the class, and what they return or raise is what the class does. Each is one call of
`blocking_client`: the same retries, the same request ids, the same errors of the way.

Rule: nothing of the class is run here; it says what can be called, and with what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

from bankrmi.client.blocking_client import BlockingClient
from bankrmi.client.methods_by_name import MethodsByName
from bankrmi.client.requests import Request, asked_status
from bankrmi.client.service_requests import (
    CallsOf,
    asked,
    asked_outcome_of_call,
    declared_error,
)
from bankrmi.config import Configuration
from bankrmi.errors import ServiceError
from bankrmi.service.declaring import Description, Method

__all__ = ["AnyServiceClient", "ServiceClient"]


class AnyServiceClient(BlockingClient):
    """What can be asked of a service without its class."""

    def outcome(self, request_id: str) -> Any:
        """Return what came of an update, for good; raise `ServiceError` if it raised something.

        `Cancelled` if it never arrived, and now never will.
        """
        return self._perform(asked_outcome_of_call(request_id))

    def status(self) -> dict[str, Any]:
        """Return what the server that is asked first says of itself; see `overview` for all of them."""
        status: dict[str, Any] = self._perform(asked_status())
        return status


class ServiceClient(MethodsByName, AnyServiceClient):
    """Made by `connect`; a context manager; usable from several threads."""

    def __init__(
        self,
        description: Description,
        configuration: Configuration,
        *,
        timeout: float | None = None,
        on_waiting: Callable[[], None] | None = None,
        service: str | None = None,
    ) -> None:
        super().__init__(configuration, timeout=timeout, on_waiting=on_waiting, service=service)
        self._calls = CallsOf(description)

    def __getattr__(self, name: str) -> Any:
        """Return a method of the class."""
        if name.startswith("_"):
            raise AttributeError(name)
        method = self._calls.find(name, self)

        @wraps(method.function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._called(method, args, kwargs, None)

        return call

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._calls.methods})

    def outcome(self, request_id: str) -> Any:
        """Return, or raise, what came of an update, for good; `Cancelled` if it never arrived."""
        return self._done(asked_outcome_of_call(request_id), self._calls.methods.values())

    def _called(
        self, method: Method, args: Sequence[Any], kwargs: Mapping[str, Any], request_id: str | None
    ) -> Any:
        return self._done(asked(method, args, kwargs, request_id), [method])

    def _done(self, request: Request, methods: Iterable[Method]) -> Any:
        try:
            return self._perform(request)
        except ServiceError as error:
            raised = declared_error(error, methods)
            if raised is error:
                raise
            raise raised from error
