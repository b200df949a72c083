"""Servers are added, removed, moved and replaced while the bank runs; docs/operations.md tells how (V12).

Real processes on this machine: another port stands for another machine.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bankrmi.config import load
from tests.system.cluster import Cluster
from tests.system.commands import bankrmi
from tests.system.load import Load
from tests.system.ports import own_addresses


def _written(cluster: Cluster, servers: dict[str, str]) -> None:
    """Write the configuration of a machine on which a server is started next."""
    head, _, tail = cluster.config.read_text().partition("servers:\n")
    rest = [line for line in tail.splitlines() if not line.startswith("  ")]
    lines = [f"  {name}: {address}" for name, address in servers.items()]
    cluster.config.write_text("\n".join([f"{head}servers:", *lines, *rest]) + "\n")
    cluster.configuration = load(cluster.config)
    cluster.servers = tuple(servers)


def _done(cluster: Cluster, *arguments: str) -> str:
    ended = bankrmi(cluster, "server", *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


def _refused(cluster: Cluster, *arguments: str) -> str:
    ended = bankrmi(cluster, "server", *arguments)
    assert ended.returncode in (1, 2), ended
    return ended.stderr


def test_a_third_server_comes_and_goes(tmp_path: Path) -> None:
    """The short one: it is added, joins, is removed, and ends by itself; the other two never notice."""
    with own_addresses(1) as (third,), Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        two = dict(cluster.configuration.servers)
        assert "has no server s3" in bankrmi(cluster, "failover", "--yes", "--to", "s3").stderr
        assert f"s3 is a server of the bank now, at {third}: epoch" in _done(cluster, "add", "s3", third)
        by_then = bankrmi(cluster, "failover", "--yes", "--to", "s3")  # No file names it yet.
        assert "s3 cannot be asked" in by_then.stderr
        _written(cluster, two | {"s3": third})
        cluster.start("s3")
        cluster.wait_until_in_sync("s1", "s2", "s3")
        doctor = bankrmi(cluster, "doctor").stdout
        assert "servers of the bank" not in doctor
        assert "servers.s3" not in doctor, "the files of those that run need no change"
        assert "s3 is no server of the bank any more" in _done(cluster, "remove", "s3", "--yes")
        assert cluster.wait_for_end("s3") == 2
        assert "`bankrmi server add s3" in cluster.log("s3")
        for command in ("switchover --yes --to s3", "failover --yes --to s3", "backup here --server s3"):
            refused = bankrmi(cluster, *command.split())
            assert refused.returncode == 2
            assert "names s3, which is no server of the bank: there are s1, s2" in refused.stderr
        examined = bankrmi(cluster, "doctor").stdout
        assert "the servers of the bank are s1 at" in examined
        _written(cluster, two)
        cluster.wait_until_in_sync("s1", "s2")


@pytest.mark.long
def test_servers_are_added_moved_replaced_and_removed_and_no_client_notices(tmp_path: Path) -> None:
    """From two to five and back to three, under load; the files of those that run are never touched."""
    with own_addresses(5) as (third, fourth, fifth, elsewhere, replaced), Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        two = dict(cluster.configuration.servers)
        with Load(cluster, clients=3) as load:
            load.wait_for(50)

            # A third, a fourth and a fifth server.
            five = two | {"s3": third, "s4": fourth, "s5": fifth}
            _written(cluster, five)
            cluster.start("s3", wait=False)  # Too early: it waits, and says for what.
            cluster.until(
                lambda: f"`bankrmi server add s3 {third}`" in cluster.log("s3"), "s3 says what it waits for"
            )
            for name in ("s3", "s4", "s5"):
                told = _done(cluster, "add", name, five[name])
                assert f"{name} is a server of the bank now, at {five[name]}: epoch" in told
                assert f"bankrmi server {name}" in told
            cluster.start("s4", "s5")
            cluster.wait_until_ready("s3")
            cluster.wait_until_in_sync("s1", "s2", "s3", "s4", "s5")
            load.wait_for(50)

            # What cannot be is refused, and changes nothing.
            before = cluster.view()
            assert "is a server of the bank already" in _refused(cluster, "add", "s3", elsewhere)
            assert "is the address of s3" in _refused(cluster, "add", "s6", third)
            assert "there is no server s9" in _refused(cluster, "remove", "s9", "--yes")
            primary = cluster.primary()
            assert "bankrmi switchover" in _refused(cluster, "remove", primary, "--yes")
            assert "bankrmi switchover" in _refused(cluster, "move", primary, elsewhere)
            assert "a server cannot be called add" in _refused(cluster, "add", "add", elsewhere)
            assert cluster.view() == before

            # s5 moves with its disk; what ran where it was ends by itself, and is not to be started again.
            assert "s5 lives at" in _done(cluster, "move", "s5", elsewhere)
            assert cluster.wait_for_end("s5") == 2
            assert f"s5 lives at {elsewhere}" in cluster.log("s5")
            _written(cluster, five | {"s5": elsewhere})
            cluster.start("s5")
            cluster.wait_until_in_sync("s1", "s2", "s3", "s4", "s5")

            # The machine of s4 is replaced: another address, an empty disk, the same name.
            cluster.kill_the_standby("s4")
            _done(cluster, "move", "s4", replaced)
            shutil.rmtree(cluster.data("s4"))
            _written(cluster, five | {"s5": elsewhere, "s4": replaced})
            cluster.start("s4")
            cluster.wait_until_in_sync("s1", "s2", "s3", "s4", "s5")
            load.wait_for(50)

            # The first two go, and with them all that any file of the first two machines named.
            cluster.until(lambda: cluster.switch_over(to="s4"), "s4 leads")
            for name in ("s1", "s2"):
                assert f"{name} is no server of the bank any more" in _done(cluster, "remove", name, "--yes")
                assert cluster.wait_for_end(name) == 2
                assert f"`bankrmi server add {name} {two[name]}` takes it in again" in cluster.log(name)
            cluster.servers = ("s3", "s4", "s5")
            cluster.wait_until_in_sync("s3", "s4", "s5")
            load.wait_for(50)

            # Whoever has an old file still finds the bank: a client that is started now, and `status`.
            old = tmp_path / "old.yaml"
            old.write_text(cluster.config.read_text())
            _written(cluster, two)
            shutil.copy(cluster.config, old)
            _written(cluster, {"s3": third, "s4": replaced, "s5": elsewhere})
            assert bankrmi(old, "balance", "1").returncode == 0
            shown = bankrmi(old, "status").stdout
            assert elsewhere in shown
            assert replaced in shown
            told = bankrmi(cluster, "history").stdout
            for sentence in (f"s3 added at {third} by", f"s5 moved to {elsewhere} by", "s1 removed by"):
                assert sentence in told, told
        load.check_disks()
