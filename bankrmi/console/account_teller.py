"""The teller of a bank: looks up, withdraws, deposits and transfers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bankrmi.aio
from bankrmi.config import Configuration
from bankrmi.console.feed import Telling
from bankrmi.console.teller import YOU, Teller, new_request_id, request_id_of
from bankrmi.errors import BankError, InvalidRequest, Refused

__all__ = ["AccountTeller"]

KINDS = ("balance", "withdraw", "deposit", "transfer")
_ACCOUNTS_TOLD = 100


class AccountTeller(Teller):
    """Calls on accounts."""

    def __init__(
        self,
        configuration: Configuration,
        accounts: Sequence[int],
        feed: Telling,
        *,
        now_ms: Callable[[], float],
        chance: random.Random | None = None,
    ) -> None:
        super().__init__(feed, now_ms=now_ms, chance=chance)
        self._bank = bankrmi.aio.AsyncBankClient(configuration)
        self._accounts = accounts
        self._reads = 0.5
        self._among = min(10, len(accounts))

    @property
    def hello(self) -> dict[str, Any]:
        """Return the accounts that there are, and the load."""
        mix = {"reads": self._reads, "accounts": self._among, "most_accounts": len(self._accounts)}
        return {"accounts": self._accounts[:_ACCOUNTS_TOLD], "load": {**self._clients, **mix}}

    async def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a person asks for; return what became of it.  Raises InvalidRequest."""
        what, account, amount = asked.get("what"), asked.get("account"), asked.get("amount")
        if what == "balance" and amount is None:
            amount = 0
        to = asked.get("to")
        if what not in KINDS:
            raise InvalidRequest("the teller looks up, withdraws, deposits and transfers")
        if type(account) is not int or type(amount) is not int:
            raise InvalidRequest("account and amount are whole numbers")
        if what == "transfer" and type(to) is not int:
            raise InvalidRequest("a transfer goes to an account, a whole number")
        request_id = request_id_of(asked)
        return await self._call(
            str(what),
            account,
            amount,
            None if what == "balance" else request_id,
            to=to if what == "transfer" else None,
            by=YOU,
            again=asked.get("again") is not None,
        )

    def _mix(self, asked: Mapping[str, Any]) -> None:
        """As many calls as `reads` says look up; they are on the first `accounts` of the ledger."""
        reads, accounts = asked.get("reads", 0.5), asked.get("accounts", 10)
        if (
            type(reads) not in (int, float)
            or not 0 <= reads <= 1
            or type(accounts) is not int
            or accounts < 1
        ):
            raise InvalidRequest("of a load a share looks up, from 0 to 1, on 1 account or more")
        self._reads = reads
        self._among = min(accounts, len(self._accounts))

    async def _call_any(self, name: str) -> dict[str, Any]:
        account = self._accounts[self._chance.randrange(self._among)]
        if self._chance.random() < self._reads:
            return await self._call("balance", account, 0, None, by=name)
        what = self._chance.choice(("withdraw", "deposit"))  # As much goes in as goes out.
        return await self._call(what, account, 1, new_request_id(), by=name)

    async def _call(
        self,
        what: str,
        account: int,
        amount: int,
        request_id: str | None,
        *,
        by: str,
        to: int | None = None,
        again: bool = False,
    ) -> dict[str, Any]:
        call = {
            "client": by,
            "request_id": request_id,
            "what": what,
            "account": account,
            "to": to,
            "amount": amount,
            "again": again,
            "balance": None,
        }

        async def perform() -> dict[str, Any]:
            match what:
                case "balance":
                    receipt = await self._bank.balance(account)
                case "withdraw":
                    receipt = await self._bank.withdraw(account, amount, request_id=request_id)
                case "transfer":
                    assert to is not None, "a transfer goes to an account"
                    receipt = await self._bank.transfer(account, to, amount, request_id=request_id)
                case _:
                    receipt = await self._bank.deposit(account, amount, request_id=request_id)
            return {"balance": receipt.balance, "action_id": receipt.action_id}

        return await self._told(call, perform)

    def _came_of(self, error: BankError) -> dict[str, Any]:
        if isinstance(error, Refused):
            action_id = error.details.get("action_id")
            return {"outcome": "declined", "message": error.message, "action_id": action_id}
        return super()._came_of(error)

    async def _leave(self) -> None:
        await self._bank.close()
