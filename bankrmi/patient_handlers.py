"""Handlers of signals that wait while a method of somebody's class runs in this process.

What a handler raises there (Ctrl-C) would be taken for what came of the method, or be caught by it. Servers
hold their signals and need none of this (see `signals`); what runs a class to try it, does.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, contextmanager
from functools import partial
from types import FrameType

from bankrmi.signals import HEEDED

__all__ = ["keep_waiting", "patient", "with_patient_handlers"]


class _KeptWaiting(ContextDecorator):
    """See `keep_waiting`. There is one: Python calls handlers in the main thread, whoever is there."""

    def __init__(self) -> None:
        self._depth = 0
        self._came: Callable[[], object] | None = None

    def __enter__(self) -> None:
        if threading.get_ident() == _MAIN:
            self._depth += 1

    def __exit__(self, *_: object) -> None:
        if threading.get_ident() == _MAIN:
            self._depth -= 1
            if self._came is not None and not self._depth:
                came, self._came = self._came, None
                came()

    def keeps(self, handle: Callable[[], object]) -> bool:
        """Return whether this is done later; but whoever says it again would not wait."""
        if not self._depth:
            return False
        if self._came is not None:
            raise KeyboardInterrupt
        self._came = handle
        return True


_MAIN = threading.main_thread().ident
_Handler = Callable[[int, FrameType | None], object]

keep_waiting = _KeptWaiting()
"""A context, or a decorator, within which methods of somebody's class run, and `patient` handlers wait."""


def patient(handler: _Handler) -> _Handler:
    """Return a handler that waits for the end of `keep_waiting`. A second signal is told there at once, by
    KeyboardInterrupt, and the first one still comes after it."""

    def handle(number: int, frame: FrameType | None) -> None:
        if not keep_waiting.keeps(partial(handler, number, None)):
            handler(number, frame)

    return handle


@contextmanager
def with_patient_handlers() -> Iterator[None]:
    """Make those patient that there are, until the context ends; in other threads it does nothing."""
    if threading.get_ident() != _MAIN:
        yield
        return
    handlers = {number: signal.getsignal(number) for number in HEEDED}
    ours = {number: patient(handler) for number, handler in handlers.items() if callable(handler)}
    try:
        for number, handler in ours.items():
            signal.signal(number, handler)
        yield
    finally:
        for number in ours:
            signal.signal(number, handlers[number])
