"""Each limit on what strangers may send holds."""

from __future__ import annotations

import time
import zlib

import pytest

from bankrmi.rmi import Daemon, Limits, handshake
from bankrmi.rmi.frames import (
    COMPRESSED,
    CONNECT,
    CONNECT_FAIL,
    INVOKE,
    JSON,
    MARSHAL,
    MSGPACK,
    SERPENT,
    frame_bytes,
)
from bankrmi.rmi.values import write_call, write_value

from .account import Account, RawCaller, until
from .conftest import Serving


def account_of(daemon: Daemon) -> Account:
    account = daemon._objects["acc"].target
    assert isinstance(account, Account)
    return account


def code_of(answer: object) -> object:
    assert isinstance(answer, dict)
    return answer["attributes"]["code"]


def announced(kind: int, serializer: int, size: int, flags: int = 0) -> bytes:
    """Return a header that announces `size` bytes; none of them follow."""
    header = bytearray(frame_bytes(kind, serializer, flags, 7, b""))
    header[12:16] = size.to_bytes(4, "big")
    return bytes(header)


def test_marshal_is_never_read(daemon: Daemon) -> None:
    with RawCaller(daemon) as caller:
        caller.socket.sendall(announced(INVOKE, MARSHAL, 100))
        frame = caller.receive()
        assert frame.serializer == SERPENT
        assert b"marshal serializer is not accepted" in frame.payload
        assert caller.is_cut()


def test_a_bomb_is_never_decompressed(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zlib, "decompress", lambda *_: pytest.fail("decompressed"))
    with RawCaller(daemon) as caller:
        caller.send(INVOKE, zlib.compress(bytes(1 << 20)), flags=COMPRESSED)
        assert code_of(caller.answer()) == "invalid_request"
        assert caller.is_cut()
    with RawCaller(daemon, greet=False) as caller:
        caller.send(CONNECT, zlib.compress(bytes(1 << 16)), flags=COMPRESSED)
        assert caller.receive().kind == CONNECT_FAIL


@pytest.mark.parametrize(("serializer", "limit"), [(SERPENT, 1 << 16), (JSON, 1 << 20), (MSGPACK, 1 << 20)])
def test_a_message_over_its_limit_is_refused_before_it_is_sent(
    daemon: Daemon, serializer: int, limit: int
) -> None:
    with RawCaller(daemon) as caller:
        caller.socket.sendall(announced(INVOKE, serializer, limit + 1))
        assert b"is over the limit of" in caller.receive().payload
        assert caller.is_cut()


def test_a_handshake_over_its_limit_is_refused_before_it_is_sent(daemon: Daemon) -> None:
    with RawCaller(daemon, greet=False) as caller:
        caller.socket.sendall(announced(CONNECT, MSGPACK, 4097))
        assert caller.receive().kind == CONNECT_FAIL
        assert caller.is_cut()


def test_who_goes_on_sending_after_a_refusal_is_cut(serving: Serving) -> None:
    daemon = serving.daemon(Limits(discarded_bytes=1 << 20))
    with RawCaller(daemon) as caller:
        caller.socket.sendall(announced(INVOKE, MSGPACK, 1 << 31))
        with pytest.raises(OSError):
            caller.socket.sendall(bytes(64 << 20))


def test_a_call_before_the_handshake_is_cut(daemon: Daemon) -> None:
    with RawCaller(daemon, greet=False) as caller:
        caller.call("echo", 1)
        assert caller.is_cut()
    assert account_of(daemon).invoked == []


def test_a_second_handshake_is_cut(daemon: Daemon) -> None:
    with RawCaller(daemon) as caller:
        caller.send(CONNECT, write_value(MSGPACK, {"handshake": "hello", "object": "acc"}))
        assert caller.is_cut()


def test_after_what_cannot_be_read_the_caller_is_told_and_the_connection_closed(daemon: Daemon) -> None:
    with RawCaller(daemon) as caller:
        caller.call("echo", {"__class__": "Pyro5.client.Proxy", "state": []})
        caller.call("echo", 1)
        assert code_of(caller.answer()) == "invalid_request"
        assert caller.is_cut()
    assert account_of(daemon).invoked == []


