"""Plain values only, in all three serializers, whatever the bytes."""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress

import msgpack
import pytest
import serpent
from hypothesis import given
from hypothesis import strategies as st
from Pyro5.core import URI
from Pyro5.serializers import serializers

from bankrmi.rmi.frames import JSON, MSGPACK, SERPENT
from bankrmi.rmi.values import ValueRefused, read_call, read_value, write_call, write_value

STOCK = {SERPENT: "serpent", JSON: "json", MSGPACK: "msgpack"}
ALL = pytest.mark.parametrize("serializer", list(STOCK))

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | text,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(text.filter(lambda key: key != "__class__"), inner)
    ),
    max_leaves=20,
)


@given(plain, st.sampled_from(list(STOCK)))
def test_what_a_stock_client_sends_arrives_and_its_answer_too(value: object, serializer: int) -> None:
    stock = serializers[STOCK[serializer]]
    sent = stock.dumpsCall("acc", "echo", (value,), {"more": value})
    object_id, method, args, kwargs = read_call(serializer, sent)
    assert (object_id, method, list(args), kwargs) == ("acc", "echo", [value], {"more": value})
    assert stock.loads(write_value(serializer, value)) == value


@given(st.binary(max_size=200), st.sampled_from(list(STOCK)))
def test_whatever_the_bytes_nothing_but_a_refusal_is_raised(payload: bytes, serializer: int) -> None:
    for read in (read_call, read_value):
        with suppress(ValueRefused):
            read(serializer, payload)


@given(st.text("[]{}(),:'\"\\-+x019.eE \n#juNf", max_size=200))
def test_whatever_the_text_nothing_but_a_refusal_is_raised(written: str) -> None:
    for serializer in (SERPENT, JSON):
        with suppress(ValueRefused):
            read_call(serializer, written.encode())


@ALL
@pytest.mark.parametrize(
    "harmful",
    [
        {"__class__": "Pyro5.client.Proxy", "state": []},
        {"__class__": "Pyro5.errors.PyroError", "__exception__": True, "args": []},
        {"__class__": None},
    ],
)
def test_dicts_that_stand_for_classes_are_refused_at_any_depth(serializer: int, harmful: object) -> None:
    dumps = {SERPENT: serpent.dumps, JSON: lambda v: json.dumps(v).encode(), MSGPACK: msgpack.packb}[
        serializer
    ]
    for value in (harmful, [harmful], {"a": {"b": [harmful]}}):
        with pytest.raises(ValueRefused, match="classes"):
            read_value(serializer, dumps(value))


def test_an_escaped_class_is_a_class() -> None:
    with pytest.raises(ValueRefused, match="classes"):
        read_value(JSON, rb'{"\u005f_class__": "Pyro5.client.Proxy"}')
    with pytest.raises(ValueRefused, match="classes"):
        read_value(SERPENT, rb"{'\x5f_class__': 'Pyro5.client.Proxy'}")


@ALL
def test_a_uri_becomes_its_text_and_nothing_else_does(serializer: int) -> None:
    stock = serializers[STOCK[serializer]]
    _, _, args, _ = read_call(serializer, stock.dumpsCall("ns", "register", ["n", URI("PYRO:x@host:99")], {}))
    assert list(args) == ["n", "PYRO:x@host:99"]
    broken = {"__class__": "Pyro5.core.URI", "state": ["PYRO", "x"]}
    with pytest.raises(ValueRefused, match="URI"):
        read_value(serializer, stock.dumps(broken))


@ALL
def test_a_uri_and_sets_are_written_as_a_stock_client_expects_them(serializer: int) -> None:
    stock = serializers[STOCK[serializer]]
    assert stock.loads(write_value(serializer, URI("PYRO:x@host:99"))) == URI("PYRO:x@host:99")
    assert set(stock.loads(write_value(serializer, {"a", "b"}))) == {"a", "b"}
    assert set(stock.loads(write_value(serializer, ("uri", frozenset({"a"}))))[1]) == {"a"}


@ALL
def test_objects_are_not_taken_apart_for_an_answer(serializer: int) -> None:
    class Secret:
        def __init__(self) -> None:
            self.password = "x"

    for value in (Secret(), [Secret()], {"a": Secret()}):
        with pytest.raises((TypeError, ValueError)):
            write_value(serializer, value)


HOSTILE = {
    SERPENT: [
        b"[" * 65000,
        b"-" * 65000 + b"1",
        b"~" * 65000 + b"1",
        b"1" + b"+1" * 32000,
        b"not " * 16000 + b"1",
        b"{1:" * 20000,
        b"(" * 190 + b")" * 190,
        b"9" * 65000,
        b"0x" + b"f" * 65000,
        b"f'{1}'",
        b"lambda: 1",
        b"1j",
        b"...",
        b"'\\ud800'",
        b"\0",
        b"\xff\xfe",
        b"{[]: 1}",
        b"'\\d'" * 1000 + b"\n is 1",
    ],
    JSON: [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b"[" * 900 + b"]" * 900,
        b"9" * 1_000_000,
        b"[" + b"[]," * 300_000 + b"[]]",
        b'"\\ud800"',
        b"\xff",
        b"",
    ],
    MSGPACK: [
        b"\x91" * 1_000_000,
        b"\xdd\x00\x0f\xff\xff" * 200_000,
        b"\xdf\x00\x07\xff\xff\x01" * 100_000,
        msgpack.packb(msgpack.ExtType(0x30, bytes(16))),
        msgpack.packb(msgpack.ExtType(0x31, b"9" * 5000)),
        msgpack.packb(msgpack.ExtType(0x31, b"nine")),
        msgpack.packb({1: 2}),
        b"\xc1",
        b"\xa1\xff",
        b"",
        b"\x01\x01",
    ],
}


@pytest.mark.parametrize(
    ("serializer", "payload"), [(kind, payload) for kind, payloads in HOSTILE.items() for payload in payloads]
)
def test_hostile_payloads_are_refused_quickly(serializer: int, payload: bytes) -> None:
    begun = time.thread_time()
    with pytest.raises(ValueRefused):
        read_call(serializer, payload)
    assert time.thread_time() - begun < 0.5


def test_long_integers_are_written_and_timestamps_are_plain_in_msgpack() -> None:
    stock = serializers["msgpack"]
    assert stock.loads(write_value(MSGPACK, 2**70)) == 2**70
    assert type(read_value(MSGPACK, msgpack.packb(msgpack.Timestamp(5)))) is int


def test_infinity_is_a_number() -> None:
    assert read_value(JSON, write_value(JSON, math.inf)) == math.inf


@pytest.mark.parametrize(
    "call",
    [["acc", "echo", []], ["acc", 5, [], {}], [5, "echo", [], {}], ["acc", "echo", 5, {}], ["a", "b", [], 7]],
)
def test_what_is_not_a_call_is_refused(call: object) -> None:
    with pytest.raises(ValueRefused, match="not made of"):
        read_call(MSGPACK, msgpack.packb(call))


def test_our_calls_are_those_of_pyro() -> None:
    assert write_call("acc", "echo", (1,), {}) == serializers["msgpack"].dumpsCall("acc", "echo", (1,), {})
