"""`up --no-menu`, as a service runs it: what the bank does in a line each, and logs to move away."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from tests.system.cluster import Cluster
from tests.system.supervised import Up


def test_what_the_bank_does_is_told_in_a_line_each_and_nothing_else(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster, Up(cluster) as up:
        up.wait_until_running()
        up.wait_until_in_sync()
        (tmp_path / "ledger.csv").write_text("1,1\n")
        os.kill(up.pids["server s1"], signal.SIGKILL)
        for told in (
            r"^s2 took over in epoch \d+, \d+ ms after s1 died \(crash of s1: .+\): ONE COPY ONLY$",
            r"^s1 is in sync in epoch \d+: 2 copies$",
            r"^s1: the ledger was edited since the bank opened with it",
        ):
            cluster.until(lambda: re.search(told, up.said, re.MULTILINE), told)  # noqa: B023
        assert not re.search(r"Z (info|warning) ", up.said)
        assert "s2[" in (tmp_path / "data" / "log" / "s2.log").read_text()


def test_sighup_opens_the_logs_again_and_stops_nothing(tmp_path: Path) -> None:
    """As logrotate does it: the file is moved, the one process that is known is told."""
    with Cluster(tmp_path) as cluster, Up(cluster) as up:
        up.wait_until_running()
        up.wait_until_in_sync()
        before = up.pids
        logs = tmp_path / "data" / "log"
        for name in ("nameserver", "s1", "s2"):
            (logs / f"{name}.log").rename(logs / f"{name}.log.1")
        up.process.send_signal(signal.SIGHUP)
        for name in ("nameserver", "s1", "s2"):
            log = logs / f"{name}.log"
            cluster.until(lambda: log.exists() and "opened again" in log.read_text(), f"{name} did")  # noqa: B023
        assert cluster.client().withdraw(2, 10).balance == 190
        assert up.process.poll() is None
        assert up.pids == before
        assert up.stop(signal.SIGTERM) == 0


def test_sighup_while_everything_starts_stops_nothing_either(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster, Up(cluster) as up:
        cluster.until(lambda: "is ready" in up.said, "the first is; the others are about to begin")
        while "The bank is running" not in up.said and up.process.poll() is None:
            up.process.send_signal(signal.SIGHUP)
            time.sleep(0.01)
        assert "The bank is running" in up.said
        assert "SIGHUP" not in up.said
        assert "started again" not in up.said
