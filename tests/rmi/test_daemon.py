"""The daemon: who may connect, and the order in which it opens and closes."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from bankrmi.errors import BrokenInvariant, ConfigurationError, InvalidRequest, OperationFailed
from bankrmi.protocol_versions import NEWEST
from bankrmi.readiness import AWAITS
from bankrmi.rmi import (
    Call,
    ConnectDenied,
    ConnectRefused,
    Daemon,
    Exposed,
    Limits,
    Link,
    connect,
    handshake,
    open_link,
    probe,
)
from bankrmi.rmi.serving import ServedConnection

from .account import Account, RawCaller, until
from .conftest import Serving
from .strange_servers import free_address


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (
            {"protocol": [NEWEST + 1, NEWEST + 3], "role": "client"},
            f"protocol {NEWEST + 1} to {NEWEST + 3}, .*: this server is older, upgrade this server",
        ),
        ({"protocol": 1, "role": "client"}, "the caller states no range of protocol versions"),
        ({"protocol": "x\ny", "role": "client"}, "since 1.0: upgrade the caller"),
        ({"protocol": [1, NEWEST], "role": "king"}, "'king' is not a role"),
        ({"protocol": [1, NEWEST]}, "None is not a role"),
    ],
)
def test_a_handshake_that_is_not_known_is_denied_in_one_line(daemon: Daemon, said: Any, answer: str) -> None:
    with pytest.raises(ConnectDenied, match=answer) as caught:
        connect(daemon.address, "acc", said, 5)
    assert "\n" not in str(caught.value)


def test_roles_decide_who_may_use_an_object(serving: Serving) -> None:
    daemon = serving.daemon(servers=("s2",))
    daemon.register("standby", Account(), for_servers=True)
    daemon.register("operator", Account(), roles={"operator"})
    daemon.register("witness", Account(), roles={"server", "operator"})
    allowed = {
        "acc": {"client", "server", "operator"},
        "standby": {"server"},
        "operator": {"operator"},
        "witness": {"server", "operator"},
    }
    for object_id, roles in allowed.items():
        for role in ("client", "server", "operator"):
            if role in roles:
                connect(daemon.address, object_id, handshake(role, server="s2"), 5).close()
            else:
                with pytest.raises(ConnectDenied, match=f"{object_id} is for .* only"):
                    connect(daemon.address, object_id, handshake(role), 5)


@pytest.mark.parametrize("named", [{}, {"server": "s9"}, {"server": 2}, {"server": ["s2"]}])
def test_who_claims_to_be_a_server_and_is_not_known_by_name_gets_nothing_by_it(
    serving: Serving, named: dict[str, object]
) -> None:
    """Denied in the handshake, where the object is for servers; a caller like any other where it is not."""
    daemon = serving.daemon(Limits(message_bytes=1 << 16), servers=("s2",))
    daemon.register("standby", Account(), for_servers=True)
    daemon.register("witness", Account(), for_servers=True, of_any_bank=True, roles={"server", "operator"})
    with pytest.raises(ConnectDenied, match=r"for the servers of its configuration only \(s2\)"):
        connect(daemon.address, "standby", handshake("server", **named), 5)
    for object_id, said in (("witness", handshake("server", **named)), ("witness", handshake("operator"))):
        with connect(daemon.address, object_id, said, 5) as caller:
            assert caller.call("echo", [1], timeout=5) == 1
            with pytest.raises(InvalidRequest, match="over the limit of 65536"):
                caller.call("echo", [bytes(1 << 17)], timeout=5)
    with connect(daemon.address, "witness", handshake("server", server="s2"), 5) as server:
        assert server.call("echo", [bytes(1 << 17)], timeout=5) == bytes(1 << 17)


def test_a_stranger_learns_of_no_object_that_is_not_for_him(serving: Serving) -> None:
    daemon = serving.daemon()
    daemon.register("standby", Account(), for_servers=True)
    with connect(daemon.address, "Pyro.Daemon", {}, 5) as stranger:
        assert stranger.call("registered", timeout=5) == ["Pyro.Daemon", "acc"]
    with connect(daemon.address, "Pyro.Daemon", handshake("server"), 5) as server:
        assert "standby" in server.call("registered", timeout=5)


def test_the_peer_is_told_with_the_call(serving: Serving) -> None:
    peers: list[object] = []

    class Curious:
        def __init__(self) -> None:
            self.exposed = Exposed(methods=frozenset({"ask"}))

        def invoke(self, call: Call) -> None:
            peers.append((call.peer.our_protocol, call.peer.role, call.peer.handshake.get("session")))
            call.answer(call.peer.address)

    daemon = serving.daemon(objects={"curious": Curious()})
    for said in (handshake("client", session="abc"), {}):
        with connect(daemon.address, "curious", said, 5) as connection:
            assert connection.call("ask", timeout=5).startswith("127.0.0.1:")
    assert peers == [(True, "client", "abc"), (False, "", None)]


def test_a_port_that_is_taken_is_one_clear_sentence(serving: Serving, daemon: Daemon) -> None:
    second = Daemon(Limits(), dict)
    with pytest.raises(OperationFailed, match=f"cannot listen on {daemon.address}: another process"):
        serving.run(second.listen(daemon.address))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("192.0.2.1:4711", "this machine does not have that address, or not yet"),
        ("no.such.host.invalid:4711", "the name 'no.such.host.invalid' does not resolve"),
    ],
)
def test_an_address_that_may_come_is_one_clear_sentence_and_can_be_tried_again(
    serving: Serving, address: str, reason: str
) -> None:
    """The network may not be up yet, nor the name server that knows the name."""
    with pytest.raises(OperationFailed, match=reason) as raised:
        serving.run(Daemon(Limits(), dict).listen(address))
    assert AWAITS in raised.value.details


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (f"{'a' * 64}.example:4711", "is not the name of a host"),
        ("127.0.0.1", "not an address of the form host:port"),
        ("127.0.0.1:99999", "not an address of the form host:port"),
    ],
)
def test_an_address_that_cannot_be_had_is_one_clear_sentence(
    serving: Serving, address: str, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        serving.run(Daemon(Limits(), dict).listen(address))


def test_a_port_can_be_taken_again_at_once(serving: Serving) -> None:
    address = free_address()
    for _ in range(3):
        daemon = Daemon(Limits(), dict)
        daemon.register("acc", Account())
        serving.run(daemon.listen(address))
        with connect(address, "acc", {}, 5) as connection:
            assert connection.call("echo", (1,), timeout=5) == 1
            serving.run(daemon.close())


def test_answers_given_before_closing_arrive(serving: Serving) -> None:
    daemon = serving.daemon()
    account = daemon._objects["acc"].target
    assert isinstance(account, Account)
    with RawCaller(daemon) as caller:
        caller.call("keep")
        until(lambda: account.kept)

        async def answer_and_close() -> None:
            account.kept.pop().answer(bytes(1 << 20))
            await daemon.close()

        serving.run(answer_and_close())
        assert caller.answer() == bytes(1 << 20)


def test_the_listening_socket_closes_after_the_last_connection(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R3: while anybody could still be answered, the port does not refuse."""
    daemon = serving.daemon()

    async def work() -> None:
        link = await open_link(daemon.address, "acc", handshake("client"), 5)
        closed_when_lost: list[bool] = []
        acceptor = daemon._acceptor
        assert acceptor is not None
        note = daemon.closed

        def closed(connection: ServedConnection) -> None:
            closed_when_lost.append(not acceptor.listens)
            note(connection)

        monkeypatch.setattr(daemon, "closed", closed)
        await daemon.close()
        assert closed_when_lost == [False]
        assert not acceptor.listens
        link.close()

    serving.run(work())
    with pytest.raises(ConnectRefused):
        connect(daemon.address, "acc", {}, 5)


