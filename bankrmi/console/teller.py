"""Calls to the bank, by a person at the page and by a load; and how fast they are answered.

Rule 1: each call is one of the public client's: it switches servers by itself, and its request id is used
        once, unless a person asks for it to be sent again.
Rule 2: what is told of a load is told in sums, four times a second; of single calls at most so many a second.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import bankrmi.aio
from bankrmi.bank.operations import Receipt
from bankrmi.config import Configuration
from bankrmi.console.feed import Telling
from bankrmi.console.periods import PERIOD_S, UNUSUAL, Period
from bankrmi.console.silences import Silences
from bankrmi.errors import BankError, InDoubt, InvalidRequest, Refused
from bankrmi.replication.sessions import new_session

__all__ = ["MOST_CLIENTS", "Teller"]

MOST_CLIENTS = 64
CALLS_SHOWN = 5
"""In each period."""
KINDS = ("balance", "withdraw", "deposit", "transfer")


class Teller:
    """The counter of one console."""

    def __init__(
        self,
        configuration: Configuration,
        accounts: Sequence[int],
        feed: Telling,
        *,
        now_ms: Callable[[], float],
        chance: random.Random | None = None,
    ) -> None:
        self._bank = bankrmi.aio.AsyncBankClient(configuration)
        self._accounts = accounts
        self._feed = feed
        self._now_ms = now_ms
        self._chance = chance or random.Random()
        self._period = Period()
        self._tasks: list[asyncio.Task[None]] = []
        self._reads = 0.5
        self._among = min(10, len(accounts))
        self.silences = Silences()

    # -- a person ----------------------------------------------------------------------------------

    async def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a person asks for; return what became of it.  Raises InvalidRequest."""
        what, account, amount = asked.get("what"), asked.get("account"), asked.get("amount")
        if what == "balance" and amount is None:
            amount = 0
        again, to = asked.get("again"), asked.get("to")
        if what not in KINDS:
            raise InvalidRequest("the teller looks up, withdraws, deposits and transfers")
        if type(account) is not int or type(amount) is not int:
            raise InvalidRequest("account and amount are whole numbers")
        if what == "transfer" and type(to) is not int:
            raise InvalidRequest("a transfer goes to an account, a whole number")
        if again is not None and (type(again) is not str or len(again) > 200):
            raise InvalidRequest("what is sent again is named by its request id")
        request_id = None if what == "balance" else again or f"{new_session()}:1"
        to = to if what == "transfer" else None
        return await self._call(
            str(what), account, amount, request_id, to=to, by="you", again=again is not None
        )

    # -- a load ------------------------------------------------------------------------------------

    @property
    def load(self) -> dict[str, Any]:
        """How many clients are at work, and how; and how many there could be."""
        return {
            "clients": len(self._tasks),
            "at_most": MOST_CLIENTS,
            "reads": self._reads,
            "accounts": self._among,
            "most_accounts": len(self._accounts),
        }

    def set_load(self, clients: int, reads: float, accounts: int) -> None:
        """Have so many clients call, one after the other each, on the first `accounts` of the ledger.

        Of their calls the share `reads` look up.  Raises InvalidRequest.
        """
        if not 0 <= clients <= MOST_CLIENTS or not 0 <= reads <= 1 or accounts < 1:
            raise InvalidRequest(
                f"a load has 0 to {MOST_CLIENTS} clients, a share of reads from 0 to 1, and 1 account or more"
            )
        self._reads = reads
        self._among = min(accounts, len(self._accounts))
        while len(self._tasks) > clients:
            self._tasks.pop().cancel()
        while len(self._tasks) < clients:
            number = len(self._tasks) + 1
            self._tasks.append(asyncio.create_task(self._work(f"client {number}")))

    async def _work(self, name: str) -> None:
        while True:
            account = self._accounts[self._chance.randrange(self._among)]
            if self._chance.random() < self._reads:
                told = await self._call("balance", account, 0, None, by=name)
            else:  # As much goes in as goes out.
                what = self._chance.choice(("withdraw", "deposit"))
                told = await self._call(what, account, 1, f"{new_session()}:1", by=name)
            if told["outcome"] == "refused":
                await asyncio.sleep(0.05)  # A bank that nobody reaches is not asked in a loop.

    # -- a call ------------------------------------------------------------------------------------

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
        began_ms, began_s = self._now_ms(), perf_counter()
        told: dict[str, Any] = {
            "client": by,
            "request_id": request_id,
            "what": what,
            "account": account,
            "to": to,
            "amount": amount,
            "again": again,
            "balance": None,
            "action_id": None,
            "message": "",
        }
        try:
            receipt = await self._perform(what, account, to, amount, request_id)
        except InvalidRequest as error:
            told |= {"outcome": "refused", "message": error.message}
        except Refused as error:
            told |= {
                "outcome": "declined",
                "message": error.message,
                "action_id": error.details.get("action_id"),
            }
        except InDoubt as error:
            told |= {"outcome": "in_doubt", "message": error.message}
        except BankError as error:
            told |= {"outcome": "refused", "message": error.message}
        else:
            since_ms = self.silences.done(began_ms, self._now_ms())
            if since_ms is not None:
                self._feed.put("silence", from_ms=since_ms)
            told |= {"outcome": "done", "balance": receipt.balance, "action_id": receipt.action_id}
        told["took_us"] = round((perf_counter() - began_s) * 1e6)
        period = self._period
        is_slowest = period.take(told["outcome"], told["took_us"])
        if by == "you" or is_slowest or period.shown < CALLS_SHOWN or told["outcome"] in UNUSUAL:
            period.shown += 1
            if period.shown <= 4 * CALLS_SHOWN:
                self._feed.put("call", **told)
        return told

    async def _perform(
        self, what: str, account: int, to: int | None, amount: int, request_id: str | None
    ) -> Receipt:
        match what:
            case "balance":
                return await self._bank.balance(account)
            case "withdraw":
                return await self._bank.withdraw(account, amount, request_id=request_id)
            case "transfer":
                assert to is not None, "a transfer goes to an account"
                return await self._bank.transfer(account, to, amount, request_id=request_id)
            case _:
                return await self._bank.deposit(account, amount, request_id=request_id)

    # -- in sums -----------------------------------------------------------------------------------

    async def tell_sums(self) -> None:
        """Tell four times a second how many calls were answered how, and how fast; until it is cancelled."""
        while True:
            from_ms = self._now_ms()
            await asyncio.sleep(PERIOD_S)
            period, self._period = self._period, Period()
            if period.calls or self._tasks:
                self._feed.put("rate", **period.in_sums(from_ms, self._now_ms()))

    async def close(self) -> None:
        """End every call, and leave the bank."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._bank.close()
