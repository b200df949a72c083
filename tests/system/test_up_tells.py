"""What a person is told by `up`: what the bank does, whose the ports are, what starting over sets aside."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from tests import warm
from tests.system.cluster import DEADLINE_S, Cluster
from tests.system.commands import bankrmi
from tests.system.supervised import Up

CHOICE = "Your choice: "


@contextmanager
def up_with_menu(cluster: Cluster, *options: str) -> Iterator[pexpect.spawn]:
    up = warm.terminal(
        ["--config", str(cluster.config), "up", *options],
        timeout=DEADLINE_S,
        dimensions=(40, 200),
        env={**os.environ, "TERM": "xterm"},
    )
    try:
        yield up
    finally:
        up.kill(signal.SIGTERM)
        up.expect(pexpect.EOF)
        up.close(force=True)


def wait_until_in_sync(cluster: Cluster) -> None:
    def in_sync() -> bool:
        return all(server["reachable"] and server["in_sync"] for server in cluster.overview()["servers"])

    cluster.until(in_sync, "all are in sync")


def pid_of(up: pexpect.spawn, server: str) -> int:
    found = re.search(rf"server {server} is ready: \w+, pid (\d+)", str(up.before))
    assert found
    return int(found[1])


def test_a_takeover_and_what_follows_are_told_in_a_line_each(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster, up_with_menu(cluster) as up:
        up.expect_exact(CHOICE)
        victim = pid_of(up, "s1")
        wait_until_in_sync(cluster)
        os.kill(victim, signal.SIGKILL)
        up.expect(rf"server s1 \(pid {victim}\) was killed by SIGKILL; it is started again in 0.2 s\r\n")
        refused = rf"crash of s1: refused at {re.escape(cluster.configuration.servers['s1'])}"
        died = rf"\d+ ms after s1 died \({refused}\)"
        up.expect(rf"s2 took over in epoch \d+, {died}: ONE COPY ONLY\r\nYour choice: ")
        up.expect(r"s1 is in sync in epoch \d+: 2 copies\r\n")
        assert bankrmi(cluster, "switchover", "--to", "s1", "--yes").returncode == 0
        up.expect(r"s2 handed over to s1 in epoch \d+ \(switchover by [\d.:]+\): 2 copies\r\n")
        (tmp_path / "ledger.csv").write_text("1,1\n")
        os.kill(cluster_pid(cluster, "s2"), signal.SIGKILL)
        up.expect(r"s2: the ledger was edited since the bank opened with it")
        up.sendline("4")
        up.expect_exact("Stopping the bank…")
        up.expect_exact("The bank has stopped.")


def cluster_pid(cluster: Cluster, name: str) -> int:
    status = cluster.until(lambda: cluster.status(name), f"{name} answers")
    assert status is not None
    return int(status["pid"])


@pytest.mark.long
def test_ports_of_another_folders_bank_are_told_with_what_to_do(tmp_path: Path) -> None:
    """A second clone, started with the same addresses; and this bank, started twice."""
    with Cluster(tmp_path) as cluster, Up(cluster) as running:
        running.wait_until_running()
        other = tmp_path / "other clone" / "config.yaml"
        other.parent.mkdir()
        other.write_text(cluster.config.read_text())
        (other.parent / "ledger.csv").write_text((tmp_path / "ledger.csv").read_text())
        refused = bankrmi(other, "up", typed="4\n")
        assert refused.returncode == 1
        settings = cluster.configuration
        addresses = ", ".join(sorted([settings.nameserver, *settings.servers.values()]))
        assert (
            f"{addresses}: taken by the bank of {cluster.config.resolve()}: stop that one with "
            f"'kill {running.process.pid}', or give this bank ports of its own in {other}\n"
        ) in refused.stderr
        again = bankrmi(cluster, "up", typed="4\n")
        assert again.returncode == 1
        assert "this bank runs already: 'bankrmi menu' opens another menu" in again.stderr
        assert cluster.client().withdraw(2, 10).balance == 190


@pytest.mark.long
def test_starting_over_sets_aside_what_there_is_and_asks_before(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        with Up(cluster) as running:
            running.wait_until_running()
            running.wait_until_in_sync()
            assert cluster.client().withdraw(2, 10).balance == 190
            refused = bankrmi(cluster, "up", "--fresh", "--yes", typed="4\n")
            assert refused.returncode == 1
            assert "is in use by the running process" in refused.stderr
            assert "stop the bank first" in refused.stderr
            assert cluster.client().balance(2).balance == 190
            assert running.stop(signal.SIGTERM) == 0
        unasked = bankrmi(cluster, "up", "--fresh", typed="y\n4\n")
        assert unasked.returncode == 2
        assert "say --yes" in unasked.stderr
        assert not list(cluster.configuration.data_dir.glob("before-*"))
        (tmp_path / "ledger.csv").write_text("nonsense")
        broken = bankrmi(cluster, "up", "--fresh", "--yes", typed="4\n")
        assert broken.returncode == 2
        assert not list(cluster.configuration.data_dir.glob("before-*"))
        (tmp_path / "ledger.csv").write_text("2,7\n")
        with up_with_menu(cluster, "--fresh") as up:
            up.expect_exact("start over with")
            up.sendline("y")
            up.expect_exact(CHOICE)
            assert cluster.client().balance(2).balance == 7
        (aside,) = cluster.configuration.data_dir.glob("before-*")
        assert sorted(folder.name for folder in aside.iterdir()) == ["s1", "s2", "witness"]
        verified = bankrmi(cluster, "verify", str(aside / "s1"), str(aside / "s2"))
        assert verified.returncode == 0
