"""The asyncio client of a class that is replicated: `await store.put("apple", 3)`; see `service_client`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

from bankrmi.client.loop_client import LoopClient
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

__all__ = ["AsyncServiceClient", "WholeAnswers"]


class AsyncServiceClient(MethodsByName, LoopClient):
    """Made by `bankrmi.aio.connect`; an async context manager. Each method of the class is to be awaited."""

    _kind = "asyncio client"

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
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._called(method, args, kwargs, None)

        return call

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._calls.methods})

    async def outcome(self, request_id: str) -> Any:
        """Return, or raise, what came of an update, for good; `Cancelled` if it never arrived."""
        return await self._done(asked_outcome_of_call(request_id), self._calls.methods.values())

    async def _called(
        self, method: Method, args: Sequence[Any], kwargs: Mapping[str, Any], request_id: str | None
    ) -> Any:
        return await self._done(asked(method, args, kwargs, request_id), [method])

    async def _done(self, request: Request, methods: Iterable[Method]) -> Any:
        try:
            return await self._perform(request)
        except ServiceError as error:
            raised = declared_error(error, methods)
            if raised is error:
                raise
            raise raised from error

    async def status(self) -> dict[str, Any]:
        """Return what the server that is asked first says of itself."""
        status: dict[str, Any] = await self._perform(asked_status())
        return status


class WholeAnswers(AsyncServiceClient):
    """The same, for whoever wants to see of which record of which history an answer is."""

    async def whole(self, request: Request) -> dict[str, Any]:
        """Return the answer as it is, if it can be the answer: with `value`, `action_id` and `history`."""

        def read(answer: Any, sent_as: str | None) -> Any:
            request.read(answer, sent_as)
            return answer

        answer: dict[str, Any] = await self._perform(request._replace(read=read))
        return answer
