"""What a message may contain at most is looked at before it is built, in every serializer."""

from __future__ import annotations

import ast
import itertools
import json
import tracemalloc
import warnings
from contextlib import suppress
from typing import Any

import msgpack
import pytest
import serpent
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.rmi.frames import JSON, MSGPACK, SERPENT
from bankrmi.rmi.limits import Limits, call_bounds
from bankrmi.rmi.plain import ITEMS_AT_MOST, NESTING_AT_MOST
from bankrmi.rmi.values import ValueRefused, read_call, read_value

LARGEST = 2**63 - 1
SMALL_BATCH = [["withdraw", 12, 5]] * 8192
LARGE_BATCH = [["withdraw", LARGEST, LARGEST]] * 8192


@pytest.mark.parametrize("operations", [SMALL_BATCH, LARGE_BATCH], ids=["small", "large"])
def test_a_legal_batch_passes_in_msgpack_and_in_json(operations: list[list[object]]) -> None:
    request = [operations, "x" * 64 + ":999999999999999999", ["h" * 32, LARGEST]]
    packed = msgpack.packb(("bankrmi.account.s1", "submit", request, {}))
    written = json.dumps(
        {"object": "bankrmi.account.s1", "method": "submit", "params": request, "kwargs": {}}
    ).encode()
    for serializer, payload in ((MSGPACK, packed), (JSON, written)):
        assert len(payload) <= 1 << 20
        assert next(iter(read_call(serializer, payload)[2])) == operations


def test_a_batch_in_serpent_may_have_750_operations() -> None:
    payload = serpent.dumps(("bankrmi.account.s1", "submit", ([["withdraw", 12, 5]] * 750, "s:1"), {}))
    assert len(read_call(SERPENT, payload)[2][0]) == 750  # type: ignore[arg-type]


COLLIDING = [number * (2**61 - 1) for number in range(1, 2000)]
"""Python's hash of all of them is 0."""


@pytest.mark.parametrize(
    "written",
    [
        ",".join(map(str, COLLIDING)),
        ",".join(f"{number}:1" for number in COLLIDING),
        ",".join(map(str, itertools.product((-1, -2), repeat=8))),
        ",".join(f"{key}:1" for key in itertools.product((-1, -2), repeat=8)),
    ],
)
def test_what_falls_upon_each_other_as_keys_is_refused(written: str) -> None:
    with pytest.raises(ValueRefused, match=r"64 bits|single values"):
        read_value(SERPENT, b"{" + written.encode() + b"}")


@pytest.mark.parametrize("number", [2**64, -(2**64), 2**70])
def test_an_integer_has_64_bits_in_every_serializer(number: int) -> None:
    for serializer, written in (
        (MSGPACK, msgpack.packb(msgpack.ExtType(0x31, str(number).encode()))),
        (JSON, str(number).encode()),
        (SERPENT, str(number).encode()),
    ):
        with pytest.raises(ValueRefused, match="64 bits"):
            read_value(serializer, written)
    for serializer, written in ((JSON, b"[%d,%d]"), (SERPENT, b"[%d,%d]")):
        assert read_value(serializer, written % (2**64 - 1, -(2**63))) == [2**64 - 1, -(2**63)]


def test_keys_cost_more_than_values_in_msgpack_and_json() -> None:
    many, few = ({str(number): 1 for number in range(count)} for count in (5000, 3000))
    for serializer, write in ((MSGPACK, msgpack.packb), (JSON, lambda value: json.dumps(value).encode())):
        assert read_value(serializer, write(few)) == few
        with pytest.raises(ValueRefused, match="too many values"):
            read_value(serializer, write(many))


def test_a_server_sends_lists_of_entries_and_few_dicts() -> None:
    """The largest checkpoint there can be passes; what would cost more is refused before it is built."""
    limits = Limits()
    bounds = call_bounds(limits, for_servers=True)
    entry = [
        1 << 40,
        1 << 40,
        "s" * 100,
        1 << 40,
        8191,
        bytes(30),
        "insufficient",
        1 << 60,
        1 << 50,
        bytes(16),
    ]
    tail = ["h" * 32, 1 << 40, "s1", "x" * 16, 1, [0, 0, bytes(16)], [0, 0, bytes(16)], 0, 1000, 20]
    largest = msgpack.packb(("bankrmi.standby.s2", "checkpoint", [*tail, [entry] * 16_384], {}))
    assert len(largest) <= limits.server_message_bytes
    read_call(MSGPACK, largest, bounds)
    costly: list[Any]
    for costly in ([{"a": 1}] * 200, [[]] * 40_000, [{str(n): 1 for n in range(40_000)}]):
        with pytest.raises(ValueRefused, match="too many values"):
            read_value(MSGPACK, msgpack.packb([bytes(4096), *costly]), bounds)


def lists(item: bytes, count: int) -> bytes:
    """`count` of the item, in lists of no more than 8 000."""
    full, rest = divmod(count, 8000)
    return (
        b"\xdd"
        + (full + 1).to_bytes(4, "big")
        + (b"\xdd" + (8000).to_bytes(4, "big") + item * 8000) * full
        + b"\xdd"
        + rest.to_bytes(4, "big")
        + item * rest
    )


