"""What is done to a bank by a click: the moments that real processes cannot be made to show on demand."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from bankrmi.config import Configuration
from bankrmi.console.feed import Feed
from bankrmi.console.misfortunes import Misfortunes
from bankrmi.errors import OperationFailed

CONFIGURATION = Configuration.model_validate(
    {
        "path": Path("config.yaml"),
        "nameserver": "127.0.0.1:1",
        "servers": {"s1": "127.0.0.1:2", "s2": "127.0.0.1:3"},
    }
)


class Processes:
    """Both run, until they are told otherwise."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, signal.Signals]] = []

    def send(self, name: str, number: signal.Signals) -> int:
        self.sent.append((name, number))
        return 7

    def standing(self, _name: str) -> str:
        return "running"


class Freezes(random.Random):
    """A surprise that freezes the primary."""

    def choice(self, seq: Any) -> Any:
        return seq[1]


def state(*in_sync: str, servers: tuple[str, ...] = ("s1", "s2")) -> dict[str, Any]:
    return {
        "view": {"primary": "s1", "in_sync": list(in_sync)},
        "keeper": {"reachable": True},
        "servers": [{"name": name, "role": "primary" if name == "s1" else "standby"} for name in servers],
    }


def misfortunes(feed: Feed, processes: Any, now: list[int]) -> Misfortunes:
    return Misfortunes(CONFIGURATION, processes, feed, now_ms=lambda: now[0], chance=Freezes())


def faults(feed: Feed) -> list[dict[str, Any]]:
    return [told for event in feed._kept if (told := json.loads(event.text))["kind"] == "fault"]


def test_who_was_frozen_for_a_while_is_thawed_when_the_console_ends_before() -> None:
    async def surprise() -> tuple[list[tuple[str, signal.Signals]], list[dict[str, Any]]]:
        feed, processes = Feed(lambda: 0), Processes()
        done = misfortunes(feed, processes, [0])
        done.see(state("s1", "s2"))
        assert "for 3 seconds" in (await done.do("surprise", "bank"))["said"]
        done.close()
        return processes.sent, faults(feed)

    sent, told = asyncio.run(surprise())
    assert sent == [("s1", signal.SIGSTOP), ("s1", signal.SIGCONT)]
    assert [fault["until_ms"] for fault in told] == [None, 0]


def test_what_was_done_is_over_when_the_server_is_in_sync_again_and_not_before() -> None:
    async def kill() -> list[bool]:
        now = [0]
        feed, processes = Feed(lambda: now[0]), Processes()
        done = misfortunes(feed, processes, now)
        await done.do("kill", "s2")
        is_over = []
        for at_ms, shown in ((100, state("s1", "s2")), (900, state("s1")), (1_500, state("s1", "s2"))):
            now[0] = at_ms
            done.see(shown)
            is_over.append(faults(feed)[-1]["until_ms"] is not None)
        return is_over

    assert asyncio.run(kill()) == [False, False, True], "at first the view does not know of it yet"


def test_whoever_was_added_can_be_hit_and_whoever_was_removed_cannot() -> None:
    async def pause() -> None:
        done = misfortunes(Feed(lambda: 0), Processes(), [0])
        done.see(state("s1", "s3", servers=("s1", "s3")))
        await done.do("pause", "s3")
        with pytest.raises(Exception, match="Freeze is done to s1, s3, witness"):
            await done.do("pause", "s2")

    asyncio.run(pause())


def test_the_last_copy_is_not_deleted() -> None:
    async def wipe() -> None:
        done = misfortunes(Feed(lambda: 0), Processes(), [0])
        done.see(state("s1"))
        with pytest.raises(OperationFailed, match="everything would be lost"):
            await done.do("wipe", "s1")

    asyncio.run(wipe())
