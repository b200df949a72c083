"""The caller in the event loop: pipelined calls, one answer each, and losses told in one word."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import pytest

from bankrmi import protocol_versions
from bankrmi.errors import ConfigurationError, InsufficientFunds
from bankrmi.protocol_versions import NEWEST
from bankrmi.rmi import (
    AnswerOverdue,
    ConnectDenied,
    ConnectFailed,
    ConnectionLost,
    ConnectRefused,
    Daemon,
    Limits,
    Link,
    NotConnected,
    connect,
    handshake,
    open_link,
    probe,
)
from bankrmi.rmi.frames import CONNECT_OK, MSGPACK, RESULT, frame_bytes
from bankrmi.rmi.values import write_value

from .account import Account
from .strange_servers import Behaviour, closes, free_address, resets, says, says_nothing, strange_server

T = TypeVar("T")
SERVER = handshake("server", server="s1")
GREETING = frame_bytes(CONNECT_OK, MSGPACK, 0, 0, write_value(MSGPACK, {"handshake": {}, "meta": {}}))


def run(work: Callable[[Daemon, Account], Awaitable[T]]) -> T:
    """Run it beside a daemon with a standby that keeps calls, and close all."""

    async def running() -> T:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        standby = Account()
        greeting = {"server": "s2", "start_id": "boot-2"}
        daemon = Daemon(Limits(), lambda: greeting, servers=("s1",))
        daemon.register("standby", standby, for_servers=True)
        await daemon.listen("127.0.0.1:0")
        try:
            return await asyncio.wait_for(work(daemon, standby), 10)
        finally:
            await daemon.close()
            assert not complaints, complaints

    return asyncio.run(running())


async def settled(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def test_calls_are_pipelined_and_each_gets_its_own_answer() -> None:
    async def work(daemon: Daemon, standby: Account) -> None:
        link = await open_link(daemon.address, "standby", SERVER, 5)
        answers: dict[int, object] = {}
        for number in range(20):
            link.call("keep", (number,), partial(answers.__setitem__, number))
        await settled(lambda: len(standby.kept) == 20)
        assert [call.args for call in standby.kept] == [(number,) for number in range(20)]
        for call in reversed(standby.kept):
            call.answer(call.args[0] * 10)
        await settled(lambda: not link.pending)
        assert answers == {number: number * 10 for number in range(20)}
        assert link.unsent_bytes == 0
        link.close()

    run(work)


def test_errors_are_answers_too() -> None:
    async def work(daemon: Daemon, standby: Account) -> None:
        link = await open_link(daemon.address, "standby", SERVER, 5)
        answers: list[object] = []
        link.call("withdraw", (), answers.append)
        await settled(lambda: answers)
        assert isinstance(answers[0], InsufficientFunds)
        with pytest.raises(InsufficientFunds):
            await link.ask("withdraw", (), 5)
        assert await link.ask("echo", (bytes(3 << 20),), 5) == bytes(3 << 20)
        link.close()

    run(work)


def test_a_oneway_call_has_no_answer() -> None:
    async def work(daemon: Daemon, standby: Account) -> None:
        link = await open_link(daemon.address, "standby", SERVER, 5)
        link.tell("note", ("remember",))
        assert await link.ask("echo", (1,), 5) == 1
        assert standby.noted == ["remember"]
        assert link.pending == 0
        link.close()

    run(work)


def test_sequence_numbers_go_round_without_meeting_one_in_use() -> None:
    async def work(daemon: Daemon, standby: Account) -> None:
        link = await open_link(daemon.address, "standby", SERVER, 5)
        kept: list[object] = []
        link.call("keep", ("old",), kept.append)
        link._sequence = 65534
        assert [await link.ask("echo", (number,), 5) for number in range(5)] == list(range(5))
        standby.kept.pop().answer("the old one's")
        await settled(lambda: kept)
        assert kept == ["the old one's"]
        link.close()

    run(work)


def test_a_loss_answers_every_call_and_is_told_once() -> None:
    async def work(daemon: Daemon, standby: Account) -> None:
        losses: list[str] = []
        link = await open_link(daemon.address, "standby", SERVER, 5, losses.append)
        answers: list[object] = []
        for _ in range(3):
            link.call("keep", (), answers.append)
        await settled(lambda: len(standby.kept) == 3)
        await daemon.close()
        await settled(lambda: losses)
        assert [type(answer) for answer in answers] == [ConnectionLost] * 3
        assert losses == ["reset"]
        with pytest.raises(NotConnected):
            link.call("echo", (), answers.append)
        with pytest.raises(NotConnected):
            link.tell("note", (1,))

    run(work)


def test_closing_is_told_as_closed_and_answers_what_is_pending() -> None:
    async def work(daemon: Daemon, standby: Account) -> None:
        losses: list[str] = []
        link = await open_link(daemon.address, "standby", SERVER, 5, losses.append)
        answers: list[object] = []
        link.call("keep", (), answers.append)
        link.close()
        link.close()
        assert losses == ["closed"]
        assert isinstance(answers[0], ConnectionLost)

    run(work)


def test_an_overdue_answer_does_not_harm_the_next_call() -> None:
    async def work(daemon: Daemon, standby: Account) -> None:
        link = await open_link(daemon.address, "standby", SERVER, 5)
        with pytest.raises(AnswerOverdue):
            await link.ask("keep", (), 0.05)
        standby.kept.pop().answer("late")
        assert await link.ask("echo", (1,), 5) == 1
        link.close()

    run(work)


async def reason_of(address: str, timeout: float = 5) -> str:
    lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    link = Link(address, "standby", SERVER, lambda _: None, lost.set_result)
    link.open(timeout)
    return await lost


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (closes, "reset"),
        (resets, "reset"),
        (says_nothing, "timeout"),
        (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "reset"),
        (says(GREETING + b"nonsense"), "reset"),
        (says(GREETING + frame_bytes(RESULT, MSGPACK, 0, 9, b"\xc0")), "reset"),
    ],
)
def test_what_happened_is_one_word(behave: Behaviour, reason: str) -> None:
    with strange_server(behave) as address:
        assert asyncio.run(reason_of(address, 0.2 if reason == "timeout" else 5)) == reason


def test_nobody_listening_is_refused_and_an_unknown_host_unreachable() -> None:
    assert asyncio.run(reason_of(free_address())) == "refused"
    assert asyncio.run(reason_of("no.such.host.invalid:1")) == "unreachable"


def test_a_host_is_refused_only_if_all_its_addresses_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(free_address().rpartition(":")[2])
    refusing = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
    unreachable = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("255.255.255.255", port))

    for found, reason in (([refusing, refusing], "refused"), ([refusing, unreachable], "unreachable")):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, found=found, **__: found)
        assert asyncio.run(reason_of(f"two.faces:{port}")) == reason


def test_a_denial_is_told_as_one() -> None:
    async def work(daemon: Daemon, standby: Account) -> None:
        with pytest.raises(ConnectDenied, match="standby is for servers only"):
            await open_link(daemon.address, "standby", handshake("client"), 5)
        with pytest.raises(ConnectRefused):
            await open_link(free_address(), "standby", SERVER, 5)

    run(work)


def test_a_broken_address_is_the_owners_mistake() -> None:
    async def work() -> None:
        with pytest.raises(ConfigurationError, match="not an address"):
            await open_link("nowhere", "standby", SERVER, 5)

    asyncio.run(work())


def test_giving_up_while_connecting_closes_what_was_begun() -> None:
    async def work(address: str) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(open_link(address, "standby", SERVER, 5), 0.05)
        with pytest.raises(ConnectFailed):
            await open_link(address, "standby", SERVER, 0.05)

    with strange_server(says_nothing) as address:
        asyncio.run(work(address))


# --- probing ------------------------------------------------------------------------------------------


async def probed(address: str, timeout: float = 5) -> object:
    answers: list[object] = []
    probe(address, "standby", SERVER, answers.append, timeout)
    await settled(lambda: answers)
    assert len(answers) == 1
    return answers[0]


def test_a_probe_of_a_live_server_gives_its_greeting() -> None:
    async def work(daemon: Daemon, standby: Account) -> object:
        return await probed(daemon.address)

    assert run(work) == {"protocol": protocol_versions.stated(), "server": "s2", "start_id": "boot-2"}


def test_only_a_refusing_port_is_refused() -> None:
    assert asyncio.run(probed(free_address())) == "refused"


@pytest.mark.parametrize("behave", [closes, resets, says(b"HTTP/1.1 200 OK\r\n\r\n"), says_nothing])
def test_a_connection_that_is_accepted_and_then_fails_is_unknown(behave: Behaviour) -> None:
    with strange_server(behave) as address:
        assert asyncio.run(probed(address, 0.2)) == "unknown"


def test_a_denied_probe_is_unknown() -> None:
    async def work(daemon: Daemon, standby: Account) -> object:
        answers: list[object] = []
        probe(daemon.address, "nobody", SERVER, answers.append, 5)
        await settled(lambda: answers)
        return answers[0]

    assert run(work) == "unknown"


@pytest.mark.parametrize(
    ("stated", "why"),
    [
        ([NEWEST + 1, NEWEST + 2], "this program is older, upgrade this program"),
        (1, "states no range of protocol versions, as bankrmi does since 1.0: upgrade"),
        ("x" * 3000, "states no range of protocol versions"),
    ],
)
def test_whoever_greets_with_no_version_that_we_speak_is_left(stated: object, why: str) -> None:
    """With a sentence, on both kinds of connection; and an address where one lives is not "refused" (R3)."""

    def behave(connected: socket.socket) -> None:
        connected.recv(1 << 16)
        greeting = write_value(MSGPACK, {"handshake": {"protocol": stated}, "meta": {}})
        connected.sendall(frame_bytes(CONNECT_OK, MSGPACK, 0, 0, greeting))
        connected.recv(1 << 16)

    async def work(address: str) -> tuple[object, str]:
        probing = await probed(address)
        with pytest.raises(ConnectDenied) as caught:
            await open_link(address, "standby", handshake("server"), 5)
        return probing, str(caught.value)

    with strange_server(behave) as address:
        with pytest.raises(ConnectDenied, match=why):
            connect(address, "acc", handshake("client"), 5)
        probing, said = asyncio.run(work(address))
        assert probing == "unknown"
        assert why in said
        assert len(said) < 300


@pytest.mark.parametrize(("here", "stated", "spoken"), [(0, 2, 0), (3, 1, 1), (3, 3, 3)])
def test_the_highest_common_version_is_known_where_a_message_is_read_and_built(
    monkeypatch: pytest.MonkeyPatch, here: int, stated: int, spoken: int
) -> None:
    """A later version here, or there, or the same."""

    async def work(daemon: Daemon, standby: Account) -> tuple[int, int]:
        monkeypatch.setattr(protocol_versions, "NEWEST", NEWEST + here)
        said = {**handshake("server", server="s1"), "protocol": [1, NEWEST + stated]}
        link = await open_link(daemon.address, "standby", said, 5)
        link.call("keep", [], lambda _: None)
        await settled(lambda: standby.kept)
        link.close()
        return link.protocol, standby.kept[0].peer.protocol

    assert run(work) == (NEWEST + here, NEWEST + spoken)  # What the caller's side speaks is patched, too.
