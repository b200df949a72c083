"""`status -w`: a screen that is drawn again and again; where there is none, a line each change; or JSON.

Rule 1: whoever is asked keeps no screen waiting: they are asked in a thread of its own, and meanwhile the
        screen says how old it is, follows the size of the terminal, and ends at once with Ctrl-C.
Rule 2: a screen is taken only where one can be: standard output is a terminal that obeys. What was on it
        before comes back, while it is stopped (Ctrl-Z), too, and at the end the newest status stays below.
Rule 3: whoever has read enough (`| head -1`) ends it, though there may be nothing new to write.
"""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from types import FrameType
from typing import NoReturn

from rich.live import Live
from rich.text import Text

from bankrmi import client
from bankrmi.cli.changes import Changes
from bankrmi.cli.curve import Curve
from bankrmi.cli.highlights import Highlights
from bankrmi.cli.invocation import show_json, tell
from bankrmi.cli.looks import Look, Looks
from bankrmi.cli.status_table import Changed, StatusTable, standard_output
from bankrmi.cli.watch_screen import WatchScreen
from bankrmi.config import Configuration
from bankrmi.written_over import is_dumb

__all__ = ["watch"]

_DRAWN_S = 0.5


def watch(configuration: Configuration, every_s: float, *, as_json: bool) -> NoReturn:
    """Show the status again and again; Ctrl-C ends it."""
    if as_json:
        _objects(configuration, every_s)
    elif sys.stdout.isatty() and not is_dumb():
        _screens(Looks(configuration), every_s)
    else:
        _lines(Looks(configuration), every_s)


def _objects(configuration: Configuration, every_s: float) -> NoReturn:
    while True:
        show_json(client.overview(configuration))
        sys.stdout.flush()
        _wait(every_s)


def _lines(looks: Looks, every_s: float) -> NoReturn:
    changes = Changes()
    look = looks.look()
    standard_output().print(StatusTable(look.status))
    while True:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        for line in changes.take(look):
            tell(f"{now}Z {line}")
        sys.stdout.flush()
        _wait(every_s)
        look = looks.look()


def _wait(seconds: float) -> None:
    """Sleep; raise BrokenPipeError once nobody reads any more."""
    try:
        reader = sys.stdout.fileno()
    except (io.UnsupportedOperation, ValueError):  # It is no file, as in a test.
        time.sleep(seconds)
        return
    poll = select.poll()
    poll.register(reader, 0)
    if poll.poll(1000 * seconds):
        raise BrokenPipeError


def _screens(looks: Looks, every_s: float) -> NoReturn:
    console, asked, stopping = standard_output(), _Asked(looks, every_s), _Stopping()
    highlights, curve = Highlights(), Curve()
    changed: Changed = ()
    look: Look | None = None
    try:
        with Live(Text("asking every process…"), console=console, screen=True, auto_refresh=False) as live:
            while True:
                for look in asked.new_looks(_DRAWN_S):
                    changed = highlights.take(look.status, time.monotonic())
                    curve.take(look.status, look.at_s)
                if look is not None:
                    age_s = time.monotonic() - look.at_s
                    live.update(
                        WatchScreen(look=look, changed=changed, curve=curve, age_s=age_s, every_s=every_s)
                    )
                stopping.stop_if_wanted(live)
                live.refresh()
    finally:
        if look is not None:
            with suppress(OSError):  # The terminal may be gone.
                console.print(StatusTable(look.status))


class _Stopping:
    """Ctrl-Z: the shell gets its screen back before it gets a word in, and we ours when we go on."""

    def __init__(self) -> None:
        self._wanted = False
        self._catch()

    def _catch(self) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTSTP, self._want)

    def _want(self, _number: int, _frame: FrameType | None) -> None:
        self._wanted = True

    def stop_if_wanted(self, live: Live) -> None:
        """Stand still here, if that is wanted, until we are told to go on."""
        if not self._wanted:
            return
        self._wanted = False
        live.stop()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        self._catch()
        live.start()


class _Asked:
    """A thread that looks again and again; what it sees, and what goes wrong with it, comes here."""

    def __init__(self, looks: Looks, every_s: float) -> None:
        self._looks = looks
        self._every_s = every_s
        self._seen: SimpleQueue[Look | Exception] = SimpleQueue()
        threading.Thread(target=self._ask, name="looks", daemon=True).start()

    def new_looks(self, wait_s: float) -> Iterator[Look]:
        """Yield what is new, after this time at the latest."""
        with suppress(Empty):
            seen = self._seen.get(timeout=wait_s)
            while True:
                if isinstance(seen, Exception):
                    raise seen
                yield seen
                seen = self._seen.get_nowait()

    def _ask(self) -> None:
        try:
            while True:
                began_s = time.monotonic()
                self._seen.put(self._looks.look())
                time.sleep(max(0.0, self._every_s - (time.monotonic() - began_s)))
        except Exception as error:  # Whoever draws says it, and ends.
            self._seen.put(error)
