"""The witness lost its disk, and an operator restores it: a bank that is well stays well until he says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pexpect
import pytest

from bankrmi.errors import InDoubt, Unreached
from tests import warm
from tests.system.cluster import DEADLINE_S, NAMESERVER, Cluster
from tests.system.commands import bankrmi


def lose_the_view(cluster: Cluster) -> None:
    cluster.kill(NAMESERVER)
    shutil.rmtree(cluster.data("witness"))
    cluster.start(NAMESERVER)


def test_a_no_leaves_a_bank_that_is_well_as_it_is(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        lose_the_view(cluster)
        command = ["--config", str(cluster.config), "witness", "restore"]
        operator = warm.terminal(command, timeout=DEADLINE_S)
        operator.expect_exact("Propose to the witness: epoch 1002, primary s1, in sync s1?")
        operator.sendline("n")
        operator.expect_exact("nothing was done")
        operator.expect(pexpect.EOF)
        operator.close()
        assert operator.exitstatus == 1
        asked = bankrmi(cluster, "witness", "restore")
        assert asked.returncode == 2
        assert "say --yes" in asked.stderr
        assert cluster.client(timeout=5).withdraw(2, 10).balance == 190
        assert "was=primary" not in cluster.log("s1")

        restored = bankrmi(cluster, "witness", "restore", "--yes")
        assert restored.stdout == "restored: epoch 1002, primary s1, in sync s1\n"
        [line] = [line for line in cluster.log(NAMESERVER).splitlines() if "what=propose" in line]
        assert ' service=account kind=restored cause="restored by ' in line, "it says what was proposed"
        assert " epoch=1002 primary=s1 in_sync=s1 forced=True paused=False outcome=done " in line
        assert all(f" which={name} outcome=done " in cluster.log(name) for name in cluster.servers)
        cluster.wait_until_in_sync()
        assert cluster.client().withdraw(2, 10).balance == 180


def test_what_why_says_of_a_death_without_the_view_is_what_comes_of_it(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        lose_the_view(cluster)
        told = bankrmi(cluster, "why").stdout
        assert "s1: the bank would stand still until `bankrmi witness restore`: nobody may lead" in told
        assert "s2: nothing would be acknowledged until `bankrmi witness restore`." in told
        assert "is not in sync" not in told

        cluster.kill("s2")
        cluster.until(lambda: bankrmi(cluster, "status", "--check").returncode in {7, 8}, "it is told")
        cluster.start("s2", wait=False)
        with pytest.raises((InDoubt, Unreached)):
            cluster.client(timeout=2).withdraw(2, 10)
        told = bankrmi(cluster, "why").stdout
        assert told.count("has lost its memory: run `bankrmi witness restore`") == 1
        restored = bankrmi(cluster, "witness", "restore", "--yes")
        assert restored.returncode == 0, restored
        cluster.wait_until_in_sync()


def test_while_no_view_is_safe_a_bank_that_is_well_goes_on(tmp_path: Path) -> None:
    """s3 is away, and the others are well: asking costs them nothing. Then it is given up."""
    with Cluster(tmp_path, servers=3) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        cluster.kill("s3")
        cluster.wait_until_in_sync("s1", "s2")
        lose_the_view(cluster)
        refused = bankrmi(cluster, "witness", "restore", "--yes")
        assert refused.returncode == 1
        assert "no view is safe: s3 cannot be asked" in refused.stderr
        assert cluster.client(timeout=5).withdraw(2, 10).balance == 190
        assert "was=primary" not in cluster.log("s1")

        restored = bankrmi(cluster, "witness", "restore", "--give-up", "s3", "--yes")
        assert restored.returncode == 0
        assert "WARNING: s3 is given up" in restored.stderr
        cluster.wait_until_in_sync("s1", "s2")
        assert cluster.client().withdraw(2, 10).balance == 180


@pytest.mark.parametrize("arguments", [["--give-up", "s9"], ["--give-up", "s9", "--yes"]])
def test_who_is_not_configured_cannot_be_given_up(tmp_path: Path, arguments: list[str]) -> None:
    with Cluster(tmp_path) as cluster:
        refused = bankrmi(cluster, "witness", "restore", *arguments)
        assert refused.returncode == 2
        assert "has no server s9: there are s1, s2" in refused.stderr
