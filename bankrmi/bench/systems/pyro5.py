"""The stock Pyro5 thread server: one process, in memory: the bare cost of a call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bankrmi.bench.children import python
from bankrmi.bench.load.order import BEGUN, LoadOrder
from bankrmi.bench.shapes import Shape
from bankrmi.bench.systems.system import System
from bankrmi.bench.systems.versions import library_version
from bankrmi.errors import OperationFailed

__all__ = ["StockPyro5"]

_MODULE = "bankrmi.bench.load.pyro5"
_SERVER = "server"


class StockPyro5(System):
    """Pyro5, which is installed wherever bankrmi is."""

    name = "pyro5"
    note = "one copy, in memory: the bare cost of a call"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._uri = ""

    @classmethod
    def missing(cls) -> str | None:
        return None

    @classmethod
    def version(cls) -> str:
        return library_version("Pyro5")

    def start(self) -> None:
        process = self.children.start(_SERVER, python(_MODULE), speaks=True)
        assert process.stdout is not None
        said, _, uri = process.stdout.readline().decode().partition(" ")
        if said != BEGUN:
            raise OperationFailed(f"Pyro5: {self.children.last_words(_SERVER)}")
        self._uri = uri.strip()

    def processes(self) -> Mapping[str, int]:
        return {_SERVER: self.children.pid(_SERVER)}

    def order(self, shape: Shape, seconds: float) -> LoadOrder:
        name, _, address = self._uri.removeprefix("PYRO:").partition("@")
        where = {"uri": self._uri} if shape.library else {"address": address, "object": name}
        kind = "proxy" if shape.library else "link"
        return LoadOrder(kind=kind, where=where, shape=shape, seconds=seconds)
