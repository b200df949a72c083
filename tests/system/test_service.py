"""A class of somebody's own, replicated: real processes, killed, stopped, robbed of their disks."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import Pyro5.api
import Pyro5.errors
import pytest

import bankrmi
import bankrmi.aio
from bankrmi.errors import BankError, Cancelled, ConfigurationError, InvalidRequest, ServiceError
from tests.system import inventory
from tests.system.cluster import DEADLINE_S, NAMESERVER, Cluster
from tests.system.commands import bankrmi as command
from tests.system.inventory import Inventory, Item, OutOfStock

SERVES = "inventory:Inventory"


def service(folder: Path) -> Cluster:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(inventory.__file__, folder / "inventory.py")
    return Cluster(folder, service="inventory", serves=SERVES)


def client(cluster: Cluster) -> Inventory:
    return bankrmi.connect(Inventory, cluster.configuration, timeout=DEADLINE_S)


def newest(cluster: Cluster) -> int:
    """Return the action id of the newest entry."""
    status = cluster.status(cluster.primary())
    assert status is not None
    return int(status["action_id"])


def digest_of(cluster: Cluster, name: str) -> str:
    """Return what a copy's journal adds up to."""
    return str(cluster.until(lambda: cluster.status(name), f"{name} answers")["digest"])  # type: ignore[index]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One pair of servers for all that leaves them as they are."""
    with service(tmp_path_factory.mktemp("service")) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        yield cluster


# -- what can be called --------------------------------------------------------------------------------


def test_what_is_put_is_there_and_comes_back_as_what_it_is(cluster: Cluster) -> None:
    with client(cluster) as store:
        assert store.put("apple", 3) == 3
        assert store.put(name="apple") == 4
        assert store.get("apple") == 4
        assert Item("apple", 4) in store.items()


def test_an_exception_changes_nothing_and_is_told_again_to_a_retry(cluster: Cluster) -> None:
    with client(cluster) as store:
        store.put("pear", 2)
        for _ in range(2):
            with pytest.raises(OutOfStock) as declared:
                store.update("take", ["pear", 5], request_id="pears:1")  # type: ignore[attr-defined]
            assert declared.value.args == ("pear", 2)
            assert isinstance(declared.value.__cause__, ServiceError)
        with pytest.raises(OutOfStock):
            store.outcome("pears:1")
        with pytest.raises(ServiceError, match="fail raised RuntimeError: no pear today") as undeclared:
            store.fail("pear")
        assert undeclared.value.error == "RuntimeError"
        assert store.get("pear") == 2


def test_a_request_id_is_done_once_and_its_outcome_is_told(cluster: Cluster) -> None:
    with client(cluster) as store:
        for _ in range(3):
            assert store.update("put", ["plum", 7], request_id="plums:1") == 7  # type: ignore[attr-defined]
        assert store.outcome("plums:1") == 7
        with pytest.raises(Cancelled):
            store.outcome("plums:2")
        with pytest.raises(Cancelled):
            store.update("put", ["plum", 7], request_id="plums:2")  # type: ignore[attr-defined]
        assert store.get("plum") == 7
    told = command(cluster, "outcome", "plums:1")
    assert (told.stdout, told.returncode) == ("it was done, and returned 7\n", 0)


def test_what_is_malformed_is_refused_before_it_is_sent(cluster: Cluster) -> None:
    refused: list[tuple[Callable[[Any], object], str]] = [
        (lambda store: store.put("apple", "3"), "put takes no such count: '3'"),
        (lambda store: store.put(), "put does not take these arguments"),
        (lambda store: store.put("x" * 300_000), "at most 262144 are taken"),
        (lambda store: store.query("put", ["apple"]), "has no method 'put' of the kind query"),
        (lambda store: store.update("put", ["apple"], request_id="apples"), "not a request id: 'apples'"),
    ]
    with client(cluster) as store:
        before = newest(cluster)
        for call, why in refused:
            with pytest.raises(InvalidRequest, match=why):
                call(store)
        with pytest.raises(AttributeError, match="the service Inventory has no method 'pout'"):
            store.pout  # type: ignore[attr-defined]  # noqa: B018 - the look-up is what is tested
        assert newest(cluster) == before


def test_a_method_that_does_not_end_is_ended_and_the_bank_goes_on(cluster: Cluster) -> None:
    with client(cluster) as store:
        before = cluster.view()
        with pytest.raises(ServiceError, match="spin took more than") as spun:
            store.spin()
        assert spun.value.error == "TimeoutError"
        with pytest.raises(ServiceError, match="doze took more than"):
            store.doze(30.0)
        store.put("peach", 1)
        assert cluster.view() == before


def test_tasks_call_it_as_threads_do(cluster: Cluster) -> None:
    async def work() -> list[int]:
        async with await bankrmi.aio.connect(Inventory, cluster.configuration, timeout=DEADLINE_S) as store:
            counts = await asyncio.gather(*(store.put("cherry", 1) for _ in range(20)))
            with pytest.raises(OutOfStock):
                await store.take("cherry", 21)
            with pytest.raises(OutOfStock):
                await store.update("take", ["cherry", 22], request_id="cherries:1")
            with pytest.raises(OutOfStock):
                await store.outcome("cherries:1")
            assert await store.query("get", kwargs={"name": "cherry"}) == 20
            assert (await store.status())["service"] == "inventory"
            return counts

    assert sorted(asyncio.run(work())) == list(range(1, 21))


