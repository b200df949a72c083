"""What is told of calls: each is counted once, in the period in which it ended, however long it took."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from bankrmi.bank.operations import Receipt
from bankrmi.config import Configuration
from bankrmi.console.account_teller import AccountTeller
from bankrmi.console.periods import PERIOD_S, Period
from bankrmi.console.prober import LookUps, Prober
from bankrmi.console.silences import SILENCE_MS
from bankrmi.errors import BankError, ConfigurationError, InDoubt, Refused

CONFIGURATION = Configuration.model_validate(
    {
        "path": Path("config.yaml"),
        "nameserver": "127.0.0.1:1",
        "servers": {"s1": "127.0.0.1:2", "s2": "127.0.0.1:3"},
    }
)


class Told:
    """Whoever is told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def put(self, kind: str, **values: Any) -> None:
        self.events.append({"kind": kind, **values})

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]


class Bank:
    """Answers when it is let to, as it is told to."""

    def __init__(self, *outcomes: BankError | None) -> None:
        self.outcomes = list(outcomes)
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()

    async def balance(self, _account: int) -> Receipt:
        self.asked.set()
        await self.answers.wait()
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        return Receipt.__new__(Receipt)

    async def close(self) -> None:
        pass


def look_ups_of(bank: Bank) -> LookUps:
    return LookUps(ask=lambda: bank.balance(1), close=bank.close, told={"what": "balance"})


def now_ms() -> float:
    return time.time() * 1000


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_period_counts_what_ended_and_times_what_was_answered() -> None:
    period = Period()
    slowest = [
        period.take(*ended) for ended in (("done", 10), ("in_doubt", 900), ("declined", 30), ("refused", 5))
    ]
    assert slowest == [True, True, False, False]
    sums = period.in_sums(1000, 1250)
    assert [sums[name] for name in ("calls", "done", "declined", "failed", "in_doubt", "per_second")] == [
        4,
        1,
        1,
        1,
        1,
        8,
    ]
    assert (sums["median_us"], sums["slowest_us"]) == (30, 30), "of what was answered"
    assert Period().in_sums(0, 250)["median_us"] is None


def test_a_call_that_outlasts_its_period_is_counted_in_the_one_in_which_it_ends() -> None:
    async def call() -> list[dict[str, Any]]:
        told, bank = Told(), Bank(Refused("no such account"))
        teller = AccountTeller(CONFIGURATION, [1], told, now_ms=now_ms)
        teller._bank = bank  # type: ignore[assignment]
        telling = asyncio.create_task(teller.tell_sums())
        calling = asyncio.create_task(teller.ask({"what": "balance", "account": 1}))
        await bank.asked.wait()
        first = teller._period
        await until(lambda: teller._period is not first)
        bank.answers.set()
        await calling
        await until(lambda: told.of("rate"))
        telling.cancel()
        return told.of("rate")

    [rate] = asyncio.run(call())
    assert (rate["calls"], rate["declined"]) == (1, 1)
    assert rate["slowest_us"] > 0


def test_a_recorder_tells_sums_silences_and_what_was_not_answered() -> None:
    async def probe() -> Told:
        told, bank = Told(), Bank(None, InDoubt("its deadline passed"), BankError("nobody is there"))
        prober = Prober(look_ups_of(bank), told, now_ms=now_ms)
        tasks = [asyncio.create_task(prober.probe()), asyncio.create_task(prober.tell_sums())]
        await bank.asked.wait()
        await asyncio.sleep(SILENCE_MS / 1000 + PERIOD_S / 10)  # For so long nobody answers.
        bank.answers.set()
        await until(lambda: sum(rate["calls"] for rate in told.of("rate")) >= 5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return told

    told = asyncio.run(probe())
    assert {call["outcome"] for call in told.of("call")} >= {"done", "in_doubt", "refused"}
    assert sum(rate["in_doubt"] for rate in told.of("rate")) == 1
    assert len(told.of("silence")) == 1
    assert all(call["client"] == "record" for call in told.of("call"))


def test_a_recorder_that_may_not_look_up_says_so_and_asks_no_more() -> None:
    async def probe() -> Told:
        told, bank = Told(), Bank(ConfigurationError("there is no certificate of a client"))
        prober = Prober(look_ups_of(bank), told, now_ms=now_ms)
        bank.answers.set()
        async with asyncio.timeout(30):
            await prober.probe()
        return told

    assert asyncio.run(probe()).events == [
        {
            "kind": "note",
            "level": "warning",
            "text": "No look-ups are made: there is no certificate of a client",
        }
    ]
