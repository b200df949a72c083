"""Answers with a long list in them: a slice in each turn, counted as it grows."""

from __future__ import annotations

from typing import Any

import pytest
from Pyro5.serializers import serializers

from bankrmi.rmi import Call, Exposed, Limits, LongAnswer, RemoteError, connect, handshake
from bankrmi.rmi.frames import BATCH, CONNECT, INVOKE, JSON, MSGPACK, SERPENT
from bankrmi.rmi.long_answers import SLICES, write_slices
from bankrmi.rmi.turn import Turn
from bankrmi.rmi.values import write_call, write_value

from .account import Account, RawCaller, until
from .conftest import Serving
from .test_limits import code_of


class Lists:
    """Answers with long lists, and notes what was made of them."""

    def __init__(self) -> None:
        self.exposed = Exposed(methods=frozenset({"long", "fails"}))
        self.made: list[tuple[int, int]] = []

    def invoke(self, call: Call) -> None:
        head = {"request_id": "s:1", "action_id": 5}

        def make(start: int, end: int) -> list[object]:
            if call.method == "fails" and start:
                raise RuntimeError("secret")
            self.made.append((start, end))
            return [{"account": number, "it's": "x" * 20} for number in range(start, end)]

        call.answer_with(lambda: LongAnswer(head, "results", call.args[0], make))


SLICE = SLICES[MSGPACK]


def long_answer(count: int) -> dict[str, object]:
    results = [{"account": number, "it's": "x" * 20} for number in range(count)]
    return {"request_id": "s:1", "action_id": 5, "results": results}


@pytest.mark.parametrize("serializer", [MSGPACK, JSON, SERPENT])
@pytest.mark.parametrize("count", [0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE + 16])
def test_an_answer_in_slices_is_read_as_if_it_were_written_at_once(serializer: int, count: int) -> None:
    answer = LongAnswer({"request_id": "s:1", "action_id": 5}, "results", count, lambda a, b: whole[a:b])
    whole: list[Any] = long_answer(count)["results"]  # type: ignore[assignment]
    written = b"".join(write_slices(serializer, answer))
    stock = serializers[{MSGPACK: "msgpack", JSON: "json", SERPENT: "serpent"}[serializer]]
    assert stock.loads(written) == long_answer(count)


def test_a_long_answer_is_made_in_slices_and_the_loop_goes_round_in_between(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = Lists()
    seen: set[int] = set()
    daemon = serving.daemon(objects={"lists": lists})
    spent = Turn.spent
    with connect(daemon.address, "lists", handshake("client"), 5) as caller:
        # A slice takes a whole turn, on any machine.
        monkeypatch.setattr(Turn, "spent", lambda turn, who, line, *_, **__: spent(turn, who, line, 5.0))

        def look() -> None:
            seen.add(len(lists.made))
            if len(lists.made) < 10:
                serving.loop.call_soon(look)

        serving.do(look)
        assert caller.call("long", [10 * SLICE], timeout=5) == long_answer(10 * SLICE)
        assert lists.made == [(start, start + SLICE) for start in range(0, 10 * SLICE, SLICE)]
        assert seen >= set(range(10))


@pytest.mark.parametrize("flags", [0, BATCH])
def test_a_long_answer_over_the_budget_is_not_made_to_its_end(serving: Serving, flags: int) -> None:
    lists = Lists()
    daemon = serving.daemon(Limits(answer_bytes=1 << 16), objects={"acc2": lists})
    with RawCaller(daemon, greet=False) as caller:
        hello = {"handshake": handshake("client"), "object": "acc2"}
        caller.send(CONNECT, write_value(MSGPACK, hello))
        caller.receive()
        args: tuple[object, ...] = (["long", [100 * SLICE], {}],) if flags else (100 * SLICE,)
        caller.send(INVOKE, write_call("acc2", "long", args, {}), flags=flags)
        answer = caller.answer()
        assert "at most 65536 are sent" in str(answer)
        assert code_of(answer[0]["exception"] if flags else answer) == "invalid_request"  # type: ignore[index]
        assert len(lists.made) < 10
        (connection,) = serving.do(daemon._connections)
        assert serving.do(lambda: connection.packed_bytes) == 0


def test_what_goes_wrong_in_a_long_answer_is_an_unexpected_error(serving: Serving) -> None:
    daemon = serving.daemon(objects={"lists": Lists()})
    with connect(daemon.address, "lists", handshake("client"), 5) as caller:
        with pytest.raises(RemoteError):
            caller.call("fails", [4 * SLICE], timeout=5)
        assert caller.call("long", [300], timeout=5) == long_answer(300)


@pytest.mark.parametrize("serializer", [MSGPACK, JSON, SERPENT])
def test_a_long_answer_may_be_a_part_of_a_batch(serving: Serving, serializer: int) -> None:
    daemon = serving.daemon(objects={"lists": Lists()})
    with RawCaller(daemon, greet=False) as caller:
        caller.send(CONNECT, write_value(MSGPACK, {"handshake": handshake("client"), "object": "lists"}))
        caller.receive()
        parts = [["long", [300], {}], ["long", [2], {}]]
        call: object = ["lists", "<batch>", parts, {}]
        if serializer == JSON:
            call = {"object": "lists", "method": "<batch>", "params": parts, "kwargs": {}}
        caller.send(INVOKE, write_value(serializer, call), serializer, BATCH)
        stock = serializers[{MSGPACK: "msgpack", JSON: "json", SERPENT: "serpent"}[serializer]]
        assert stock.loads(caller.receive().payload) == [long_answer(300), long_answer(2)]


def test_a_long_answer_is_not_made_for_who_is_gone(serving: Serving) -> None:
    made: list[int] = []
    account = Account()
    daemon = serving.daemon(objects={"kept": account})

    def make(start: int, end: int) -> list[object]:
        made.append(start)
        connections[0].abort()
        return [1] * (end - start)

    with RawCaller(daemon, greet=False) as caller:
        caller.send(CONNECT, write_value(MSGPACK, {"handshake": handshake("client"), "object": "kept"}))
        caller.receive()
        caller.send(INVOKE, write_call("kept", "keep", (), {}))
        until(lambda: account.kept)
        connections = serving.do(daemon._connections)
        serving.do(lambda: account.kept[0].answer_with(lambda: LongAnswer({}, "results", 10 * SLICE, make)))
        assert caller.is_cut()
    until(lambda: serving.do(lambda: daemon.connections) == 0)
    assert made == [0]
