"""The standby dies: the primary goes on alone, or waits, as the configuration wants it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bankrmi.bank.operations import Receipt
from bankrmi.errors import Cancelled, InDoubt
from tests.system.cluster import Cluster
from tests.system.copies import check_agreement, check_copy
from tests.system.load import Load


@pytest.mark.long
def test_what_happened_while_the_standby_was_away_survives_the_primary(tmp_path: Path) -> None:
    """Standby killed, operations go on, standby back and in sync, primary killed: nothing is missing."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster, clients=4) as load:
            for _ in range(3):
                load.wait_for(30)
                primary, standby = cluster.primary(), cluster.standby()
                cluster.kill(standby)
                load.wait_for(150)
                cluster.start(standby)
                cluster.wait_until_in_sync()
                cluster.kill(primary)
                load.wait_for(100)
                cluster.start(primary)
                cluster.wait_until_in_sync()
        load.check_disks()


def test_with_two_copies_wanted_a_single_one_acknowledges_nothing(tmp_path: Path) -> None:
    """`copies_min: 2`, standby killed: calls end as `InDoubt` at their deadline; `outcome` settles them."""
    with Cluster(tmp_path, copies_min=2) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        primary, standby = cluster.primary(), cluster.standby()
        bank, hasty = cluster.client(), cluster.client(timeout=1.0)
        bank.deposit(2, 5)

        cluster.kill(standby)
        doubts = []
        for amount in (10, 20):
            with pytest.raises(InDoubt) as raised:
                hasty.withdraw(2, amount)
            doubts.append(str(raised.value.request_id))
        view = cluster.view()
        assert view is not None
        assert view["in_sync"] == sorted(cluster.servers)

        cluster.start(standby)
        cluster.wait_until_in_sync()
        for _ in range(2):
            assert bank.outcome(doubts[0]) == [Receipt(2, 195, 2, doubts[0])]
            with pytest.raises(Cancelled):  # It waited behind the first one, and left with its caller.
                bank.outcome(doubts[1])

        cluster.kill(primary)
        with pytest.raises(InDoubt) as raised:
            hasty.withdraw(2, 40)
        cluster.start(primary)
        cluster.wait_until_in_sync()
        with pytest.raises(Cancelled):
            bank.outcome(str(raised.value.request_id))
        assert bank.balance(2).balance == 195
        cluster.kill(*cluster.servers)
        copies = [cluster.copy(name) for name in cluster.servers]
        for copy in copies:
            check_copy(copy, cluster.ledger)
            assert copy.tip == 4
        check_agreement(*copies)


def test_with_two_copies_wanted_nothing_acknowledged_is_ever_on_one_disk_only(tmp_path: Path) -> None:
    """`copies_min: 2` under load: each server is killed in turn, calls wait, and all is on both disks."""
    with Cluster(tmp_path, copies_min=2) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster, clients=4) as load:
            for victim in (cluster.standby, cluster.primary, cluster.standby):
                load.wait_for(60)
                name = victim()
                cluster.kill(name)
                answered = len(load.answered)
                load.check(cluster.copy(name))
                # Each client may have had one more answer on its way from the primary when the other died.
                assert len(load.answered) - answered <= 4
                cluster.start(name)
                cluster.wait_until_in_sync()
            load.wait_for(60)
        load.check_disks()
