"""One node of a PySyncObj bank; whoever leads withdraws in its own process, as that library is used.

    python -m bankrmi.bench.load.pysyncobj_node JOURNAL SELF OTHER OTHER

Each line of standard input is asked `leader?` or is an order; answered `yes` or `no`, or as a load process
does. The library maps its journal into memory and never syncs it: this is durable if processes die, not if
power fails.
"""

from __future__ import annotations

import asyncio
import importlib
import secrets
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from bankrmi.bench.load.loop import run
from bankrmi.bench.load.order import ACCOUNTS, BEGUN, OPENING, LoadOrder
from bankrmi.errors import OperationFailed

__all__ = ["main"]


_ALONE = 4
"""With up to this many clients each entry is sent at once; with more, those of a millisecond together."""


def _bank(journal: str, own: str, others: Sequence[str]) -> Any:
    library: Any = importlib.import_module("pysyncobj")
    settings = library.SyncObjConf(
        journalFile=journal,
        commandsQueueSize=1_000_000,
        appendEntriesUseBatch=False,  # Changed for each order; with True at first, it never could be.
        autoTickPeriod=0.001,
        appendEntriesPeriod=0.001,
        logCompactionMinEntries=10_000_000,
        logCompactionMinTime=86_400,
    )

    class Bank(library.SyncObj):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(own, list(others), settings)
            self.settings = settings
            self.balances = [OPENING] * (ACCOUNTS + 1)
            self.outcomes: dict[str, Any] = {}

        @library.replicated  # type: ignore[untyped-decorator]
        def withdraw_each(self, accounts: Sequence[int], request_id: str) -> list[int]:
            outcome = self.outcomes.get(request_id)
            if outcome is None:
                outcome = self.outcomes[request_id] = [self._decide(account) for account in accounts]
            return list(outcome)

        def _decide(self, account: int) -> int:
            if self.balances[account] < 1:
                return -1
            self.balances[account] -= 1
            return self.balances[account]

    return Bank()


class _NodeCaller:
    """Calls come back in the library's own thread, and from there to the loop."""

    def __init__(self, bank: Any) -> None:
        self._bank = bank
        self._session = secrets.token_hex(8)
        self._sequence = 0

    async def withdraw(self, account: int) -> object:
        return await self.withdraw_each([account])

    async def withdraw_each(self, accounts: Sequence[int]) -> object:
        self._sequence += 1
        loop = asyncio.get_running_loop()
        done: asyncio.Future[object] = loop.create_future()

        def settle(outcome: object, error: object) -> None:
            with suppress(RuntimeError):  # The loop is closed: a second answer to what was answered.
                loop.call_soon_threadsafe(_settle, done, outcome, error)

        self._bank.withdraw_each(accounts, f"{self._session}:{self._sequence}", callback=settle)
        return await done

    async def balance(self, account: int) -> object:
        return self._bank.balances[account]


def _settle(done: asyncio.Future[object], outcome: object, error: object) -> None:
    if done.done():
        return
    if error:
        done.set_exception(OperationFailed(f"PySyncObj: error {error}"))
    else:
        done.set_result(outcome)


def main() -> None:
    """Serve until killed."""
    journal, own, *others = sys.argv[1:]
    bank = _bank(journal, own, others)
    for line in sys.stdin:
        if line.strip() == "leader?":
            _say("yes" if bank.isReady() and bank._isLeader() else "no")
            continue
        order = LoadOrder.from_line(line)
        bank.settings.appendEntriesUseBatch = order.shape.clients > _ALONE
        callers = [_NodeCaller(bank) for _ in range(order.shape.clients)]
        _say(asyncio.run(run(callers, order, lambda: _say(BEGUN))).to_line())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