def test_of_a_caller_little_waits_in_the_system_and_of_a_server_a_few_megabytes(serving: Serving) -> None:
    """The system doubles what it is asked for."""
    daemon = serving.daemon(servers=("s2",))
    daemon.register("standby", Account(), for_servers=True)

    async def waits(object_id: str, said: dict[str, object]) -> int:
        link = await open_link(daemon.address, object_id, said, 5)
        connection = list(daemon._connections())[-1]
        connected = connection._transport.get_extra_info("socket")
        link.close()
        return int(connected.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))

    async def work() -> None:
        assert await waits("acc", handshake("client")) <= 1 << 19
        assert await waits("standby", handshake("server", server="s2")) > 1 << 20

    serving.run(work())


def test_a_caller_that_does_not_read_does_not_keep_the_daemon_from_closing(serving: Serving) -> None:
    """Nor does it have to wait until that caller is overdue."""
    limits = Limits(answer_bytes=64 << 20, held_bytes=256 << 20, message_deadline_ms=60_000)
    daemon = serving.daemon(limits)
    with RawCaller(daemon) as caller:
        caller.call("large", 48 << 20)
        until(lambda: serving.do(lambda: daemon._connections()[0]._stalled))
        serving.run(daemon.close())


def test_a_daemon_that_refuses_new_ones_serves_those_it_has_and_does_not_look_gone(serving: Serving) -> None:
    daemon = serving.daemon()
    with connect(daemon.address, "acc", {}, 5) as connection:
        serving.do(daemon.refuse_new)
        assert connection.call("echo", (1,), timeout=5) == 1

        async def probed() -> object:
            answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            probe(daemon.address, "acc", handshake("server"), answer.set_result, 5)
            return await answer

        assert serving.run(probed()) == "unknown"


def test_a_broken_invariant_is_not_answered_but_goes_to_the_event_loop(serving: Serving) -> None:
    class Broken:
        def __init__(self) -> None:
            self.exposed = Exposed(methods=frozenset({"ask"}))

        def invoke(self, call: Call) -> None:
            raise BrokenInvariant("two entries at one action id")

    daemon = serving.daemon(objects={"broken": Broken()})

    async def work() -> list[str]:
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        link = Link(daemon.address, "broken", handshake("client"), lambda _: None, lost.set_result)
        answers: list[str] = []
        link._on_up = lambda _: link.call("ask", (), lambda answer: answers.append(type(answer).__name__))
        link.open()
        await lost
        return answers

    assert serving.run(work()) == ["ConnectionLost"]
    (complaint,) = serving.complaints
    assert isinstance(complaint["exception"], BrokenInvariant)
    serving.complaints.clear()


def test_an_object_that_fails_after_its_answer_is_logged(serving: Serving, capsys: Any) -> None:
    class Twice:
        def __init__(self) -> None:
            self.exposed = Exposed(methods=frozenset({"ask"}))

        def invoke(self, call: Call) -> None:
            call.answer(1)
            call.answer(2)

    daemon = serving.daemon(objects={"twice": Twice()})
    with connect(daemon.address, "twice", {}, 5) as connection:
        assert [connection.call("ask", timeout=5) for _ in range(2)] == [1, 1]
    assert "answered twice" in capsys.readouterr().out


def test_small_messages_are_not_held_back(serving: Serving, daemon: Daemon) -> None:
    with RawCaller(daemon):
        until(lambda: serving.do(lambda: daemon.connections))
        (connection,) = serving.do(daemon._connections)
        served = connection._transport.get_extra_info("socket")
        assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert served.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
