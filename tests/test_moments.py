"""Moments as people write and read them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bankrmi.moments import in_words, moment


@pytest.fixture
def in_nepal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "NPT-05:45")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.000001Z", 1_000_001),
        ("1970-01-01 05:45:00", 0),
        ("1970-01-01T02:00:00+02:00", 0),
        (" 2026-11-29 17:18:56.123456 UTC ", 1_795_972_736_123_456),
    ],
)
def test_a_moment_is_read(in_nepal: None, text: str, time_us: int) -> None:
    assert moment(text) == time_us


@pytest.mark.parametrize("time_us", [0, 1, 1_795_972_736_123_456, 1_795_972_736_000_000])
def test_what_is_written_can_be_read(time_us: int) -> None:
    assert moment(in_words(time_us)) == time_us


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "12:00", "0001-01-01T00:00:00+23:00", "9" * 99]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time: write"):
        moment(text)


def test_a_number_that_is_no_date_has_words_too() -> None:
    assert in_words(2**62) == "4611686018427 s after 1970"
