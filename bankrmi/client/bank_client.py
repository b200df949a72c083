"""The blocking client: `with connect("config.yaml") as bank: bank.withdraw(2, 10)`; and that of a service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

from bankrmi.bank.operations import Receipt
from bankrmi.bank.statements import Statement, Total
from bankrmi.client.blocking_client import BlockingClient
from bankrmi.client.finding import served_alone, service_called, what_to_connect
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

__all__ = ["BankClient", "connect"]

_Served = TypeVar("_Served")


@overload
def connect(
    configuration: str | Path | Configuration | None = None,
    *,
    timeout: float | None = None,
    on_waiting: Callable[[], None] | None = None,
    insecure: bool = False,
    nameserver: str | None = None,
    certificates: str | Path | None = None,
) -> BankClient: ...
@overload
def connect(
    kind: type[_Served],
    /,
    configuration: str | Path | Configuration | None = None,
    *,
    timeout: float | None = None,
    on_waiting: Callable[[], None] | None = None,
    insecure: bool = False,
    nameserver: str | None = None,
    certificates: str | Path | None = None,
    service: str | None = None,
) -> _Served: ...
def connect(  # type: ignore[misc]  # By position it is the first, by name the second.
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
) -> Any:
    """Return a client of the bank that the configuration (a file's path, or a loaded one) describes.

    Or, instead of a configuration, of the bank of the name server at this address ("host:port"): the client
    learns from it where the servers are, and trusts it in that; `certificates` is then the folder with a
    client's certificate, where the bank wants one. Nothing is sent yet. `timeout` is for each
    operation, in seconds; `on_waiting` is called when one turns out to take longer, because the first server
    that was asked did not answer it: once for each operation.

    Where a class is replicated, and not a bank's accounts, that class comes first: what is returned then has
    its methods (see `service_client`). `service` is its name, where it is served under several. The bank is
    such a class, too: `bankrmi.Account`, alone or beside others (who knows the name server only, and means
    one beside others, says its name).
    """
    kind, found = what_to_connect(
        first, configuration, nameserver, insecure=insecure, certificates=certificates
    )
    called = service_called(found, kind, service)
    if kind is None:
        return BankClient(found, timeout=timeout, on_waiting=on_waiting)
    from bankrmi.client.service_client import ServiceClient  # It loads what a bank's has no use for.
    from bankrmi.service.declaring import described
    from bankrmi.service.served_alone import load_part

    description = described(kind)
    alone = served_alone(found, description, service)
    make: Callable[..., Any] = ServiceClient if alone is None else load_part(alone.client)
    return make(description, found, timeout=timeout, on_waiting=on_waiting, service=called)


class BankClient(BlockingClient):
    """A bank account's counter. Made by `connect`; a context manager; usable from several threads."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        timeout: float | None = None,
        on_waiting: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(configuration, timeout=timeout, on_waiting=on_waiting)
        self._most_operations = configuration.limits.operations_per_request

    def balance(self, account: int) -> Receipt:
        """Return the balance, the newest that anybody was told of."""
        receipt: Receipt = self._perform(asked_balance(account))
        return receipt

    def withdraw(self, account: int, amount: int, *, request_id: str | None = None) -> Receipt:
        """Take money off; raises `InsufficientFunds` or `AccountNotFound` if that cannot be.

        A `request_id` of one's own ("SESSION:SEQ") makes it safe to repeat the whole call: it is done once.
        """
        receipt: Receipt = self._perform(withdrawn(account, amount, request_id))
        return receipt

    def deposit(self, account: int, amount: int, *, request_id: str | None = None) -> Receipt:
        """Put money on; raises `BalanceTooLarge` or `AccountNotFound` if that cannot be."""
        receipt: Receipt = self._perform(deposited(account, amount, request_id))
        return receipt

    def transfer(
        self, from_account: int, to_account: int, amount: int, *, request_id: str | None = None
    ) -> Receipt:
        """Take money off one account and put it on another: both, or neither.

        The receipt has the balance of the account that paid. Raises `InsufficientFunds`, `BalanceTooLarge`
        (of the other account) or `AccountNotFound` if that cannot be; `account` says of which it speaks.
        """
        request = transferred(from_account, to_account, amount, request_id)
        receipt: Receipt = self._perform(request)
        return receipt

    def open_account(self, account: int, *, request_id: str | None = None) -> Receipt:
        """Have an account where there is none; it begins at 0. Raises `AccountExists` if there is one."""
        receipt: Receipt = self._perform(opened(account, request_id))
        return receipt

    def close_account(self, account: int, *, request_id: str | None = None) -> Receipt:
        """Have an account no more; raises `AccountNotEmpty` unless its balance is 0, or `AccountNotFound`."""
        receipt: Receipt = self._perform(closed(account, request_id))
        return receipt

    def submit(
        self, operations: Sequence[Operation], *, request_id: str | None = None
    ) -> list[Receipt | Refused]:
        """Do many operations in one request, each decided on its own, in their order."""
        request = submitted(operations, request_id, at_most=self._most_operations)
        results: list[Receipt | Refused] = self._perform(request)
        return results

    def total(self) -> Total:
        """Return what all accounts hold together, and after which entry."""
        total: Total = self._perform(asked_total())
        return total

    def statement(self, account: int, *, since: int = 0, limit: int = 100) -> Statement:
        """Return the newest `limit` entries of an account, of those above the action id `since`.

        The journal is looked through from `since` on, in many calls if it is long, each with the time of one.
        """
        whole: Statement = self._perform(asked_statement(account, since, limit))
        newest = whole.action_id
        while whole.through < newest:
            whole = whole.continued(self._perform(asked_statement(account, whole.through, limit)), limit)
        return whole

    def outcome(self, request_id: str) -> list[Receipt | Refused]:
        """Return what became of a request, for good; `Cancelled` if it never arrived, and now never will."""
        results: list[Receipt | Refused] = self._perform(asked_outcome(request_id))
        return results

    def status(self) -> dict[str, Any]:
        """Return what the server that is asked first says of itself; see `overview` for all of them."""
        status: dict[str, Any] = self._perform(asked_status())
        return status
