"""What is asked of a system, and how one measurement goes: order, CPU time, answer, CPU time.

Rule 1: nothing is started while somebody else is measured, and nobody but the load process speaks.
Rule 2: what is missing is a sentence with the command that installs it, never an error.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from bankrmi.bench.children import Children
from bankrmi.bench.figures import Sample
from bankrmi.bench.load.order import LoadOrder, LoadResult
from bankrmi.bench.load_process import LOAD, LoadProcess
from bankrmi.bench.shapes import Shape
from bankrmi.diagnosis.usage import cpu_seconds, forget_peak, peak_kb

__all__ = ["System", "missing_library", "missing_programs", "roles"]


class System(ABC):
    """One of those that are compared."""

    name: str
    note: str = ""
    """What it does less than a bank, or otherwise, if that matters for a comparison."""
    library: tuple[str, str] | None = None
    """What a person imports to use it, and what pip calls it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children = Children(folder)

    @classmethod
    @abstractmethod
    def missing(cls) -> str | None:
        """Return what has to be installed, in a sentence with the command; None if all is there."""

    @abstractmethod
    def start(self) -> None:
        """Start it, with all accounts open; its folder is there, and empty."""

    @abstractmethod
    def processes(self) -> Mapping[str, int]:
        """Return whose CPU time and memory is told, by what it does there."""

    @abstractmethod
    def order(self, shape: Shape, seconds: float) -> LoadOrder:
        """Return what a load process is told."""

    @classmethod
    def version(cls) -> str:
        """Return what it says it is."""
        return ""

    def unable(self, shape: Shape) -> str | None:
        """Return why it cannot be measured so, in a sentence; None if it can."""
        return missing_library(*self.library) if shape.library and self.library else None

    def measure(self, shape: Shape, seconds: float, number: int) -> Sample:
        """Measure it once."""
        with LoadProcess(self.children, self.order(shape, seconds)) as load:
            before = self.begin()
            answer = load.finish()
            return self.sample(answer, self.since(before), number)

    def begin(self) -> dict[str, float]:
        """Return the CPU time of each process so far; its peak of memory counts from here."""
        for pid in self.processes().values():
            forget_peak(pid)
        return {name: cpu_seconds(pid) for name, pid in self.processes().items()}

    def since(self, before: Mapping[str, float]) -> dict[str, float]:
        """Return the CPU time of each process since then."""
        return {name: cpu_seconds(pid) - before[name] for name, pid in self.processes().items()}

    def sample(self, answer: LoadResult, spent: Mapping[str, float], number: int) -> Sample:
        """Sum up one measurement."""
        done = max(1, answer.operations)
        seconds = {**spent, **({} if answer.cpu_seconds is None else {LOAD: answer.cpu_seconds})}
        peaks = {name: peak_kb(pid) for name, pid in self.processes().items()}
        return Sample(
            round=number,
            operations=answer.operations,
            seconds=answer.seconds,
            median_us=answer.median_us,
            p99_us=answer.p99_us,
            cpu_us={name: 1e6 * used / done for name, used in seconds.items()},
            peak_kb=peaks | ({LOAD: answer.peak_kb} if answer.peak_kb else {}),
        )

    def stop(self) -> None:
        """End all its processes."""
        self.children.stop()


def roles(leader: str, members: Iterable[str]) -> dict[str, str]:
    """Return what each of several members is, by what it is."""
    followers = (member for member in members if member != leader)
    return {"leader": leader} | {f"follower {place}": one for place, one in enumerate(followers, 1)}


def missing_programs(names: Iterable[str], package: str, folders: str = "") -> str | None:
    """Return the sentence for programs that are not installed."""
    absent = [
        name for name in names if shutil.which(name) is None and shutil.which(name, path=folders) is None
    ]
    return f"{', '.join(absent)} not found: apt install {package}" if absent else None


def missing_library(module: str, package: str) -> str | None:
    """Return the sentence for a library of Python that is not installed."""
    if find_spec(module) is not None:
        return None
    return f"Python's {module} is not installed: pip install '{package}'"
