"""Servers that are led by two witnesses do not speak to each other, whenever it is that they learn of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bankrmi.config import load
from bankrmi.replication.events import Event
from bankrmi.rmi import Call, Daemon, Exposed, Limits
from bankrmi.server.agreement import stated
from bankrmi.server.clock import LoopClock
from bankrmi.server.peer_links import PeerLinks
from bankrmi.server.peer_network import STANDBY_ID, PeerNetwork


class Standby:
    exposed = Exposed(methods=frozenset())

    def invoke(self, call: Call) -> None:
        raise AssertionError(call)


class Server:
    """What of a server meets the other one."""

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self.name = name
        self.settings = dict(settings)
        self.daemon = Daemon(Limits(), self.greeting, servers=("s1", "s2"))
        self.daemon.register(STANDBY_ID + name, Standby(), for_servers=True)
        self.events: list[Event] = []

    def greeting(self) -> dict[str, object]:
        return {"server": self.name, "start_id": f"{self.name}#1", "settings": self.settings}

    def open(self, addresses: dict[str, str]) -> None:
        self.network = PeerNetwork(
            self.name, f"{self.name}#1", addresses[self.name], self.settings, self.daemon.cut_off
        )
        others = {name: at for name, at in addresses.items() if name != self.name}
        self.links = PeerLinks(others, self.network, LoopClock(), self.events.append)
        self.links.open()

    async def close(self) -> None:
        self.links.close()
        self.network.close()
        await self.daemon.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def test_two_witnesses_are_found_out_whoever_meets_his_later(tmp_path: Path) -> None:
    async def work() -> None:
        one, other = Server("s1", settings), Server("s2", settings)
        for server in (one, other):
            await server.daemon.listen("127.0.0.1:0")
        addresses = {server.name: server.daemon.address for server in (one, other)}
        for server in (one, other):
            server.open(addresses)

        def linked() -> list[bool]:
            return [bool(server.links.up) for server in (one, other)]

        await until(lambda: linked() == [True, True])
        first = len(one.events)
        one.network.met_witness("w1")
        await until(lambda: not one.network._looks)
        assert linked() == [True, True]
        assert len(one.events) == first, "asking someone who may not know it yet is not a reason to part"
        other.network.met_witness("w2")
        await until(lambda: linked() == [False, False])
        for _ in range(200):
            await asyncio.sleep(0.001)
            assert linked() == [False, False], "however often they try"
        other.network.met_witness(None)
        other.network.met_witness("w1")
        await until(lambda: linked() == [True, True])
        met = len(one.events)
        for server in (one, other):
            server.network.met_witness(None)
            server.network.met_witness("w1")
        await asyncio.sleep(0)
        assert linked() == [True, True], "a witness that comes back is not a reason to part"
        assert len(one.events) == met
        for server in (one, other):
            await server.close()

    file = tmp_path / "config.yaml"
    file.write_text("nameserver: 127.0.0.1:9090\nservers: {s1: 127.0.0.1:9101, s2: 127.0.0.1:9102}\n")
    settings = stated(load(file))
    asyncio.run(work())


def test_links_stay_up_while_the_view_is_moved_and_one_hears_of_it_first(tmp_path: Path) -> None:
    """Both state the old keeper; one of the two learns that it was closed, some time before the other."""

    async def work() -> None:
        one, other = Server("s1", settings), Server("s2", settings)
        for server in (one, other):
            await server.daemon.listen("127.0.0.1:0")
        addresses = {"s1": one.daemon.address, "s2": other.daemon.address}
        for server in (one, other):
            server.settings["witness_id"] = "old"
            server.open(addresses)
        await until(lambda: bool(one.network._linked) and bool(other.network._linked))
        links = [server.network._linked for server in (one, other)]
        before = [dict(linked) for linked in links]
        one.network.met_witness("new", "old")
        other.network.met_witness("new", "old")
        assert [dict(linked) for linked in links] == before, "nobody hung up"
        one.network.met_witness("third", "new")
        await until(lambda: links[0] != before[0])
        for server in (one, other):
            await server.close()

    file = tmp_path / "config.yaml"
    file.write_text("nameserver: 127.0.0.1:1\nservers: {s1: 127.0.0.1:2, s2: 127.0.0.1:3}\n")
    settings = stated(load(file))
    asyncio.run(work())
