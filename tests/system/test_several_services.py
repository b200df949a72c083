"""Several services in one pair, on real processes: names, atomic calls under kill -9, and one that comes
later."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import Pyro5.api
import pytest

import bankrmi
from bankrmi.config import load
from bankrmi.errors import BankError, Cancelled, ConfigurationError
from tests.pages import ROOT
from tests.system.cluster import DEADLINE_S, NAMESERVER, Cluster
from tests.system.commands import bankrmi as command
from warehouse import Points, Purchases, Shelf, SoldOut, TooFewPoints

TEXT = (ROOT / "examples/warehouse/warehouse.py").read_text()
ALL = {"shelf": "warehouse:Shelf", "points": "warehouse:Points", "purchases": "warehouse:Purchases"}


def write_served(cluster: Cluster, serves: dict[str, str] | None) -> None:
    """Let processes that start from now on serve these, each under its name; None: the shelf alone."""
    lines = [
        line for line in cluster.config.read_text().splitlines() if line[:7] not in ("serves:", "service")
    ]
    kept = [line for line in lines if not (line.startswith("  ") and "warehouse:" in line)]
    if serves is None:
        told = ["serves: warehouse:Shelf", "service: shelf"]
    else:
        told = ["serves:", *(f"  {name}: {target}" for name, target in serves.items())]
    cluster.config.write_text("\n".join([*kept, *told]) + "\n")
    cluster.configuration = load(cluster.config)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "warehouse.py").write_text(TEXT)
    with Cluster(tmp_path) as made:
        yield made


Connect = Callable[..., Any]


@pytest.fixture
def connected(cluster: Cluster) -> Iterator[Connect]:
    """Make clients, and close them in the end."""
    with ExitStack() as clients:
        yield lambda kind: clients.enter_context(
            bankrmi.connect(kind, cluster.configuration, timeout=DEADLINE_S)
        )


def test_calls_across_services_are_whole_whatever_dies(cluster: Cluster, connected: Connect) -> None:
    write_served(cluster, ALL)
    cluster.start_all()
    cluster.wait_until_in_sync()
    shelf, purchases, points = (connected(kind) for kind in (Shelf, Purchases, Points))
    assert shelf.put("mug", 250, 500) == 500
    done, stop = [], threading.Event()

    def buy() -> None:
        own = connected(Purchases)
        while not stop.is_set():
            done.append(own.buy("Ann", "mug", 1))

    buyer = threading.Thread(target=buy)
    buyer.start()
    try:
        victim = cluster.primary()
        cluster.until(lambda: len(done) > 10, "some were bought")
        cluster.kill(victim)
        so_far = len(done)
        cluster.until(lambda: len(done) > so_far + 10, "it goes on")
        cluster.start(victim)
    finally:
        stop.set()
        buyer.join()
    cluster.wait_until_in_sync()
    assert purchases.overview("mug") == (len(done), 500 - len(done))
    assert points.balance("Ann") == 2 * len(done)
    with pytest.raises(TooFewPoints):
        purchases.buy("Bob", "mug", 9, True)
    with pytest.raises(Cancelled):
        purchases.outcome("no-such-session:1")
    assert "request cancelled request_id=no-such-session:1 service=purchases" in cluster.log(
        cluster.primary()
    )
    with pytest.raises(SoldOut):
        purchases.buy("Bob", "hat", 1)
    assert purchases.overview("mug") == (len(done), 500 - len(done)), "and nothing of that is left"

    for service, ask in (("shelf", "left"), ("purchases", "overview"), ("points", "balance")):
        where = f"PYROMETA:service:{service},role:primary@{cluster.configuration.nameserver}"
        with Pyro5.api.Proxy(where) as proxy:
            assert proxy.service == service
            assert getattr(proxy, ask)("mug") is not None
    nameserver = cluster.configuration.nameserver
    with bankrmi.connect(Points, nameserver=nameserver, service="points", timeout=DEADLINE_S) as by_name:
        assert by_name.balance("Ann") == 2 * len(done)
    with pytest.raises(ConfigurationError, match=r"serves shelf .*, and not Other"):
        connected(type("Other", (Shelf,), {}))

    told = cluster.status(cluster.primary())
    assert told is not None
    versions = {"state_version": 1, "class_version": 1}
    assert told["services"] == {name: {"serves": target, **versions} for name, target in ALL.items()}
    exported = command(cluster, "export")
    lines = [json.loads(line) for line in exported.stdout.splitlines()]
    assert {line["service"] for line in lines} == set(ALL)
    assert {"service": "points", "attribute": "of", "key": "Ann", "value": 2 * len(done)} in lines
    left = {"name": "mug", "cents": 250, "count": 500 - len(done)}
    assert {"service": "shelf", "table": "item", "row": left} in lines
    recording = cluster.directory / "points.jsonl"
    call = ("--call", 'points.balance("Ann")')
    assert command(cluster, "record", str(recording), "--minutes", "0.02", *call).returncode == 0
    events = [json.loads(line) for line in recording.read_text().splitlines()]
    assert events[0]["services"] == ALL
    rates = [one for one in events if one["kind"] == "rate"]
    assert sum(one["done"] for one in rates) == sum(one["calls"] for one in rates) > 0
    backup = cluster.directory / "all.bank"
    assert command(cluster, "backup", str(backup)).returncode == 0
    assert "services shelf, points, purchases: epoch" in command(cluster, "status").stdout

    cluster.kill(*cluster.servers, NAMESERVER)
    verified = command(cluster, "verify", str(backup), *(str(cluster.data(name)) for name in cluster.servers))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert (
        "of Shelf, at version 1; Points (points), at version 1; Purchases (purchases), at" in verified.stdout
    )


def test_a_service_that_comes_later_is_created_once_every_server_knows_it(
    cluster: Cluster, connected: Connect
) -> None:
    """A pair that serves one class goes on with what it has, server by server; who does not know waits."""
    write_served(cluster, None)
    cluster.start_all()
    cluster.wait_until_in_sync()
    alone = connected(Shelf)
    assert alone.put("mug", 250, 10) == 10

    write_served(cluster, ALL)
    second = cluster.standby()
    first = cluster.primary()
    cluster.terminate(second)
    cluster.start(second)
    cluster.wait_until_in_sync()
    cluster.switch_over(to=second)
    with pytest.raises(BankError), bankrmi.connect(Points, cluster.configuration, timeout=0.5) as early:
        early.earn("Ann", 1)
    told = cluster.status(second)
    assert told is not None
    assert told["migration"] == (
        f"Points (points) is not there yet: {first} does not serve points: "
        "name it under `serves` in its file, and start it again"
    )
    assert alone.put("mug", 250, 1) == 11

    cluster.terminate(first)
    cluster.start(first)
    cluster.terminate(NAMESERVER)
    cluster.start(NAMESERVER)  # It reads which services there are, to give them roles.

    def all_are_there(name: str) -> bool:
        shown = cluster.status(name)
        return shown is not None and {one["state_version"] for one in shown["services"].values()} == {1}

    cluster.until(lambda: all(map(all_are_there, cluster.servers)), "both have created all of them")
    purchases = connected(Purchases)
    assert purchases.buy("Ann", "mug", 4).cents == 1000
    assert (alone.left("mug"), purchases.overview("mug")) == (7, (4, 7))

    write_served(cluster, None)  # And not back: what is there is not thrown away.
    cluster.terminate(first)
    cluster.start(first, wait=False)
    cluster.wait_for_end(first)
    words = "holds the state of Points as the service points, and the configuration does not name it"
    assert words in cluster.log(first)
    write_served(cluster, ALL)
    cluster.start(first)
    cluster.wait_until_in_sync()
    assert alone.left("mug") == 7
    cluster.kill(*cluster.servers, NAMESERVER)
    verified = command(cluster, "verify", *(str(cluster.data(name)) for name in cluster.servers))
    assert verified.returncode == 0, verified.stdout + verified.stderr
