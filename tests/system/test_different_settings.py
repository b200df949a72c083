"""Servers of one bank whose files differ: it is said, and what is unsafe is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.cluster import NAMESERVER, Cluster


def lines(cluster: Cluster, name: str, key: str) -> list[str]:
    """Return what a server has logged of a key that differs."""
    return [
        line for line in cluster.log(name).splitlines() if "settings differ" in line and f"key={key} " in line
    ]


def said(cluster: Cluster, name: str, key: str) -> list[str]:
    """Wait until it has said something of that key; return all that it has."""

    def told() -> list[str]:
        return lines(cluster, name, key)

    return cluster.until(told, f"{name} says that {key} differs")


def test_a_lease_is_changed_by_restarting_one_server_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile the two differ; each says so, once a meeting, and the bank is in sync all the time."""
    with Cluster(tmp_path, lease_ms=700) as cluster:
        cluster.start_all()
        bank = cluster.client()
        assert bank.withdraw(1, 10).balance == 90
        primary, standby = cluster.primary(), cluster.standby()
        assert lines(cluster, primary, "lease_ms") == []
        monkeypatch.setenv("BANKRMI_LEASE_MS", "2000")
        cluster.terminate(standby)
        cluster.start(standby)
        for name, values in ((standby, "ours=2000 theirs=700"), (primary, "ours=700 theirs=2000")):
            [line] = said(cluster, name, "lease_ms")
            assert values in line
            assert f" {name}[" in line, "whose line it is"
        assert bank.withdraw(1, 10).balance == 80
        cluster.terminate(primary)
        cluster.start(primary)
        assert bank.withdraw(1, 10).balance == 70
        cluster.wait_until_in_sync()
        assert len(lines(cluster, standby, "lease_ms")) == 1


@pytest.mark.parametrize(
    ("key", "variable", "value"),
    [
        ("service", "BANKRMI_SERVICE", "savings"),
        ("limits.server_message_bytes", "BANKRMI_LIMITS_SERVER_MESSAGE_BYTES", "5000000"),
    ],
)
def test_what_can_never_work_is_refused_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, variable: str, value: str
) -> None:
    with Cluster(tmp_path, limits={"group_bytes": 3_000_000}) as cluster:
        cluster.start(NAMESERVER)
        monkeypatch.setenv("BANKRMI_LIMITS_GROUP_BYTES", "1048576")
        monkeypatch.setenv(variable, value)
        cluster.start("s2", wait=False)
        monkeypatch.delenv(variable)
        monkeypatch.delenv("BANKRMI_LIMITS_GROUP_BYTES")
        cluster.start("s1", wait=False)
        for name in ("s1", "s2"):
            [line] = said(cluster, name, key)
            assert "no connection" in line
            assert value in line
        cluster.until(lambda: "waiting" in cluster.log("s1"), "s1 waits for a bank that it can meet")
        assert len(lines(cluster, "s1", key)) == 1
