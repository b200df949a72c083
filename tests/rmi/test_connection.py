"""The blocking caller: whatever goes wrong, it tells whether anything was sent, and in time."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import Pyro5.api
import Pyro5.errors
import pytest

from bankrmi.errors import InsufficientFunds
from bankrmi.rmi import (
    AnswerOverdue,
    ConnectDenied,
    ConnectFailed,
    Connection,
    ConnectionLost,
    ConnectRefused,
    Daemon,
    LostAfterSending,
    NotConnected,
    RemoteError,
    connect,
    handshake,
)
from bankrmi.rmi.frames import CONNECT_OK, INVOKE, MSGPACK, RESULT, frame_bytes
from bankrmi.rmi.values import write_value

from .account import Account, until
from .conftest import Serving
from .strange_servers import Behaviour, closes, free_address, resets, says, says_nothing, strange_server

GREETING = frame_bytes(CONNECT_OK, MSGPACK, 0, 0, write_value(MSGPACK, {"handshake": {}, "meta": {}}))
CLIENT = handshake("client")


@pytest.fixture
def connection(daemon: Daemon) -> Iterator[Connection]:
    with connect(daemon.address, "acc", CLIENT, 5) as made:
        yield made


def test_a_call_returns_its_value(connection: Connection) -> None:
    assert connection.greeting["server"] == "s1"
    assert connection.call("echo", (2,), timeout=5) == 2
    assert connection.call("echo", (1, 2), {"more": 3}, timeout=5) == [[1, 2], {"more": 3}]
    large = bytes(1_000_000)
    assert connection.call("echo", (large,), timeout=5) == large


def test_an_error_of_ours_is_raised_as_our_class(connection: Connection) -> None:
    with pytest.raises(InsufficientFunds, match="exceeds the balance") as caught:
        connection.call("withdraw", (2, 10), timeout=5)
    assert caught.value.details == {"account": 2, "request_id": None}
    assert connection.call("echo", (2,), timeout=5) == 2


def test_an_error_that_is_none_of_ours_is_no_communication_error(connection: Connection) -> None:
    for method in ("crash", "unheard_of"):
        with pytest.raises(RemoteError) as caught:
            connection.call(method, timeout=5)
        assert not isinstance(caught.value, Pyro5.errors.CommunicationError)
    assert caught.value.class_name == "builtins.AttributeError"


def test_nobody_listening_is_refused() -> None:
    with pytest.raises(ConnectRefused) as caught:
        connect(free_address(), "acc", CLIENT, 5)
    assert caught.value.reason == "refused"


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (closes, "reset"),
        (resets, "reset"),
        (says_nothing, "timeout"),
        (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "reset"),
        (says(GREETING[:30]), "timeout"),
    ],
)
def test_every_other_failure_to_connect_is_told_apart_from_refused(behave: Behaviour, reason: str) -> None:
    with strange_server(behave) as address:
        with pytest.raises(ConnectFailed) as caught:
            connect(address, "acc", CLIENT, 0.2)
        assert caught.value.reason == reason
        assert isinstance(caught.value, NotConnected)


def test_an_unknown_host_is_a_failure_to_connect() -> None:
    with pytest.raises(ConnectFailed) as caught:
        connect("no.such.host.invalid:1", "acc", CLIENT, 5)
    assert caught.value.reason == "unreachable"


def test_a_denial_says_why(daemon: Daemon) -> None:
    with pytest.raises(ConnectDenied, match="unknown object") as caught:
        connect(daemon.address, "nobody", CLIENT, 5)
    assert caught.value.reason == "denied"


def answers(what: bytes) -> Behaviour:
    """Greet, and answer the first call with these bytes; close if there are none."""

    def answer(connected: socket.socket) -> None:
        connected.recv(1 << 16)
        connected.sendall(GREETING)
        connected.recv(1 << 16)
        connected.sendall(what)
        if what:
            says_nothing(connected)

    return answer


@pytest.mark.parametrize(
    "behave",
    [
        answers(b""),
        answers(b"nonsense"),
        answers(frame_bytes(RESULT, MSGPACK, 0, 99, b"\xc0")),
        answers(frame_bytes(INVOKE, MSGPACK, 0, 1, b"\xc0")),
        answers(frame_bytes(RESULT, MSGPACK, 0, 1, b"\xc1")),
        answers(frame_bytes(RESULT, MSGPACK, 2, 1, b"\xc0")),
    ],
)
def test_a_connection_lost_after_sending_is_not_a_failure_to_connect(behave: Behaviour) -> None:
    with strange_server(behave) as address, connect(address, "acc", CLIENT, 5) as connection:
        with pytest.raises(ConnectionLost) as caught:
            connection.call("withdraw", (2, 10), timeout=5)
        assert isinstance(caught.value, LostAfterSending)
        assert isinstance(caught.value, Pyro5.errors.CommunicationError)
        with pytest.raises(NotConnected):
            connection.call("withdraw", (2, 10), timeout=5)


def test_an_answer_that_came_before_the_call_is_not_its_answer() -> None:
    early = says(GREETING + frame_bytes(RESULT, MSGPACK, 0, 1, b"\x01"))
    with (
        strange_server(early) as address,
        connect(address, "acc", CLIENT, 5) as connection,
        pytest.raises(NotConnected),
    ):
        connection.call("echo", (2,), timeout=5)


def trickles(connected: socket.socket) -> None:
    connected.recv(1 << 16)
    connected.sendall(GREETING)
    connected.recv(1 << 16)
    try:
        for byte in frame_bytes(RESULT, MSGPACK, 0, 1, bytes(1000)):
            connected.sendall(bytes([byte]))
            time.sleep(0.01)  # this is what the server is slow at
    except OSError:
        pass


@pytest.mark.parametrize("behave", [says(GREETING), trickles])
def test_the_deadline_covers_the_whole_call(behave: Behaviour) -> None:
    with strange_server(behave) as address, connect(address, "acc", CLIENT, 5) as connection:
        begun = time.monotonic()
        with pytest.raises(AnswerOverdue):
            connection.call("withdraw", (2, 10), timeout=0.2)
        assert 0.15 < time.monotonic() - begun < 1
        assert connection.closed, "a late answer is not taken for the next one's"


def test_an_answer_may_be_long_in_coming(serving: Serving, daemon: Daemon) -> None:
    account = daemon._objects["acc"].target
    assert isinstance(account, Account)
    with ThreadPoolExecutor(1) as caller, connect(daemon.address, "acc", CLIENT, 5) as connection:
        answer = caller.submit(connection.call, "keep", timeout=5)
        until(lambda: account.kept)
        serving.do(lambda: account.kept.pop().answer("now"))
        assert answer.result(5) == "now"


def test_a_stock_daemon_can_be_called() -> None:
    @Pyro5.api.expose
    class Theirs:
        def echo(self, value: object) -> object:
            return value

        def fail(self) -> None:
            raise ValueError("no such thing")

    with Pyro5.api.Daemon("127.0.0.1", 0) as theirs, ThreadPoolExecutor(1) as server:
        theirs.register(Theirs(), "acc")
        server.submit(theirs.requestLoop)
        try:
            with connect(theirs.locationStr, "acc", CLIENT, 5) as connection:
                assert connection.call("echo", ([1, "x"],), timeout=5) == [1, "x"]
                with pytest.raises(RemoteError, match="no such thing"):
                    connection.call("fail", timeout=5)
        finally:
            theirs.shutdown()


def test_a_name_that_is_not_resolved_in_time_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver tries for longer than any caller wants to wait, and knows no deadline."""
    resolve, over = socket.getaddrinfo, Event()

    def hangs(host: str, port: int, **options: int) -> object:
        if not options.get("flags"):
            over.wait(30)
        return resolve(host, port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    began = time.monotonic()
    with pytest.raises(ConnectFailed, match="not resolved in time"):
        connect("localhost:1", "account", CLIENT, 0.2)
    assert time.monotonic() - began < 10
    over.set()
