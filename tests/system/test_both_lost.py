"""Both servers die at once, as in a power cut: what was acknowledged is on their disks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.cluster import NAMESERVER, Cluster
from tests.system.load import Load


@pytest.mark.parametrize("first", ["the primary", "the standby"])
def test_whichever_comes_back_first_leads_and_nothing_is_lost(tmp_path: Path, first: str) -> None:
    """Both killed under load, restarted one after the other: the first one back answers by itself."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster, clients=4) as load:
            for _ in range(2):
                load.wait_for(100)
                names = [cluster.primary(), cluster.standby()]
                cluster.kill(*names)
                if first == "the standby":
                    names.reverse()
                cluster.start(names[0])
                load.wait_for(50)
                cluster.start(names[1])
                cluster.wait_until_in_sync()
        load.check_disks()


def test_both_come_back_at_the_same_time(tmp_path: Path) -> None:
    """Killed together and started together, name server and witness included: no client gets an error."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster, clients=4) as load:
            for _ in range(3):
                load.wait_for(100)
                cluster.kill(*cluster.servers, NAMESERVER)
                cluster.start(NAMESERVER, *cluster.servers)
                cluster.wait_until_in_sync()
            load.wait_for(20)
        load.check_disks()
