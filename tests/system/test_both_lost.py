"""Both servers die at once, as in a power cut: what was acknowledged is on their disks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi
from tests.system.load import Load


@pytest.mark.but_first_long(1)
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
                if first == "the standby":
                    names.reverse()
                cluster.kill(*names)
                if not both_count(cluster):
                    names.sort(key=lambda name: not counts(cluster, name))
                cluster.start(names[0])
                load.wait_for(50)
                cluster.start(names[1])
                cluster.wait_until_in_sync()
        load.check_disks()


def counts(cluster: Cluster, name: str) -> bool:
    """Whether the view, as it is after all died, knows that this one holds everything."""
    view = cluster.view()
    return view is not None and name in view["in_sync"]


def both_count(cluster: Cluster) -> bool:
    """Not if one was slow when they died, and the other asked to go on alone: then that one is first."""
    return all(counts(cluster, name) for name in cluster.servers)


def test_who_comes_back_alone_and_is_not_known_to_hold_everything_waits_and_status_says_for_whom(
    tmp_path: Path,
) -> None:
    """Two kills that are two moments: the standby took over in between, and only it knows everything."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        primary, standby = cluster.primary(), cluster.standby()
        cluster.kill(primary)
        assert cluster.client().withdraw(2, 10).balance == 190
        cluster.kill(standby)
        cluster.start(primary, wait=False)
        cluster.until(
            lambda: (cluster.status(primary) or {}).get("role") == "joining", "it looks for the other"
        )
        checked = bankrmi(cluster, "status", "--check")
        assert checked.returncode == 7
        assert (
            f"nobody else may, for only {standby} is known to hold everything: start it again"
            in checked.stdout
        )
        shown = bankrmi(cluster, "status").stdout
        assert f"{primary} is joining: no connection to the primary {standby}" in shown
        cluster.start(standby)
        cluster.wait_until_in_sync()
        assert cluster.client().balance(2).balance == 190


@pytest.mark.long
def test_both_come_back_at_the_same_time(tmp_path: Path) -> None:
    """Killed together and started together, name server and witness included: no client gets an error."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster, clients=4) as load:
            for _ in range(2):
                load.wait_for(100)
                cluster.kill(*cluster.servers, NAMESERVER)
                cluster.start(NAMESERVER, *cluster.servers)
                cluster.wait_until_in_sync()
            load.wait_for(20)
        load.check_disks()
