"""Who is spoken to, and who is not: two witnesses, servers that go, and those that are not let in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bankrmi.certificates import Credentials
from bankrmi.certificates.authority import create, create_authority
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


def test_of_a_server_that_is_removed_nothing_is_kept(tmp_path: Path) -> None:
    async def work() -> None:
        one, other = Server("s1", settings), Server("s2", settings)
        for server in (one, other):
            await server.daemon.listen("127.0.0.1:0")
        addresses = {"s1": one.daemon.address, "s2": other.daemon.address}
        for server in (one, other):
            server.open(addresses)
        await until(lambda: bool(one.links.up))
        assert list(one.network.round_trips_ms()) == ["s2"]
        one.links.reach({})
        await asyncio.sleep(0.01)
        assert one.network.round_trips_ms() == {}
        assert not one.network._linked
        assert not one.network._met
        one.links.reach({"s2": addresses["s2"]})
        await until(lambda: bool(one.links.up))
        assert list(one.network.round_trips_ms()) == ["s2"]
        for server in (one, other):
            await server.close()

    file = tmp_path / "config.yaml"
    file.write_text("nameserver: 127.0.0.1:1\nservers: {s1: 127.0.0.1:2, s2: 127.0.0.1:3}\n")
    settings = stated(load(file))
    asyncio.run(work())


class Refuser(Server):
    """It knows nobody else."""

    def __init__(self, name: str, settings: dict[str, Any], credentials: Credentials | None) -> None:
        super().__init__(name, settings)
        self.daemon = Daemon(Limits(), self.greeting, servers=(), credentials=credentials)
        self.daemon.register(STANDBY_ID + name, Standby(), for_servers=True)


@pytest.mark.parametrize("trusts", [True, False])
def test_who_is_not_known_is_told_how_to_be_added_and_who_is_not_trusted_is_not(
    tmp_path: Path, trusts: bool
) -> None:
    """`bankrmi server add` mends the one, and never a certificate."""

    def credentials(bank: str, server: str) -> Credentials:
        folder = tmp_path / bank
        if not folder.exists():
            create_authority(folder, days=30)
            for name in ("s1", "s2"):
                create(folder, "server", name, days=20, addresses=["127.0.0.1"])
        return Credentials.of(folder, "server", server)

    async def work() -> list[tuple[str, str]]:
        refuser = Refuser("s2", settings, credentials("one", "s2"))
        await refuser.daemon.listen("127.0.0.1:0")
        own = credentials("one" if trusts else "other", "s1")
        network = PeerNetwork("s1", "s1#1", "10.0.0.1:9101", settings, credentials=own)
        told: list[tuple[str, str]] = []
        network.warn = lambda event, server, reason: told.append((event, reason))  # type: ignore[method-assign]
        lost = asyncio.Event()
        network.connect("s2", refuser.daemon.address, lambda _: None, lost.set)
        async with asyncio.timeout(30):
            await lost.wait()
        await refuser.daemon.close()
        return told

    file = tmp_path / "config.yaml"
    file.write_text("nameserver: 127.0.0.1:1\nservers: {s1: 127.0.0.1:2, s2: 127.0.0.1:3}\n")
    settings = stated(load(file))
    ((event, reason),) = asyncio.run(work())
    assert event == ("denied by another server" if trusts else "no handshake with another server")
    assert ("`bankrmi server add s1 10.0.0.1:9101`" in reason) is trusts
    assert ("no TLS" in reason) is not trusts
