"""Redis: one primary and one replica, append-only files that are synced always; a function, and WAIT 1.

The answer is there when it is on the primary's disk and in the replica's memory: Redis 7.0 does not wait for
the replica's disk (WAITAOF came later). A request is remembered under its id, a batch under one.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from bankrmi.bench.load.order import ACCOUNTS, OPENING, LoadOrder
from bankrmi.bench.load.resp import command, open_resp
from bankrmi.bench.shapes import Shape
from bankrmi.bench.systems.system import System, missing_programs
from bankrmi.bench.systems.versions import said_version
from bankrmi.held_port import HeldPort

__all__ = ["Redis"]

_HOST = "127.0.0.1"
_FUNCTIONS = Path(__file__).with_name("redis.lua")


class Redis(System):
    """Redis."""

    name = "redis"
    note = "the replica has it in memory, not on its disk"
    library = ("redis", "redis")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ports = {"primary": HeldPort(), "replica": HeldPort()}

    @classmethod
    def missing(cls) -> str | None:
        return missing_programs(["redis-server"], "redis-server")

    @classmethod
    def version(cls) -> str:
        return said_version("redis-server", "--version")

    def start(self) -> None:
        self._start("primary")
        self.children.until(lambda: self._told(b"PING") == b"PONG", what="Redis")
        self._start("replica", "--replicaof", f"{_HOST} {self._ports['primary'].port}")
        asyncio.run(self._fill())
        self.children.until(self._is_in_sync, what="Redis' replica")

    def processes(self) -> Mapping[str, int]:
        return {role: self.children.pid(role) for role in self._ports}

    def order(self, shape: Shape, seconds: float) -> LoadOrder:
        where = {"host": _HOST, "port": str(self._ports["primary"].port)}
        kind = "redis-py" if shape.library else "redis"
        return LoadOrder(kind=kind, where=where, shape=shape, seconds=seconds)

    def stop(self) -> None:
        super().stop()
        for port in self._ports.values():
            port.close()

    def _start(self, role: str, *more: str) -> None:
        own = self.folder / role
        own.mkdir()
        program = shutil.which("redis-server")
        assert program is not None
        settings = ["--port", str(self._ports[role].port), "--bind", _HOST, "--dir", str(own), "--save", ""]
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"]
        sync = ["--repl-diskless-sync-delay", "0", "--maxclients", "2000"]
        self.children.start(role, [program, *settings, *durable, *sync, *more])

    async def _fill(self) -> None:
        connection = await open_resp(_HOST, self._ports["primary"].port)
        await connection.ask(command(b"FUNCTION", b"LOAD", _FUNCTIONS.read_bytes()))
        balance = b"%d" % OPENING
        pairs = [part for account in range(1, ACCOUNTS + 1) for part in (b"a:%d" % account, balance)]
        await connection.ask(command(b"MSET", *pairs))
        connection.close()

    def _is_in_sync(self) -> bool:
        return b"state=online" in (self._told(b"INFO", b"replication") or b"")

    def _told(self, *words: bytes) -> bytes | None:
        async def ask() -> bytes | None:
            try:
                connection = await open_resp(_HOST, self._ports["primary"].port)
            except OSError:
                return None
            try:
                return await connection.ask(command(*words))
            finally:
                connection.close()

        return asyncio.run(ask())
