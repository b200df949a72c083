"""A bank in a dictionary, with everything that can go wrong: for what only shows and asks."""

from __future__ import annotations

from collections.abc import Callable

from bankrmi.bank.operations import Receipt, check_account, check_amount
from bankrmi.errors import AccountNotFound, BankError, InsufficientFunds, Refused


class FakeBank:
    def __init__(self) -> None:
        self.balances = {1: 100, 2: 300, 5: 200}
        self.errors: list[BankError] = []
        """What the next calls raise, in their order."""
        self.outcomes: dict[str, list[Receipt | Refused]] = {}
        self.requests: list[str | None] = []
        self.waits = False
        self.on_waiting: Callable[[], None] | None = None
        self.timeouts: list[float | None] = []

    def __enter__(self) -> FakeBank:
        return self

    def __exit__(self, *_: object) -> None: ...

    def balance(self, account: int) -> Receipt:
        return self._changed(account, 0, None)

    def withdraw(self, account: int, amount: int, *, request_id: str | None = None) -> Receipt:
        return self._changed(account, -check_amount(amount), request_id or "fake:1")

    def deposit(self, account: int, amount: int, *, request_id: str | None = None) -> Receipt:
        return self._changed(account, check_amount(amount), request_id or "fake:1")

    def outcome(self, request_id: str) -> list[Receipt | Refused]:
        self._fail()
        return self.outcomes[request_id]

    def _fail(self) -> None:
        if self.waits and self.on_waiting:
            self.on_waiting()
        if self.errors:
            raise self.errors.pop(0)

    def _changed(self, account: int, amount: int, request_id: str | None) -> Receipt:
        self._fail()
        self.requests.append(request_id)
        balance = self.balances.get(check_account(account))
        if balance is None:
            raise AccountNotFound(f"there is no account {account}", account=account)
        if balance + amount < 0:
            raise InsufficientFunds(f"account {account} holds {balance}", account=account)
        self.balances[account] = balance + amount
        return Receipt(account, balance + amount, 7, request_id)
