"""A server's side of the witness: answers, and silence in every form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from bankrmi.coordination.coordinator import Coordinator
from bankrmi.coordination.view_store import ViewStore
from bankrmi.coordination.witness import WITNESS_ID, Witness
from bankrmi.coordination.witness_client import WitnessClient
from bankrmi.errors import InvalidRequest
from bankrmi.protocol_versions import NEWEST
from bankrmi.replication import view
from bankrmi.replication.fields import AddedField
from bankrmi.rmi import Call, Daemon, Exposed, Limits, PlainObject, RemoteObject, handshake
from tests.coordination.views import both, first, forced

TIMEOUT_S = 0.3


@asynccontextmanager
async def served(witness: RemoteObject) -> AsyncIterator[tuple[Daemon, WitnessClient]]:
    daemon = Daemon(Limits(), dict)
    daemon.register(WITNESS_ID, witness, for_servers=True, of_any_bank=True)
    await daemon.listen("127.0.0.1:0")
    client = WitnessClient(daemon.address, "account", handshake=handshake("server"), timeout_ms=300)
    yield daemon, client
    client.close()
    await daemon.close()


@asynccontextmanager
async def relayed(address: str, delay_s: float) -> AsyncIterator[str]:
    """Where everything on its way to that address, and back, takes `delay_s`."""

    under_way: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            asyncio.get_running_loop().call_later(delay_s, writer.write, data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = address.rpartition(":")
        under_way.add(task := asyncio.current_task())  # type: ignore[arg-type]
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))
        under_way.discard(task)

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        while under_way:
            await asyncio.wait(under_way)


async def told(ask: Callable[..., None], *args: Any) -> Any:
    """Return what an ask is answered with; silence as ("silence", reason, whether anything was sent)."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def silent(reason: str, sent: bool) -> None:
        answer.set_result(("silence", reason, sent))

    ask(*args, lambda *values: answer.set_result(values), silent)
    return await asyncio.wait_for(answer, 40)


class Mute:
    """Takes calls and answers when told to."""

    exposed = Exposed(methods=frozenset({"read"}))

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def invoke(self, call: Call) -> None:
        self.calls.append(call)


def test_the_three_verbs(tmp_path: Path) -> None:
    async def work() -> None:
        witness = PlainObject(Witness(store), ("read", "propose", "history", "history_before"))
        async with served(witness) as (_, client):
            coordinator: Coordinator = client
            assert await told(coordinator.read) == (None,)
            assert await told(coordinator.propose, None, first()) == (first(), True)
            assert await told(coordinator.propose, ("h1", 1), both()) == (both(), True)
            assert await told(coordinator.propose, ("h1", 1), first()) == (both(), False)
            assert await told(coordinator.read) == (both(),)
            assert await told(coordinator.history, None) == ([first(), both()],)
            assert await told(coordinator.history, ("h1", 1)) == ([both()],)

    store = ViewStore(tmp_path)
    asyncio.run(work())
    store.close()


