"""Data directories deleted: what comes back by itself, and what must not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import Deposit
from bankrmi.errors import BankError, Unreached
from bankrmi.replication.record import packed
from bankrmi.storage.database import open_database
from bankrmi.storage.journal import SqliteJournal
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi, exported, status_json
from tests.system.copies import check_agreement, check_copy
from tests.system.load import Load

MANY = 300_000
BATCH = 8_192


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as cluster:
        yield cluster
        cluster.show_logs()


def start(cluster: Cluster) -> None:
    cluster.start_all()
    cluster.wait_until_in_sync()
    assert cluster.primary() == "s1"


def check(cluster: Cluster, load: Load | None = None) -> None:
    cluster.wait_until_in_sync()
    cluster.kill(*cluster.servers)
    copies = [cluster.copy(name) for name in cluster.servers]
    check_agreement(*copies)
    for copy in copies:
        check_copy(copy, cluster.ledger)
        if load is not None:
            load.check(copy)


def test_a_standby_whose_directory_was_deleted_joins_from_nothing_under_load(cluster: Cluster) -> None:
    """It comes back as a new member, with all that was and all that goes on meanwhile."""
    start(cluster)
    before = cluster.status("s2")
    with Load(cluster) as load:
        load.wait_for(50)
        cluster.kill("s2")
        shutil.rmtree(cluster.data("s2"))
        load.wait_for(50)
        cluster.start("s2")
        load.wait_for(50)
        cluster.kill("s1")
        load.wait_for(50)
    after = cluster.status("s2")
    assert before is not None
    assert after is not None
    assert after["incarnation"] != before["incarnation"]
    cluster.start("s1")
    check(cluster, load)


def test_a_standby_whose_directory_vanishes_while_it_runs_costs_nobody_anything(cluster: Cluster) -> None:
    """The primary goes on; started again, the standby has what it had lost."""
    start(cluster)
    with Load(cluster) as load:
        load.wait_for(20)
        shutil.rmtree(cluster.data("s2"))
        load.wait_for(50)
        if cluster.is_running("s2"):
            cluster.kill("s2")
        cluster.start("s2")
        load.wait_for(20)
    check(cluster, load)


@pytest.mark.long
def test_a_joiner_gets_hundreds_of_thousands_of_entries_while_load_goes_on(cluster: Cluster) -> None:
    """Nobody waits for the copy, and it is whole."""
    start(cluster)
    cluster.kill("s2")
    cluster.wait_until_in_sync("s1")
    cluster.kill("s1")
    shutil.rmtree(cluster.data("s2"))
    fill(cluster.data("s1") / "bank.db")
    cluster.start("s1")
    with Load(cluster, clients=2) as load:
        load.wait_for(10)
        cluster.start("s2")
        load.wait_for(10)
    cluster.wait_until_in_sync()
    (one, about), (other, about_other) = (exported(cluster, name) for name in ("s1", "s2"))
    assert one == other
    assert about == about_other
    statuses = [cluster.status(name) for name in cluster.servers]
    tips = {(status["action_id"], status["digest"]) for status in statuses if status is not None}
    assert len(tips) == 1
    assert tips.pop()[0] > MANY


def fill(path: Path) -> None:
    """Journal many deposits, as the primary alone would have."""
    journal = SqliteJournal(open_database(path), Accounts({}), new_incarnation=lambda: "made by a test")
    assert journal.adopted is not None
    epoch, sequence = journal.adopted.epoch, 0
    operations = packed([form_of(Deposit(1 + place % 10, 1)) for place in range(BATCH)])
    while journal.tip.action_id < MANY:
        sequence += 1
        journal.decide(epoch, ("bulk", sequence), BATCH, operations, time_us=sequence)
        if sequence % 16 == 0:
            journal.commit()
    journal.commit()
    journal.close()


def test_a_primary_whose_directory_was_deleted_while_it_was_down_may_not_lead(cluster: Cluster) -> None:
    """It comes back empty, alone, under its old name: it waits for the copy that is left, and says so."""
    start(cluster)
    bank = cluster.client()
    bank.withdraw(2, 50, request_id="kept:1")
    cluster.kill("s1", "s2")
    shutil.rmtree(cluster.data("s1"))
    cluster.start("s1", wait=False)
    cluster.until(lambda: "the disk that this server has lost" in cluster.log("s1"), "s1 says why it waits")
    with pytest.raises(BankError):
        cluster.client(timeout=0.5).withdraw(2, 50, request_id="early:1")
    status = cluster.status("s1")
    assert status is not None
    assert status["role"] == "joining"
    cluster.start("s2")
    assert bank.withdraw(2, 50, request_id="kept:1").balance == 150
    assert bank.withdraw(2, 50).balance == 100
    check(cluster)


def test_a_primary_whose_directory_was_deleted_joins_whoever_succeeded_it(cluster: Cluster) -> None:
    """The standby has taken over; what it had acknowledged is what comes back."""
    start(cluster)
    with Load(cluster) as load:
        load.wait_for(50)
        cluster.kill("s1")
        shutil.rmtree(cluster.data("s1"))
        load.wait_for(20)
        cluster.start("s1")
        load.wait_for(20)
    check(cluster, load)


def lose_the_witness(cluster: Cluster) -> None:
    cluster.kill(NAMESERVER)
    shutil.rmtree(cluster.data("witness"))
    cluster.start(NAMESERVER)


def test_while_the_witness_has_lost_its_disk_nobody_new_leads_and_the_message_says_why(
    cluster: Cluster,
) -> None:
    """The log, and `status`, name the reason and the command that helps."""
    start(cluster)
    cluster.client().withdraw(2, 50)
    lose_the_witness(cluster)
    cluster.kill("s1")
    cluster.until(lambda: "nobody can lead" in cluster.log("s2"), "s2 says that nobody can lead")
    assert "the witness" in cluster.log("s2")
    assert "bankrmi witness restore" in cluster.log("s2")
    shown = bankrmi(cluster, "status")
    assert "no view is known" in shown.stdout
    assert "it has lost its memory" in shown.stdout
    assert "bankrmi witness restore" in shown.stdout
    assert status_json(cluster)["view"] is None
    why = r"nothing was done \(s1 .*; s2: this server does not lead"

    def says_why() -> bool:
        """Half a second may be too little to ask anybody; then that is what is said."""
        with pytest.raises(Unreached) as refused:
            cluster.client(timeout=0.5).withdraw(2, 50)
        return re.search(why, str(refused.value)) is not None

    cluster.until(says_why, "a call names both servers, and why neither did it")
    cluster.start("s1", wait=False)
    cluster.until(lambda: "nobody can lead" in cluster.log("s1"), "s1 says so, too")
    assert cluster.view() is None


def test_a_witness_is_not_restored_while_a_server_that_may_hold_more_is_away(cluster: Cluster) -> None:
    """It says which one to start first, and changes nothing."""
    start(cluster)
    lose_the_witness(cluster)
    cluster.kill("s1")
    cluster.until(lambda: "nobody can lead" in cluster.log("s2"), "s2 is fenced")
    refused = bankrmi(cluster, "witness", "restore", "--yes")
    assert refused.returncode == 1
    assert "no view is safe: s1 cannot be asked" in refused.stderr
    assert cluster.view() is None


@pytest.mark.long
def test_a_restored_witness_brings_the_bank_back_with_nothing_lost(cluster: Cluster) -> None:
    """Under load all the time: what was answered before, and what was asked meanwhile, is there once."""
    start(cluster)
    with Load(cluster) as load:
        load.wait_for(50)
        lose_the_witness(cluster)
        cluster.kill("s1")
        cluster.until(lambda: "nobody can lead" in cluster.log("s2"), "s2 is fenced")
        cluster.start("s1", wait=False)
        cluster.until(lambda: "nobody can lead" in cluster.log("s1"), "s1 is fenced")
        restored = bankrmi(cluster, "witness", "restore", "--yes")
        assert restored.returncode == 0, restored.stderr
        assert "restored: epoch" in restored.stdout
        assert "s1: epoch" in restored.stderr
        assert "s2: epoch" in restored.stderr
        load.wait_for(50)
    again = bankrmi(cluster, "witness", "restore", "--yes")
    assert again.returncode == 1
    assert "there is nothing to restore" in again.stderr
    check(cluster, load)
