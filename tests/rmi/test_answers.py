"""An answer has a budget, its making has a turn, and a batched call is served in parts."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress

import pytest

from bankrmi.rmi import ConnectionLost, Limits, connect, handshake
from bankrmi.rmi import batch as batch_module
from bankrmi.rmi import serving as serving_module
from bankrmi.rmi.frames import (
    BATCH,
    CONNECT,
    CONNECT_OK,
    EXCEPTION,
    INVOKE,
    JSON,
    MSGPACK,
    RESULT,
    SERPENT,
    frame_bytes,
)
from bankrmi.rmi.turn import Line
from bankrmi.rmi.values import read_value, write_call, write_value

from .account import Account, RawCaller, until
from .conftest import Serving
from .strange_servers import Behaviour, strange_server
from .test_limits import account_of, code_of


def batch(*parts: tuple[str, Sequence[object]]) -> bytes:
    return write_call("acc", "<batch>", tuple([method, args, {}] for method, args in parts), {})


def test_an_answer_over_its_budget_becomes_a_definite_error(serving: Serving) -> None:
    daemon = serving.daemon(Limits(answer_bytes=1 << 16))
    with RawCaller(daemon) as caller:
        caller.call("large", 1 << 17)
        form = caller.answer()
        assert code_of(form) == "invalid_request"
        assert "at most 65536 are sent" in str(form)
        caller.call("large", 1 << 15)
        assert caller.answer() == b"x" * (1 << 15)


def test_a_batch_ends_when_its_answers_have_used_up_the_budget(serving: Serving) -> None:
    """The part that is told so was not executed, nor were those after it; all before it are answered."""
    daemon = serving.daemon(Limits(answer_bytes=1 << 16))
    with RawCaller(daemon) as caller:
        caller.send(INVOKE, batch(*[("large", [30_000])] * 100), flags=BATCH)
        results = caller.answer()
        assert isinstance(results, list)
        assert results[:-1] == [b"x" * 30_000] * 3
        assert code_of(results[-1]["exception"]) == "invalid_request"
        assert "were not executed" in str(results[-1])
        assert account_of(daemon).invoked == ["large"] * 3
        caller.call("echo", 1)
        assert caller.answer() == 1


@pytest.mark.parametrize("serializer", [MSGPACK, JSON, SERPENT])
def test_results_that_were_packed_one_by_one_are_read_as_a_list(serving: Serving, serializer: int) -> None:
    daemon = serving.daemon()
    with RawCaller(daemon) as caller:
        parts = [["echo", [["a", {"b": None}]], {}], ["echo", [2], None], ["echo", [""], {}]]
        call = {"object": "acc", "method": "<batch>", "params": parts, "kwargs": None}
        form = call if serializer == JSON else tuple(call.values())
        caller.send(INVOKE, write_value(serializer, form), serializer, BATCH)
        frame = caller.receive()
        assert frame.flags & BATCH
        assert read_value(serializer, frame.payload) == [["a", {"b": None}], 2, ""]


def test_long_answers_count_as_what_arrives_does_so_that_memory_is_looked_after_in_time(
    serving: Serving,
) -> None:
    """Many that are not read add up to more than is held for callers, each of them short of being large."""
    daemon = serving.daemon()
    with RawCaller(daemon) as caller:
        before = daemon._fed_bytes
        caller.call("large", 10_000)
        assert len(caller.answer()) >= 10_000  # type: ignore[arg-type]
        assert daemon._fed_bytes - before > 10_000


def test_an_empty_batch_has_no_results(serving: Serving) -> None:
    with RawCaller(serving.daemon()) as caller:
        caller.send(INVOKE, batch(), flags=BATCH)
        assert caller.answer() == []


def test_others_are_served_between_the_parts_of_a_batch(serving: Serving) -> None:
    """Counted, not timed: each of the other's calls waits for one part, not for the whole batch."""
    daemon = serving.daemon()
    account = account_of(daemon)
    with RawCaller(daemon, role="client") as greedy, RawCaller(daemon, role="client") as light:

        def both_at_once() -> None:
            """In the loop's own thread: it reads neither before both are there."""
            daemon.rounds.turn._budget_ms = 1e-9  # one message a turn
            greedy.send(INVOKE, batch(*[("large", [1000])] * 1000), flags=BATCH)
            light.call("echo", 1)

        serving.do(both_at_once)
        assert light.answer() == 1
        for _ in range(9):
            light.call("echo", 1)
            assert light.answer() == 1
        assert len(greedy.answer()) == 1000  # type: ignore[arg-type]
        assert account.invoked.index("echo") < 10, "the first one came in between"


