"""PySyncObj: three nodes with a journal file each, called in the leader's process.

There is no wire between client and leader, and the time of the clients is in the leader's. Reads are not
measured: they are a look at the leader's own memory. Accounts that are short are refused, and requests
remembered. Its nodes look a thousand times a second whether there is anything to do, so they only run while
they are measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bankrmi.bench.children import python
from bankrmi.bench.figures import Sample
from bankrmi.bench.load.order import BEGUN, LoadOrder, LoadResult
from bankrmi.bench.shapes import Shape
from bankrmi.bench.systems.system import System, missing_library, roles
from bankrmi.bench.systems.versions import library_version
from bankrmi.errors import OperationFailed
from bankrmi.held_port import HeldPort

__all__ = ["PySyncObj"]

_NODES = ("n1", "n2", "n3")
_MODULE = "bankrmi.bench.load.pysyncobj_node"


class PySyncObj(System):
    """PySyncObj."""

    name = "pysyncobj"
    note = "called in the leader's process; its journal is not synced"

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
        self._start_nodes()
        self.children.stop()

    def _start_nodes(self) -> None:
        for node in _NODES:
            others = [port.address for name, port in self._ports.items() if name != node]
            journal = self.folder / f"{node}.journal"
            for old in self.folder.glob(f"{journal.name}*"):
                old.unlink()
            self.children.start(
                node, python(_MODULE, str(journal), self._ports[node].address, *others), speaks=True
            )
        self.children.until(self._has_leader, what="PySyncObj")

    def processes(self) -> Mapping[str, int]:
        return {role: self.children.pid(node) for role, node in roles(self._leader, _NODES).items()}

    def order(self, shape: Shape, seconds: float) -> LoadOrder:
        return LoadOrder(kind="", where={}, shape=shape, seconds=seconds)

    def unable(self, shape: Shape) -> str | None:
        if shape.reads:
            return "a read of PySyncObj is a look at its own memory, and nothing is called"
        return "PySyncObj has one way to be used: 1x1 shows it" if shape.library else None

    def measure(self, shape: Shape, seconds: float, number: int) -> Sample:
        try:
            self._start_nodes()
            if self._ask(self.order(shape, seconds).to_line()).strip() != BEGUN.encode():
                raise OperationFailed(f"PySyncObj: {self.children.last_words(self._leader)}")
            before = self.begin()
            answer = LoadResult.from_line(self._ask(b""))
            within = replace(answer, cpu_seconds=None, peak_kb=0)  # They are the leader's, and counted there.
            return self.sample(within, self.since(before), number)
        finally:
            self.children.stop()

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