def test_a_refused_proposal_is_silence_and_says_why(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(PlainObject(Witness(store), ("propose",))) as (_, client):
            silence, reason, sent = await told(client.propose, None, both())
            assert (silence, sent) == ("silence", True)
            assert "epoch 1" in reason

    store = ViewStore(tmp_path)
    asyncio.run(work())
    store.close()


def test_no_answer_in_time_is_silence_and_a_late_one_reaches_nobody() -> None:
    async def work() -> None:
        mute = Mute()
        async with served(mute) as (_, client):
            assert (await told(client.read))[::2] == ("silence", True)
            again = asyncio.ensure_future(told(client.read))
            while len(mute.calls) < 2:
                await asyncio.sleep(0)
            mute.calls[0].answer(first().to_wire())
            mute.calls[1].answer(both().to_wire())
            assert await again == (both(),)

    asyncio.run(work())


def test_a_slow_witness_is_heard_as_long_as_it_answers_pings() -> None:
    async def work() -> None:
        mute = Mute()
        async with served(mute) as (_, client):
            for _ in range(10):  # A loop that stands still may miss a ping.
                asked = asyncio.ensure_future(told(client.read))
                while not mute.calls:
                    await asyncio.sleep(0)
                late = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_later(3 * TIMEOUT_S, late.set_result, None)
                await asyncio.wait([late, asked], return_when=asyncio.FIRST_COMPLETED)
                mute.calls.pop().answer(both().to_wire())
                if await asked == (both(),):
                    return
            raise AssertionError("it is never heard")

    asyncio.run(work())


def test_a_witness_that_is_far_away_is_heard_in_the_end() -> None:
    """Connecting, greeting and the answer take longer than the timeout, each."""

    async def work() -> None:
        witness = PlainObject(Witness(store), ("read",))
        async with served(witness) as (daemon, _), relayed(daemon.address, 0.6 * TIMEOUT_S) as address:
            far = WitnessClient(address, "account", handshake=handshake("server"), timeout_ms=300)
            answers = [await told(far.read)]
            while answers[-1] != (None,) and len(answers) < 10:
                answers.append(await told(far.read))
            far.close()
            assert answers[-1] == (None,), "it is never heard"

    class Nothing:
        def here(self, service: str) -> None:
            assert service == "account"

    store: Any = Nothing()
    asyncio.run(work())


def test_a_witness_that_does_not_answer_pings_is_silent_after_the_timeout() -> None:
    async def work() -> None:
        over = asyncio.Event()

        async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()
            over.set()

        async with await asyncio.start_server(ignore, "127.0.0.1", 0) as server:
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            client = WitnessClient(address, "account", handshake=handshake("server"), timeout_ms=300)
            later: list[None] = []
            asked = asyncio.ensure_future(told(client.read))
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_later(1.5 * TIMEOUT_S, later.append, None)
            silence, reason, sent = await asked
            assert (silence, sent, later) == ("silence", False, [])
            assert "no answer" in reason
            client.close()
            await over.wait()

    asyncio.run(work())


def test_a_lost_connection_is_silence_at_once_and_the_next_call_makes_a_new_one() -> None:
    async def work() -> None:
        mute = Mute()
        async with served(mute) as (daemon, client):
            address = daemon.address
            lost = asyncio.ensure_future(told(client.read))
            while not mute.calls:
                await asyncio.sleep(0)
            await daemon.close()
            assert (await lost)[::2] == ("silence", True)
            silence, reason, sent = await told(client.read)
            assert (silence, sent) == ("silence", False)
            assert "nobody listens" in reason
            again = Daemon(Limits(), dict)
            again.register(WITNESS_ID, PlainObject(NoView(), ("read",)), for_servers=True, of_any_bank=True)
            await again.listen(address)
            assert await told(client.read) == (None,)
            await again.close()

    class NoView:
        def read(self, service: str) -> None:
            assert service == "account"

    asyncio.run(work())


@pytest.mark.parametrize("denied", [False, True])
def test_who_asks_again_as_soon_as_he_is_told_of_a_silence_is_no_loop(denied: bool) -> None:
    """Nobody listens, or we are denied; once we are not, what is asked is answered."""

    async def work() -> None:
        silences: list[str] = []

        def silent(why: str, _: bool) -> None:
            silences.append(why)
            ask()

        def ask() -> None:
            client.read(lambda _: None, silent)

        daemon = Daemon(Limits(), dict)
        await daemon.listen("127.0.0.1:0")
        address = daemon.address
        if not denied:
            await daemon.close()
        client = WitnessClient(address, "account", handshake=handshake("server"), timeout_ms=300)
        ask()
        await asyncio.sleep(0.5)
        client.close()
        assert 2 <= len(silences) <= 11
        await daemon.close()

    asyncio.run(work())


def test_what_is_asked_just_after_a_refused_connection_is_answered_in_time(tmp_path: Path) -> None:
    async def work() -> None:
        daemon = Daemon(Limits(), dict)
        await daemon.listen("127.0.0.1:0")
        client = WitnessClient(daemon.address, "account", handshake=handshake("server"), timeout_ms=300)
        assert (await told(client.read))[0] == "silence"
        witness = PlainObject(Witness(store), ("read",))
        daemon.register(WITNESS_ID, witness, for_servers=True, of_any_bank=True)
        assert list(await asyncio.gather(told(client.read), told(client.read))) == [(None,)] * 2
        client.close()
        await daemon.close()

    store = ViewStore(tmp_path)
    asyncio.run(work())
    store.close()


def test_a_refusal_is_logged_once_until_something_else_is_wrong_or_nothing() -> None:
    """Whoever proposes proposes again, for as long as it is refused."""

    class Refuses:
        exposed = Exposed(methods=frozenset({"read"}))
        refuses = True

        def invoke(self, call: Call) -> None:
            if self.refuses:
                raise InvalidRequest("so")
            call.answer(None)

    async def work() -> list[str]:
        witness = Refuses()
        async with served(witness) as (_, client):
            with structlog.testing.capture_logs() as lines:
                for witness.refuses in (True, True, True, False, True):
                    await told(client.read)
        return [line["event"] for line in lines]

    assert asyncio.run(work()) == ["the witness refused"] * 2


def test_calls_that_are_made_at_once_share_the_connection(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(PlainObject(Witness(store), ("read", "history"))) as (daemon, client):
            answers = await asyncio.gather(*(told(client.read) for _ in range(5)), told(client.history, None))
            assert answers == [(None,)] * 5 + [([],)]
            assert daemon.connections == 1

    store = ViewStore(tmp_path)
    asyncio.run(work())
    store.close()


def test_nonsense_is_silence() -> None:
    class Nonsense:
        def read(self, service: str) -> object:
            return {"epoch": service}

    async def work() -> None:
        async with served(PlainObject(Nonsense(), ("read",))) as (_, client):
            assert "cannot be read" in (await told(client.read))[1]

    asyncio.run(work())


def test_after_closing_nothing_is_said() -> None:
    async def work() -> None:
        said: list[object] = []
        mute = Mute()
        async with served(mute) as (_, client):
            client.read(said.append, lambda *silence: said.append(silence))
            while not mute.calls:
                await asyncio.sleep(0)
            client.close()
        assert said == []

    asyncio.run(work())


def test_a_view_that_the_witness_could_not_read_is_not_sent_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can win then, and the proposer knows it: there is nothing to be settled (V6)."""
    monkeypatch.setitem(view.ADDED, "forced", AddedField(since=NEWEST + 1, before=False))

    async def work() -> None:
        witness = PlainObject(Witness(store), ("read", "propose", "history", "history_before"))
        async with served(witness) as (_, client):
            assert await told(client.propose, None, first()) == (first(), True)
            asked = await told(client.propose, ("h1", 1), forced(first()))
            kind, reason, sent = asked
            assert (kind, sent) == ("silence", False)
            assert f"speaks bankrmi protocol {NEWEST}, and what is proposed needs {NEWEST + 1}" in reason
            assert await told(client.read) == (first(),)
            assert await told(client.propose, ("h1", 1), both()) == (both(), True)

    store = ViewStore(tmp_path)
    asyncio.run(work())
    store.close()


def test_a_view_of_a_later_version_is_silence_that_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that has not been upgraded drops nothing of it: it proposes nothing at all."""

    class Later:
        def read(self, service: str) -> dict[str, Any]:
            return {**first().to_wire(), "needs_protocol": NEWEST + 1, "lanes": 4}

    async def work() -> None:
        async with served(PlainObject(Later(), ("read",))) as (_, client):
            for _ in range(3):
                kind, reason, sent = await told(client.read)
                assert (kind, sent) == ("silence", True)
                assert f"it needs bankrmi protocol {NEWEST + 1}" in reason

    asyncio.run(work())
    assert capsys.readouterr().out.count("what the witness keeps cannot be read") == 1