def test_a_server_may_batch_as_many_calls_as_a_client(serving: Serving) -> None:
    daemon = serving.daemon(servers=("s2",))
    daemon.register("standby", Account(), for_servers=True)
    with RawCaller(daemon, greet=False) as caller:
        hello = {"handshake": handshake("server", server="s2"), "object": "standby"}
        caller.send(CONNECT, write_value(MSGPACK, hello))
        caller.receive()
        parts = tuple(["echo", [number], None] for number in range(1000))
        caller.send(INVOKE, write_call("standby", "<batch>", parts, {}), flags=BATCH)
        assert caller.answer() == list(range(1000))


def test_an_answer_that_takes_time_is_made_in_turn_and_not_for_who_is_gone(serving: Serving) -> None:
    daemon = serving.daemon()
    account = account_of(daemon)
    made: list[str] = []

    def make(who: str) -> str:
        made.append(who)
        return who

    with RawCaller(daemon) as stays, RawCaller(daemon) as leaves:
        stays.call("keep")
        until(lambda: len(account.kept) == 1)
        leaves.call("keep")
        until(lambda: len(account.kept) == 2)
        leaves.socket.close()
        until(lambda: account.kept[1].connection_lost)
        serving.do(lambda: account.kept[1].answer_with(lambda: make("gone")))
        serving.do(lambda: account.kept[0].answer_with(lambda: make("here")))
        assert stays.answer() == "here"
        assert made == ["here"]


@pytest.mark.parametrize("flags", [0, BATCH])
def test_no_answer_is_packed_for_a_connection_that_is_lost(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, flags: int
) -> None:
    daemon = serving.daemon()
    account = account_of(daemon)
    with RawCaller(daemon) as caller:
        if flags:
            caller.send(INVOKE, batch(("keep", []), ("echo", [1])), flags=flags)
        else:
            caller.call("keep")
        until(lambda: account.kept)
    until(lambda: account.kept[0].connection_lost)
    written: list[object] = []

    def write(_: int, value: object) -> bytes:
        written.append(value)
        return b""

    for module in (serving_module, batch_module):
        monkeypatch.setattr(module, "write_value", write)
    serving.do(lambda: account.kept.pop().answer(["an answer"]))
    serving.do(lambda: None)
    assert (written, account.invoked) == ([], ["keep"])


def test_an_answer_that_cannot_be_made_is_the_error_that_was_raised(serving: Serving) -> None:
    daemon = serving.daemon()
    account = account_of(daemon)

    def fails() -> object:
        raise RuntimeError("secret in /etc/bank.key")

    with RawCaller(daemon) as caller:
        caller.call("keep")
        until(lambda: account.kept)
        serving.do(lambda: account.kept[0].answer_with(fails))
        frame = caller.receive()
        assert frame.flags & EXCEPTION
        assert b"secret" not in frame.payload
        caller.call("echo", 1)
        assert caller.answer() == 1


