"""What systemd hears of real processes: that they serve, that they live, that they stop."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.cluster import DEADLINE_S, NAMESERVER, Cluster


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Return where processes that are started from now on say how they are."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(DEADLINE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        yield listening


@pytest.mark.parametrize("name", [NAMESERVER, "s1"])
def test_it_hears_when_a_process_serves_that_it_lives_and_that_it_stops(
    tmp_path: Path, manager: socket.socket, name: str
) -> None:
    with Cluster(tmp_path / "bank") as cluster:
        cluster.start(name, wait=False)
        assert manager.recv(4096) == f"READY=1\nMAINPID={cluster.process(name).pid}".encode()
        assert [manager.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        cluster.pause(name)
        while select.select([manager], [], [], 0.3)[0]:  # What it had said by then.
            manager.recv(4096)
        cluster.resume(name)
        assert manager.recv(4096) == b"WATCHDOG=1"
        cluster.process(name).terminate()
        while manager.recv(4096) != b"STOPPING=1":
            pass
        assert cluster.wait_for_end(name) == 0
