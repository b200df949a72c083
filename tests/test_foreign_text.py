"""Text of others stays on its line, and is seen as it is."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.foreign_text import CUT_AT, cut, foreign, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("as it is", "as it is"),
        ("Zürich, 東京, 😀", "Zürich, 東京, 😀"),
        ("\x1b[2Jgone", "\\u001b[2Jgone"),
        ("one\ntwo\r\tthree", "one\\ntwo\\r\\tthree"),
        ("\x9b31m\x7f", "\\u009b31m\\u007f"),
        ("a\u202eb\u2066c\u200bd\ufeff", "a\\u202eb\\u2066c\\u200bd\\ufeff"),
        ("\u2028\u00a0\u3164\u0301\u034f\ufe0f", "\\u2028\\u00a0\\u3164\\u0301\\u034f\\ufe0f"),
        ("\ud800\U000e0041", "\\ud800\\udb40\\udc41"),
        (b"\x1b", "b'\\x1b'"),
        (None, "None"),
    ],
)
def test_what_is_not_seen_is_written_out(text: object, shown: str) -> None:
    assert foreign(text) == shown


def test_our_own_texts_may_have_lines() -> None:
    assert visible("one\ntwo\x1b", lines=True) == "one\ntwo\\u001b"


def test_long_text_is_cut_and_says_so() -> None:
    assert foreign("x" * (CUT_AT + 7)) == "x" * CUT_AT + "… (7 more)"
    assert cut("short") == "short"
    assert len(foreign("\x00" * 1_000_000)) < 10 * CUT_AT


@given(st.text())
def test_whatever_it_is_it_is_visible_afterwards(text: str) -> None:
    shown = foreign(text)
    assert shown.isprintable()
    assert not any(unicodedata.category(character) in ("Mn", "Me", "Cf") for character in shown)
    shown.encode()


@given(st.dictionaries(st.text(), st.text()))
def test_json_says_the_same_afterwards(value: dict[str, str]) -> None:
    assert json.loads(visible(json.dumps(value, ensure_ascii=False))) == value
