"""Name server and witness die: nobody needs them until a server fails, too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bankrmi.bank.operations import Receipt
from bankrmi.errors import InDoubt
from bankrmi.rmi import look_up
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.load import Load


def _patient_cluster(directory: Path) -> Cluster:
    """A server that is slow for a moment is not taken for a dead one: without a witness that would matter."""
    return Cluster(directory, lease_ms=20_000, checkpoint_timeout_ms=10_000)


def test_clients_old_and_new_go_on_without_name_server_and_witness(tmp_path: Path) -> None:
    """Killed, and later started again, under load: no client notices, and all names are there again."""
    with _patient_cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster, clients=2) as load:
            for _ in range(2):
                load.wait_for(50)
                cluster.kill(NAMESERVER)
                assert cluster.client().deposit(10, 1).account == 10
                load.wait_for(100)
                cluster.start(NAMESERVER)
                cluster.until(lambda: _named_primary(cluster) == cluster.primary(), "the names are back")
                load.wait_for(20)
        view = cluster.view()
        assert view is not None
        assert view["epoch"] == 2  # The first view, and the standby let in: nothing else ever happened.
        load.check_disks()


def _named_primary(cluster: Cluster) -> str | None:
    tags = ("service:account", "role:primary")
    found = look_up(cluster.configuration.nameserver, tags, 5.0)
    return found[0].object_id.removeprefix("bankrmi.account.") if found else None


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("lost", ["the primary", "the standby"])
def test_a_server_that_dies_while_the_witness_is_away_is_replaced_when_it_is_back(
    tmp_path: Path, lost: str
) -> None:
    """Until then calls end as `InDoubt` at their deadline; afterwards they go through, each once."""
    with _patient_cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        primary, standby = cluster.primary(), cluster.standby()
        bank, hasty = cluster.client(), cluster.client(timeout=1.0)
        bank.deposit(2, 5)

        cluster.kill(NAMESERVER)
        cluster.kill(standby if lost == "the standby" else primary)
        with pytest.raises(InDoubt) as raised:
            hasty.withdraw(2, 10)
        with ThreadPoolExecutor(1) as callers:
            waiting = callers.submit(bank.withdraw, 2, 20, request_id="patient:1")
            cluster.start(NAMESERVER)
            receipt = waiting.result()

        doubt = str(raised.value.request_id)
        if lost == "the standby":
            # The primary has decided it long ago, and only had to wait.
            assert bank.outcome(doubt) == [Receipt(2, 195, 2, doubt)]
        assert receipt.request_id == "patient:1"
        balance = bank.balance(2).balance
        assert bank.withdraw(2, 10, request_id=doubt) == bank.outcome(doubt)[0]
        settled = bank.balance(2).balance
        assert settled == 175
        assert balance in (175, 185)
