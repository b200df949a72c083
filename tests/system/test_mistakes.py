"""What people get wrong, and what disks do: one clear sentence, the right exit code, nothing lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from bankrmi.client.asking import ask_once
from bankrmi.coordination.witness import CHANGES_AT_ONCE, WITNESS_ID
from bankrmi.errors import BankError
from bankrmi.replication.view import View
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi
from tests.system.copies import check_agreement, check_copy
from tests.system.load import Load
from tests.system.supervised import Up

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")


def says(cluster: Cluster, *arguments: str, code: int) -> str:
    """Run a command that cannot succeed; return the one line that it says."""
    ended = bankrmi(cluster, *arguments)
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    lines = [line for line in ended.stderr.splitlines() if " listening " not in line]
    assert len(lines) == 1, ended.stderr
    return lines[0]


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """Mount a file system in memory there."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as cluster:
        yield cluster
        cluster.show_logs()


def with_data_in(cluster: Cluster, folder: str) -> None:
    """Let the commands of a person use another data directory than the running bank."""
    cluster.config.write_text(cluster.config.read_text() + f"data_dir: {folder}\n")


# -- what people get wrong -----------------------------------------------------------------------


def test_a_port_that_is_taken_is_named(cluster: Cluster) -> None:
    cluster.start_all()
    with_data_in(cluster, "elsewhere")
    address = cluster.configuration.servers["s1"]
    said = says(cluster, "server", "s1", code=1)
    assert said.endswith(f"cannot listen on {address}: another process has taken this port")
    said = says(cluster, "nameserver", code=1)
    assert said.endswith("another process has taken this port")
    cluster.wait_until_in_sync()


def test_a_second_server_under_the_same_name_is_refused_and_harms_nobody(cluster: Cluster) -> None:
    cluster.start_all()
    pid = cluster.process("s1").pid
    said = says(cluster, "server", "s1", code=1)
    assert f"data/s1 is in use by the running process {pid}" in said
    said = says(cluster, "nameserver", code=1)
    assert f"another witness (pid {cluster.process(NAMESERVER).pid})" in said
    assert cluster.client().withdraw(2, 50).balance == 150
    cluster.wait_until_in_sync()


def test_a_name_that_is_not_configured_is_answered_with_those_that_are(cluster: Cluster) -> None:
    assert says(cluster, "server", "s9", code=2).endswith("has no server s9: there are s1, s2")
    assert says(cluster, "switchover", "--to", "s9", "--yes", code=2).endswith("there are s1, s2")
    assert says(cluster, "export", "--server", "s9", code=2).endswith("there are s1, s2")


def test_a_broken_configuration_is_named_by_its_line(cluster: Cluster) -> None:
    lines = cluster.config.read_text().splitlines()
    cluster.config.write_text("\n".join([*lines, "lease: 5"]))
    for command in (["server", "s1"], ["nameserver"], ["up"], ["status"]):
        said = says(cluster, *command, code=2)
        assert f"config.yaml line {len(lines) + 1}: unknown key 'lease'" in said


def test_a_broken_ledger_is_refused_as_a_whole(cluster: Cluster) -> None:
    for line, wrong in (
        ("2,-5", "line 2: the balance must be a whole number"),
        ("1,5", "line 2: account 1 is there already, in line 1"),
        ("2,9223372036854775808", "line 2: the balance 9223372036854775808 is over"),
    ):
        (cluster.directory / "ledger.csv").write_text(f"1,100\n{line}\n")
        assert wrong in says(cluster, "server", "s1", code=2)
    (cluster.directory / "ledger.csv").write_text("1,100\n")
    cluster.start_all()
    assert cluster.client().balance(1).balance == 100


def test_a_ledger_edited_later_changes_nothing_and_the_server_says_so(cluster: Cluster) -> None:
    cluster.start_all()
    cluster.wait_until_in_sync()
    cluster.kill("s2")
    (cluster.directory / "ledger.csv").write_text("2,7\n")
    cluster.start("s2")
    cluster.until(lambda: "the ledger was edited" in cluster.log("s2"), "s2 says that it was edited")
    assert cluster.client().balance(2).balance == 200


def test_a_database_that_somebody_looks_into_is_worth_another_try(cluster: Cluster) -> None:
    """Exit code 1: whoever watches over the process starts it again, until the backup is done."""
    cluster.start_all()
    cluster.wait_until_in_sync()
    cluster.terminate("s2")
    with closing(sqlite3.connect(cluster.data("s2") / "bank.db", isolation_level=None)) as looking:
        looking.execute("BEGIN")
        looking.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        assert "bank.db is locked by another process" in says(cluster, "server", "s2", code=1)
    cluster.start("s2")


def test_a_bank_that_does_not_run_cannot_be_reached(cluster: Cluster) -> None:
    says(cluster, "withdraw", "2", "50", "--timeout", "1", code=5)


