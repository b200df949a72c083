"""The asyncio client of `bankrmi.Account`, where that is served alone; see `account_client`."""

from __future__ import annotations

from typing import Any

from bankrmi.client.account_client import AccountByName, only_one
from bankrmi.client.aio_client import AsyncBankClient

__all__ = ["AsyncAccountClient"]


class AsyncAccountClient(AccountByName, AsyncBankClient):
    """Made by `bankrmi.aio.connect`; an async context manager. Each method of the class is to be awaited."""

    _kind = "asyncio client"

    async def outcome(self, request_id: str) -> Any:
        """Return, or raise, what came of an update, for good; `Cancelled` if it never arrived.

        Of a request with several operations (`submit`), it is a list.
        """
        return only_one(await super().outcome(request_id))
