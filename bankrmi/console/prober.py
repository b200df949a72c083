"""Look-ups, again and again the same one: what a client of the bank sees of it, in a recording.

Rule 1: one call is under way at a time, and none changes anything; a bank that is slow is asked less often.
Rule 2: told in sums; single calls only if they took longer than all before them, or were not answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter

import bankrmi.aio
from bankrmi.client.async_service_client import AsyncServiceClient
from bankrmi.config import Configuration
from bankrmi.console.events import NAME_AT_MOST
from bankrmi.console.feed import Telling
from bankrmi.console.periods import PERIOD_S, UNUSUAL, Period
from bankrmi.console.silences import Silences
from bankrmi.errors import BankError, ConfigurationError, InDoubt, InvalidRequest, Refused
from bankrmi.foreign_text import foreign
from bankrmi.service.calls import Called
from bankrmi.service.in_words import call_in_words
from bankrmi.service.loading import load_services
from bankrmi.service.method_names import find_method
from bankrmi.service.written_values import read_call

__all__ = ["LookUps", "Prober", "of_account", "of_class"]

EVERY_S = 0.05
TOLD_AT_MOST = 4
"""Single calls of one period."""
SLOW_US = 20_000
"""What is faster is no news, however slow the others were not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUps:
    """What is looked up."""

    ask: Callable[[], Awaitable[object]]
    close: Callable[[], Awaitable[None]]
    told: dict[str, str]
    """How an event tells of it."""


def of_account(configuration: Configuration, account: int) -> LookUps:
    """Return the look-up of a balance."""
    bank = bankrmi.aio.AsyncBankClient(configuration)
    return LookUps(ask=lambda: bank.balance(account), close=bank.close, told={"what": "balance"})


def of_class(configuration: Configuration, written: str) -> LookUps:
    """Return the query that a person has written: `get("apple")`, or `stock.left("apple")`.

    Raises ConfigurationError for one that is none, or that no class has.
    """
    services = load_services(configuration.services, configuration.path.parent)
    try:
        name, args, kwargs = read_call(written)
        called = find_method(services, name)
        if called.method.is_update:
            raise InvalidRequest(f"{called.name} is an update, and a recording changes nothing: name a query")
        args, kwargs = called.method.bound(args, kwargs, whole=False)
    except InvalidRequest as error:
        raise ConfigurationError(f"--call: {error.message}") from None
    client = AsyncServiceClient(
        called.description, configuration, service=called.service if services.beside else None
    )
    words = foreign(call_in_words(Called(called.name, args, kwargs)))
    return LookUps(
        ask=lambda: client.query(called.method.name, args, kwargs),
        close=client.close,
        told={"what": called.name[:NAME_AT_MOST], "call": words},
    )


class Prober:
    """The look-ups of one recording."""

    def __init__(self, look_ups: LookUps, feed: Telling, *, now_ms: Callable[[], float]) -> None:
        self._look_ups = look_ups
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
            await self._look_ups.ask()
        except ConfigurationError:
            raise
        except Refused as error:  # No such account: that is an answer, too.
            outcome, message = "declined", error.message
        except InDoubt as error:
            outcome, message = "in_doubt", error.message
        except BankError as error:
            outcome, message = "refused", error.message
        except Exception as error:  # What a class declares that its methods raise comes as itself.
            outcome, message = "declined", foreign(f"{type(error).__name__}: {error}")
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
                "call",
                client="record",
                **self._look_ups.told,
                outcome=outcome,
                message=message,
                took_us=took_us,
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
        await self._look_ups.close()
