"""What a process has used: CPU time and memory, as /proc tells it.

Rule 1: of a process with children, theirs count too, those that have ended among them.
Rule 2: pages that a family shares (PostgreSQL's buffers, a program's text) count once in a peak.
Assumption: Linux. Ticks are hundredths of a second: what is measured should last a second or more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["cpu_seconds", "forget_peak", "open_sockets", "peak_kb", "resident_kb"]

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_RESET_PEAK = "5"


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process and its children have taken so far; 0 if it is gone."""
    ticks = 0
    for one in _family(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(number) for number in fields[11:15])
    return ticks * _TICK_S


def peak_kb(pid: int) -> int:
    """Return the most memory that a process and its children had resident since `forget_peak`."""
    own, files, shared = 0, [0], [0]
    for one in _family(pid):
        with suppress(OSError, KeyError):
            told = _status(one)
            files.append(told["RssFile"])
            shared.append(told["RssShmem"])
            own += max(0, told["VmHWM"] - told["RssFile"] - told["RssShmem"])
    return own + max(files) + max(shared)


def resident_kb(pid: int) -> int:
    """Return the memory that a process and its children have resident now; 0 if it is gone."""
    total = 0
    for one in _family(pid):
        with suppress(OSError, KeyError):
            total += _status(one)["VmRSS"]
    return total


def forget_peak(pid: int) -> None:
    """Count the peak anew from here, where we may."""
    for one in _family(pid):
        with suppress(OSError):
            Path(f"/proc/{one}/clear_refs").write_text(_RESET_PEAK)


def open_sockets(pid: int) -> int:
    """Return how many sockets a process has."""
    found = 0
    for file in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):
            found += str(file.readlink()).startswith("socket:")
    return found


def _status(pid: int) -> Mapping[str, int]:
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: int(value.split()[0]) for name, value in lines if value.endswith(" kB")}


def _family(pid: int) -> Iterator[int]:
    yield pid
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in thread.read_text().split():
                yield from _family(int(child))
