"""A server is asked to stop, or to hand over, while clients go on: none of them gets an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.cluster import Cluster
from tests.system.load import Load


def test_a_primary_that_is_told_to_stop_hands_over_first(tmp_path: Path) -> None:
    """SIGTERM of the primary under load: the standby leads before it ends; it comes back; no client errs."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster, clients=4) as load:
            for _ in range(2):
                load.wait_for(50)
                primary, standby = cluster.primary(), cluster.standby()
                assert cluster.terminate(primary) == 0
                view = cluster.view()
                assert view is not None
                assert view["primary"] == standby
                load.wait_for(50)
                cluster.start(primary)
                cluster.wait_until_in_sync()
        load.check_disks()


@pytest.mark.long
def test_a_standby_that_is_told_to_stop_is_out_of_the_view_when_it_ends(tmp_path: Path) -> None:
    """SIGTERM of the standby under load: the primary takes it out, and waits for it no moment longer."""
    with Cluster(tmp_path, checkpoint_timeout_ms=30_000, lease_ms=60_000) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster, clients=4) as load:
            for _ in range(2):
                load.wait_for(50)
                primary, standby = cluster.primary(), cluster.standby()
                assert cluster.terminate(standby) == 0
                view = cluster.view()
                assert view is not None
                assert view["in_sync"] == [primary]
                load.wait_for(50)
                cluster.start(standby)
                cluster.wait_until_in_sync()
        load.check_disks()


def test_the_lead_is_handed_to_and_fro_and_no_client_notices(tmp_path: Path) -> None:
    """Ten switchovers under load: each gives the lead to the standby, and both stay in sync."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster, clients=4) as load:
            for _ in range(10):
                load.wait_for(20)
                primary, standby = cluster.primary(), cluster.standby()
                moved = cluster.switch_over()
                assert (moved["before"]["primary"], moved["after"]["primary"]) == (primary, standby)
                assert moved["after"]["in_sync"] == moved["before"]["in_sync"]
                cluster.wait_until_in_sync()
        load.check_disks()
