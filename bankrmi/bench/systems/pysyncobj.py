"""PySyncObj: three nodes with a journal file each, called in the leader's process.

There is no wire between client and leader, and the time of the clients is in the leader's. Reads are the
leader's own memory. Accounts that are short are refused, and requests remembered, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bankrmi.bench.children import python
from bankrmi.bench.figures import Sample
from bankrmi.bench.load.order import BEGUN, Answer, Order
from bankrmi.bench.load_process import LOAD
from bankrmi.bench.shapes import Shape
from bankrmi.bench.systems.system import System, missing_library
from bankrmi.bench.systems.versions import library_version
from bankrmi.errors import OperationFailed
from bankrmi.robustness.chaos.ports import HeldPort

__all__ = ["PySyncObj"]

_NODES = ("n1", "n2", "n3")
_MODULE = "bankrmi.bench.load.pysyncobj_node"


class PySyncObj(System):
    """PySyncObj."""

    name = "pysyncobj"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ports = {node: HeldPort() for node in _NODES}
        self._leader = ""

    @classmethod
    def missing(cls) -> str | None:
        return missing_library("pysyncobj", "pysyncobj")

    @classmethod
    def version(cls) -> str:
        return library_version("pysyncobj")

    def start(self) -> None:
        for node in _NODES:
            others = [port.address for name, port in self._ports.items() if name != node]
            journal = str(self.folder / f"{node}.journal")
            self.children.start(
                node, python(_MODULE, journal, self._ports[node].address, *others), speaks=True
            )
        self.children.until(self._has_leader, what="PySyncObj")

    def processes(self) -> Mapping[str, int]:
        roles = {self._leader: "leader"}
        return {roles.get(node, f"node {node[1:]}"): self.children.pid(node) for node in _NODES}

    def order(self, shape: Shape, seconds: float) -> Order:
        return Order(kind="", where={}, shape=shape, seconds=seconds)

    def unable(self, shape: Shape) -> str | None:
        return "PySyncObj has one way to be used: 1x1 shows it" if shape.library else None

    def measure(self, shape: Shape, seconds: float, number: int) -> Sample:
        if self._ask(self.order(shape, seconds).to_line()).strip() != BEGUN.encode():
            raise OperationFailed(f"PySyncObj: {self.children.last_words(self._leader)}")
        before = self.begin()
        answer = Answer.from_line(self._ask(b""))
        sample = self.sample(answer, before, number)
        cpu = {name: used for name, used in sample.cpu_us.items() if name != LOAD}
        peaks = {name: peak for name, peak in sample.peak_kb.items() if name != LOAD}
        return Sample(
            round=number,
            operations=sample.operations,
            seconds=sample.seconds,
            median_us=sample.median_us,
            p99_us=sample.p99_us,
            cpu_us=cpu,
            peak_kb=peaks,
        )

    def stop(self) -> None:
        super().stop()
        for port in self._ports.values():
            port.close()

    def _has_leader(self) -> bool:
        for node in _NODES:
            self._leader = node
            if self._ask(b"leader?\n").strip() == b"yes":
                return True
        return False

    def _ask(self, line: bytes) -> bytes:
        process = self.children.process(self._leader)
        assert process.stdin is not None
        assert process.stdout is not None
        if line:
            process.stdin.write(line)
            process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise OperationFailed(f"PySyncObj: {self.children.last_words(self._leader)}")
        return answer
