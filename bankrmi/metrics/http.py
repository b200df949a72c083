"""As much of HTTP as is asked here: GET and HEAD of a few paths, one request a connection.  Pure.

Rule 1: of a request only its first line is looked into; its head has a bound, and what follows is not read.
Rule 2: every answer ends its connection, and says how long it is: nobody has to guess where it ends.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["HEAD_BYTES", "HttpRequest", "RequestError", "Status", "answer", "request_in"]

HEAD_BYTES = 8192
"""Of a request: its first line and its headers."""

_TEXT = "text/plain; charset=utf-8"


class Status(Enum):
    """What an answer begins with."""

    OK = "200 OK"
    BAD_REQUEST = "400 Bad Request"
    NOT_FOUND = "404 Not Found"
    METHOD_NOT_ALLOWED = "405 Method Not Allowed"
    TOO_LARGE = "431 Request Header Fields Too Large"
    ERROR = "500 Internal Server Error"
    UNAVAILABLE = "503 Service Unavailable"


class HttpRequest(NamedTuple):
    """A request for `path`; with `head_only`, nobody wants the body of the answer."""

    path: str
    head_only: bool


class RequestError(Exception):
    """This is no request, or none that is answered here; `answer` says so."""

    def __init__(self, status: Status, sentence: str, *, head_only: bool = False, **headers: str) -> None:
        super().__init__(sentence)
        self.answer = answer(status, sentence, head_only=head_only, **headers)


def request_in(head: bytes) -> HttpRequest | None:
    """Return what is asked, None if the head is not complete yet; raises RequestError."""
    end = head.find(b"\n\r\n"), head.find(b"\n\n")
    if max(end) < 0:
        if len(head) >= HEAD_BYTES:
            raise RequestError(Status.TOO_LARGE, f"a request has {HEAD_BYTES} bytes at most")
        return None
    words = head.lstrip(b"\r\n").partition(b"\n")[0].split()
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        raise RequestError(Status.BAD_REQUEST, "that is not a request in HTTP/1.0 or HTTP/1.1")
    method, target, _ = words
    if method not in (b"GET", b"HEAD"):
        raise RequestError(
            Status.METHOD_NOT_ALLOWED, "only GET and HEAD are answered here", Allow="GET, HEAD"
        )
    path = target.partition(b"?")[0].decode("latin-1")
    return HttpRequest(path, head_only=method == b"HEAD")


def answer(
    status: Status, text: str | bytes, *, head_only: bool = False, content_type: str = _TEXT, **headers: str
) -> bytes:
    """Return a whole answer; a sentence ends with the end of its line."""
    body = text if isinstance(text, bytes) else f"{text}\n".encode()
    lines = [
        f"HTTP/1.1 {status.value}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head if head_only else head + body
