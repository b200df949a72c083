"""The fixture `cluster`: real processes, and everything that a test may do to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bankrmi.testing
from bankrmi.errors import ConfigurationError
from bankrmi.testing import ServiceCluster, StartCluster, cluster
from bankrmi.testing.served import import_path, served_as
from tests import warm
from tests.system.cluster import PATIENT
from tests.testing.stock import OutOfStock, Stock
from warehouse import Points, Purchases, Shelf

__all__ = ["cluster"]

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


def test_what_is_acknowledged_outlives_whatever_is_done(cluster: StartCluster) -> None:
    """Killed, paused, cut off, started again: the client goes on, and nothing is lost or done twice."""
    service = cluster(Stock, **PATIENT)
    stock = service.connect()
    assert stock.put("apple", 3) == 3
    first, other = service.primary, service.standby
    assert {first, other} == set(service.servers)

    service.kill(first)
    assert stock.put("apple", 1) == 4
    assert service.primary == other
    service.start(first)
    service.wait_until_in_sync()

    service.pause(other)
    assert stock.put("apple", 1) == 5
    assert service.primary == first
    assert service.status(other) is None
    service.resume(other)
    service.wait_until_in_sync()

    service.cut(first, other)
    assert stock.put("apple", 1) == 6
    service.wait_until_in_sync(service.primary)
    service.heal()
    service.wait_until_in_sync()

    service.stop(service.primary)
    with pytest.raises(OutOfStock):
        stock.take("apple", 7)
    assert stock.get("apple") == 6
    with pytest.raises(ValueError, match="there is no process 's9': there are nameserver, s1, s2"):
        service.kill("s9")


KILLED = """
import os, signal, sys
from bankrmi.testing import ServiceCluster
from tests.testing.stock import Stock

with ServiceCluster(Stock) as service:
    pids = [service._of(name).pid for name in ("nameserver", *service.servers)]
    print(*pids, flush=True)
    sys.stdin.read()
"""


def test_no_process_outlives_a_test_that_is_killed() -> None:
    with warm.Popen(
        [sys.executable, "-c", KILLED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": import_path()},
        cwd=ROOT,
        uses_ours=True,
    ) as test:
        assert test.stdout is not None
        pids = [int(pid) for pid in test.stdout.readline().split()]
        assert len(pids) == 3
        test.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + DEADLINE_S
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline, "they still run"
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_class_that_no_other_process_could_import_is_refused() -> None:
    class Local(Stock):
        """Within a function."""

    with pytest.raises(ConfigurationError, match="is within a function or another class"):
        served_as(Local)
    with pytest.raises(ConfigurationError, match="is not a service"):
        served_as(int)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="servers is 2 or 3"):
        ServiceCluster(Stock, servers=7)
    assert served_as(Stock) == "tests.testing.stock:Stock"


def test_what_the_room_offers_is_there() -> None:
    for name in bankrmi.testing.__all__:
        assert getattr(bankrmi.testing, name) is not None
    with pytest.raises(AttributeError):
        _ = bankrmi.testing.nothing


def test_several_services_run_side_by_side_and_call_each_other(cluster: StartCluster) -> None:
    services = {"shelf": Shelf, "points": Points, "purchases": Purchases}
    service = cluster(services, **PATIENT)
    assert service.connect(Shelf).put("mug", 300, 5) == 5
    assert service.connect(Purchases, service="purchases").buy("Ann", "mug", 2).points == 6
    service.kill(service.primary)
    assert service.connect(Points).balance("Ann") == 6
    assert service.connect(Purchases).overview("mug") == (2, 3)
    with pytest.raises(ConfigurationError, match="Purchases uses Shelf, and that is not served with it"):
        ServiceCluster({"points": Points, "purchases": Purchases})
