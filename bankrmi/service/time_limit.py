"""How long one method may take: so many milliseconds of the processor's time, and three times as long by the
clock, for a busy machine is no reason to fail.

Then it is interrupted, in Python by a signal, in SQL by SQLite, again and again until it gives in.

Rule: what we put around a call of another service, and take back after it, is not interrupted: half taken
      back, it would be found by the next call. Nor is what Python calls by itself. The alarm rings again
      soon, and finds the method.
Assumption: called in the main thread; elsewhere only SQL is interrupted.
"""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple, TypeVar

import apsw

__all__ = ["OutOfTime", "TimeLimit"]

T = TypeVar("T")

_AGAIN_SECONDS = 0.02
_WAITING_TIMES = 3
"""So many times longer than it may work a method may take: others have the processor, or it sleeps."""
_NOT_WITHIN = frozenset(
    {"contextlib", "bankrmi.service.guard", "bankrmi.service.inner_calls", "bankrmi.service.running"}
)
_monotonic, _thread_time, _signal, _setitimer = (
    time.monotonic,
    time.thread_time,
    signal.signal,
    signal.setitimer,
)


class OutOfTime(BaseException):
    """It took too long. Not an `Exception`: a method that catches those does not catch this."""


class _Deadline(NamedTuple):
    """Until when a method may go on: by the processor's time of this thread, and by the clock."""

    work_s: float
    end_s: float


class TimeLimit:
    """That of whatever method runs now."""

    def __init__(self) -> None:
        self._deadline: _Deadline | None = None
        self._rings = False  # Whether the alarm is for the method that runs.

    def is_over(self) -> bool:
        """Whether the method is to give up what it does; SQLite asks, too."""
        deadline = self._deadline
        return deadline is not None and (_thread_time() > deadline.work_s or _monotonic() > deadline.end_s)

    def keep(self, limit_s: float, work: Callable[[], T], was_interrupted: Callable[[], bool]) -> T:
        """Do it; raise OutOfTime when its time is over (0: it has all the time in the world).

        `was_interrupted` says whether SQLite has given up, and the method has made something else of that.

        In one function, and its first act at the end is one assignment: wherever the alarm rings then, it is
        not heard any more. Whoever had the alarm before has it again afterwards.
        """
        if limit_s <= 0:
            return work()
        began = _monotonic()
        self._deadline = _Deadline(_thread_time() + limit_s, began + _WAITING_TIMES * limit_s)
        in_main = threading.current_thread() is threading.main_thread()
        if in_main:
            before = _signal(signal.SIGALRM, self._ring)
            left_s, every_s = _setitimer(signal.ITIMER_REAL, limit_s, _AGAIN_SECONDS)
        try:
            self._rings = in_main
            value = work()
            if was_interrupted():
                raise OutOfTime
            return value
        except apsw.InterruptError:
            raise OutOfTime from None
        finally:
            self._rings = False
            self._deadline = None
            if in_main:
                _setitimer(signal.ITIMER_REAL, 0)
                _signal(signal.SIGALRM, before)
                if left_s:
                    left_s -= _monotonic() - began
                    _setitimer(signal.ITIMER_REAL, max(0.001, left_s), every_s)

    def _ring(self, _number: int, frame: FrameType | None) -> None:
        is_around = frame is not None and frame.f_globals.get("__name__") in _NOT_WITHIN
        if self._rings and not is_around and self.is_over() and not _would_be_lost(frame):
            raise OutOfTime


def _would_be_lost(frame: FrameType | None) -> bool:
    """Whether an exception would be told to nobody here: in what Python calls by itself, as `__del__`, or a
    callback of the garbage collector."""
    collects = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None and frame.f_globals.get("__name__") not in _NOT_WITHIN:
        if frame.f_code.co_name == "__del__" or frame.f_code in collects:
            return True
        frame = frame.f_back
    return False
