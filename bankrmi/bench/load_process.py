"""A load process, as whoever measures sees it: started, begun, finished."""

from __future__ import annotations

from typing import IO

from bankrmi.bench.children import Children, python
from bankrmi.bench.load.order import BEGUN, LoadOrder, LoadResult
from bankrmi.errors import OperationFailed

__all__ = ["LOAD", "LoadProcess"]

LOAD = "load"
"""The name of the process of the clients, in tables and logs."""

_MODULE = "bankrmi.bench.load.process"


class LoadProcess:
    """One order that is carried out; ends with the context."""

    def __init__(self, children: Children, order: LoadOrder, name: str = LOAD) -> None:
        self._children = children
        self._order = order
        self._name = name

    def __enter__(self) -> LoadProcess:
        """Return when it is warm."""
        self._process = self._children.start(self._name, python(_MODULE), speaks=True)
        try:
            self._give_order()
            if self._line().strip() != BEGUN.encode():
                raise self._failure()
        except BaseException:
            self._children.end(self._name)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._children.end(self._name)

    def check(self) -> None:
        """Raise OperationFailed if it has ended though it was to go on."""
        if self._process.poll() is not None:
            raise self._failure()

    def finish(self) -> LoadResult:
        """Return what it found, when the time is over."""
        line = self._line()
        if not line:
            raise self._failure()
        return LoadResult.from_line(line)

    def _give_order(self) -> None:
        stdin = _there(self._process.stdin)
        try:
            stdin.write(self._order.to_line())
            stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def _line(self) -> bytes:
        return _there(self._process.stdout).readline()

    def _failure(self) -> OperationFailed:
        return OperationFailed(self._children.last_words(self._name) or "the load process ended")


def _there(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
