"""The primary dies, or stands still: somebody else goes on, and nobody was told anything that is not so."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from bankrmi.bank.operations import Receipt
from bankrmi.errors import Cancelled, NotPrimary
from bankrmi.rmi import connect, handshake
from tests.system.cluster import Cluster
from tests.system.copies import check_agreement, check_copy
from tests.system.load import Load


def test_the_second_withdrawal_follows_the_first_though_the_primary_was_killed_between(
    tmp_path: Path,
) -> None:
    """The original's own example: 200, 150 (action id 1 on both), kill -9, 100 (action id 2)."""
    with Cluster(tmp_path, ledger={1: 100, 2: 200}) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        bank = cluster.client()

        first = bank.withdraw(2, 50)
        tips = [status["action_id"] for name in cluster.servers if (status := cluster.status(name))]
        primary, standby = cluster.primary(), cluster.standby()
        cluster.kill(primary)
        second = bank.withdraw(2, 50)

        assert (first.balance, first.action_id, tips) == (150, 1, [1, 1])
        assert (second.balance, second.action_id) == (100, 2)
        assert bank.balance(1).balance == 100
        cluster.kill(standby)
        check_copy(cluster.copy(standby), cluster.ledger)
        assert cluster.copy(standby).balances == {1: 100, 2: 100}


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("servers", [2, 3])
def test_a_killed_primary_costs_no_client_an_error_and_the_bank_no_operation(
    tmp_path: Path, servers: int
) -> None:
    """kill -9 of the primary under load, again and again: all that was acknowledged is there, once."""
    with Cluster(tmp_path, servers=servers) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster, clients=4) as load:
            for _ in range(4):
                load.wait_for(100)
                victim = cluster.primary()
                cluster.kill(victim)
                load.wait_for(100)
                cluster.start(victim)
                cluster.wait_until_in_sync()
            load.wait_for(20)
        load.check_disks()


def test_a_server_that_is_killed_while_it_comes_back_is_no_loss(tmp_path: Path) -> None:
    """kill -9 of whoever is coming back, and of the primary just after the other one is in sync again."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster, clients=4) as load:
            for answers in (1, 5, 25):
                victim = cluster.primary()
                cluster.kill(victim)
                cluster.start(victim, wait=False)
                load.wait_for(answers)
                cluster.kill(victim)
                cluster.start(victim)
                cluster.wait_until_in_sync()
        load.check_disks()


def test_a_stopped_primary_is_replaced_and_comes_back_by_itself(tmp_path: Path) -> None:
    """SIGSTOP of the primary under load: another one leads; after SIGCONT both are in sync again."""
    with Cluster(tmp_path, lease_ms=700) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster, clients=4) as load:
            for _ in range(2):
                stopped = cluster.primary()
                cluster.pause(stopped)
                load.wait_for(100)
                cluster.resume(stopped)
                cluster.wait_until_in_sync()
                load.wait_for(50)
        load.check_disks()


def test_a_primary_that_is_stopped_for_a_moment_only_is_no_loss(tmp_path: Path) -> None:
    """Many pauses, shorter than the lease or about as long: look-ups stay fresh, nothing is done twice."""
    with Cluster(tmp_path, lease_ms=400, checkpoint_timeout_ms=200) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Load(cluster, clients=4) as load:
            for round_number in range(12):
                stopped = cluster.servers[round_number // 2 % 2]
                cluster.pause(stopped)
                load.wait_for(1 + 10 * (round_number % 3), at_most=0.01 + 0.05 * round_number)
                cluster.resume(stopped)
        load.check_disks()


def test_what_a_stopped_primary_did_not_share_is_rolled_back_and_recorded(tmp_path: Path) -> None:
    """It acknowledges nothing after SIGCONT, steps down, and keeps a record of what it takes back.

    The standby is paused before the primary decides the withdrawal, and dies (with all that the kernel holds
    for it) only when the primary is paused, too: so nobody else ever learns of that entry.
    """
    with Cluster(tmp_path, checkpoint_timeout_ms=30_000, lease_ms=700) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        primary, standby = cluster.primary(), cluster.standby()
        bank = cluster.client()
        bank.deposit(2, 5)
        before = cluster.status(primary)
        assert before is not None

        cluster.pause(standby)
        with ThreadPoolExecutor(2) as callers:
            unshared = callers.submit(cluster.ask, primary, "withdraw", 2, 7, "lonely:1")
            cluster.until(lambda: _tip(cluster, primary) == 2, "the primary has decided the withdrawal")
            repeated = callers.submit(bank.withdraw, 2, 30, request_id="repeated:1")
            cluster.pause(primary)
            cluster.kill(standby)
            assert [entry.session for entry in cluster.copy(primary).entries][1:] == ["lonely"]
            cluster.start(standby)
            assert cluster.primary() == standby
            receipt = repeated.result()
            cluster.resume(primary)
            with pytest.raises(NotPrimary):
                unshared.result()

        cluster.wait_until_in_sync()
        assert receipt == Receipt(2, 175, 2, "repeated:1")
        with pytest.raises(Cancelled):
            bank.outcome("lonely:1")
        assert bank.balance(2).balance == 175
        record = cluster.data(primary) / f"rolled-back-{before['epoch']}.jsonl"
        (line,) = [json.loads(line) for line in record.read_text().splitlines()]
        assert (line["request_id"], line["kind"], line["account"], line["amount"], line["result"]) == (
            "lonely:1",
            "withdraw",
            2,
            7,
            198,
        )
        cluster.kill(primary, standby)
        copies = [cluster.copy(primary), cluster.copy(standby)]
        for copy in copies:
            check_copy(copy, cluster.ledger)
        check_agreement(*copies)


def test_a_primary_that_was_replaced_while_it_stood_still_answers_no_look_up_from_its_own_copy(
    tmp_path: Path,
) -> None:
    """Look-ups that lay before it when it was stopped, under a read lease, are sent on after SIGCONT."""
    with Cluster(tmp_path, lease_ms=700) as cluster, ExitStack() as connections:
        cluster.start_all()
        cluster.wait_until_in_sync()
        primary, bank = cluster.primary(), cluster.client()
        address, account = cluster.configuration.servers[primary], f"bankrmi.account.{primary}"
        readers = [
            connections.enter_context(connect(address, account, handshake("client"), 10.0)) for _ in range(20)
        ]
        assert [reader.call("balance", [2], timeout=10.0)["balance"] for reader in readers] == [200] * 20

        cluster.pause(primary)
        with ThreadPoolExecutor(len(readers)) as callers:
            look_ups = [callers.submit(reader.call, "balance", [2], timeout=60.0) for reader in readers]
            assert bank.withdraw(2, 50).balance == 150
            cluster.resume(primary)
            for look_up in look_ups:
                with pytest.raises(NotPrimary):
                    look_up.result()
        cluster.wait_until_in_sync()


def _tip(cluster: Cluster, server: str) -> int:
    status = cluster.status(server)
    return -1 if status is None else int(status["action_id"])
