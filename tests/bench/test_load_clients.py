"""The lean clients, against made-up bytes."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.bench.load.http2 import Grpc
from bankrmi.bench.load.order import LoadOrder, LoadResult
from bankrmi.bench.load.protobuf import field, fields, first, number
from bankrmi.bench.load.resp import Resp, command
from bankrmi.bench.shapes import shape_called
from bankrmi.bench.systems.pgbench import calls_between, pgbench_scripts
from bankrmi.errors import OperationFailed


class Wire(asyncio.Transport):
    """Keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        self.sent += bytes(data)


def asked(
    protocol: Resp | Grpc, ask: Callable[[], Awaitable[bytes | None]], answer: bytes, pieces: int
) -> bytes | None:
    """Return what comes of a call whose answer arrives in pieces of that size."""

    async def run() -> bytes | None:
        protocol.connection_made(Wire())
        call = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        for start in range(0, len(answer), pieces):
            protocol.data_received(answer[start : start + pieces])
        return await asyncio.wait_for(call, 5)

    return asyncio.run(run())


@pytest.mark.parametrize("pieces", range(1, 9))
def test_redis_replies_are_read_however_they_are_cut(pieces: int) -> None:
    redis = Resp()
    reply = asked(redis, lambda: redis.ask_and_wait(command(b"GET")), b"$6\r\na\r\nb\r\n\r\n:1\r\n", pieces)
    assert reply == b"a\r\nb\r\n"


def test_a_withdrawal_that_no_replica_has_is_an_error() -> None:
    redis = Resp()
    with pytest.raises(OperationFailed, match="no replica"):
        asked(redis, lambda: redis.ask_and_wait(command(b"GET")), b":7\r\n:0\r\n", 100)


def test_an_error_of_redis_is_an_error() -> None:
    redis = Resp()
    with pytest.raises(OperationFailed, match="ERR what"):
        asked(redis, lambda: redis.ask(command(b"GET")), b"-ERR what\r\n", 100)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_a_grpc_answer_is_read_however_it_is_cut(pieces: int) -> None:
    grpc = Grpc("here:1")
    message = b"\0" + struct.pack("!I", 3) + b"abc"
    settings, headers, trailers = frame(4, 0, 0, b""), frame(1, 4, 1, b"x"), frame(1, 5, 1, b"y")
    answer = settings + headers + frame(0, 0, 1, message[:4]) + frame(0, 0, 1, message[4:]) + trailers
    assert asked(grpc, lambda: grpc.ask("/a/b", b"q"), answer, pieces) == b"abc"


@pytest.mark.parametrize(
    "refusal", [frame(1, 5, 1, b"y"), frame(3, 0, 1, b"\0\0\0\1"), frame(7, 0, 0, b"no")]
)
def test_a_grpc_call_without_an_answer_fails(refusal: bytes) -> None:
    grpc = Grpc("here:1")
    with pytest.raises(OperationFailed, match="here:1"):
        asked(grpc, lambda: grpc.ask("/a/b", b"q"), refusal, 100)


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 1 << 63) | st.binary(max_size=300))))
def test_what_is_written_as_protocol_buffers_is_read_again(written: list[tuple[int, int | bytes]]) -> None:
    message = b"".join(
        number(place, value) if isinstance(value, int) else field(place, value) for place, value in written
    )
    assert list(fields(message)) == written
    assert first(message, 5001) is None


def test_orders_and_answers_survive_their_lines() -> None:
    shape = shape_called("loop-2x1000")
    assert shape is not None
    order = LoadOrder(kind="link", where={"a": "b"}, shape=shape, seconds=0.5)
    assert LoadOrder.from_line(order.to_line()) == order
    answer = LoadResult(
        operations=1, seconds=2.0, median_us=3.0, p99_us=4.0, cpu_seconds=5.0, notes={"x": 1.0}
    )
    assert LoadResult.from_line(answer.to_line()) == answer


@pytest.mark.parametrize(
    ("row", "weights"), [("32x1", [10]), ("reads", [10]), ("reads-9:1", [9, 1]), ("1x100", [10])]
)
def test_pgbench_reads_as_often_as_the_shape_says(row: str, weights: list[int]) -> None:
    shape = shape_called(row)
    assert shape is not None
    scripts = list(pgbench_scripts(shape))
    assert [weight for _, weight in scripts] == weights
    assert all(text.count(";") == 1 for text, _ in scripts), "one trip each"


def test_of_pgbenchs_log_the_calls_count_that_ended_in_the_time_measured(tmp_path: Path) -> None:
    log = tmp_path / "calls.1"
    log.write_text("0 1 900 0 10 999999\n1 1 1500 0 11 0\n0 2 2500 0 11 999999\n0 3 100 0 12 0\n")
    assert calls_between([log], 11.0, 12.0) == [0.0015, 0.0025]
