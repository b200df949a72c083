"""`export` under load: one acknowledged state, and nobody is deposed by it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bankrmi.bank.forms import described
from bankrmi.bank.ledger_file import read_ledger
from bankrmi.errors import InDoubt
from bankrmi.replication.record import DONE
from tests.system.cluster import Cluster
from tests.system.commands import bankrmi, exported
from tests.system.copies import Copy
from tests.system.load import Load

MANY = 60_000


def balances_at(copy: Copy, ledger: dict[int, int], action_id: int) -> dict[int, int]:
    """Return what the accounts held when this entry was the newest, by the journal."""
    balances = dict(ledger)
    for entry in copy.entries[:action_id]:
        if entry.status == DONE:
            assert isinstance(entry.result, int)
            balances[described(entry.operation)["account"]] = entry.result
    return balances


@pytest.mark.long
def test_an_export_of_many_accounts_under_load_is_one_state_and_changes_no_view(tmp_path: Path) -> None:
    with Cluster(tmp_path, ledger=dict.fromkeys(range(1, MANY + 1), 1000)) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        before = cluster.view()
        with Load(cluster) as load:
            load.wait_for(20)
            ended = [
                bankrmi(cluster, "export", str(tmp_path / f"{number}.csv"), *where)
                for number, where in enumerate(([], ["--server", "s2"], ["--server", "s1"]))
            ]
            load.wait_for(20)
        assert cluster.view() == before, "an export changed the view"
        cluster.kill(*cluster.servers)
        copy = cluster.copy("s1")
        load.check(copy)
        for number, each in enumerate(ended):
            assert each.returncode == 0, each.stderr
            action_id = int(each.stderr.split()[2].rstrip(","))
            assert action_id > 0
            found = read_ledger(tmp_path / f"{number}.csv")
            assert found == balances_at(copy, cluster.ledger, action_id)


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("server", [[], ["--server", "s1"]])
def test_what_is_not_acknowledged_is_not_exported(tmp_path: Path, server: list[str]) -> None:
    """The primary holds the deposit, and may lose it yet; the version before showed it."""
    with Cluster(tmp_path, copies_min=2, client="{timeout_ms: 1500}") as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        cluster.kill("s2")
        with cluster.client(timeout=1.0) as bank, pytest.raises(InDoubt):
            bank.deposit(1, 5)
        ended = bankrmi(cluster, "export", str(tmp_path / "copy.csv"), *server)
        assert ended.returncode == 1
        assert "could not make sure in time" in ended.stderr
        assert not (tmp_path / "copy.csv").exists()
        cluster.start("s2")
        cluster.wait_until_in_sync()
        assert "1,105" in exported(cluster, "s1")[0].splitlines()


def test_several_operators_at_once_are_all_served_or_told_that_there_is_too_much(tmp_path: Path) -> None:
    with Cluster(tmp_path, ledger=dict.fromkeys(range(1, 20000), 1)) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        codes: list[tuple[int, str]] = []

        def export() -> None:
            ended = bankrmi(cluster, "export", "--server", "s1")
            codes.append((ended.returncode, ended.stderr))

        threads = [threading.Thread(target=export) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for code, words in codes:
            assert code == 0 or "exports are under way" in words, words
        assert any(code == 0 for code, _ in codes)
