"""A disk that takes its time holds up what rests on it, and nothing else (ADR 25)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bankrmi.robustness.chaos.slow_disk import slow_disk
from tests.robustness.power_loss_recording import need_strace
from tests.system.cluster import Cluster
from tests.system.load import Load

SLOW_MS = 300
HANGING_MS = 20_000


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        assert cluster.primary() == "s1"
        yield cluster


@contextmanager
def slowed(cluster: Cluster, name: str, late_ms: int) -> Iterator[None]:
    """Hold up each sync of a server for `late_ms`."""
    need_strace()
    with slow_disk(cluster.process(name).pid, late_ms) as holds:
        if not holds:
            pytest.skip("strace may not attach to a process here")
        yield


def test_who_asks_for_nothing_that_waits_for_the_disk_does_not_wait_for_it(cluster: Cluster) -> None:
    """The loop used to stand still for each sync."""
    with Load(cluster) as load, slowed(cluster, "s1", SLOW_MS):
        load.wait_for(3)
        took_ms = []
        for _ in range(15):
            began = time.monotonic()
            assert cluster.status("s1") is not None
            took_ms.append(1000 * (time.monotonic() - began))
            time.sleep(0.02)
    assert statistics.median(took_ms) < SLOW_MS / 3, took_ms
    assert cluster.primary() == "s1"
    cluster.wait_until_in_sync()


def test_a_primary_whose_disk_hangs_beside_its_loop_is_replaced(cluster: Cluster) -> None:
    """V2: it goes on reading and answering, and says nothing to its standby."""
    with cluster.client() as bank:
        with slowed(cluster, "s1", 30):  # From now on it syncs beside the loop.
            for _ in range(3):
                bank.deposit(1, 1)
        with slowed(cluster, "s1", HANGING_MS):
            bank.deposit(1, 1)
            assert cluster.primary() == "s2"