@pytest.mark.parametrize(
    ("serializer", "payload"),
    [(SERPENT, b"[" * 60000), (JSON, b"[" * 500_000), (MSGPACK, b"\x91" * 1_000_000)],
)
def test_deep_nesting_harms_nobody(daemon: Daemon, serializer: int, payload: bytes) -> None:
    with RawCaller(daemon) as caller:
        caller.send(INVOKE, payload, serializer)
        refused = caller.receive().payload
        assert b"cannot be read" in refused or b"too many values" in refused
        assert caller.is_cut()
    with RawCaller(daemon) as caller:
        caller.call("echo", 1)
        assert caller.answer() == 1


def test_a_connection_is_bound_to_its_object(serving: Serving) -> None:
    other = Account()
    daemon = serving.daemon(objects={"other": other})
    with RawCaller(daemon) as caller:
        for object_id, method in (("other", "echo"), ("Pyro.Daemon", "registered"), ("nobody", "echo")):
            caller.send(INVOKE, write_call(object_id, method, (1,), {}))
            assert code_of(caller.answer()) == "access_denied"
        caller.send(INVOKE, write_call("Pyro.Daemon", "ping", (), {}))
        assert caller.answer() is None
    assert other.invoked == []


@pytest.mark.parametrize("pieces", [b"", b"PYRO", announced(CONNECT, MSGPACK, 100)])
def test_a_handshake_has_one_deadline(serving: Serving, pieces: bytes) -> None:
    daemon = serving.daemon(Limits(message_deadline_ms=200, sweep_ms=20))
    with RawCaller(daemon, greet=False) as caller:
        caller.socket.sendall(pieces)
        begun = time.monotonic()
        assert caller.is_cut()
        assert time.monotonic() - begun < 2


def test_a_message_that_trickles_in_has_one_deadline(serving: Serving) -> None:
    daemon = serving.daemon(Limits(message_deadline_ms=200, sweep_ms=20))
    with RawCaller(daemon) as caller:
        message = announced(INVOKE, MSGPACK, 100_000) + bytes(100_000)
        sent = 0

        def is_cut_while_trickling() -> bool:
            nonlocal sent
            try:
                caller.socket.sendall(message[sent : sent + 1])
            except OSError:
                return True
            sent += 1
            return False

        until(is_cut_while_trickling)
        assert 0 < sent < len(message), "each byte came in time, and the message did not"


def test_an_idle_connection_and_a_long_call_are_not_cut(serving: Serving) -> None:
    daemon = serving.daemon(Limits(message_deadline_ms=50, sweep_ms=10))
    with RawCaller(daemon) as idle, RawCaller(daemon) as patient:
        patient.call("keep")
        with RawCaller(daemon, greet=False) as slow:
            assert slow.is_cut(), "by then the sweep has seen the other two"
        until(lambda: account_of(daemon).kept)
        serving.do(lambda: account_of(daemon).kept.pop().answer("at last"))
        assert patient.answer() == "at last"
        idle.call("echo", 1)
        assert idle.answer() == 1


def test_who_does_not_read_its_answers_is_cut(serving: Serving) -> None:
    daemon = serving.daemon(Limits(message_deadline_ms=200, sweep_ms=20, unsent_bytes=1 << 16))
    with RawCaller(daemon) as caller:
        for _ in range(40):
            caller.call("large", 1 << 20)
        until(lambda: not serving.do(lambda: daemon.connections))
        assert len(account_of(daemon).invoked) < 20, "its calls waited for it to read"


def test_who_reads_slowly_but_reads_gets_all_answers(serving: Serving) -> None:
    daemon = serving.daemon(Limits(unsent_bytes=1 << 16))
    with RawCaller(daemon) as caller:
        for number in range(40):
            caller.call("large", 1 << 20, seq=number)
        for number in range(40):
            frame = caller.receive()
            assert (frame.sequence, len(frame.payload)) == (number, (1 << 20) + 5)


