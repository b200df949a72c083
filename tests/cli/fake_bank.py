"""A bank in a dictionary, with everything that can go wrong: for what only shows and asks."""

from __future__ import annotations

from collections.abc import Callable

from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import Receipt, Transfer, check_account, check_amount
from bankrmi.bank.outcomes import declined_form
from bankrmi.bank.statements import Statement, StatementEntry, Total
from bankrmi.errors import (
    AccountExists,
    AccountNotEmpty,
    AccountNotFound,
    BankError,
    InsufficientFunds,
    Refused,
)
from bankrmi.verifying.model import BankModel


class FakeBank:
    def __init__(self) -> None:
        self.balances = {1: 100, 2: 300, 5: 200}
        self.errors: list[BankError] = []
        """What the next calls raise, in their order."""
        self.outcomes: dict[str, list[Receipt | Refused]] = {}
        self.entries: list[StatementEntry] = []
        """What statements are made of."""
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

    def transfer(
        self, from_account: int, to_account: int, amount: int, *, request_id: str | None = None
    ) -> Receipt:
        form = form_of(Transfer(from_account, to_account, amount))
        self._fail()
        self.requests.append(request_id)
        model = BankModel(self.balances)
        came = model.apply(form)
        if came[0] != "done":
            raise declined_form(form, came, 7)
        self.balances = model.values
        return Receipt(from_account, self.balances[from_account], 7, request_id or "fake:1")

    def open_account(self, account: int, *, request_id: str | None = None) -> Receipt:
        self._fail()
        if account in self.balances:
            raise AccountExists(f"there is an account {account} already", account=account)
        self.balances[account] = 0
        return self._changed(account, 0, request_id or "fake:1")

    def close_account(self, account: int, *, request_id: str | None = None) -> Receipt:
        receipt = self._changed(account, 0, request_id or "fake:1")
        if receipt.balance:
            raise AccountNotEmpty("there is money on it", account=account)
        del self.balances[account]
        return receipt

    def statement(self, account: int, *, since: int = 0, limit: int = 100) -> Statement:
        self._fail()
        return Statement(
            account=account,
            balance=self.balances.get(account),
            entries=[entry for entry in self.entries if entry.action_id > since][-limit:],
            since=since,
            through=7,
            begins_after=0,
            action_id=7,
        )

    def total(self) -> Total:
        self._fail()
        return Total(total=sum(self.balances.values()), action_id=7)

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