def test_a_script_learns_from_the_exit_code(cluster: Cluster) -> None:
    cluster.start_all()
    assert says(cluster, "withdraw", "50", "1", code=3) == "Account not found"
    assert says(cluster, "withdraw", "2", "201", code=4) == "Withdraw amount must be less than balance"
    says(cluster, "withdraw", "2", "ten", code=2)
    for name in cluster.servers:
        cluster.pause(name)
    said = says(cluster, "withdraw", "2", "50", "--request-id", "script:1", "--timeout", "1", code=6)
    assert "script:1" in said


# -- disks that cannot be written ------------------------------------------------------------------


@needs_root
def test_a_directory_that_cannot_be_written_is_named(cluster: Cluster) -> None:
    folder = cluster.directory / "read-only"
    with_data_in(cluster, "read-only")
    with mounted(folder, "ro"):
        for command in (["server", "s1"], ["nameserver"], ["up"]):
            said = says(cluster, *command, code=2)
            assert str(folder) in said
            assert "Read-only file system" in said


SMALL_DISK = "size=80m"
"""Room for the copies of an empty bank, beside what a copy leaves free (`bankrmi.storage.space`)."""


def fill(folder: Path) -> Path:
    """Leave no space."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    return filler


@pytest.mark.but_first_long(1)
@needs_root
@pytest.mark.parametrize("victim", ["s1", "s2"], ids=["primary", "standby"])
def test_a_server_whose_disk_is_full_stops_and_the_other_goes_on(tmp_path: Path, victim: str) -> None:
    """Nothing that was answered is lost; with space again, it comes back in sync."""
    cluster = Cluster(tmp_path)
    with mounted(tmp_path / "data" / victim, SMALL_DISK), cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster) as load:
            load.wait_for(50)
            filler = fill(cluster.data(victim))
            assert cluster.wait_for_end(victim) == 1
            last = cluster.log(victim).splitlines()[-1]
            assert "error" in last
            assert "database or disk is full" in last
            load.wait_for(50)
            assert cluster.primary() != victim
            cluster.start(victim, wait=False)
            assert cluster.wait_for_end(victim) == 1, "there is no space yet"
            filler.unlink()
            cluster.start(victim)
            load.wait_for(50)
        cluster.wait_until_in_sync()
        cluster.kill(*cluster.servers)
        copies = [cluster.copy(name) for name in cluster.servers]
        check_agreement(*copies)
        for copy in copies:
            check_copy(copy, cluster.ledger)
            load.check(copy)


def crowd_out(cluster: Cluster) -> None:
    """Have the witness keep views of another bank until it has no space for more, and ends."""
    view = View.first(history="h", server="a", start_id="b", incarnation="c")
    expected = None
    for _ in range(CHANGES_AT_ONCE):
        try:
            proposal = ["another", expected, view.to_wire()]
            ask_once(str(cluster.configuration.witness), WITNESS_ID, "propose", proposal, seconds=5.0)
        except BankError:
            break
        expected, view = [view.history, view.epoch], view.started_again("b")
    assert cluster.wait_for_end(NAMESERVER) == 1


@needs_root
def test_a_witness_whose_disk_is_full_stops_and_keeps_what_it_had(tmp_path: Path) -> None:
    """A change of view waits until there is space again; nothing is lost."""
    cluster = Cluster(tmp_path)
    with mounted(tmp_path / "data" / "witness", "size=1m"), cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        view = cluster.view()
        filler = fill(cluster.data("witness"))
        crowd_out(cluster)
        last = cluster.log(NAMESERVER).splitlines()[-1]
        assert "the witness cannot use" in last
        assert "disk is full" in last
        cluster.kill("s2")
        filler.unlink()
        cluster.start(NAMESERVER)
        assert cluster.client().withdraw(2, 50).balance == 150
        after = cluster.view()
        assert view is not None
        assert after is not None
        assert (after["history"], after["epoch"]) == (view["history"], view["epoch"] + 1)


@needs_root
def test_up_starts_a_server_again_until_its_disk_has_space(tmp_path: Path) -> None:
    """Nobody has to do more than to make space."""
    cluster = Cluster(tmp_path)
    with mounted(tmp_path / "data" / "s1", SMALL_DISK), cluster, Up(cluster) as up:
        up.wait_until_running()
        up.wait_until_in_sync()
        filler = fill(cluster.data("s1"))
        client = cluster.client()
        assert client.withdraw(2, 50).balance == 150

        def tried_again() -> bool:
            client.deposit(2, 0)  # The log has room for some: it is longer than what is in it.
            return up.said.count("database or disk is full") >= 2

        cluster.until(tried_again, "it was tried again")
        filler.unlink()
        up.wait_until_in_sync()
