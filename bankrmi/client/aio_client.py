"""The asyncio client of a bank: `async with await bankrmi.aio.connect("config.yaml") as bank:`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from bankrmi.bank.operations import Receipt
from bankrmi.bank.statements import Statement, Total
from bankrmi.client.finding import served_alone, service_called, what_to_connect
from bankrmi.client.loop_client import LoopClient
from bankrmi.client.requests import (
    Operation,
    asked_balance,
    asked_outcome,
    asked_statement,
    asked_status,
    asked_total,
    closed,
    deposited,
    opened,
    submitted,
    transferred,
    withdrawn,
)
from bankrmi.config import Configuration
from bankrmi.errors import Refused

if TYPE_CHECKING:
    from bankrmi.client.async_service_client import AsyncServiceClient

__all__ = ["AsyncBankClient", "connect"]


@overload
async def connect(
    configuration: str | Path | Configuration | None = None,
    *,
    timeout: float | None = None,
    on_waiting: Callable[[], None] | None = None,
    insecure: bool = False,
    nameserver: str | None = None,
    certificates: str | Path | None = None,
) -> AsyncBankClient: ...
@overload
async def connect(
    kind: type,
    /,
    configuration: str | Path | Configuration | None = None,
    *,
    timeout: float | None = None,
    on_waiting: Callable[[], None] | None = None,
    insecure: bool = False,
    nameserver: str | None = None,
    certificates: str | Path | None = None,
    service: str | None = None,
) -> AsyncServiceClient: ...
async def connect(  # type: ignore[misc]  # By position it is the first, by name the second.
    first: Any = None,
    /,
    configuration: Any = None,
    *,
    timeout: float | None = None,
    on_waiting: Callable[[], None] | None = None,
    insecure: bool = False,
    nameserver: str | None = None,
    certificates: str | Path | None = None,
    service: str | None = None,
) -> AsyncBankClient | AsyncServiceClient:
    """Return a client of the bank, or of the class, that is described; see `bankrmi.connect`."""
    kind, found = what_to_connect(
        first, configuration, nameserver, insecure=insecure, certificates=certificates
    )
    called = service_called(found, kind, service)
    if kind is None:
        return AsyncBankClient(found, timeout=timeout, on_waiting=on_waiting)
    from bankrmi.client.async_service_client import AsyncServiceClient
    from bankrmi.service.declaring import described
    from bankrmi.service.served_alone import load_part

    description = described(kind)
    alone = served_alone(found, description, service)
    make: Callable[..., Any] = AsyncServiceClient if alone is None else load_part(alone.async_client)
    made: AsyncServiceClient = make(
        description, found, timeout=timeout, on_waiting=on_waiting, service=called
    )
    return made


class AsyncBankClient(LoopClient):
    """A bank account's counter for asyncio. Made by `connect`; an async context manager."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        timeout: float | None = None,
        on_waiting: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(configuration, timeout=timeout, on_waiting=on_waiting)
        self._most_operations = configuration.limits.operations_per_request

    async def balance(self, account: int) -> Receipt:
        """Return the balance, the newest that anybody was told of."""
        receipt: Receipt = await self._perform(asked_balance(account))
        return receipt

    async def withdraw(self, account: int, amount: int, *, request_id: str | None = None) -> Receipt:
        """Take money off; raises `InsufficientFunds` or `AccountNotFound` if that cannot be."""
        receipt: Receipt = await self._perform(withdrawn(account, amount, request_id))
        return receipt

    async def deposit(self, account: int, amount: int, *, request_id: str | None = None) -> Receipt:
        """Put money on; raises `BalanceTooLarge` or `AccountNotFound` if that cannot be."""
        receipt: Receipt = await self._perform(deposited(account, amount, request_id))
        return receipt

    async def transfer(
        self, from_account: int, to_account: int, amount: int, *, request_id: str | None = None
    ) -> Receipt:
        """Take money off one account and put it on another: both, or neither.

        The receipt has the balance of the account that paid. Raises `InsufficientFunds`, `BalanceTooLarge`
        (of the other account) or `AccountNotFound` if that cannot be; `account` says of which it speaks.
        """
        request = transferred(from_account, to_account, amount, request_id)
        receipt: Receipt = await self._perform(request)
        return receipt

    async def open_account(self, account: int, *, request_id: str | None = None) -> Receipt:
        """Have an account where there is none; it begins at 0. Raises `AccountExists` if there is one."""
        receipt: Receipt = await self._perform(opened(account, request_id))
        return receipt

    async def close_account(self, account: int, *, request_id: str | None = None) -> Receipt:
        """Have an account no more; raises `AccountNotEmpty` unless its balance is 0, or `AccountNotFound`."""
        receipt: Receipt = await self._perform(closed(account, request_id))
        return receipt

    async def submit(
        self, operations: Sequence[Operation], *, request_id: str | None = None
    ) -> list[Receipt | Refused]:
        """Do many operations in one request, each decided on its own, in their order."""
        request = submitted(operations, request_id, at_most=self._most_operations)
        results: list[Receipt | Refused] = await self._perform(request)
        return results

    async def total(self) -> Total:
        """Return what all accounts hold together, and after which entry."""
        total: Total = await self._perform(asked_total())
        return total

    async def statement(self, account: int, *, since: int = 0, limit: int = 100) -> Statement:
        """Return the newest `limit` entries of an account, of those above the action id `since`.

        The journal is looked through from `since` on, in many calls if it is long, each with the time of one.
        """
        whole: Statement = await self._perform(asked_statement(account, since, limit))
        newest = whole.action_id
        while whole.through < newest:
            whole = whole.continued(
                await self._perform(asked_statement(account, whole.through, limit)), limit
            )
        return whole

    async def outcome(self, request_id: str) -> list[Receipt | Refused]:
        """Return what became of a request, for good; `Cancelled` if it never arrived, and now never will."""
        results: list[Receipt | Refused] = await self._perform(asked_outcome(request_id))
        return results

    async def status(self) -> dict[str, Any]:
        """Return what the server that is asked first says of itself."""
        status: dict[str, Any] = await self._perform(asked_status())
        return status