@pytest.mark.parametrize(
    "item",
    [b"\xc0", b"\x01", b"\x90", b"\x80", b"\xa0", b"\xa1a", b"\x91\x90", b"\x81\xa1a\x90", b"\xc4\x00"],
)
def test_values_are_counted_over_all_lists_in_msgpack(item: bytes) -> None:
    with pytest.raises(ValueRefused, match="too many values"):
        read_value(MSGPACK, lists(item, ITEMS_AT_MOST + 1))
    read_value(MSGPACK, lists(item, ITEMS_AT_MOST // 64))


@pytest.mark.parametrize("payload", [b"\xdc\x0b\x00" * 1000, b"\xdd\x00\x0f\xff\xff" * 1000, b"\x91" * 1000])
def test_what_lists_announce_is_not_reserved_before_it_is_there(payload: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueRefused):
            read_value(MSGPACK, payload)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_long_integers_are_counted_in_msgpack() -> None:
    one = msgpack.packb(msgpack.ExtType(0x31, b"9" * 19))
    with pytest.raises(ValueRefused, match="long integers"):
        read_value(MSGPACK, lists(one, 1001))
    with pytest.raises(ValueRefused):
        read_value(MSGPACK, msgpack.packb(msgpack.ExtType(0x31, b"9" * 41)))


@pytest.mark.parametrize(
    "item", [b"[]", b"{}", b"1", b'""', b'{"":1}', b"[[[[]]]]", b'{"a":{"b":1}}', b"[" * 60 + b"]" * 60]
)
def test_values_are_counted_in_json_by_brackets_and_colons_too(item: bytes) -> None:
    with pytest.raises(ValueRefused, match="too many values"):
        read_value(JSON, b"[" + b",".join([item] * ITEMS_AT_MOST) + b"]")


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (b"9" * 40, "long numbers"),
        (b"9" * 41, "digits"),
        (b'"%s"' % (b"\\n" * 100), "escaped characters"),
        (b"2.2250738585072011e-308", "fractions"),
        (b'"\\ud83d\\ude00"', "escaped characters"),
    ],
)
def test_what_takes_long_in_json_is_bounded(item: bytes, why: str) -> None:
    with pytest.raises(ValueRefused, match=why):
        read_value(JSON, b"[" + b",".join([item] * min(40_000, (1 << 20) // len(item) - 1)) + b"]")


@pytest.mark.parametrize("serializer", [JSON, SERPENT])
@pytest.mark.parametrize("brackets", [b"[]", b"{}"])
def test_nesting_is_bounded(serializer: int, brackets: bytes) -> None:
    def nested(depth: int) -> bytes:
        opening, closing = (b'{"a":', b"}") if brackets == b"{}" else (b"[", b"]")
        return opening * depth + b"1" + closing * depth + b" " * 600

    read_value(serializer, nested(NESTING_AT_MOST))
    with pytest.raises(ValueRefused, match="nested"):
        read_value(serializer, nested(NESTING_AT_MOST + 1) + b" " * (1000 if serializer == JSON else 0))


@pytest.mark.parametrize("item", [b"1", b"[]", b"(1,)", b"{1:1}", b"'a'", b"{1}", b"1 ", b"'a'b'b'"])
def test_values_are_counted_in_serpent(item: bytes) -> None:
    payload = b"[" + b",".join([item] * ((1 << 16) // (len(item) + 1) - 1)) + b"]"
    with pytest.raises(ValueRefused):
        read_value(SERPENT, payload)


def test_separators_and_brackets_are_counted_together_in_serpent() -> None:
    read_value(SERPENT, b"[" + b"1," * 3_900 + b"]")
    for payload in (b"[" + b"1," * 4_100 + b"]", b"[" + b"[]," * 1_350 + b"]", b"{" + b"1:1," * 2_100 + b"}"):
        with pytest.raises(ValueRefused, match="too many values"):
            read_value(SERPENT, payload)


def test_fractions_are_counted_in_serpent() -> None:
    read_value(SERPENT, b"[" + b",".join(b"%d.5" % n for n in range(400)) + b"]")
    with pytest.raises(ValueRefused, match="fractions"):
        read_value(SERPENT, b"[" + b",".join(b"%d.5" % n for n in range(600)) + b"]")


def test_texts_with_backslashes_are_counted_in_serpent() -> None:
    with pytest.raises(ValueRefused, match="backslashes"):
        read_value(SERPENT, b"[" + b",".join(b"'\\n%d'" % n for n in range(300)) + b"]")


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(
            st.text("ab'\"\\\n é", max_size=3) | st.integers(-(2**63), 2**64 - 1), inner, max_size=4
        )
        | st.sets(st.integers(-(2**63), 2**64 - 1) | st.text("a'\"\\", max_size=3), min_size=1, max_size=4)
    ),
    max_leaves=20,
)


@given(plain, st.booleans())
def test_what_serpent_writes_is_read_as_python_would(value: object, indented: bool) -> None:
    written = serpent.dumps(value, indent=indented)
    assert read_value(SERPENT, written) == serpent.loads(written) == value


@given(st.text("[]{}(),:'\"\\-+x019.eE \n#juNfbTrueNone", max_size=40))
def test_what_is_read_of_serpent_python_reads_the_same_or_not_at_all(written: str) -> None:
    with suppress(ValueRefused):
        value = read_value(SERPENT, written.encode())
        with warnings.catch_warnings(), suppress(SyntaxError, ValueError):
            warnings.simplefilter("ignore")
            expected = ast.literal_eval(written)
            assert value == expected
            assert type(value) is type(expected)


@pytest.mark.parametrize(
    "written",
    [
        "-" * 5000 + "1",
        "1" + "+1" * 5000,
        "'a' 'b'",
        "1+2j",
        "0x10",
        "[1 2]",
        "[,]",
        "{1:2",
        "{1:2,3}",
        "(",
        "'",
        "'a\n'",
        "set()",
        "a",
        "None1",
        "f'1'",
        "{[]: 1}",
        "[1]]",
        "",
    ],
)
def test_what_serpent_would_not_write_is_refused(written: str) -> None:
    with pytest.raises(ValueRefused):
        read_value(SERPENT, written.encode())
