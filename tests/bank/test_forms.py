"""Packed operations are looked at before anything is built of them."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.bank.forms import count_of, form_of, packed_forms, packed_operations
from bankrmi.bank.operations import LARGEST, Deposit, Withdraw
from bankrmi.replication.record import packed, unpacked

NUMBERS = st.one_of(st.integers(0, LARGEST), st.integers(0, 300), st.just(LARGEST))
OPERATIONS = st.one_of(st.builds(Withdraw, NUMBERS, NUMBERS), st.builds(Deposit, NUMBERS, NUMBERS))


@given(st.lists(OPERATIONS, min_size=1, max_size=40))
def test_what_was_packed_is_counted_and_unpacked(operations: list[Withdraw | Deposit]) -> None:
    content = packed_operations(operations)
    assert count_of(content) == len(operations)
    assert list(unpacked(content)) == [form_of(operation) for operation in operations]
    assert content == packed_forms([operation.to_wire() for operation in operations])


@pytest.mark.parametrize("count", [1, 7, 8, 15, 16, 63, 64, 65, 511, 512, 513, 1103, 65_535, 65_536])
def test_however_many_there_are_they_are_counted(count: int) -> None:
    assert count_of(packed([(1, 200, 1)] * count)) == count


WRONG: list[Any] = [
    5,
    "withdraw",
    None,
    {},
    [5],
    [[0, 1]],
    [[0, 1, 1, 1]],
    [[2, 1, 1]],
    [[0, -1, 1]],
    [[0, 1, 2**63]],
    [[0, 1, 1.0]],
    [[0, "1", 1]],
    [[0, [1], 1]],
    [[0, 1, 1], [0, 1]],
    [[0, 1, 1], None],
    [["withdraw", 1, 1]],
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_nobody_could_have_asked_for_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"not (a list of )?operations"):
        count_of(msgpack.packb(wrong))


@given(
    st.binary(max_size=60) | st.builds(lambda rest: b"\x92\x93\x00\x01\x01" + rest, st.binary(max_size=12))
)
def test_whatever_passes_can_be_unpacked_and_holds_as_many_as_it_says(content: bytes) -> None:
    try:
        count = count_of(content)
    except ValueError:
        return
    forms = unpacked(content)
    assert len(forms) == count
    assert all(
        kind in (0, 1) and 0 <= account <= LARGEST and 0 <= amount <= LARGEST
        for kind, account, amount in forms
    )


@given(st.lists(OPERATIONS, min_size=1, max_size=20), st.data())
def test_one_byte_more_or_less_and_it_is_refused(
    operations: list[Withdraw | Deposit], data: st.DataObject
) -> None:
    content = packed_operations(operations)
    for wrong in (content[: data.draw(st.integers(0, len(content) - 1))], content + b"\x01"):
        with pytest.raises(ValueError, match="not"):
            count_of(wrong)


def test_a_list_that_announces_more_than_there_is_reserves_nothing() -> None:
    for wrong in (
        b"\xdc",
        b"\xdd\0\0",
        b"\xdd\xff\xff\xff\xff",
        b"\xdc\xff\xff" + b"\x93\x00\x01\x01" * 10,
        b"\xdd" * 1000,
    ):
        with pytest.raises(ValueError, match="not"):
            count_of(wrong)
