"""The view in etcd, three real members: the three verbs, races, and silence in every form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from bankrmi.config import EtcdSettings
from bankrmi.coordination import etcd as etcd_room
from bankrmi.coordination.coordinator import Coordinator
from bankrmi.coordination.etcd import EtcdClient
from bankrmi.coordination.etcd_keys import Keys, ViewRecord
from bankrmi.replication.view import View
from tests.coordination.views import both, first, forced
from tests.etcd import MEMBERS, EtcdMembers, needs_etcd, paused

pytestmark = needs_etcd
VIEW_KEY = "/bankrmi/account/view"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdMembers]:
    with EtcdMembers(tmp_path_factory.mktemp("etcd")) as members:
        yield members


@pytest.fixture
def members(running: EtcdMembers) -> EtcdMembers:
    """Three members that are well, and hold nothing."""
    running.until(running.is_healthy, "all members answer")
    running.delete_all()
    return running


@asynccontextmanager
async def client_of(settings: EtcdSettings, timeout_ms: int = 4000) -> AsyncIterator[EtcdClient]:
    client = EtcdClient(settings, "account", timeout_ms=timeout_ms)
    yield client
    client.close()
    await client.closed()


async def told(ask: Callable[..., None], *args: Any) -> Any:
    """Return what an ask is answered with; silence as ("silence", reason, whether anything was sent)."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def silent(reason: str, sent: bool) -> None:
        answer.set_result(("silence", reason, sent))

    ask(*args, lambda *values: answer.set_result(values), silent)
    return await asyncio.wait_for(answer, 60)


async def heard(ask: Callable[..., None], *args: Any) -> Any:
    """Return the answer, however often it takes: a member that has just come back elects."""
    for _ in range(20):
        answer = await told(ask, *args)
        if answer[:1] != ("silence",):
            return answer
    raise AssertionError(answer)


def test_the_three_verbs(members: EtcdMembers) -> None:
    async def work() -> None:
        async with client_of(members.settings()) as client:
            met: list[str | None] = []
            client.on_met = met.append
            coordinator: Coordinator = client
            assert await told(coordinator.read) == (None,)
            assert await told(coordinator.history, None) == ([],)
            assert await told(coordinator.propose, None, first()) == (first(), True)
            assert await told(coordinator.propose, ("h1", 1), both()) == (both(), True)
            assert await told(coordinator.propose, ("h1", 1), both()) == (both(), True), "it won both times"
            assert await told(coordinator.propose, ("h1", 1), first()) == (both(), False)
            assert await told(coordinator.read) == (both(),)
            assert await told(coordinator.history, None) == ([first(), both()],)
            assert await told(coordinator.history, ("h1", 1)) == ([both()],)
            assert await told(coordinator.history, ("h1", 2)) == ([],)
            assert len(met) == 1
            assert str(met[0]).startswith("etcd:")

    asyncio.run(work())


def test_of_proposals_made_at_once_exactly_one_wins(members: EtcdMembers) -> None:
    """Each from a client of its own, and each asks another member first."""
    urls = [members.url(member) for member in MEMBERS]

    def proposed(number: int) -> View:
        return replace(both().started_again(f"process-{number}"), start_id=f"process-{number}")

    async def race(number: int) -> Any:
        settings = members.settings(etcd=urls[number % 3 :] + urls[: number % 3])
        async with client_of(settings) as client:
            return await heard(client.propose, ("h1", 2), proposed(number))

    async def work() -> None:
        async with client_of(members.settings()) as client:
            await heard(client.propose, None, first())
            await heard(client.propose, ("h1", 1), both())
        answers = await asyncio.gather(*map(race, range(12)))
        [winner] = [number for number, (_, won) in enumerate(answers) if won]
        assert all(view == proposed(winner) for view, _ in answers)

    asyncio.run(work())


