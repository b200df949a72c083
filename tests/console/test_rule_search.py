"""A rule taken out: found in a process of its own, within a budget, and kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bankrmi.console import rule_search as file
from bankrmi.console.feed import Feed
from bankrmi.console.rule_search import RuleSearch
from bankrmi.errors import InvalidRequest, OperationFailed

pytestmark = pytest.mark.usefixtures("starting_warm")

QUICK = "acknowledge-before-standby"
"""It goes wrong in the first seed, early."""
LONG = "lead-right-after-winning"
"""It takes more than a hundred seeds."""


def searched(do: Callable[[RuleSearch, Feed], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        feed = Feed(lambda: 0)
        search = RuleSearch(feed)
        search._rules = {name: {"name": name, "rule": "", "goes_wrong": ""} for name in (QUICK, LONG)}
        try:
            return await do(search, feed)
        finally:
            search.close()
            assert search._process is None or search._process.returncode is not None or await ended(search)

    return asyncio.run(run())


async def ended(search: RuleSearch) -> bool:
    assert search._process is not None
    await search._process.wait()
    return True


def told(feed: Feed, kind: str) -> list[dict[str, Any]]:
    return [event for one in feed._kept if (event := json.loads(one.text))["kind"] == kind]


def test_a_history_that_goes_wrong_is_found_and_kept() -> None:
    async def ask(search: RuleSearch, feed: Feed) -> None:
        found = await search.ask({"name": QUICK})
        assert found["sentence"]
        assert found["without"][-1]["t_ms"] <= found["with"][-1]["t_ms"]
        searches = len(told(feed, "search"))
        assert await search.ask({"name": QUICK}) is found
        assert len(told(feed, "search")) == searches, "nobody looked for it again"
        assert told(feed, "search")[-1]["seed"] is None, "it is told that the search has ended"

    searched(ask)


def test_which_rules_there_are_is_told() -> None:
    async def learn(search: RuleSearch, feed: Feed) -> None:
        search._rules.clear()
        await search.learn()
        [event] = told(feed, "rules")
        names = {rule["name"] for rule in event["rules"]}
        assert {QUICK, LONG} <= names
        assert all(rule["rule"] and rule["goes_wrong"] for rule in event["rules"])

    searched(learn)


def test_a_search_can_be_ended_and_only_one_goes_on_at_a_time() -> None:
    async def end(search: RuleSearch, feed: Feed) -> None:
        first = asyncio.create_task(search.ask({"name": LONG}))
        async with asyncio.timeout(60):
            while not told(feed, "search"):
                await asyncio.sleep(0.01)
        with pytest.raises(OperationFailed, match="under way"):
            await search.ask({"name": QUICK})
        assert await search.ask({"end": True}) == {"said": "the search has ended"}
        with pytest.raises(OperationFailed, match="was ended"):
            await first

    searched(end)


def test_time_and_memory_have_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(search: RuleSearch, _: Feed) -> None:
        monkeypatch.setattr(file, "SEARCH_S", 0.05)
        with pytest.raises(OperationFailed, match="nothing went wrong in 0 s: `bankrmi simulate --break"):
            await search.ask({"name": LONG})
        monkeypatch.setattr(file, "SEARCH_S", 240.0)
        monkeypatch.setattr(file, "MEMORY_BYTES", 1 << 20)
        with pytest.raises(OperationFailed, match="for want of memory"):
            await search.ask({"name": LONG})

    searched(ask)


def test_what_is_no_rule_is_refused() -> None:
    async def ask(search: RuleSearch, _: Feed) -> None:
        for name in ("list", "no-such", None, 7, ["x"], "--help"):
            with pytest.raises(InvalidRequest):
                await search.ask({"name": name})

    searched(ask)
