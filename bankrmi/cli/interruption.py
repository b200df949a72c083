"""What Ctrl-C, SIGTERM and SIGHUP (the terminal was closed) do to a command: one thing, and it is told.

Rule 1: each of them raises `Interrupted` in the main thread: all of them end a command as Ctrl-C does.
Rule 2: money may have moved: if a request was under way, its id is on standard error.
Rule 3: what whoever started us has this process ignore (`nohup`) stays ignored.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["SIGNALS", "Interrupted", "interruptible", "under_way", "what_was_under_way"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_NOTED = re.compile(r"the outcome of (\S+) is unknown")


class Interrupted(KeyboardInterrupt):
    """A signal came; `exit_code` is what a shell expects of a command that it ended."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` for each of the signals, until the context ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, _interrupt)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> None:
    raise Interrupted(number)


@contextmanager
def under_way(request_id: str | None) -> Iterator[None]:
    """Have an interruption of what is done here carry the id: it was decided, and is not shown yet."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        if request_id is not None and _request_id_of(interruption) is None:
            interruption.add_note(f"the outcome of {request_id} is unknown")
        raise


def what_was_under_way(interruption: BaseException) -> list[str]:
    """Return what there is to say about what was interrupted, the request's id above all."""
    notes = getattr(interruption, "__notes__", ())
    request_id = _request_id_of(interruption)
    if request_id is None:
        return list(notes)
    sentence = (
        f"interrupted: it is not known whether request {request_id} was carried out; "
        f"'bankrmi outcome {request_id}' says what became of it"
    )
    return [sentence, *(note for note in notes if not _NOTED.search(note))]


def _request_id_of(interruption: BaseException) -> str | None:
    """Return what the client left with the exception: an attribute, or a note."""
    request_id = getattr(interruption, "request_id", None)
    if isinstance(request_id, str):
        return request_id
    notes = getattr(interruption, "__notes__", ())
    return next((found[1] for note in notes if (found := _NOTED.search(note))), None)
