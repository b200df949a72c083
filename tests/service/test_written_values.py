"""Values and calls that a person has written: literals of JSON and of Python, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bankrmi.errors import InvalidRequest
from bankrmi.service.in_words import value_as_text
from bankrmi.service.written_values import read_arguments, read_call, read_value

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False)
    | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.binary(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(PLAIN)
@example(float("inf"))
@example([float("-inf"), b""])
@example({"a": [True, None, b"\x00"]})
def test_what_is_shown_of_a_value_can_be_written(value: Any) -> None:
    assert read_value(value_as_text(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("{'a': null, 'b': [true, None]}", {"a": None, "b": [True, None]}),
        (" (1, -2) ", (1, -2)),
        ("18446744073709551615", (1 << 64) - 1),
        (r'"\ud83d\ude00"', "😀"),
        ("{1, 2}", {1, 2}),
    ],
)
def test_both_ways_of_writing_are_read(text: str, value: Any) -> None:
    assert read_value(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "apple",
        "__import__('os')",
        "1 + x",
        "f'{1}'",
        "[x for x in ()]",
        "lambda: 1",
        "(" * 5000,
        "1\n2",
        "a.b",
    ],
)
def test_what_is_no_literal_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is no value: write it as JSON, or as Python does") as refused:
        read_value(text)
    assert len(refused.value.message) < 200


def test_a_call_is_read_with_its_arguments() -> None:
    assert read_call('put("apple", count=1)') == ("put", ["apple"], {"count": 1})
    assert read_call(" all( ) ") == ("all", [], {})
    assert read_call(' stock-2.put("apple", count=1)') == ("stock-2.put", ["apple"], {"count": 1})
    assert read_call('put("a.b(c")') == ("put", ["a.b(c"], {})
    assert read_arguments('"apple", count=[null]') == (["apple"], {"count": [None]})
    assert read_arguments("1, # the first\n 2") == ([1, 2], {})
    assert read_arguments("  ") == ([], {})


@pytest.mark.parametrize(
    "text",
    [
        "put",
        "put(",
        "put(x)",
        "put(*[1])",
        "put(**{})",
        "put(a=1, a=2)",
        "a.b.put(1)",
        "stock.put",
        "stock .put(1)",
        "stock.put(1).x(2)",
        "put(1); put(2)",
        "put(1)(2)",
    ],
)
def test_what_is_no_call_with_values_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is no call with values alone"):
        read_call(text)


def test_nothing_comes_after_the_arguments() -> None:
    with pytest.raises(InvalidRequest):
        read_arguments("1) + _(2")
    assert json.loads(value_as_text({"é": [1.5, "x"]})) == {"é": [1.5, "x"]}