def test_answers_that_nobody_reads_count_as_memory_and_the_largest_is_cut(serving: Serving) -> None:
    limits = Limits(held_bytes=24 << 20, answer_bytes=32 << 20, message_deadline_ms=60_000, sweep_ms=60_000)
    daemon = serving.daemon(limits)
    with ExitStack() as greedy, RawCaller(daemon) as innocent:
        for _ in range(4):
            caller = greedy.enter_context(RawCaller(daemon))
            caller.call("large", 24 << 20)
        until(lambda: serving.do(lambda: daemon.connections) < 5)
        innocent.call("echo", 1)
        assert innocent.answer() == 1
        until(  # One more of these answers may be made by now, and is looked at next.
            lambda: (
                serving.do(lambda: sum(one.held_bytes for one in daemon._connections())) <= limits.held_bytes
            )
        )


def test_strangers_who_owe_time_keep_nobody_of_ours_waiting(serving: Serving) -> None:
    daemon = serving.daemon()
    with RawCaller(daemon) as stranger, RawCaller(daemon, role="client") as ours:
        serving.do(lambda: daemon.rounds.turn.charge(Line.STRANGERS, 60_000.0))
        stranger.call("echo", "later")
        for number in range(20):
            ours.call("echo", number)
            assert ours.answer() == number
        assert account_of(daemon).invoked == ["echo"] * 20
        serving.do(lambda: daemon.rounds.turn.charge(Line.STRANGERS, -60_000.0))
        ours.call("echo", 1)  # whoever looks next finds that it is paid
        assert ours.answer() == 1


def answers_with(payload: bytes, flags: int = 0) -> Behaviour:
    """A server that greets as ours do, and answers each call so."""

    def behave(connected: socket.socket) -> None:
        connected.recv(1 << 16)
        greeting = write_value(MSGPACK, {"handshake": {"protocol": [1, 1]}, "meta": {}})
        connected.sendall(frame_bytes(CONNECT_OK, MSGPACK, 0, 0, greeting))
        if connected.recv(1 << 16):
            with suppress(OSError):
                connected.sendall(frame_bytes(RESULT, MSGPACK, flags, 1, payload))

    return behave


@pytest.mark.parametrize(
    ("payload", "flags"),
    [
        (bytes(17 << 20), 0),
        (b"\xdd\x00\x20\x00\x00" + b"\x90" * (1 << 21), 0),
        (b"\xdc\x3f\xff" * 1000, 0),
        (b"\x91" * 5000, 0),
        (write_value(MSGPACK, {"args": ["x" * (1 << 20)], "attributes": {"code": "refused"}}), EXCEPTION),
        (write_value(MSGPACK, {"args": ["x"], "attributes": {f"{n}": n for n in range(3000)}}), EXCEPTION),
    ],
    ids=["too large", "too many", "announced", "deep", "large error", "error of many parts"],
)
def test_what_a_false_server_answers_is_bounded(payload: bytes, flags: int) -> None:
    with strange_server(answers_with(payload, flags)) as address:
        connection = connect(address, "acc", handshake("client"), 5)
        with pytest.raises(ConnectionLost):
            connection.call("balance", (1,), timeout=5)


def test_an_answer_to_a_batch_of_8192_is_taken() -> None:
    result = {"account": 2**62, "balance": 2**62, "action_id": 2**62}
    payload = write_value(MSGPACK, {"results": [result] * 8192})
    with (
        strange_server(answers_with(payload)) as address,
        connect(address, "acc", handshake("client"), 5) as connection,
    ):
        assert len(connection.call("submit", (), timeout=5)["results"]) == 8192


def test_what_was_answered_and_waits_for_its_turn_is_sent_before_the_daemon_closes(serving: Serving) -> None:
    daemon = serving.daemon()
    account = account_of(daemon)
    with RawCaller(daemon) as caller:
        caller.call("keep")
        until(lambda: account.kept)
        serving.do(lambda: daemon.rounds.turn.charge(Line.STRANGERS, 60_000.0))
        serving.do(lambda: account.kept[0].answer("at last"))
        serving.run(daemon.close())
        assert caller.answer() == "at last"
