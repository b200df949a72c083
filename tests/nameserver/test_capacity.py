"""How much is kept for others, and that servers find room when strangers have filled theirs."""

from __future__ import annotations

import pytest

from bankrmi.errors import InvalidRequest
from bankrmi.nameserver.capacity import (
    MOST_BYTES,
    MOST_NAMES,
    Capacity,
    check_tags,
    check_text,
    check_uri,
    size_of,
)


def fill(capacity: Capacity, *, size: int, of_a_server: bool = False) -> int:
    """Return how many names of that size fit."""
    for number in range(10_000):
        try:
            capacity.take(f"name {number}", size, of_a_server=of_a_server)
        except InvalidRequest as refused:
            assert "takes no more" in refused.message
            return number
    pytest.fail("there is no end to it")


def test_what_a_name_takes_is_every_byte_that_a_list_shows_of_it() -> None:
    assert size_of("näme", "PYRO:x@y:1", {"a:b", "c"}) == 5 + 10 + 3 + 1


def test_there_is_room_for_some_hundred_names_and_then_for_no_more() -> None:
    capacity = Capacity([])
    assert fill(capacity, size=1) == MOST_NAMES == 512
    capacity.take("name 1", 1, of_a_server=False)
    capacity.leave("name 1")
    capacity.take("one more", 1, of_a_server=False)


def test_all_names_together_have_a_limit_in_bytes() -> None:
    capacity = Capacity([])
    assert fill(capacity, size=2048) == MOST_BYTES // 2048
    with pytest.raises(InvalidRequest, match="65536 bytes"):
        capacity.take("another", 1, of_a_server=False)
    capacity.take("name 1", 2000, of_a_server=False)
    capacity.take("another", 48, of_a_server=False)
    with pytest.raises(InvalidRequest):
        capacity.take("name 1", 2001, of_a_server=False)


def test_a_name_has_a_limit_in_bytes() -> None:
    with pytest.raises(InvalidRequest, match="2048 bytes"):
        Capacity([]).take("name", 2049, of_a_server=False)


def test_strangers_do_not_use_up_what_is_for_servers() -> None:
    capacity = Capacity(["bankrmi.account.s1"])
    fill(capacity, size=1)
    capacity.take("bankrmi.account.other", 100, of_a_server=True)
    assert fill(capacity, size=1, of_a_server=True) == 63


def test_the_configured_servers_always_fit() -> None:
    capacity = Capacity(["bankrmi.account.s1"])
    fill(capacity, size=2048, of_a_server=True)
    capacity.take("bankrmi.account.s1", 2048, of_a_server=True)


@pytest.mark.parametrize(
    "text", ["", "n" * 201, 5, None, ["n"], b"n", "a\nb", "\x1b[31m", "a\u202eb", "\ud800", "a\u200b"]
)
def test_what_is_no_printable_text_is_refused(text: object) -> None:
    with pytest.raises(InvalidRequest, match="a name is a printable text"):
        check_text("name", text)


def test_texts_of_all_languages_are_taken() -> None:
    for text in ("a name", "näme", "名前", "🏦"):
        assert check_text("name", text) == text


def test_a_uri_may_be_longer() -> None:
    assert check_uri("PYRO:" + "x" * 495)
    with pytest.raises(InvalidRequest):
        check_uri("PYRO:" + "x" * 496)


@pytest.mark.parametrize("tags", ["tag", 5, {"a": "b"}, [5], [["a"]], ["t"] * 33, [""], ["a\n"]])
def test_tags_are_some_texts(tags: object) -> None:
    with pytest.raises(InvalidRequest):
        check_tags(tags)