def test_what_changed_after_it_was_read_is_not_overwritten(
    members: EtcdMembers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading and writing another proposal wins: the answer is the view as it is now."""
    stored = etcd_room.EtcdKeeper._stored

    async def work() -> None:
        async with client_of(members.settings()) as client, client_of(members.settings()) as other:
            await heard(client.propose, None, first())

            async def read_and_overtaken(self: Any, time: Any) -> Any:
                before = await stored(self, time)
                monkeypatch.undo()
                assert await heard(other.propose, ("h1", 1), both()) == (both(), True)
                return before

            monkeypatch.setattr(etcd_room.EtcdKeeper, "_stored", read_and_overtaken)
            late = first().started_again("another-process")
            assert await heard(client.propose, ("h1", 1), late) == (both(), False)
            assert await heard(client.history, None) == ([first(), both()],)

    asyncio.run(work())


def test_the_value_is_compared_as_well_as_the_revision(members: EtcdMembers) -> None:
    """Where etcd was put back from a copy, a revision may come again, with another view in it."""
    keys = Keys("/bankrmi/", "account")

    async def work() -> None:
        async with client_of(members.settings()) as client:
            await heard(client.propose, None, first())
        answer = await asyncio.to_thread(members.ask, "/v3/kv/range", keys.read())
        read = keys.stored(answer)
        assert read is not None
        elsewhere = replace(read, value=read.value.replace(b"start-s1", b"start-s9"))
        change = keys.change(elsewhere, ViewRecord(view=both()))
        assert keys.decided(await asyncio.to_thread(members.ask, "/v3/kv/txn", change)) == (False, read)

    asyncio.run(work())


def test_a_proposal_that_can_never_be_is_refused_and_nothing_is_sent(members: EtcdMembers) -> None:
    async def work() -> None:
        async with client_of(members.settings()) as client:
            silence, reason, sent = await told(client.propose, None, both())
            assert (silence, sent) == ("silence", False)
            assert "epoch 1" in reason
            await heard(client.propose, None, first())
            assert await heard(client.propose, ("h1", 1), forced(first())) == (forced(first()), True)
            back = replace(forced(forced(first())), history="h1")
            silence, reason, _ = await told(client.propose, ("h2", 2), back)
            assert "a history of its own" in reason

    asyncio.run(work())


@pytest.mark.parametrize("how", ["killed", "paused"])
@pytest.mark.parametrize("which", ["the leader", "a follower"])
def test_one_member_that_is_gone_keeps_nobody_from_anything(
    members: EtcdMembers, how: str, which: str
) -> None:
    """Whichever it is: the first one in the configuration, too, that is asked first."""
    leader = members.leader()
    victim = leader if which == "the leader" else next(one for one in MEMBERS if one != leader)
    order = [victim, *(member for member in MEMBERS if member != victim)]
    settings = members.settings(etcd=[members.url(member) for member in order])

    async def work() -> None:
        async with client_of(settings) as client:
            assert await heard(client.read) == (None,)
            if how == "killed":
                members.kill(victim)
            else:
                members.pause(victim)
            assert await heard(client.propose, None, first()) == (first(), True)
            assert await heard(client.propose, ("h1", 1), both()) == (both(), True)
            assert await heard(client.read) == (both(),)

    try:
        asyncio.run(work())
    finally:
        members.resume(victim)
        if how == "killed":
            members.start(victim)


def test_without_a_majority_nothing_is_answered_and_what_was_proposed_may_win(members: EtcdMembers) -> None:
    """No stale view is read from the member that is left; the proposal may win later."""

    async def work() -> None:
        async with client_of(members.settings()) as sure:
            await heard(sure.propose, None, first())
        async with client_of(members.settings(), timeout_ms=500) as client:
            assert await heard(client.read) == (first(),)
            with paused(members, "m2", "m3"):
                assert (await told(client.read))[0] == "silence"
                assert (await told(client.propose, ("h1", 1), both()))[0] == "silence"
            view, _ = await heard(client.propose, ("h1", 1), both())
            assert view == both()

    asyncio.run(work())


def test_nobody_listening_is_silence_at_once_and_nothing_was_sent(members: EtcdMembers) -> None:
    async def work() -> None:
        async with client_of(members.settings(), timeout_ms=60_000) as client:
            silence, reason, sent = await asyncio.wait_for(told(client.propose, None, first()), 30)
            assert (silence, sent) == ("silence", False)
            assert reason.count("no connection") == 3

    members.kill(*MEMBERS)
    try:
        asyncio.run(work())
    finally:
        members.start(*MEMBERS)


def test_what_stands_there_and_is_no_view_is_silence(members: EtcdMembers) -> None:
    async def work(value: str) -> None:
        async with client_of(members.settings()) as client:
            for ask in ((client.read,), (client.propose, ("h1", 1), both())):
                silence, reason, sent = await told(*ask)
                assert (silence, "cannot be read" in reason) == ("silence", True)
            assert not sent, "nothing was proposed over what is not understood"

    for value in (
        "",
        "x",
        "{}",
        '{"view": {}}',
        "[" * 5000,
        json.dumps({"view": {**first().to_wire(), "epoch": "1"}}),
    ):
        members.put(VIEW_KEY, value)
        asyncio.run(work(value))


def test_a_view_that_was_moved_away_is_not_read_and_not_followed(members: EtcdMembers) -> None:
    """The final record: whoever still asks here can win nothing."""
    members.put(VIEW_KEY, ViewRecord(view=first(), moved_to="witness:abc").to_text())

    async def work() -> None:
        async with client_of(members.settings()) as client:
            assert "moved to witness:abc" in (await told(client.read))[1]
            silence, reason, sent = await told(client.propose, ("h1", 1), both())
            assert (silence, sent) == ("silence", False)
            assert "moved to witness:abc" in reason

    asyncio.run(work())


def test_the_oldest_views_are_removed(members: EtcdMembers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bankrmi.coordination.etcd_keys.VIEWS_KEPT", 3)

    async def work() -> None:
        async with client_of(members.settings()) as client:
            await heard(client.propose, None, first())
            view = first()
            for number in range(2, 8):
                before, view = view, view.started_again(f"start-{number}")
                assert await heard(client.propose, (before.history, before.epoch), view) == (view, True)
            (kept,) = await heard(client.history, None)
            assert [one.epoch for one in kept] == [5, 6, 7]
            assert "is kept" in (await told(client.history, ("h1", 2)))[1]

    asyncio.run(work())


def test_a_long_history_comes_in_pieces(members: EtcdMembers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bankrmi.coordination.etcd.HISTORY_VIEWS", 2)
    monkeypatch.setattr("bankrmi.coordination.etcd_keys.HISTORY_VIEWS", 2)

    async def work() -> None:
        async with client_of(members.settings()) as client:
            views = [first()]
            await heard(client.propose, None, first())
            for number in range(2, 8):
                views.append(views[-1].started_again(f"start-{number}"))
                await heard(client.propose, ("h1", number - 1), views[-1])
            told_views: list[View] = []
            after = None
            while True:
                (piece,) = await heard(client.history, after)
                assert len(piece) <= 2
                if not piece:
                    break
                told_views += piece
                after = (piece[-1].history, piece[-1].epoch)
            assert told_views == views

    asyncio.run(work())


def test_after_closing_nothing_is_said(members: EtcdMembers) -> None:
    async def work() -> None:
        said: list[object] = []
        async with client_of(members.settings()) as client:
            client.read(said.append, lambda *silence: said.append(silence))
        assert said == []

    asyncio.run(work())
