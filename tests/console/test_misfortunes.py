"""What is done to a bank by a click: the moments that real processes cannot be made to show on demand."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bankrmi.config import Configuration
from bankrmi.console import disks
from bankrmi.console.bank_here import BankHere
from bankrmi.console.feed import Feed
from bankrmi.console.misfortunes import Misfortunes
from bankrmi.errors import InvalidRequest, OperationFailed

CONFIGURATION = Configuration.model_validate(
    {
        "path": Path("config.yaml"),
        "nameserver": "127.0.0.1:1",
        "servers": {"s1": "127.0.0.1:2", "s2": "127.0.0.1:3"},
    }
)


UP = {"relayed": ["witness", "s1", "s2"], "cut": [], "late": [], "down": [], "restarts": True}


class Processes:
    """Both run, until they are told otherwise."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, signal.Signals]] = []

    def send(self, name: str, number: signal.Signals) -> int:
        self.sent.append((name, number))
        return 7

    def standing(self, _name: str) -> str:
        return "running"

    def directory(self, name: str) -> Path:
        return Path("/nowhere") / name


class Control:
    """An `up` that does what it is asked for, and remembers it."""

    def __init__(self) -> None:
        self.held: dict[int, tuple[str, Mapping[str, Any]]] = {}
        self.said: list[str] = []

    async def hold(self, what: str, **values: Any) -> int:
        number = len(self.said) + 1
        self.held[number] = (what, values)
        self.said.append(what)
        return number

    async def release(self, number: int) -> None:
        del self.held[number]

    def close(self) -> None:
        self.held.clear()


