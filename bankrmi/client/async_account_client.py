"""The asyncio client of `bankrmi.Account`, where that is served alone; see `account_client`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bankrmi.client.account_client import only_one
from bankrmi.client.aio_client import AsyncBankClient
from bankrmi.client.service_requests import CallsOf
from bankrmi.config import Configuration
from bankrmi.service.declaring import Description

__all__ = ["AsyncAccountClient"]


class AsyncAccountClient(AsyncBankClient):
    """Made by `bankrmi.aio.connect`; an async context manager. Each method of the class is to be awaited."""

    def __init__(
        self,
        description: Description,
        configuration: Configuration,
        *,
        timeout: float | None = None,
        on_waiting: Callable[[], None] | None = None,
        service: str | None = None,  # noqa: ARG002 - there is one
    ) -> None:
        super().__init__(configuration, timeout=timeout, on_waiting=on_waiting)
        self._calls = CallsOf(description)

    def __repr__(self) -> str:
        return f"<asyncio client of the service {self._calls.name}>"

    async def update(
        self,
        method: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        request_id: str | None = None,
    ) -> Any:
        """Call a method that changes the state.

        A `request_id` of one's own ("SESSION:SEQ") makes it safe to repeat the whole call: it is done once.
        """
        found = self._calls.marked(method, is_update=True)
        given, named = found.bound(args, kwargs or {})
        return await getattr(self, found.name)(*given, **named, request_id=request_id)

    async def query(
        self, method: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a method that changes nothing."""
        found = self._calls.marked(method, is_update=False)
        given, named = found.bound(args, kwargs or {})
        return await getattr(self, found.name)(*given, **named)

    async def outcome(self, request_id: str) -> Any:
        """Return, or raise, what came of an update, for good; `Cancelled` if it never arrived.

        Of a request with several operations (`submit`), it is a list.
        """
        return only_one(await super().outcome(request_id))
