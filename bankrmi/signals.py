"""The signals of a long-running process: what comes from one is done in the event loop, and none ends it.

They are blocked in all threads and taken by one that does nothing else, `sigwait(2)`. A handler of the event
loop's own (`add_signal_handler`) leaves the moment between the end of the loop and that of the process, in
which one more signal would turn a stop in good order into a death: the loop puts the default back, and
libraries have threads of their own (libuv's four) in which nobody has blocked it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Thread

__all__ = ["HEEDED", "deliver", "hold", "let_through", "putting_off"]

HEEDED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""What a terminal, a shell or a service manager sends."""


def hold() -> None:
    """Keep the signals until `deliver` takes them: from here on, and in every thread that starts later."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
    for number in HEEDED:
        signal.signal(number, signal.SIG_DFL)  # Where they are ignored, not every system keeps them.


@contextmanager
def putting_off() -> Iterator[None]:
    """Keep the signals until the context ends; a process that is started meanwhile begins with them blocked.

    One that comes while an interpreter starts would end it at any point, with any exit code and last words.
    Whoever begins so calls `hold`, or `let_through`, as `python -m bankrmi` does by what the command is.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_through() -> None:
    """Have the signals do what they do by default, or by handlers: those that were kept first."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)


def deliver(actions: Mapping[signal.Signals, Callable[[], None]]) -> None:
    """Have the running event loop do what is to be done at each of `HEEDED`; what is held comes first.

    After the end of the loop they do nothing: the process is as good as gone.
    """
    import asyncio  # Not before: every command reads this file, and few have a loop.

    loop = asyncio.get_running_loop()

    def take() -> None:
        while True:
            number = signal.sigwait(HEEDED)
            with suppress(RuntimeError):  # The loop is closed.
                loop.call_soon_threadsafe(actions[signal.Signals(number)])

    Thread(target=take, name="signals", daemon=True).start()
