"""A whole bank whose view is kept by etcd: no witness, and the loss of any one member costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bankrmi.errors import InDoubt
from tests.etcd import MEMBERS, EtcdMembers, needs_etcd, paused
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi, status_json

pytestmark = needs_etcd


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdMembers]:
    with EtcdMembers(tmp_path / "etcd") as members:
        yield members


@pytest.fixture
def cluster(tmp_path: Path, etcd: EtcdMembers) -> Iterator[Cluster]:
    with Cluster(tmp_path / "bank", witness=etcd.keys()) as bank:
        bank.start_all()
        bank.until(lambda: len((bank.view() or {}).get("in_sync", ())) == 2, "both are in sync")
        yield bank


def takes_over(cluster: Cluster, dead: str) -> None:
    other = next(name for name in cluster.servers if name != dead)
    cluster.kill(dead)
    cluster.until(lambda: cluster.primary() == other, f"{other} leads")
    cluster.start(dead)
    cluster.until(lambda: len((cluster.view() or {}).get("in_sync", ())) == 2, "both are in sync again")


@pytest.mark.parametrize("member", MEMBERS)
def test_a_takeover_with_any_one_member_dead(cluster: Cluster, etcd: EtcdMembers, member: str) -> None:
    bank = cluster.client(timeout=30)
    etcd.kill(member)
    assert bank.withdraw(2, 10).balance == 190
    takes_over(cluster, "s1")
    assert bank.withdraw(2, 10).balance == 180
    takes_over(cluster, "s2")
    assert bank.withdraw(2, 10).balance == 170


def test_a_takeover_with_the_leading_member_paused(cluster: Cluster, etcd: EtcdMembers) -> None:
    bank = cluster.client(timeout=30)
    with paused(etcd, etcd.leader()):
        takes_over(cluster, "s1")
        assert bank.withdraw(2, 10).balance == 190


def test_the_whole_bank_and_all_of_etcd_start_again(cluster: Cluster, etcd: EtcdMembers) -> None:
    bank = cluster.client(timeout=30)
    bank.withdraw(2, 10)
    cluster.kill(*cluster.servers, NAMESERVER)
    etcd.kill(*MEMBERS)
    etcd.start(*MEMBERS)
    cluster.start_all()
    assert bank.balance(2).balance == 190


def test_without_etcd_a_bank_that_is_well_goes_on_and_a_takeover_waits(
    cluster: Cluster, etcd: EtcdMembers
) -> None:
    bank = cluster.client(timeout=30)
    etcd.kill(*MEMBERS)
    assert bank.withdraw(2, 10).balance == 190
    assert "etcd cannot be reached" in bankrmi(cluster, "status").stdout
    cluster.kill("s1")
    with pytest.raises(InDoubt):
        cluster.client(timeout=2).withdraw(2, 10)
    etcd.start(*MEMBERS)
    assert bank.withdraw(2, 10).balance in (180, 170)
    assert cluster.primary() == "s2"


def test_status_names_the_members_that_do_not_answer(cluster: Cluster, etcd: EtcdMembers) -> None:
    etcd.kill("m2")
    told = status_json(cluster)
    assert told["view_from"] == "witness"
    assert told["witness"]["reachable"]
    assert {one["address"]: one["reachable"] for one in told["witness"]["members"]} == {
        etcd.url("m1"): True,
        etcd.url("m2"): False,
        etcd.url("m3"): True,
    }
    table = bankrmi(cluster, "status").stdout
    assert f"1 of 3 members of etcd does not answer: {etcd.url('m2')}" in table


def test_the_name_server_follows_the_view_in_etcd(cluster: Cluster) -> None:
    """A client that knows the name server's address only finds the primary, after a takeover too."""
    takes_over(cluster, "s1")
    alone = cluster.directory / "client.yaml"
    alone.write_text(f"nameserver: {cluster.configuration.nameserver}\n")
    cluster.until(lambda: "200" in bankrmi(alone, "balance", "2").stdout, "it is found")


def test_etcd_that_lost_everything_is_given_back_the_only_safe_view(
    cluster: Cluster, etcd: EtcdMembers
) -> None:
    """The same command as for a witness that lost its disk."""
    bank = cluster.client(timeout=30)
    bank.withdraw(2, 10)
    etcd.delete_all()
    restored = bankrmi(cluster, "witness", "restore", "--yes")
    assert restored.returncode == 0, restored
    assert "restored: " in restored.stdout
    assert bank.withdraw(2, 10).balance == 180
    again = bankrmi(cluster, "witness", "restore", "--yes")
    assert "there is nothing to restore: etcd holds a view" in again.stderr
