"""On what was measured: cores, processor, kernel, the disk's fsync; and which code it was."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import apsw

import bankrmi
from bankrmi.bench.bank import FOLDER_VARIABLE
from bankrmi.bench.systems.system import System

__all__ = ["caution", "commit", "fsync_us", "machine", "versions"]

_FSYNCS = 40
_BYTES = 4096
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_BUSY = 0.5
"""Processes that want a core, of each core: above it, others disturb what is measured."""


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


def caution(machine: Mapping[str, str | int | float]) -> dict[str, str]:
    """Return what of the machine makes figures worth less, and what to do about it."""
    found = {}
    if machine["file_system"] in _IN_MEMORY:
        found["disk"] = (
            f"the folder of the run is in memory ({machine['file_system']}), where an fsync costs nothing: "
            f"name a folder on a disk in {FOLDER_VARIABLE}"
        )
    if float(machine["load_average"]) > _BUSY * int(machine["cores"]):
        found["load"] = (
            f"the machine was busy when the run began (load average {machine['load_average']}, "
            f"{machine['cores']} cores): ratios and times are worth little"
        )
    return found


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
    """Return the commit of our code, with a + if files were changed since; nothing if there is no telling.

    An installed bankrmi may lie in somebody else's repository: that one's commit is not ours.
    """
    if not _git("ls-files", Path(bankrmi.__file__).name):
        return ""
    return _git("describe", "--always", "--dirty=+", "--exclude=*")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(bankrmi.__file__).parent), *arguments]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
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
