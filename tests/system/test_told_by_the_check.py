"""`status --check` goes by whom the servers reach, and not by whom the operator reaches."""

from __future__ import annotations

from pathlib import Path

from bankrmi.cli.exit_codes import ExitCode, HealthCode
from bankrmi.cli.health import health
from tests.system.cluster import AS_SHIPPED, NAMESERVER, Cluster


def code_of(cluster: Cluster) -> int:
    return health(cluster.overview())[0]


def test_a_connection_on_which_nobody_answers_is_none_and_nothing_is_acknowledged(tmp_path: Path) -> None:
    """The connection to a frozen standby is up for seconds yet; without the witness nobody goes on alone."""
    with Cluster(tmp_path, **AS_SHIPPED) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        primary, standby = cluster.primary(), cluster.standby()
        told = cluster.status(primary) or {}
        assert (told["acknowledges"], told["connected"]) == (True, [standby])
        cluster.until(lambda: code_of(cluster) == ExitCode.DONE, "well")
        cluster.pause(NAMESERVER)
        cluster.pause(standby)
        cluster.until(lambda: (cluster.status(primary) or {}).get("acknowledges") is False, "it says so")
        cluster.until(
            lambda: (cluster.status(primary) or {}).get("connected") == [], "a silent link", seconds=4
        )
        assert code_of(cluster) == HealthCode.NOTHING_ACKNOWLEDGED
        cluster.pause(primary)
        cluster.resume(standby)
        cluster.until(lambda: (cluster.status(standby) or {}).get("connected") == [], "and the other way")
        cluster.resume(primary)
        cluster.until(lambda: (cluster.status(primary) or {}).get("connected") == [standby], "it answers")
        cluster.resume(NAMESERVER)
        cluster.until(
            lambda: code_of(cluster) == ExitCode.DONE, "well again, and nobody's silence is remembered"
        )
