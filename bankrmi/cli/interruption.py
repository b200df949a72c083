"""What Ctrl-C, SIGTERM and SIGHUP (the terminal was closed) do to a command: one thing, and it is told.

Rule 1: each of them raises `Interrupted` in the main thread: all of them end a command as Ctrl-C does.
Rule 2: money may have moved: if a request was under way, its id is on standard error.
Rule 3: what whoever started us has this process ignore (`nohup`) stays ignored.
Rule 4: an answer that cannot be written is told like an interruption, with the id: what was done must not be
        done again for that.
Rule 5: the first signal decides: one that comes while it is told what was ended changes nothing.
Rule 6: no signal ends a process that does not know yet, or not any more, what to do then: it is blocked
        (`__main__`) until its handler is there, and again when all that is left is to say how it ended.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.patient_handlers import patient
from bankrmi.signals import HEEDED

__all__ = [
    "AnswerLost",
    "Interrupted",
    "heed_the_end_of_the_terminal",
    "interruptible",
    "interruption_behind",
    "said_if_lost",
    "under_way",
    "what_was_under_way",
]

TELLING_S = 1.0
"""What a first signal ended gets to tell of it; who is still there then may be asked once more."""

_NOTED = re.compile(r"the outcome of (\S+) is unknown")


class Interrupted(KeyboardInterrupt):
    """A signal came; `exit_code` is what a shell expects of a command that it ended."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` for the first of the signals that comes until the context ends.

    The end of the terminal is not heeded yet: the command says what that is to it. When the context ends the
    mask is the one before it; a process that began with the signals blocked has them blocked to its end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
    handlers = {number: signal.getsignal(number) for number in HEEDED}
    interrupt = _Interrupt()
    try:
        for number, handler in handlers.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, patient(interrupt))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _Interrupt:
    """The handler of the signals."""

    def __init__(self) -> None:
        self._first: Interrupted | None = None
        self._raised_s = 0.0

    def __call__(self, number: int, _: FrameType | None) -> None:
        if self._first is None:
            self._first, self._raised_s = Interrupted(number), monotonic()
        elif monotonic() - self._raised_s < TELLING_S:
            return
        raise self._first


def heed_the_end_of_the_terminal() -> None:
    """Let SIGHUP interrupt this command, too."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def interruption_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interruption that an error came of: where the terminal is gone, what follows fails, too."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


class AnswerLost(click.ClickException):
    """Something was done, and what came of it could not be written."""

    exit_code = ExitCode.UNKNOWN


@contextmanager
def said_if_lost(what_was_done: str) -> Iterator[None]:
    """Have what was done said on standard error if it cannot be written here."""
    try:
        yield
    except OSError as error:
        if interruption_behind(error) is not None:
            raise
        raise AnswerLost(f"{what_was_done}, and that could not be written ({error.strerror})") from error


@contextmanager
def under_way(request_id: str | None) -> Iterator[None]:
    """Have whatever ends what is done here carry the id: it was decided, and is not shown yet."""
    if request_id is None:
        yield
        return
    try:
        with said_if_lost(
            f"{request_id} was carried out ('bankrmi outcome {request_id}' says with what result)"
        ):
            yield
    except KeyboardInterrupt as interruption:
        if _request_id_of(interruption) is None:
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
