"""How servers, and the whole bank, are stopped, handed over, watched and compared."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bankrmi.coordination.view_store import ViewStore
from bankrmi.replication.view import View
from tests.system.cluster import AS_SHIPPED, NAMESERVER, Cluster
from tests.system.commands import bankrmi, exported, status_json
from tests.system.load import Load
from tests.system.supervised import Up


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, **AS_SHIPPED) as cluster:
        yield cluster
        cluster.show_logs()


@pytest.fixture
def bank(cluster: Cluster) -> Cluster:
    """Two servers in sync, led by s1."""
    cluster.start_all()
    cluster.wait_until_in_sync()
    return cluster


def views(cluster: Cluster) -> list[View]:
    """Return every view there was, from the disk of a witness that does not run."""
    store = ViewStore(cluster.data("witness"))
    try:
        return store.history(cluster.configuration.service)
    finally:
        store.close()


# -- one server ------------------------------------------------------------------------------------


def test_a_standby_leaves_the_view_before_it_stops(bank: Cluster) -> None:
    """SIGTERM: it has the primary take it out, and nobody waits for it."""
    with Load(bank, clients=2) as load:
        load.wait_for(20)
        assert bank.terminate("s2") == 0
        load.wait_for(20)
    view = bank.view()
    assert view is not None
    assert (view["primary"], view["in_sync"]) == ("s1", ["s1"])
    assert bank.log("s2").splitlines()[-1].endswith("stopped")


def test_a_primary_hands_over_before_it_stops(bank: Cluster) -> None:
    """SIGTERM: no client gets an error, and nobody has to find out that it is gone."""
    with Load(bank, clients=2) as load:
        load.wait_for(20)
        assert bank.terminate("s1") == 0
        load.wait_for(20)
    bank.kill(NAMESERVER)
    assert [(view.primary, view.handed_over_by) for view in views(bank)][2] == ("s2", "s1")


def test_a_primary_that_nobody_can_succeed_stops_all_the_same(bank: Cluster) -> None:
    """SIGTERM while the standby stands still."""
    bank.pause("s2")
    assert bank.terminate("s1") == 0


def test_a_second_sigterm_does_not_wait_for_anybody(bank: Cluster) -> None:
    bank.pause("s2")
    bank.process("s1").terminate()
    bank.until(lambda: "stopping" in bank.log("s1"), "s1 was asked to stop")
    assert bank.terminate("s1") == 0


@pytest.mark.parametrize("server", ["s1", "s2"], ids=["primary", "standby"])
def test_sigint_ends_a_server_as_it_is(bank: Cluster, server: str) -> None:
    """It tells nobody; the view is left to those who find that it is gone."""
    bank.kill(NAMESERVER)
    before = views(bank)
    bank.process(server).send_signal(signal.SIGINT)
    assert bank.wait_for_end(server) == 0
    assert "the others are told first" not in bank.log(server)
    assert views(bank) == before


# -- handing over ------------------------------------------------------------------------------------


def test_switchover_hands_over_and_shows_before_and_after(bank: Cluster) -> None:
    """Under load, there and back; no client gets an error."""
    with Load(bank, clients=2) as load:
        load.wait_for(20)
        there = bankrmi(bank, "switchover", "--yes")
        assert there.returncode == 0, there.stderr
        assert "before: epoch 2, primary s1, in sync s1, s2\n" in there.stdout
        assert "after:  epoch 3, primary s2, in sync s1, s2\n" in there.stdout
        load.wait_for(20)
        back = bankrmi(bank, "switchover", "--to", "s1", "--yes")
        assert "primary s1, in sync s1, s2\n" in back.stdout.splitlines(keepends=True)[-1]
        load.wait_for(20)
    bank.wait_until_in_sync()
    bank.kill(*bank.servers)
    load.check(bank.copy("s1"))
    load.check(bank.copy("s2"))


def test_a_switchover_that_cannot_be_done_says_why(bank: Cluster) -> None:
    to_itself = bankrmi(bank, "switchover", "--to", "s1", "--yes")
    assert to_itself.returncode == 1
    assert "s1 is the primary already" in to_itself.stderr
    bank.kill("s2")
    bank.wait_until_in_sync("s1")
    to_nobody = bankrmi(bank, "switchover", "--yes")
    assert to_nobody.returncode == 1
    assert "there is no standby that is in sync and can be reached" in to_nobody.stderr
    assert bank.client().withdraw(2, 50).balance == 150, "and the bank goes on"


# -- looking -------------------------------------------------------------------------------------------


def test_both_copies_export_the_same_ledger(bank: Cluster, tmp_path: Path) -> None:
    """In the format that a bank opens with, with the action id on standard error."""
    bank.client().withdraw(2, 50)
    bank.until(lambda: (bank.status("s2") or {}).get("action_id") == 1, "the standby has it")
    ledger = "account-id,balance\n" + "".join(
        f"{account},{150 if account == 2 else balance}\n" for account, balance in bank.ledger.items()
    )
    for server in bank.servers:
        printed, said = exported(bank, server)
        assert printed == ledger
        assert said.startswith("action id 1,")
    file = tmp_path / "exported.csv"
    assert bankrmi(bank, "export", str(file)).returncode == 0
    assert file.read_text() == ledger


def test_status_shows_every_state_of_the_bank(bank: Cluster) -> None:
    """In sync, on one copy, without name server and witness, and not at all."""
    told = status_json(bank)
    assert told["view"]["in_sync"] == ["s1", "s2"]
    assert [server["role"] for server in told["servers"]] == ["primary", "standby"]
    assert [server["reachable"] for server in told["servers"]] == [True, True]
    assert "2 copies hold every acknowledged entry" in bankrmi(bank, "status").stdout

    bank.kill("s2")
    bank.wait_until_in_sync("s1")
    shown = bankrmi(bank, "status").stdout
    assert "ONE COPY ONLY: what s1 holds is all there is" in shown
    assert "s2 is away: nobody listens at" in shown

    bank.kill(NAMESERVER)
    told = status_json(bank)
    assert (told["witness"]["reachable"], told["nameserver"]["reachable"]) == (False, False)
    assert (told["view"]["primary"], told["view_from"]) == ("s1", "s1")
    shown = bankrmi(bank, "status").stdout
    assert "the witness cannot be reached: no change of primary until it can" in shown

    bank.kill("s1")
    ended = bankrmi(bank, "status", "--json")
    assert ended.returncode == 5
    assert '"view": null' in ended.stdout


# -- the whole bank --------------------------------------------------------------------------------------


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "ctrl-c"])
def test_stopping_the_whole_bank_leaves_the_view_as_it_was(cluster: Cluster, number: signal.Signals) -> None:
    with Up(cluster) as up:
        up.wait_until_running()
        up.wait_until_in_sync()
        assert cluster.client().withdraw(2, 50).balance == 150
        view = cluster.view()
        assert up.stop(number) == 0
        up.wait_until_nobody_is_left()
        assert view is not None
        assert views(cluster)[-1] == View.from_wire(view)
    with Up(cluster) as up:
        up.wait_until_running()
        assert cluster.client().balance(2).balance == 150, "and it opens again"
        up.wait_until_in_sync()


def test_nothing_is_left_behind_when_up_itself_is_killed(cluster: Cluster) -> None:
    """kill -9; started again at once, the bank is the same."""
    with Up(cluster) as up:
        up.wait_until_running()
        assert len(up.pids) == 3
        assert cluster.client().withdraw(2, 50).balance == 150
        up.stop(signal.SIGKILL)
        up.wait_until_nobody_is_left()
    with Up(cluster) as up:
        up.wait_until_running()
        assert cluster.client().balance(2).balance == 150


def test_up_starts_again_what_dies_and_waits_longer_each_time(cluster: Cluster) -> None:
    with Up(cluster) as up:
        up.wait_until_running()
        for pause in ("0.2 s", "0.4 s"):
            up.wait_until_in_sync()
            victim = up.pids["server s1"]
            os.kill(victim, signal.SIGKILL)
            report = f"server s1 (pid {victim}) was killed by SIGKILL; it is started again in {pause}"
            cluster.until(lambda: report in up.said, "it is reported, and started again")  # noqa: B023
            cluster.until(lambda: up.pids["server s1"] != victim, "it is ready")  # noqa: B023
        assert cluster.client().withdraw(2, 50).balance == 150
