"""The frame parser: the same messages however the bytes arrive, and nothing read that is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from Pyro5 import protocol

from bankrmi.rmi.frames import (
    COMPRESSED,
    CONNECT,
    INVOKE,
    JSON,
    KEEP_SERIALIZED,
    MARSHAL,
    MSGPACK,
    PING,
    SERPENT,
    Frame,
    FrameReader,
    FrameRefused,
    Rules,
    frame_bytes,
)

RULES = Rules(
    kinds=frozenset({INVOKE, PING}),
    payload_bytes={SERPENT: 100, JSON: 200, MSGPACK: 300},
    annotation_bytes=50,
)

frames = st.builds(
    Frame,
    kind=st.sampled_from([INVOKE, PING]),
    serializer=st.sampled_from([SERPENT, JSON, MSGPACK]),
    flags=st.sampled_from([0, 4, 8, 12]),
    sequence=st.integers(0, 65535),
    correlation=st.just(bytes(16)),
    payload=st.binary(max_size=100),
)


def wire(frame: Frame) -> bytes:
    return frame_bytes(frame.kind, frame.serializer, frame.flags, frame.sequence, bytes(frame.payload))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(marks)]


def read_all(reader: FrameReader, pieces: list[bytes]) -> list[Frame]:
    taken = []
    for piece in pieces:
        reader.feed(piece)
        while (frame := reader.take()) is not None:
            taken.append(frame._replace(payload=bytes(frame.payload)))
    return taken


@given(st.lists(frames, max_size=8), st.lists(st.integers(0, 10_000), max_size=20))
def test_the_same_messages_come_out_however_the_bytes_are_split(sent: list[Frame], places: list[int]) -> None:
    reader = FrameReader(RULES)
    assert read_all(reader, cut(b"".join(map(wire, sent)), places)) == sent
    assert reader.pending == 0


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_arbitrary_bytes_are_read_or_refused_and_alike_in_every_split(data: bytes, places: list[int]) -> None:
    assert outcome([data]) == outcome(cut(data, places))


@given(
    st.binary(min_size=34, max_size=34), st.binary(max_size=400), st.lists(st.integers(0, 500), max_size=5)
)
def test_arbitrary_headers_are_read_or_refused_and_alike_in_every_split(
    header: bytes, rest: bytes, places: list[int]
) -> None:
    data = b"PYRO\x01\xf6" + header[:-2] + b"\x4d\xc5" + rest
    assert outcome([data]) == outcome(cut(data, places))


def outcome(pieces: list[bytes]) -> tuple[list[Frame], str]:
    reader, taken = FrameReader(RULES), []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (frame := reader.take()) is not None:
                taken.append(frame._replace(payload=bytes(frame.payload)))
    except FrameRefused as refused:
        return taken, str(refused)
    return taken, ""


def header_only(kind: int, serializer: int, flags: int, size: int, annotations: int = 0) -> bytes:
    whole = bytearray(frame_bytes(kind, serializer, flags, 9, b""))
    whole[12:16] = size.to_bytes(4, "big")
    whole[16:20] = annotations.to_bytes(4, "big")
    return bytes(whole)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (header_only(INVOKE, MARSHAL, 0, 10), "marshal serializer is not accepted"),
        (header_only(INVOKE, 77, 0, 10), "77 serializer is not accepted"),
        (header_only(INVOKE, MSGPACK, COMPRESSED, 10), "compressed"),
        (header_only(INVOKE, MSGPACK, KEEP_SERIALIZED, 10), "blobs"),
        (header_only(INVOKE, SERPENT, 0, 101), "101 bytes is over the limit of 100"),
        (header_only(INVOKE, MSGPACK, 0, 2**32 - 1), "over the limit of 300"),
        (header_only(INVOKE, MSGPACK, 0, 280, 30), "310 bytes is over the limit of 300"),
        (header_only(INVOKE, MSGPACK, 0, 0, 51), "annotations of 51 bytes"),
        (header_only(PING, 42, 0, 5000), "5000 bytes"),
        (header_only(CONNECT, MSGPACK, 0, 10), "kind 1 is not expected"),
        (header_only(99, MSGPACK, 0, 10), "kind 99 is not expected"),
    ],
)
def test_a_frame_is_refused_by_its_header_before_the_rest_has_come(header: bytes, reason: str) -> None:
    reader = FrameReader(RULES)
    reader.feed(header)
    with pytest.raises(FrameRefused, match=reason) as refused:
        reader.take()
    assert refused.value.sequence == 9


@pytest.mark.parametrize("said", [b"G", b"GET / HTTP/1.1\r\n\r\n", b"PYRO\x00\x50", b"\x16\x03\x01"])
def test_what_is_not_pyro_is_refused_at_its_first_bytes(said: bytes) -> None:
    reader = FrameReader(RULES)
    reader.feed(said)
    with pytest.raises(FrameRefused) as refused:
        reader.take()
    assert refused.value.kind == 0


def test_a_stock_ping_has_a_serializer_that_does_not_exist() -> None:
    reader = FrameReader(RULES)
    reader.feed(protocol.SendingMessage(PING, 0, 3, 42, b"ping").data)
    assert reader.take() == Frame(PING, 42, 0, 3, bytes(16), b"ping")


def test_annotations_are_skipped() -> None:
    reader = FrameReader(RULES)
    reader.feed(protocol.SendingMessage(INVOKE, 0, 3, MSGPACK, b"call", {"XYZW": b"note"}).data)
    frame = reader.take()
    assert frame is not None
    assert frame.payload == b"call"


def test_the_rules_in_force_when_a_frame_is_taken_are_those_that_count() -> None:
    reader = FrameReader(Rules(kinds=frozenset({CONNECT}), payload_bytes={MSGPACK: 10}))
    reader.feed(frame_bytes(CONNECT, MSGPACK, 0, 0, b"hi") + frame_bytes(INVOKE, MSGPACK, 0, 1, bytes(200)))
    assert reader.take() is not None
    reader.rules = RULES
    assert reader.take() is not None


def test_our_frames_are_those_of_pyro() -> None:
    stock = protocol.SendingMessage(INVOKE, 4, 12, JSON, b"payload").data
    assert frame_bytes(INVOKE, JSON, 4, 12, b"payload") == stock
