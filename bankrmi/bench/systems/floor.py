"""The floor: two Python processes that do the same work without a rule, a limit, or a way back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bankrmi.bench.children import python
from bankrmi.bench.load.order import BEGUN, LoadOrder
from bankrmi.bench.shapes import Shape
from bankrmi.bench.systems.system import System
from bankrmi.errors import OperationFailed

__all__ = ["Floor"]

_MODULE = "bankrmi.bench.load.floor"
_OBJECT = "bankrmi.account.floor"
_PRIMARY, _STANDBY = "primary", "standby"


class Floor(System):
    """What the least would cost; nothing that anybody would use."""

    name = "floor"
    note = "two bare Python processes: it checks nothing, limits nothing, and never fails over"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._address = ""

    @classmethod
    def missing(cls) -> str | None:
        return None

    def start(self) -> None:
        standby = self._start(_STANDBY)
        self._address = self._start(_PRIMARY, standby)

    def _start(self, name: str, *more: str) -> str:
        command = python(_MODULE, str(self.folder / f"{name}.data"), *more)
        process = self.children.start(name, command, speaks=True)
        assert process.stdout is not None
        said, _, address = process.stdout.readline().decode().partition(" ")
        if said != BEGUN:
            raise OperationFailed(f"{self.name}: {self.children.last_words(name)}")
        return address.strip()

    def processes(self) -> Mapping[str, int]:
        return {name: self.children.pid(name) for name in (_PRIMARY, _STANDBY)}

    def unable(self, shape: Shape) -> str | None:
        return "the floor has no library: 1x1 shows it" if shape.library else None

    def order(self, shape: Shape, seconds: float) -> LoadOrder:
        where = {"address": self._address, "object": _OBJECT}
        return LoadOrder(kind="link", where=where, shape=shape, seconds=seconds)
