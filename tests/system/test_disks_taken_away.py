"""A data directory that is moved or removed under a running process: it stops before it acknowledges more."""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bankrmi.bank.operations import Deposit
from bankrmi.errors import Cancelled, InDoubt
from bankrmi.storage.write_ahead_log import DUE_PAGES
from tests.robustness.power_loss_recording import need_strace
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.copies import check_agreement, check_copy
from tests.system.load import Load

_NEARLY_DUE_BYTES = DUE_PAGES * 4096 * 9 // 10
"""Of a log: it is brought into the database soon, and has not been yet. The rest is written under strace."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        assert cluster.primary() == "s1"
        yield cluster


def check(cluster: Cluster, load: Load) -> None:
    cluster.wait_until_in_sync()
    cluster.kill(*cluster.servers)
    copies = [cluster.copy(name) for name in cluster.servers]
    check_agreement(*copies)
    for copy in copies:
        check_copy(copy, cluster.ledger)
        load.check(copy)


def test_a_standby_at_rest_whose_directory_is_gone_is_no_copy_any_more(cluster: Cluster) -> None:
    """It would confirm heartbeats, take over when the primary dies, and acknowledge into a lost file."""
    shutil.rmtree(cluster.data("s2"))
    assert cluster.wait_for_end("s2") == 1
    cluster.wait_until_in_sync("s1")
    assert "was taken away while it was written" in cluster.log("s2")
    assert "may be the only copy" in cluster.log("s2")


def test_a_primary_whose_directory_is_moved_away_stops_and_nothing_is_lost(cluster: Cluster) -> None:
    with Load(cluster) as load:
        load.wait_for(20)
        elsewhere = cluster.data("s1").with_name("elsewhere")
        cluster.data("s1").rename(elsewhere)
        assert cluster.wait_for_end("s1") == 1
        load.wait_for(20)
        assert cluster.primary() == "s2"
        elsewhere.rename(cluster.data("s1"))
        cluster.start("s1")
        load.wait_for(20)
    check(cluster, load)


def test_a_standby_that_was_restored_from_a_backup_under_its_feet_stops(cluster: Cluster) -> None:
    """The last one left, too, does not go on: what it would acknowledge would be gone with its end."""
    backup = cluster.directory / "backup"
    shutil.copytree(cluster.data("s2"), backup)
    shutil.rmtree(cluster.data("s2"))
    backup.rename(cluster.data("s2"))
    assert cluster.wait_for_end("s2") == 1


def test_a_witness_whose_directory_is_gone_stops_before_it_answers_more(cluster: Cluster) -> None:
    shutil.rmtree(cluster.data("witness"))
    cluster.kill("s2")
    assert cluster.wait_for_end(NAMESERVER) == 1
    assert "was taken away while it was written" in cluster.log(NAMESERVER)


def test_what_is_on_the_disk_is_for_its_owner_only(cluster: Cluster) -> None:
    with cluster.client() as bank:
        bank.deposit(1, 1)
    for path in cluster.configuration.data_dir.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


# In every run: the log (tests/storage/test_write_ahead_log.py), and a server none of whose syncs succeeds any
# more (tests/robustness/test_power_loss_failures.py).
@pytest.mark.long
def test_a_server_whose_database_cannot_be_synced_stops(cluster: Cluster) -> None:
    """Its log can: every answer is safe until the log is brought in. SQLite went on without a word."""
    need_strace()
    database, log = cluster.data("s1") / "bank.db", cluster.data("s1") / "bank.db-wal"
    bank, answered, in_doubt = cluster.client(timeout=5), 0, None
    while log.stat().st_size < _NEARLY_DUE_BYTES:  # Traced, this would take long.
        answered += len(bank.submit([Deposit(1, 1)] * 10))
    inject = ["-P", str(database), "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"]
    output = cluster.directory / "strace"
    strace = subprocess.Popen(
        ["strace", "-f", *inject, "-o", str(output), "-p", str(cluster.process("s1").pid)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert strace.stderr is not None
        if "attached" not in strace.stderr.readline():
            pytest.skip("strace may not attach to a process here")
        while cluster.is_running("s1"):
            try:
                answered += len(bank.submit([Deposit(1, 1)] * 10))
            except InDoubt as error:  # Traced, it is so slow that it may have led alone.
                in_doubt = str(error.request_id)
                break
            assert answered < 100_000, f"it did not notice: {output.read_text()}"
        assert cluster.wait_for_end("s1") == 1
    finally:
        strace.kill()
        strace.communicate()
    assert "the disk refused to bring the log into the database" in cluster.log("s1")
    assert output.read_text().count("INJECTED") == 1
    cluster.start("s1")
    cluster.wait_until_in_sync()
    if in_doubt is not None:
        with suppress(Cancelled):
            answered += len(cluster.client().outcome(in_doubt))
    cluster.wait_until_in_sync()
    cluster.kill(*cluster.servers)
    for name in cluster.servers:
        assert cluster.copy(name).balances[1] == cluster.ledger[1] + answered
