"""Servers are added, removed, moved and replaced while the bank runs (V12).

docs/how-to/change-servers.md tells how.

Real processes on this machine: another port stands for another machine.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bankrmi.client.asking import ask_once
from bankrmi.config import load
from bankrmi.diagnosis import DIAGNOSIS_ID
from bankrmi.server.agreement import GOES_BY_VIEW
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
        [line] = [line for line in cluster.log("s1").splitlines() if " what=server_add " in line]
        assert f" which=s3 address={third} outcome=done " in line
        _written(cluster, two | {"s3": third})
        cluster.start("s3")
        cluster.wait_until_in_sync("s1", "s2", "s3")
        doctor = bankrmi(cluster, "doctor").stdout
        assert "servers of the bank" not in doctor
        assert "servers.s3" not in doctor, "the files of those that run need no change"
        told = ask_once(third, f"{DIAGNOSIS_ID}s3", "facts", seconds=10)
        assert told["settings"][GOES_BY_VIEW] is True, "though its file says the same"
        _written(cluster, two)
        behind = bankrmi(cluster, "doctor").stdout
        assert "the servers of the bank are s1 at" in behind
        assert "in what s" not in behind, "nothing has to be restarted"
        _written(cluster, two | {"s3": third})
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
        five = two | {"s3": third, "s4": fourth, "s5": fifth}
        three = {"s3": third, "s4": replaced, "s5": elsewhere}
        with Load(cluster, clients=3) as load:
            load.wait_for(50)
            _three_are_added(cluster, five)
            load.wait_for(50)
            _what_cannot_be_is_refused_and_changes_nothing(cluster, third, elsewhere)
            _one_moves_with_its_disk(cluster, "s5", five | {"s5": elsewhere})
            _the_machine_of_one_is_replaced(cluster, "s4", two | three)
            load.wait_for(50)
            _the_first_two_go(cluster, two)
            load.wait_for(50)
            _whoever_has_an_old_file_finds_the_bank(cluster, tmp_path / "old.yaml", two, three)
        load.check_disks()


def _three_are_added(cluster: Cluster, five: dict[str, str]) -> None:
    """A third one that was started too early, a fourth and a fifth."""
    _written(cluster, five)
    cluster.start("s3", wait=False)
    command = f"`bankrmi server add s3 {five['s3']}`"
    cluster.until(lambda: command in cluster.log("s3"), "s3 says what it waits for")
    for name in ("s3", "s4", "s5"):
        told = _done(cluster, "add", name, five[name])
        assert f"{name} is a server of the bank now, at {five[name]}: epoch" in told
        assert f"bankrmi server {name}" in told
    cluster.start("s4", "s5")
    cluster.wait_until_ready("s3")
    cluster.wait_until_in_sync(*five)


def _what_cannot_be_is_refused_and_changes_nothing(cluster: Cluster, third: str, free: str) -> None:
    before = cluster.view()
    assert "is a server of the bank already" in _refused(cluster, "add", "s3", free)
    assert "is the address of s3" in _refused(cluster, "add", "s6", third)
    assert "there is no server s9" in _refused(cluster, "remove", "s9", "--yes")
    primary = cluster.primary()
    assert "bankrmi switchover" in _refused(cluster, "remove", primary, "--yes")
    assert "bankrmi switchover" in _refused(cluster, "move", primary, free)
    assert "a server cannot be called add" in _refused(cluster, "add", "add", free)
    assert cluster.view() == before


def _one_moves_with_its_disk(cluster: Cluster, name: str, servers: dict[str, str]) -> None:
    """What ran where it was ends by itself, and is not to be started again."""
    assert f"{name} lives at" in _done(cluster, "move", name, servers[name])
    assert cluster.wait_for_end(name) == 2
    assert f"{name} lives at {servers[name]}" in cluster.log(name)
    _written(cluster, servers)
    cluster.start(name)
    cluster.wait_until_in_sync(*servers)


def _the_machine_of_one_is_replaced(cluster: Cluster, name: str, servers: dict[str, str]) -> None:
    """Another address, an empty disk, the same name."""
    cluster.kill_the_standby(name)
    _done(cluster, "move", name, servers[name])
    shutil.rmtree(cluster.data(name))
    _written(cluster, servers)
    cluster.start(name)
    cluster.wait_until_in_sync(*servers)


def _the_first_two_go(cluster: Cluster, two: dict[str, str]) -> None:
    """And with them all that any file of the first two machines named."""
    cluster.until(lambda: cluster.switch_over(to="s4"), "s4 leads")
    for name, address in two.items():
        assert f"{name} is no server of the bank any more" in _done(cluster, "remove", name, "--yes")
        assert cluster.wait_for_end(name) == 2
        assert f"`bankrmi server add {name} {address}` takes it in again" in cluster.log(name)
    cluster.servers = ("s3", "s4", "s5")
    cluster.wait_until_in_sync(*cluster.servers)


def _whoever_has_an_old_file_finds_the_bank(
    cluster: Cluster, old: Path, two: dict[str, str], three: dict[str, str]
) -> None:
    """A client that is started now, `status` and `history`."""
    _written(cluster, two)
    shutil.copy(cluster.config, old)
    _written(cluster, three)
    assert bankrmi(old, "balance", "1").returncode == 0
    shown = bankrmi(old, "status").stdout
    assert three["s5"] in shown
    assert three["s4"] in shown
    told = bankrmi(cluster, "history").stdout
    for sentence in (f"s3 added at {three['s3']} by", f"s5 moved to {three['s5']} by", "s1 removed by"):
        assert sentence in told, told