@pytest.mark.parametrize("serializer", ["serpent", "json", "msgpack"])
def test_a_stock_proxy_calls_methods_by_their_names(
    cluster: Cluster, serializer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pyro5.config, "SERIALIZER", serializer)
    leader = cluster.primary()
    address = cluster.configuration.servers[leader]
    with Pyro5.api.Proxy(f"PYRO:bankrmi.account.{leader}@{address}") as proxy:
        assert proxy.put(serializer, 2) == 2
        assert proxy.get(name=serializer) == 2
        assert proxy.service == "inventory"
        with pytest.raises(Pyro5.errors.PyroError, match="take raised OutOfStock") as declared:
            proxy.take(serializer, 3)
        assert (declared.value.code, declared.value.happened) == ("service_error", False)
        with pytest.raises(Pyro5.errors.PyroError, match="get takes no such name: 5"):
            proxy.get(5)
        told = [proxy.update("put", [serializer, 1], {}, f"{serializer}:1") for _ in range(2)]
        assert told[0] == told[1]
        assert told[0]["value"] == proxy.query("get", [serializer])["value"] == 3


# -- what happens to servers ---------------------------------------------------------------------------


class Adding:
    """Threads that each add 1, again and again, and count what they were told was done."""

    def __init__(self, cluster: Cluster, threads: int) -> None:
        self._cluster = cluster
        self.store = client(cluster)
        self.done = 0
        self.failed: list[BaseException] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(threads)]

    def __enter__(self) -> Adding:
        for thread in self._threads:
            thread.start()
        return self

    def _work(self) -> None:
        while not self._over.is_set():
            try:
                self.store.put("counted", 1)
            except BankError as error:
                self.failed.append(error)
                return
            with self._lock:
                self.done += 1

    def wait_for_more(self, count: int) -> None:
        """Return when so many more were done, or one has failed."""
        enough = self.done + count
        self._cluster.until(lambda: self.done > enough or self.failed, f"{count} more calls are done")

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)
        self.store.close()


def test_whoever_is_killed_every_call_is_done_once(tmp_path: Path) -> None:
    """kill -9 of the primary under calls, three times; then of both; then a disk is lost."""
    with service(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Adding(cluster, 3) as adding:
            for _ in range(3):
                adding.wait_for_more(20)
                victim = cluster.primary()
                cluster.kill(victim)
                cluster.start(victim)
                cluster.wait_until_in_sync()
        assert not adding.failed
        with client(cluster) as store:
            assert store.get("counted") == adding.done

            cluster.kill(*cluster.servers)
            cluster.start(*cluster.servers)
            assert store.get("counted") == adding.done

            lost = cluster.standby()
            cluster.kill_the_standby(lost)
            shutil.rmtree(cluster.data(lost))
            assert store.put("counted", 1) == adding.done + 1
            cluster.start(lost)
            cluster.wait_until_in_sync()
            cluster.switch_over(to=lost)
            assert store.get("counted") == adding.done + 1
            assert store.put("counted", 1) == adding.done + 2
        digests = {digest_of(cluster, name) for name in cluster.servers}
        assert len(digests) == 1


# -- mistakes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "target", "why"),
    [
        ("", "stock:Stock", "there is no module stock in"),
        ("class Stock:\n    pass\n", "stock:Stock", "Stock is not a service"),
        ("class Stock(:\n", "stock:Stock", "stock cannot be imported: invalid syntax in"),
        ("import sys\nsys.exit(3)\n", "stock:Stock", "stock cannot be imported"),
        ("x = 1\n", "stock:Stock", "there is no Stock in"),
        ("x = 1\n", "stock.py", "'stock.py' is not a class that can be served"),
    ],
)
def test_a_class_that_cannot_be_served_is_one_sentence(
    tmp_path: Path, module: str, target: str, why: str
) -> None:
    with Cluster(tmp_path) as cluster:
        if module:
            (tmp_path / "stock.py").write_text(module)
        for what in (["up"], ["server", "s1"]):
            ended = command(cluster, "serve", target, *what)
            assert ended.returncode == 2
            assert why in ended.stderr
            assert "Traceback" not in ended.stderr
            assert len(ended.stderr.splitlines()) == 1


def test_the_commands_of_accounts_say_what_they_are_for(tmp_path: Path) -> None:
    with service(tmp_path) as cluster:
        for line in (
            ["menu"],
            ["balance", "2"],
            ["withdraw", "2", "1"],
            ["deposit", "2", "1"],
            ["total"],
        ):
            ended = command(cluster, *line)
            assert ended.returncode == 2, line
            assert ended.stderr.startswith(
                f"{SERVES} is served here, and `bankrmi {line[0]}` is for the accounts of a bank: "
            ), line
            assert len(ended.stderr.splitlines()) == 1
        with pytest.raises(ConfigurationError, match=r"say connect\(Inventory, \.\.\.\), with that class"):
            bankrmi.connect(cluster.configuration)


def test_a_folder_is_not_taken_for_what_it_does_not_hold(tmp_path: Path) -> None:
    """Neither is a bank served from the state of a class, nor the other way round; nothing is changed."""
    with service(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        cluster.kill(*cluster.servers, NAMESERVER)
        text = cluster.config.read_text()
        cluster.config.write_text(text.replace(f"serves: {SERVES}", "serves:"))
        ended = command(cluster, "server", "s1")
        assert ended.returncode == 2
        assert (
            "holds the state of Inventory, and the configuration serves the accounts of a bank"
            in ended.stderr
        )
        (tmp_path / "other.py").write_text(
            (tmp_path / "inventory.py").read_text().replace("Inventory", "Shelf")
        )
        ended = command(cluster, "serve", "other:Shelf", "server", "s1")
        assert ended.returncode == 2
        assert "holds the state of Inventory, and the configuration serves the state of Shelf" in ended.stderr
        verified = command(cluster, "verify", str(cluster.configuration.data_dir))
        assert verified.returncode == 0
        assert "sound, holds 0 calls of Inventory, at version 1" in verified.stdout