class Chooses(random.Random):
    """A surprise that is known before."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self._place = place

    def choice(self, seq: Any) -> Any:
        return seq[self._place]


def state(*in_sync: str, servers: tuple[str, ...] = ("s1", "s2")) -> dict[str, Any]:
    return {
        "view": {"primary": "s1", "in_sync": list(in_sync)},
        "view_from": "witness",
        "keeper": {"reachable": True},
        "servers": [{"name": name, "role": "primary" if name == "s1" else "standby"} for name in servers],
    }


def misfortunes(
    feed: Feed, processes: Any, now: list[int], *, control: Any = None, surprise: int = 1
) -> Misfortunes:
    bank = BankHere(CONFIGURATION, processes, control or Control())  # type: ignore[arg-type]
    return Misfortunes(bank, feed, now_ms=lambda: now[0], chance=Chooses(surprise))


def asked(kind: str, target: str, **more: Any) -> dict[str, Any]:
    return {"id": kind, "target": target, **more}


def faults(feed: Feed) -> list[dict[str, Any]]:
    return [told for event in feed._kept if (told := json.loads(event.text))["kind"] == "fault"]


def test_who_was_frozen_for_a_while_is_thawed_when_the_console_ends_before() -> None:
    async def surprise() -> tuple[list[tuple[str, signal.Signals]], list[dict[str, Any]]]:
        feed, processes = Feed(lambda: 0), Processes()
        done = misfortunes(feed, processes, [0])
        done.see(state("s1", "s2"), 0, UP)
        assert "for 3 seconds" in (await done.do(asked("surprise", "bank")))["said"]
        await done.close()
        return processes.sent, faults(feed)

    sent, told = asyncio.run(surprise())
    assert sent == [("s1", signal.SIGSTOP), ("s1", signal.SIGCONT)]
    assert [fault["until_ms"] for fault in told] == [None, 0]


def test_what_was_done_is_over_when_the_server_is_in_sync_again_and_not_before() -> None:
    async def kill() -> list[bool]:
        now = [0]
        feed, processes = Feed(lambda: now[0]), Processes()
        done = misfortunes(feed, processes, now)
        done.see(state("s1", "s2"), 0, UP)
        await done.do(asked("kill", "s2"))
        is_over = []
        for at_ms, shown in ((40, state("s1", "s2")), (900, state("s1")), (1_500, state("s1", "s2"))):
            now[0] = at_ms
            done.see(shown, at_ms - 50, UP)
            is_over.append(faults(feed)[-1]["until_ms"] is not None)
        return is_over

    assert asyncio.run(kill()) == [False, False, True], "the first look began before it was done"


def test_whoever_was_added_can_be_hit_and_whoever_was_removed_cannot() -> None:
    async def pause() -> None:
        done = misfortunes(Feed(lambda: 0), Processes(), [0])
        done.see(state("s1", "s3", servers=("s1", "s3")), 0, UP)
        await done.do(asked("pause", "s3"))
        with pytest.raises(Exception, match="Freeze is done to s1, s3, witness"):
            await done.do(asked("pause", "s2"))

    asyncio.run(pause())


def test_the_last_copy_is_not_deleted() -> None:
    async def wipe() -> None:
        done = misfortunes(Feed(lambda: 0), Processes(), [0])
        done.see(state("s1"), 0, UP)
        with pytest.raises(OperationFailed, match="everything would be lost"):
            await done.do(asked("wipe", "s1"))

    asyncio.run(wipe())


def test_the_witness_forgets_only_while_a_safe_view_would_be_found() -> None:
    async def forget() -> None:
        done = misfortunes(Feed(lambda: 0), Processes(), [0])
        alone = state("s1")
        alone["servers"][1]["role"] = "joining"
        done.see(alone, 0, UP)
        with pytest.raises(OperationFailed, match="only while all servers are at work"):
            await done.do(asked("forget", "witness"))

    asyncio.run(forget())


def test_what_lasts_is_undone_once_and_at_the_latest_when_the_console_ends() -> None:
    async def break_and_end() -> None:
        feed, control = Feed(lambda: 0), Control()
        done = misfortunes(feed, Processes(), [0], control=control)
        done.see(state("s1", "s2"), 0, UP)
        cut = await done.do(asked("cut", "s1", toward="everybody", both_ways=False))
        assert control.held == {1: ("cut", {"ways": [("s1", "witness"), ("s1", "s2")]})}
        slow = await done.do(asked("slow", "s2", toward="s1", late_ms=70))
        assert await done.do({"undo": cut["id"]}) == {
            "said": "no longer so: nothing passes from s1 to everybody"
        }
        with pytest.raises(OperationFailed, match="undone already"):
            await done.do({"undo": cut["id"]})
        await done.close()
        assert control.held == {}
        ends = {fault["id"]: (fault["until_ms"], fault["undo"]) for fault in faults(feed)}
        assert ends == {cut["id"]: (0, None), slow["id"]: (0, None)}

    asyncio.run(break_and_end())


def test_when_up_has_ended_nothing_that_it_held_lasts() -> None:
    async def lose_it() -> None:
        feed = Feed(lambda: 0)
        done = misfortunes(feed, Processes(), [0])
        done.see(state("s1", "s2"), 0, UP)
        await done.do(asked("cut", "s1", toward="s2"))
        await done.do(asked("stop", "s2"))
        done.see(state("s1", "s2"), 0, None)
        assert [fault["until_ms"] for fault in faults(feed)][-2:] == [0, 0]

    asyncio.run(lose_it())


def test_where_there_are_no_relays_and_no_small_disks_it_is_said_why_not() -> None:
    async def look() -> None:
        done = misfortunes(Feed(lambda: 0), Processes(), [0])
        done.see(state("s1", "s2"), 0, {**UP, "relayed": []})
        needs = {one["id"]: one["needs"] for one in done.offered() if one["needs"]}
        assert sorted(needs) == ["cut", "fill", "slow"]
        assert "--relays" in needs["cut"]
        with pytest.raises(OperationFailed, match="--relays"):
            await done.do(asked("cut", "s1", toward="s2"))
        done.see(state("s1", "s2"), 0, UP)
        for wrong in ({}, {"toward": "s1"}, {"toward": "s2", "both_ways": None}):
            with pytest.raises(InvalidRequest):
                await done.do(asked("cut", "s1", **wrong))

    asyncio.run(look())


@pytest.mark.parametrize("place", range(9))
def test_every_surprise_says_what_it_is_and_none_lasts(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """(Those that pass by themselves are over when the bank is well.)"""
    monkeypatch.setattr("bankrmi.console.misfortunes.WHILE_S", 0.0)
    monkeypatch.setattr(
        "bankrmi.console.misfortunes.switchover",
        lambda *_: {"before": {"primary": "s1"}, "after": {"primary": "s2"}},
    )
    monkeypatch.setattr(disks, "empty", lambda *_: None)

    async def surprise() -> list[dict[str, Any]]:
        now = [0]
        feed, control = Feed(lambda: now[0]), Control()
        done = misfortunes(feed, Processes(), now, control=control, surprise=place)
        done.see(state("s1", "s2"), 0, UP)
        assert (await done.do(asked("surprise", "bank")))["said"]
        while control.held:
            await asyncio.sleep(0)
        now[0] = 900
        done.see(state("s1", "s2"), 800, UP)
        await done.close()
        return faults(feed)

    told = asyncio.run(surprise())
    assert told[-1]["until_ms"] is not None
    assert told[-1]["words"]
