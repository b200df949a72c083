"""etcd: three members, and one transaction a withdrawal (see `load/grpc.py`); durable on two of the three.

A withdrawal has to know the balance before: clients remember it, and look it up only where they were wrong.
Batches of up to 100 are one transaction; larger ones it does not take.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from bankrmi.bench.load.grpc import LARGEST_BATCH, fill, leader_and_self
from bankrmi.bench.load.order import ACCOUNTS, LoadOrder
from bankrmi.bench.shapes import Shape
from bankrmi.bench.systems.system import System, missing_programs, roles
from bankrmi.bench.systems.versions import said_version
from bankrmi.errors import OperationFailed
from bankrmi.held_port import HeldPort

__all__ = ["Etcd"]

_HOST = "127.0.0.1"
_MEMBERS = ("m1", "m2", "m3")


class Etcd(System):
    """etcd."""

    name = "etcd"
    note = "durable on two of three disks"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._clients = {member: HeldPort() for member in _MEMBERS}
        self._peers = {member: HeldPort() for member in _MEMBERS}
        self._leader = ""

    @classmethod
    def missing(cls) -> str | None:
        return missing_programs(["etcd"], "etcd-server")

    @classmethod
    def version(cls) -> str:
        return said_version("etcd", "--version")

    def start(self) -> None:
        cluster = ",".join(f"{member}=http://{port.address}" for member, port in self._peers.items())
        program = shutil.which("etcd")
        assert program is not None
        for member in _MEMBERS:
            peer, client = (f"http://{port[member].address}" for port in (self._peers, self._clients))
            own = ["--name", member, "--data-dir", str(self.folder / member)]
            listens = ["--listen-peer-urls", peer, "--listen-client-urls", client]
            tells = ["--initial-advertise-peer-urls", peer, "--advertise-client-urls", client]
            joins = ["--initial-cluster", cluster, "--log-level", "error"]
            self.children.start(member, [program, *own, *listens, *tells, *joins])
        self.children.until(self._has_leader, what="etcd")
        asyncio.run(fill(_HOST, self._clients[self._leader].port, ACCOUNTS))

    def processes(self) -> Mapping[str, int]:
        return {role: self.children.pid(member) for role, member in roles(self._leader, _MEMBERS).items()}

    def order(self, shape: Shape, seconds: float) -> LoadOrder:
        where = {"host": _HOST, "port": str(self._clients[self._leader].port)}
        return LoadOrder(kind="etcd", where=where, shape=shape, seconds=seconds)

    def unable(self, shape: Shape) -> str | None:
        if shape.library:
            return "etcd's own library for Python is not among PyPI's that are kept up"
        if shape.operations > LARGEST_BATCH:
            return f"a transaction of etcd takes {LARGEST_BATCH} withdrawals at most"
        return None

    def stop(self) -> None:
        super().stop()
        for port in (*self._clients.values(), *self._peers.values()):
            port.close()

    def _has_leader(self) -> bool:
        for member, port in self._clients.items():
            try:
                leader, own = asyncio.run(leader_and_self(_HOST, port.port))
            except (OSError, OperationFailed):
                return False
            if leader and leader == own:
                self._leader = member
        return bool(self._leader)
