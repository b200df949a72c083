"""On what was measured: cores, processor, kernel, the disk's fsync; and which code it was."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import apsw

import bankrmi
from bankrmi.bench.systems.system import System

__all__ = ["commit", "fsync_us", "machine", "versions"]

_FSYNCS = 40
_BYTES = 4096


def machine(folder: Path) -> dict[str, str | int | float]:
    """Return what this machine is; the disk is that of the folder."""
    return {
        "cores": os.cpu_count() or 0,
        "cpu": _processor(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "file_system": _file_system(folder),
        "fsync_us": round(fsync_us(folder)),
        "load_average": round(os.getloadavg()[0], 2),
    }


def fsync_us(folder: Path) -> float:
    """Return how long an fsync of a little that was appended takes there, the median of some."""
    took = []
    file = folder / "fsync"
    with file.open("ab", buffering=0) as stream:
        for _ in range(_FSYNCS):
            stream.write(bytes(_BYTES))
            begun = time.perf_counter()
            os.fsync(stream.fileno())
            took.append(time.perf_counter() - begun)
    file.unlink()
    return 1e6 * statistics.median(took)


def versions(systems: Iterable[type[System]]) -> dict[str, str]:
    """Return what everybody says they are."""
    return {
        "python": platform.python_version(),
        "sqlite": apsw.sqlitelibversion(),
        **{system.name: system.version() for system in systems},
    }


def commit() -> str:
    """Return the commit of our code, with a + if files were changed since; nothing if there is no telling."""
    place = Path(bankrmi.__file__).parent
    try:
        told = subprocess.run(
            ["git", "-C", str(place), "describe", "--always", "--dirty=+", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _file_system(folder: Path) -> str:
    """Return the kind of file system that the folder is on: the longest place of a mount that holds it."""
    held = [("", "unknown")]
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if folder.resolve().is_relative_to(place):
            held.append((place, kind))
    return max(held, key=lambda one: len(one[0]))[1]
