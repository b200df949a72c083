"""Who descends from a process, by /proc: its children, theirs, and whoever they left to it.

Rule: what is found is true of a moment ago; whoever ends them all looks until there are none.
Assumption: Linux.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Descendant", "descendants", "signal_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Descendant:
    """One process, by its number and the name of its program; `is_dead`: it was not waited for yet."""

    pid: int
    parent: int
    name: str
    is_dead: bool


def descendants(ancestor: int) -> list[Descendant]:
    """Return all processes below this one, parents before their children."""
    of_parent: dict[int, list[Descendant]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            one = _read(int(process.name), (process / "stat").read_text(errors="replace"))
            of_parent.setdefault(one.parent, []).append(one)
    found: list[Descendant] = []
    waiting = [ancestor]
    while waiting:
        children = of_parent.pop(waiting.pop(), [])
        found += children
        waiting += [child.pid for child in children]
    return found


def _read(pid: int, status: str) -> Descendant:
    name, _, rest = status.partition("(")[2].rpartition(")")
    state, parent, *_ = rest.split()
    return Descendant(pid=pid, parent=int(parent), name=name, is_dead=state in "ZX")


def signal_all(processes: list[Descendant], number: signal.Signals) -> None:
    """Send a signal to each that lives."""
    for one in processes:
        with suppress(ProcessLookupError):
            os.kill(one.pid, number)
