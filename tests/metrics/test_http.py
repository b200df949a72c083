"""The few requests that there are, and everything else that strangers may send instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.metrics.http import HEAD_BYTES, HttpRequest, RequestError, Status, answer, request_in


@pytest.mark.parametrize(
    ("head", "request_"),
    [
        (
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
            HttpRequest("/metrics", head_only=False),
        ),
        (b"HEAD /ready HTTP/1.0\r\n\r\n", HttpRequest("/ready", head_only=True)),
        (b"GET /health?verbose=1 HTTP/1.1\n\n", HttpRequest("/health", head_only=False)),
        (b"\r\nGET /health HTTP/1.1\r\n\r\nwhat follows", HttpRequest("/health", head_only=False)),
    ],
)
def test_a_request_is_read(head: bytes, request_: HttpRequest) -> None:
    assert request_in(head) == request_
    for end in range(len(head.partition(b"HTTP/1.")[0])):
        assert request_in(head[:end]) is None


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", "405"),
        (b"get /metrics HTTP/1.1\r\n\r\n", "405"),
        (b"GET /metrics HTTP/2.0\r\n\r\n", "400"),
        (b"GET /metrics\r\n\r\n", "400"),
        (b"\x16\x03\x01\x02\x00\x01\n\r\n", "400"),
        (b"\r\n\r\n\r\n", "400"),
        (b"x" * HEAD_BYTES, "431"),
    ],
)
def test_anything_else_is_answered_with_what_is_wrong(head: bytes, status: str) -> None:
    with pytest.raises(RequestError) as refused:
        request_in(head)
    first = refused.value.answer.split(b"\r\n")[0].decode()
    assert first.startswith(f"HTTP/1.1 {status} ")


def test_who_asks_with_another_method_is_told_which_there_are() -> None:
    with pytest.raises(RequestError) as refused:
        request_in(b"PUT / HTTP/1.1\r\n\r\n")
    assert b"\r\nAllow: GET, HEAD\r\n" in refused.value.answer


@given(st.binary(max_size=400))
def test_no_bytes_do_anything_but_ask_or_be_refused(head: bytes) -> None:
    try:
        request = request_in(head)
    except RequestError as refused:
        assert refused.answer.startswith(b"HTTP/1.1 4")
    else:
        assert request is None or isinstance(request.path, str)


@pytest.mark.parametrize("head_only", [False, True])
def test_an_answer_says_how_long_it_is(head_only: bool) -> None:
    head, _, body = answer(Status.OK, "well", head_only=head_only).partition(b"\r\n\r\n")
    assert b"Content-Length: 5" in head
    assert b"Connection: close" in head
    assert body == (b"" if head_only else b"well\n")