def test_a_caller_has_one_call_in_progress_and_the_others_wait(serving: Serving, daemon: Daemon) -> None:
    account = account_of(daemon)
    with RawCaller(daemon) as caller:
        caller.call("keep", seq=1)
        caller.call("keep", seq=2)
        caller.call("echo", 3, seq=3)
        until(lambda: account.kept)
        with RawCaller(daemon) as other:
            other.call("echo", 1)
            assert other.answer() == 1
        assert len(account.kept) == 1
        serving.do(lambda: account.kept.pop().answer("one"))
        until(lambda: account.kept)
        serving.do(lambda: account.kept.pop().answer("two"))
        assert [caller.answer() for _ in range(3)] == ["one", "two", 3]


def test_what_piles_up_behind_a_call_is_left_on_the_callers_side(serving: Serving) -> None:
    daemon = serving.daemon(Limits(piled_bytes=1 << 16))
    account = account_of(daemon)
    with RawCaller(daemon) as caller:
        caller.call("keep", seq=0)
        caller.socket.settimeout(0.3)
        call = frame_bytes(INVOKE, MSGPACK, 0, 1, write_call("acc", "echo", (bytes(1 << 16),), {}))
        with pytest.raises(TimeoutError):
            caller.socket.sendall(call * 1000)
        caller.socket.settimeout(10)
        (connection,) = serving.do(daemon._connections)
        assert connection._reader.pending < 1 << 20
        serving.do(lambda: account.kept.pop().answer("go on"))
        assert caller.answer() == "go on"
        assert caller.answer() == bytes(1 << 16)


def test_an_answer_never_leads_straight_into_the_next_call(serving: Serving, daemon: Daemon) -> None:
    account = account_of(daemon)
    with RawCaller(daemon) as caller:
        caller.call("keep", seq=1)
        caller.call("echo", 2, seq=2)
        until(lambda: account.kept)

        def answer() -> list[str]:
            account.kept.pop().answer("one")
            return list(account.invoked)

        assert serving.do(answer) == ["keep"]
        assert [caller.answer(), caller.answer()] == ["one", 2]


def test_a_server_may_have_several_calls_in_progress(serving: Serving) -> None:
    daemon = serving.daemon(servers=("s2",))
    standby = Account()
    daemon.register("standby", standby, for_servers=True)
    with RawCaller(daemon, greet=False) as caller:
        request = {"handshake": handshake("server", server="s2"), "object": "standby"}
        caller.send(CONNECT, write_value(MSGPACK, request))
        assert caller.receive().kind == 2
        for number in range(3):
            caller.send(INVOKE, write_call("standby", "keep", (), {}), seq=number)
        until(lambda: len(standby.kept) == 3)
        for _ in range(3):
            serving.do(lambda: standby.kept.pop().answer(None))
        assert [caller.receive().sequence for _ in range(3)] == [2, 1, 0]
        large = bytes(3 << 20)
        caller.send(INVOKE, write_call("standby", "echo", (large,), {}))
        assert caller.answer() == large


def test_what_a_server_sends_beyond_its_calls_in_progress_is_left_on_its_side(serving: Serving) -> None:
    daemon = serving.daemon(Limits(server_calls_in_progress=2, server_message_bytes=1 << 20), servers=("s2",))
    standby = Account()
    daemon.register("standby", standby, for_servers=True)
    with RawCaller(daemon, greet=False) as caller:
        hello = {"handshake": handshake("server", server="s2"), "object": "standby"}
        caller.send(CONNECT, write_value(MSGPACK, hello))
        assert caller.receive().kind == 2
        caller.socket.settimeout(0.3)
        call = frame_bytes(INVOKE, MSGPACK, 0, 1, write_call("standby", "keep", (bytes(1 << 19),), {}))
        with pytest.raises(TimeoutError):
            caller.socket.sendall(call * 100)
        caller.socket.settimeout(10)
        assert len(standby.kept) == 2
        (connection,) = serving.do(daemon._connections)
        assert serving.do(lambda: connection.held_bytes) < 3 << 20


def test_a_caller_that_left_is_known_to_the_call(serving: Serving, daemon: Daemon) -> None:
    account = account_of(daemon)
    with RawCaller(daemon) as caller:
        caller.call("keep")
        until(lambda: account.kept)
    until(lambda: account.kept[0].connection_lost)
    serving.do(lambda: account.kept[0].answer("to nobody"))
