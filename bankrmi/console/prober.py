"""Look-ups of one account, again and again: what a client of the bank sees of it, in a recording.

Rule 1: one call is under way at a time, and none changes anything; a bank that is slow is asked less often.
Rule 2: told in sums; single calls only if they took longer than all before them, or were not answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

import bankrmi.aio
from bankrmi.config import Configuration
from bankrmi.console.feed import Telling
from bankrmi.console.periods import PERIOD_S, UNUSUAL, Period
from bankrmi.console.silences import Silences
from bankrmi.errors import BankError, ConfigurationError, InDoubt, Refused

__all__ = ["Prober"]

EVERY_S = 0.05
TOLD_AT_MOST = 4
"""Single calls of one period."""
SLOW_US = 20_000
"""What is faster is no news, however slow the others were not."""


class Prober:
    """The look-ups of one recording."""

    def __init__(
        self, configuration: Configuration, account: int, feed: Telling, *, now_ms: Callable[[], float]
    ) -> None:
        self._bank = bankrmi.aio.AsyncBankClient(configuration)
        self._account = account
        self._feed = feed
        self._now_ms = now_ms
        self._period = Period()
        self.silences = Silences()

    async def probe(self) -> None:
        """Look up until it is cancelled; or until it turns out that nobody may."""
        try:
            while True:
                began_s = perf_counter()
                await self._look_up()
                await asyncio.sleep(max(0.0, EVERY_S - (perf_counter() - began_s)))
        except ConfigurationError as error:  # No certificate of a client, for one.
            self._feed.put("note", level="warning", text=f"No look-ups are made: {error.message}")

    async def _look_up(self) -> None:
        began_ms, began_s = self._now_ms(), perf_counter()
        outcome, message = "done", ""
        try:
            await self._bank.balance(self._account)
        except ConfigurationError:
            raise
        except Refused as error:  # No such account: that is an answer, too.
            outcome, message = "declined", error.message
        except InDoubt as error:
            outcome, message = "in_doubt", error.message
        except BankError as error:
            outcome, message = "refused", error.message
        took_us = round((perf_counter() - began_s) * 1e6)
        if outcome not in UNUSUAL:
            since_ms = self.silences.done(began_ms, self._now_ms())
            if since_ms is not None:
                self._feed.put("silence", from_ms=since_ms)
        period = self._period
        is_news = (period.take(outcome, took_us) and took_us >= SLOW_US) or outcome in UNUSUAL
        if is_news and period.shown < TOLD_AT_MOST:
            period.shown += 1
            self._feed.put(
                "call", client="record", what="balance", outcome=outcome, message=message, took_us=took_us
            )

    async def tell_sums(self) -> None:
        """Tell four times a second what became of them; until it is cancelled."""
        while True:
            from_ms = self._now_ms()
            await asyncio.sleep(PERIOD_S)
            period, self._period = self._period, Period()
            if period.calls:
                self._feed.put("rate", **period.in_sums(from_ms, self._now_ms()))

    async def close(self) -> None:
        """Leave the bank."""
        await self._bank.close()
