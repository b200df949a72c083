"""More than a server can do: told at once, forgotten with the caller, and over when the load is."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import Pyro5.api
import Pyro5.errors
import pytest

from bankrmi.errors import Busy
from bankrmi.rmi import Link, handshake, open_link
from bankrmi.server.waiting import cost_of
from tests.system.cluster import Cluster

BATCH = [["deposit", 10, 1]] * 8000


class Callers:
    """Connections to one server, each with one call in progress."""

    def __init__(self, cluster: Cluster, server: str) -> None:
        self._address = cluster.configuration.servers[server]
        self._object = f"bankrmi.account.{server}"
        self.answers: dict[str, Any] = {}
        self.links: dict[str, Link] = {}
        self._opened: list[Link] = []

    async def __aenter__(self) -> Callers:
        return self

    async def __aexit__(self, *_: object) -> None:
        for link in self._opened:
            link.close()
        await asyncio.sleep(0)

    async def connected(self) -> Link:
        """Return another connection."""
        link = await open_link(self._address, self._object, handshake("client"), 30)
        self._opened.append(link)
        return link

    async def submit(self, request_id: str, *, as_caller: str = "") -> None:
        """Ask, on a connection of its own; what it is answered will be in `answers`."""
        name = as_caller or request_id
        link = self.links[name] = await self.connected()

        def answered(value: object) -> None:
            self.answers[name] = value

        link.call("submit", [BATCH, request_id], answered)

    async def until(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + 40
        while not condition():
            assert time.monotonic() < deadline, f"it did not come about that {what}"
            await asyncio.sleep(0.01)

    async def admitted(self, request_id: str) -> None:
        """Ask until it is not refused: a connection that was closed is noticed in a while."""
        for attempt in range(400):
            name = f"{request_id}#{attempt}"
            await self.submit(request_id, as_caller=name)
            await asyncio.sleep(0.1)
            if not isinstance(self.answers.get(name), Busy):
                self.links[request_id] = self.links.pop(name)
                return
            self.links.pop(name).close()
        raise AssertionError("there is never room again")


def peak_mb(cluster: Cluster, server: str) -> float:
    status = Path(f"/proc/{cluster.process(server).pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def test_what_waits_is_bounded_told_at_once_and_forgotten_with_its_caller(tmp_path: Path) -> None:
    """`copies_min: 2` and no standby: nothing can be acknowledged, whatever comes."""
    limits = {"waiting_bytes": 3 * cost_of(8192)}
    patient = {"timeout_ms": 120_000}
    with Cluster(tmp_path, copies_min=2, limits=limits, client=patient) as cluster:
        cluster.start_all()
        primary, standby = cluster.primary(), cluster.standby()
        epoch = (cluster.view() or {})["epoch"]
        usual_mb = peak_mb(cluster, primary)
        cluster.kill(standby)

        async def overload() -> list[str]:
            async with Callers(cluster, primary) as callers:
                for number in range(40):
                    await callers.submit(f"caller{number}:1")
                await callers.until(lambda: len(callers.answers) == 37, "all but three are told")
                assert all(isinstance(answer, Busy) for answer in callers.answers.values())
                waiting = [name for name in callers.links if name not in callers.answers]
                await callers.submit(waiting[1], as_caller="retry")
                callers.links[waiting[2]].close()
                await asyncio.to_thread(cluster.start, standby)
                await callers.admitted("later:1")
                expected = {*waiting[:2], "retry"}
                await callers.until(lambda: expected <= callers.answers.keys(), "who waited is answered")
                assert callers.answers[waiting[1]] == callers.answers["retry"]
                assert callers.answers[waiting[1]]["results"][-1]["account"] == 10
                return waiting

        waiting = asyncio.run(overload())
        cluster.wait_until_in_sync()
        view = cluster.view() or {}
        assert (view["epoch"], view["primary"]) == (epoch, primary), "nobody was deposed"
        assert peak_mb(cluster, primary) < usual_mb + 80
        cluster.kill(*cluster.servers)
        copies = [cluster.copy(name) for name in cluster.servers]
        for copy in copies:
            sessions = [entry.session for entry in copy.entries]
            assert sessions.count(waiting[0].partition(":")[0]) == 8000
            assert sessions.count(waiting[1].partition(":")[0]) == 8000, "once, though it was sent twice"
            allowed = {name.partition(":")[0] for name in (*waiting, "later:1")}
            assert set(sessions) <= allowed, "nothing was taken of those who were told Busy"


def test_a_stock_client_that_writes_too_much_is_told_when_to_come_again(tmp_path: Path) -> None:
    limits = {"stranger_entries_per_second": 1000, "stranger_entries_per_second_per_address": 1000}
    with Cluster(tmp_path, limits=limits) as cluster:
        cluster.start_all()
        primary = cluster.primary()
        where = f"PYRO:bankrmi.account.{primary}@{cluster.configuration.servers[primary]}"
        with Pyro5.api.Proxy(where) as account:
            account._pyroSerializer = "msgpack"
            for number in range(2):
                account.submit(BATCH, f"stock:{number + 1}")
            with pytest.raises(Pyro5.errors.PyroError) as told:
                account.submit(BATCH, "stock:3")
            assert (told.value.code, told.value.happened) == ("busy", False)
            assert 0 < told.value.retry_ms <= 8000
            assert account.balance(10)["balance"] == 1_000_000 + 2 * len(BATCH)


def memory_mb(cluster: Cluster, server: str) -> float:
    status = Path(f"/proc/{cluster.process(server).pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def test_outcomes_of_large_requests_stay_within_the_budget_and_memory_comes_back(tmp_path: Path) -> None:
    """Each question is 100 bytes, and brings back a request of 8000 operations."""
    asking = 24
    with Cluster(tmp_path, limits={"waiting_bytes": 8 * cost_of(8192)}) as cluster:
        cluster.start_all()
        primary = cluster.primary()
        usual_mb = memory_mb(cluster, primary)

        async def ask() -> list[Any]:
            async with Callers(cluster, primary) as callers:
                link = await callers.connected()
                for number in range(asking):
                    await link.ask("submit", [BATCH, f"c{number}:1"], 40)
                links = [await callers.connected() for _ in range(asking)]
                questions = (link.ask("outcome", [f"c{n}:1"], 40) for n, link in enumerate(links))
                return await asyncio.gather(*questions, return_exceptions=True)

        for answer in asyncio.run(ask()):
            assert isinstance(answer, Busy) or len(answer["results"]) == len(BATCH)
        assert peak_mb(cluster, primary) < usual_mb + 60
        for server in cluster.servers:
            cluster.until(lambda: memory_mb(cluster, server) < usual_mb + 20, "memory is given back")  # noqa: B023


@pytest.mark.long
def test_a_standby_comes_back_while_batches_go_on(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        primary, standby = cluster.primary(), cluster.standby()

        async def batch_after_batch(callers: Callers, client: int, stop: asyncio.Event) -> int:
            link = await callers.connected()
            number = 0
            while not stop.is_set():
                number += 1
                await link.ask("submit", [BATCH[:250], f"client{client}:{number}"], 40)
            return number

        async def load() -> int:
            def grown() -> bool:
                status = cluster.status(primary)
                return status is not None and status["action_id"] > 20_000

            async with Callers(cluster, primary) as callers:
                stop = asyncio.Event()
                clients = [asyncio.create_task(batch_after_batch(callers, n, stop)) for n in range(16)]
                await asyncio.to_thread(cluster.kill, standby)
                await asyncio.to_thread(cluster.until, grown, "the primary goes on alone")
                await asyncio.to_thread(cluster.start, standby)
                await asyncio.to_thread(cluster.wait_until_in_sync)
                stop.set()
                return sum(await asyncio.gather(*clients))

        batches = asyncio.run(load())
        assert cluster.ask(primary, "balance", 10)["balance"] == 1_000_000 + 250 * batches
        assert cluster.primary() == primary
        cluster.kill(*cluster.servers)
        one, other = (cluster.copy(name) for name in cluster.servers)
        assert one.entries == other.entries
