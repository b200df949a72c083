"""What is kept of what happened, and for whom: bounded, in order, and nothing twice."""

from __future__ import annotations

import asyncio
import json

from bankrmi.console import feed as feed_file
from bankrmi.console.feed import Feed


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


async def some(feed: Feed, count: int, seen: int = 0) -> list[int]:
    numbers: list[int] = []
    async for event in feed.listen(seen):
        numbers.append(event.number)
        if len(numbers) == count:
            break
    return numbers


def test_who_comes_late_gets_what_is_kept_and_then_what_comes() -> None:
    async def listen() -> list[int]:
        feed = Feed(Clock())
        feed.put("note", text="one")
        feed.put("note", text="two")
        listening = asyncio.create_task(some(feed, 3))
        await asyncio.sleep(0)
        feed.put("note", text="three")
        return await listening

    assert asyncio.run(listen()) == [1, 2, 3]


def test_who_comes_back_gets_what_he_has_not_seen() -> None:
    async def listen() -> tuple[list[int], list[int]]:
        feed = Feed(Clock())
        for _ in range(4):
            feed.put("note")
        return await some(feed, 2, seen=2), await some(feed, 4, seen=99)  # 99: of a console before this one.

    assert asyncio.run(listen()) == ([3, 4], [1, 2, 3, 4])


def test_what_is_old_or_too_much_is_kept_no_longer() -> None:
    clock = Clock()
    feed = Feed(clock)
    for _ in range(feed_file.KEPT + 10):
        feed.put("note")
    assert len(feed._kept) == feed_file.KEPT
    clock.now = feed_file.KEPT_MS + 1
    feed.put("note")
    assert len(feed._kept) == 1
    assert json.loads(feed._kept[0].text) == {"t": clock.now, "kind": "note"}


def test_a_listener_who_cannot_follow_is_cut_off_and_the_others_go_on() -> None:
    async def listen() -> tuple[list[int], int]:
        feed = Feed(Clock())
        feed.put("note")
        slow = feed.listen()
        assert (await anext(slow)).number == 1
        for _ in range(feed_file.BEHIND_AT_MOST + 1):
            feed.put("note")
        left = [event.number async for event in slow]
        return left, feed.listeners

    assert asyncio.run(listen()) == ([], 0)


def test_at_the_end_everybody_is_let_go() -> None:
    async def listen() -> list[int]:
        feed = Feed(Clock())
        listening = asyncio.create_task(some(feed, 99))
        await asyncio.sleep(0)
        feed.put("note")
        feed.close()
        feed.put("note")
        return await listening + await some(feed, 1)

    assert asyncio.run(listen()) in ([], [1])
