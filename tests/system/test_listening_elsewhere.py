"""A bank whose processes listen elsewhere than where they are found, behind relays, as behind NAT."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.main import main
from bankrmi.client.overview import overview
from bankrmi.config import load, split_address
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi
from tests.system.ports import own_addresses


class Forwarder:
    """Passes on what comes to some addresses to others, both ways, in a thread of its own."""

    def __init__(self, routes: Mapping[str, str]) -> None:
        self._routes = dict(routes)
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="forwarder")

    def __enter__(self) -> Forwarder:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _begin(self) -> None:
        for announced in self._routes:
            taking = partial(self._take, announced)
            self._servers.append(await asyncio.start_server(taking, *split_address(announced)))

    async def _take(self, announced: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            with suppress(OSError):
                there = await asyncio.open_connection(*split_address(self._routes[announced]))
                ends.append(there[1])
                await asyncio.gather(_pass_on(reader, there[1]), _pass_on(there[0], writer))
        finally:
            await _closed(ends)

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()


async def _closed(ends: list[asyncio.StreamWriter]) -> None:
    for end in ends:
        end.transport.abort()
    for end in ends:
        with suppress(OSError):
            await end.wait_closed()


@contextmanager
def behind_relays(folder: Path) -> Iterator[tuple[Cluster, dict[str, str]]]:
    """Give a bank, and where each of its processes listens."""
    with ExitStack() as opened:
        cluster = opened.enter_context(Cluster(folder, refused_means_gone=False))
        names = (NAMESERVER, *cluster.servers)
        bound = dict(zip(names, opened.enter_context(own_addresses(len(names))), strict=True))
        announced = {NAMESERVER: cluster.configuration.nameserver, **cluster.configuration.servers}
        listening = "".join(f"  {name}: {address}\n" for name, address in bound.items())
        cluster.config.write_text(f"{cluster.config.read_text()}listen:\n{listening}")
        cluster.configuration = load(cluster.config)
        opened.enter_context(Forwarder({announced[name]: bound[name] for name in names}))
        try:
            yield cluster, bound
        finally:
            cluster.kill(*(name for name in names if cluster.is_running(name)))


def test_a_bank_behind_relays_works_and_is_taken_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clients, servers and the name server know what is announced; who dies is replaced after the lease."""
    with behind_relays(tmp_path) as (cluster, bound):
        cluster.start_all()
        bank = cluster.client(timeout=20)
        assert bank.withdraw(2, 10).balance == 190
        status = overview(cluster.configuration)
        assert {one["server"]: one["listens_at"] for one in status["servers"]} == {
            "s1": bound["s1"],
            "s2": bound["s2"],
        }
        assert main(["--config", str(cluster.config), "status"]) == 0
        told = capsys.readouterr().out
        assert f"s1 listens at {bound['s1']}" in told
        assert cluster.configuration.servers["s1"] in told
        assert f"announced={cluster.configuration.servers['s1']}" in cluster.log("s1")
        dead = cluster.primary()
        cluster.kill(dead)
        assert bank.withdraw(2, 10).balance == 180
        cluster.start(dead)
        assert bank.balance(2).balance == 180
        assert len(overview(cluster.configuration)["view"]["in_sync"]) == 2


def test_a_second_process_of_a_server_elsewhere_ends_before_it_takes_part(tmp_path: Path) -> None:
    """A copy of its folder, started on another machine: what is announced leads to the first one (R3)."""
    with own_addresses(1) as [elsewhere], Cluster(tmp_path, refused_means_gone=False) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        before = cluster.view()
        copied = tmp_path / "another machine"
        copied.mkdir()
        shutil.copy(cluster.directory / "ledger.csv", copied)
        config = copied / "config.yaml"
        config.write_text(f"{cluster.config.read_text()}listen:\n  s2: {elsewhere}\n")
        ended = bankrmi(config, "server", "s2")
        assert ended.returncode == ExitCode.ERROR
        announced = cluster.configuration.servers["s2"]
        assert (
            f"another process answers at {announced}, where this server is announced, which would prove to "
            "the others that this one is gone: have that address lead here alone, or end the other one"
        ) in ended.stderr
        assert "Traceback" not in ended.stderr
        assert cluster.client().withdraw(2, 10).balance == 190
        assert cluster.view() == before
