"""A journal that is folded while the bank is used, killed, and goes on: real processes, real disks."""

from __future__ import annotations

from pathlib import Path

import pytest

from bankrmi.bank.operations import Deposit, Receipt
from bankrmi.errors import Forgotten
from tests.system.cluster import Cluster
from tests.system.commands import bankrmi

KEPT = 200


def begin(cluster: Cluster, server: str) -> int:
    status = cluster.status(server)
    return 0 if status is None else int(status["journal_from"])


@pytest.mark.long
def test_the_journal_is_folded_while_servers_are_killed_and_nothing_is_lost_or_done_twice(
    tmp_path: Path,
) -> None:
    journal = {"keep_operations": KEPT, "records_behind": 20}
    with Cluster(tmp_path / "bank", journal=journal) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        bank = cluster.client(timeout=30)
        done = 0
        first = bank.deposit(6, 1, request_id="till-7:1")
        for killed in ("s1", "s2", None):
            for _ in range(60):
                receipts = bank.submit([Deposit(6, 1)] * 10)
                done += len(receipts)
                assert all(isinstance(receipt, Receipt) for receipt in receipts)
            if killed is not None:
                cluster.kill(killed)
                done += len(bank.submit([Deposit(6, 1)] * 4))
                cluster.start(killed)
                cluster.wait_until_in_sync()
        tip = first.action_id + done
        cluster.until(lambda: begin(cluster, "s1") > tip - KEPT - 100, "s1 folds")
        cluster.until(lambda: begin(cluster, "s2") > tip - KEPT - 100, "s2 folds")
        assert bank.balance(6).balance == 1 + done

        assert bank.deposit(6, 1, request_id="till-7:1") == first
        bank.deposit(6, 1, request_id="till-7:3")
        for _ in range(30):
            bank.submit([Deposit(1, 1)] * 10)
        cluster.until(lambda: begin(cluster, cluster.primary()) > tip + 1, "what till-7 did is folded")
        with pytest.raises(Forgotten) as forgotten:
            bank.deposit(6, 1, request_id="till-7:2")
        assert forgotten.value.happened is None
        with pytest.raises(Forgotten):
            bank.outcome("till-7:1")
        assert bankrmi(cluster, "outcome", "till-7:2").returncode == 6
        assert bank.balance(6).balance == 2 + done
        assert "the journal is kept by s1 from action id" in bankrmi(cluster, "status").stdout

        since = bankrmi(cluster, "backup", str(tmp_path / "late"), "--since", "1")
        assert since.returncode != 0
        assert "the oldest that an increment can continue" in " ".join(since.stderr.split())
        assert bankrmi(cluster, "backup", str(tmp_path / "whole")).returncode == 0
        cluster.kill("s1", "s2")
        places = [str(cluster.data(server)) for server in ("s1", "s2")]
        verified = bankrmi(cluster, "verify", *places, str(tmp_path / "whole"))
        assert verified.returncode == 0, verified.stdout
        assert "its journal begins after action id" in " ".join(verified.stdout.split())
