"""The client of `bankrmi.Account`, where that is served alone: `connect(bankrmi.Account, "config.yaml")`.

It is the bank's own client, with what clients of classes have beside their methods: a program that is typed
as using an `Account` does the same with this one and with that of an `Account` beside other services.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bankrmi.bank.operations import Receipt
from bankrmi.client.bank_client import BankClient
from bankrmi.client.methods_by_name import MethodsByName
from bankrmi.client.service_requests import CallsOf
from bankrmi.config import Configuration
from bankrmi.errors import Refused
from bankrmi.service.declaring import Description, Method

__all__ = ["AccountByName", "AccountClient", "only_one"]


class AccountByName(MethodsByName):
    """What a client of the bank has beside its own methods, before which it stands: those by their names."""

    def __init__(
        self,
        description: Description,
        configuration: Configuration,
        *,
        timeout: float | None = None,
        on_waiting: Callable[[], None] | None = None,
        service: str | None = None,  # noqa: ARG002 - there is one
    ) -> None:
        super().__init__(configuration, timeout=timeout, on_waiting=on_waiting)  # type: ignore[call-arg]  # The bank's.
        self._calls = CallsOf(description)

    def _called(
        self, method: Method, args: Sequence[Any], kwargs: Mapping[str, Any], request_id: str | None
    ) -> Any:
        given, named = method.bound(args, kwargs)
        chosen = {"request_id": request_id} if method.is_update else {}
        return getattr(self, method.name)(*given, **named, **chosen)


class AccountClient(AccountByName, BankClient):
    """Made by `connect`; a context manager; usable from several threads."""

    def outcome(self, request_id: str) -> Any:
        """Return, or raise, what came of an update, for good; `Cancelled` if it never arrived.

        Of a request with several operations (`submit`), it is a list.
        """
        return only_one(super().outcome(request_id))


def only_one(results: list[Receipt | Refused]) -> Any:
    """Return, or raise, the result of a request's one operation; the results of several."""
    if len(results) != 1:
        return results
    [result] = results
    if isinstance(result, Refused):
        raise result
    return result
