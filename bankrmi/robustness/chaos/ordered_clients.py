"""What every process of clients does that chaos starts: it takes its order, says how far it is, and stops.

Twice a second a line on standard output says how far it is, and once more at the end.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from bankrmi.parent_death import end_with_parent
from bankrmi.signals import let_through

__all__ = ["ClientOrder", "ClientProgress", "reported", "run_as_ordered", "told_to_stop"]

_REPORT_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOrder:
    """What a process is told; `client` is a name that no other one of the run has."""

    client: str
    configuration: str
    insecure: bool
    history: str
    seed: int
    command: str
    servers: tuple[str, ...]
    sessions: int
    reads_only: bool
    pause_ms: float
    parent_pid: int
    services: Mapping[str, str] = field(default_factory=dict)
    """The classes that are served, by the names of the services, the first one first; none if it is a bank.
    `folder` is where their modules are looked for first."""
    folder: str = ""
    workload: str = ""
    changes: bool = False
    """The classes get newer versions in the course of the run: defaults of arguments are each version's."""
    on_engine: bool = False
    """A database keeps the accounts."""

    def to_text(self) -> str:
        """Return it as an argument of the command line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str) -> ClientOrder:
        """Return what `to_text` wrote."""
        form = json.loads(text)
        return ClientOrder(**form | {"servers": tuple(form["servers"])})


@dataclass(slots=True, kw_only=True)
class ClientProgress:
    """How far a process is; `unknown` are calls that ended without an answer."""

    calls: int = 0
    operations: int = 0
    unknown: int = 0


def run_as_ordered(work: Callable[[ClientOrder], Coroutine[Any, Any, None]]) -> None:
    """Do the work of the order that stands on the command line; end with whoever gave it."""
    order = ClientOrder.from_text(sys.argv[1])
    end_with_parent(order.parent_pid)
    asyncio.run(work(order))


def told_to_stop() -> asyncio.Event:
    """Return what is set when this process is told to end; signals that came before set it, too."""
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    let_through()
    return stop


@contextmanager
def reported(parts: Callable[[], Sequence[ClientProgress]]) -> Iterator[None]:
    """Say how far all parts are together, again and again, and at the end."""
    reporting = asyncio.create_task(_report_again_and_again(parts))
    try:
        yield
    finally:
        reporting.cancel()
        _report(parts())


async def _report_again_and_again(parts: Callable[[], Sequence[ClientProgress]]) -> None:
    while True:
        _report(parts())
        await asyncio.sleep(_REPORT_S)


def _report(parts: Sequence[ClientProgress]) -> None:
    whole = ClientProgress()
    for progress in parts:
        whole.calls += progress.calls
        whole.operations += progress.operations
        whole.unknown += progress.unknown
    sys.stdout.write(json.dumps(asdict(whole)) + "\n")
    sys.stdout.flush()
