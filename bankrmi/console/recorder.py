"""Records a bank that runs, wherever it does, into a file: by status calls, and by look-ups of a client.

Rule 1: it changes nothing in the bank, and ends when it is told to, after so long, or when the file is full.
Rule 2: of states that differ in their counters only, one a second is kept.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bankrmi.bank.ledger_file import read_ledger
from bankrmi.config import Configuration
from bankrmi.console.hello import hello_of
from bankrmi.console.prober import LookUps, Prober, of_account, of_class
from bankrmi.console.recording import BudgetSpent, Recording
from bankrmi.console.silences import Silences
from bankrmi.console.watching import BankWatcher
from bankrmi.control import Control
from bankrmi.errors import BankError
from bankrmi.local_processes import LocalProcesses

__all__ = ["RecordOrder", "record"]

STATES_EVERY_S = 1.0
_COUNTERS = frozenset({"action_id", "acknowledged", "digest", "lag"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOrder:
    """What the command line asks for."""

    path: Path
    seconds: float | None
    """None: until it is told to end."""
    most_bytes: int
    looks_up: bool
    """Whether a client of its own sees how fast the bank answers."""
    call: str | None = None
    """Of a class: the query by which it looks up."""


async def record(configuration: Configuration, order: RecordOrder, show: Callable[[str], None]) -> str:
    """Record until there is a reason to end; return it, in a sentence.  Raises BankError.

    `show` is told how far it is.
    """
    began_ms = _now_ms()
    look_ups = _look_ups(configuration, order)
    hello = hello_of(configuration, told_by="record", t=began_ms)
    file = Recording(order.path, hello, now_ms=_now_ms, most_bytes=order.most_bytes)
    told = _Thinned(file)
    prober = None if look_ups is None else Prober(look_ups, told, now_ms=_now_ms)
    silences = Silences() if prober is None else prober.silences
    processes, control = LocalProcesses(configuration), Control(configuration.data_dir)
    watcher = BankWatcher(configuration, processes, control, told, silences, lambda *_: None)
    work = [watcher.watch()] + ([] if prober is None else [prober.probe(), prober.tell_sums()])
    tasks = [asyncio.create_task(one) for one in work]
    stopped = asyncio.Event()
    _heed_signals(stopped)
    try:
        why = await _until(stopped, tasks, order.seconds, lambda: show(_progress(file, began_ms)))
        file.put("note", text=f"The recording ends: {why}.")
    except BudgetSpent as error:
        why = error.message
    finally:
        control.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if prober is not None:
            await prober.close()
        file.close()
    return f"{_in_words(_now_ms() - began_ms)} in {order.path}, {file.bytes / 1e6:.1f} MB: {why}"


def _look_ups(configuration: Configuration, order: RecordOrder) -> LookUps | None:
    if not order.looks_up:
        return None
    if configuration.serves is None:
        return of_account(configuration, _account(configuration))
    return None if order.call is None else of_class(configuration, order.call)


def _account(configuration: Configuration) -> int:
    """Return any account that there may be: whoever looks up one that there is not is answered, too."""
    try:
        return next(iter(read_ledger(configuration.ledger)), 1)
    except BankError:  # The ledger is with the servers.
        return 1


def _heed_signals(stopped: asyncio.Event) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)


async def _until(
    stopped: asyncio.Event, tasks: list[asyncio.Task[None]], seconds: float | None, show: Callable[[], None]
) -> str:
    """Return why it ends; raise what a task has failed with."""
    waiting = asyncio.create_task(stopped.wait())
    ends_s = None if seconds is None else time.monotonic() + seconds
    try:
        while True:
            left_s = None if ends_s is None else ends_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                return "its time is over"
            watched = {waiting, *(task for task in tasks if not task.done())}
            wait_s = 1.0 if left_s is None else min(1.0, left_s)
            done, _ = await asyncio.wait(watched, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            if waiting in done:
                return "it was told to end"
            for task in done:
                await task
            show()
    finally:
        waiting.cancel()


class _Thinned:
    """Keeps what is worth being kept."""

    def __init__(self, file: Recording) -> None:
        self._file = file
        self._state: Mapping[str, Any] = {}
        self._written_s = float("-inf")

    def put(self, kind: str, **values: Any) -> None:
        if kind == "state":
            essence = _without_counters(values)
            now_s = time.monotonic()
            if essence == self._state and now_s - self._written_s < STATES_EVERY_S:
                return
            self._state, self._written_s = essence, now_s
        self._file.put(kind, **values)


def _without_counters(state: Mapping[str, Any]) -> dict[str, Any]:
    servers = [
        {name: value for name, value in server.items() if name not in _COUNTERS}
        for server in state["servers"]
    ]
    return {**state, "servers": servers}


def _progress(file: Recording, began_ms: float) -> str:
    return f"recording: {_in_words(_now_ms() - began_ms)}, {file.bytes / 1e6:.1f} MB; Ctrl-C ends it"


def _in_words(ms: float) -> str:
    seconds = round(ms / 1000)
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min {seconds % 60} s"


def _now_ms() -> float:
    return time.time_ns() // 1000 / 1000
