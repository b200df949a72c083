"""Those who wait for a database: who asks for much keeps nobody waiting who asks for little."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from bankrmi.bank.statements import TOTAL
from bankrmi.engine.database import EngineDatabase
from bankrmi.engine.deciding import AccountState, BankState
from bankrmi.engine.driver import EngineDriver
from bankrmi.engine.sweeping import Sweep
from bankrmi.replication.effects import Read, Reply
from bankrmi.replication.events import ReadArrived


class LargeBank(EngineDatabase):
    """A database that takes as long for a sum as a test wants."""

    def __init__(self) -> None:
        super().__init__("postgresql://nobody/bank", "account", try_s=1)
        self.history = "h"
        self.added_up = asyncio.Event()

    async def balances(
        self, accounts: Sequence[int], still_wanted: Any
    ) -> tuple[BankState, Mapping[int, AccountState]]:
        return BankState(), dict.fromkeys(accounts, AccountState(100, 7))

    async def total(self, still_wanted: Any) -> tuple[BankState, int]:
        await self.added_up.wait()
        return BankState(), 300


class Waiter:
    """One who waits for what he has asked."""

    is_wanted = True

    def __init__(self) -> None:
        self.told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def reply(self, reply: Reply) -> None:
        self.told.set_result(reply)


def test_who_asks_what_all_accounts_hold_together_keeps_no_balance_waiting() -> None:
    async def asked() -> None:
        database = LargeBank()
        driver = EngineDriver(database, writers=1, sweep=Sweep(keep_days=0, session_days=0))
        driver.start()
        total, again, balance = Waiter(), Waiter(), Waiter()
        driver.take(ReadArrived(total, TOTAL, None))
        await asyncio.sleep(0)
        driver.take(ReadArrived(again, TOTAL, None))
        driver.take(ReadArrived(balance, 1, None))
        told = await asyncio.wait_for(balance.told, 20)
        assert isinstance(told, Read)
        assert told.value == 100
        assert not total.told.done()
        database.added_up.set()
        for one in (total, again):
            summed = await asyncio.wait_for(one.told, 20)
            assert isinstance(summed, Read)
            assert summed.value.total == 300
        await driver.stop()

    asyncio.run(asked())
