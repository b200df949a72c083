"""Answers with a long list in them: made, packed and counted a slice at a time, others served in between.

Rule 1: neither the values of the list nor the bytes of them are there all at once before the answer goes out:
        values only of one slice, bytes of those before it.
Rule 2: over the budget of an answer nothing more is made, and the caller is told so; nor is it if he is gone.
Rule 3: what has been packed counts as held for the connection, from slice to slice.
Assumption: the list is the last value of a dict, and what stands before it is small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from bankrmi.errors import BankError, InvalidRequest

from .complaints import complaints
from .failures import write_error, write_unexpected_error
from .frames import JSON, MSGPACK, SERPENT
from .values import pack_list_header, write_value

__all__ = ["SLICES", "LongAnswer", "too_large", "write_slices", "write_slowly"]

SLICES = {MSGPACK: 1024, JSON: 512, SERPENT: 256}
"""Elements, in each serializer: what takes about a millisecond."""


class LongAnswer:
    """A dict, and under `key` a list of `count` values, which `make` makes from here to there.

    What `make` raises, if it is one of our errors, is the answer; `done` is called when nothing more is made.
    """

    __slots__ = ("count", "done", "head", "key", "make")

    def __init__(
        self, head: Mapping[str, object], key: str, count: int, make: Callable[[int, int], list[Any]]
    ) -> None:
        self.head = head
        self.key = key
        self.count = count
        self.make = make
        self.done: Callable[[], None] | None = None


class _Connection(Protocol):
    packed_bytes: int

    @property
    def lost(self) -> bool: ...
    def in_turn(self, work: Callable[[], None]) -> None: ...


def write_slices(serializer: int, answer: LongAnswer) -> Iterator[bytes]:
    """Yield the answer as `write_value` would write it, in pieces."""
    whole = write_value(serializer, {**answer.head, answer.key: []})
    if serializer == MSGPACK:
        begin, between, end = whole[:-1] + pack_list_header(answer.count), b"", b""
    else:
        begin, between, end = whole[:-2], b",", b"]}"
    yield begin
    step = SLICES[serializer]
    for start in range(0, answer.count, step):
        values = answer.make(start, min(start + step, answer.count))
        written = _within(serializer, write_value(serializer, values), len(values))
        yield between + written if start else written
    yield end


def _within(serializer: int, written: bytes, count: int) -> bytes:
    """Return what is in a list that was written, without what makes it one."""
    if serializer == MSGPACK:
        return written[len(pack_list_header(count)) :]
    return written[written.index(b"[") + 1 : written.rindex(b"]")]


def write_slowly(
    connection: _Connection,
    serializer: int,
    answer: LongAnswer,
    at_most: int,
    done: Callable[[bytes, object], None],
) -> None:
    """Write a slice in each turn of the connection; then call `done` with the bytes, or the form of an error.

    For a connection that is lost `done` is called with neither.
    """
    _Writing(connection, serializer, answer, at_most, done).go_on()


class _Writing:
    __slots__ = ("_answer", "_at_most", "_connection", "_done", "_pieces", "_size", "_written")

    def __init__(
        self,
        connection: _Connection,
        serializer: int,
        answer: LongAnswer,
        at_most: int,
        done: Callable[[bytes, object], None],
    ) -> None:
        self._connection = connection
        self._answer = answer
        self._at_most = at_most
        self._done = done
        self._pieces = write_slices(serializer, answer)
        self._written: list[bytes] = []
        self._size = 0

    def go_on(self) -> None:
        if self._connection.lost:
            self._end(b"", None)
            return
        try:
            piece = next(self._pieces, None)
        except BankError as error:
            self._end(b"", write_error(error))
            return
        except Exception as error:  # whatever it is, the caller has to be told something
            complaints.error("an answer cannot be sent", error)
            self._end(b"", write_unexpected_error())
            return
        if piece is None:
            self._end(b"".join(self._written), None)
            return
        self._written.append(piece)
        self._size += len(piece)
        self._connection.packed_bytes += len(piece)
        if self._size > self._at_most:
            self._end(b"", write_error(too_large(self._size, self._at_most)))
        else:
            self._connection.in_turn(self.go_on)

    def _end(self, payload: bytes, error: object) -> None:
        self._connection.packed_bytes -= self._size
        self._written.clear()
        if self._answer.done is not None:
            self._answer.done()
        self._done(payload, error)


def too_large(size: int, limit: int) -> InvalidRequest:
    """Return the error that says so."""
    return InvalidRequest(f"the answer would take {size} bytes, and at most {limit} are sent: ask for less")
