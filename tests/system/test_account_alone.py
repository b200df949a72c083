"""`bankrmi.Account` served alone, by its name: the bank as it is, and a client that is typed as the class."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import bankrmi
import bankrmi.aio
from bankrmi.cli.invocation import SERVES_VARIABLE, Invocation, class_by_variable
from bankrmi.client.account_client import AccountClient
from tests.system.cluster import DEADLINE_S, Cluster
from tests.system.commands import bankrmi as command
from tests.system.use_of_account import use


def test_the_bank_by_its_name_is_the_bank_and_its_client_is_typed_as_the_class(tmp_path: Path) -> None:
    with Cluster(tmp_path, serves="bankrmi:Account") as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with (
            bankrmi.connect(bankrmi.Account, cluster.config, timeout=DEADLINE_S) as bank,
            bankrmi.connect(cluster.config, timeout=DEADLINE_S) as as_before,
            bankrmi.connect(bankrmi.Account, nameserver=cluster.configuration.nameserver) as by_its_name,
        ):
            use(bank)
            assert as_before.balance(10).balance == by_its_name.balance(10).balance == cluster.ledger[10]
            as_before.submit([bankrmi.Deposit(1, 5), bankrmi.Deposit(2, 5)], request_id="many:1")
            assert [one.balance for one in bank.outcome("many:1")] == [105, 205]

            async def ask() -> int:
                async with await bankrmi.aio.connect(bankrmi.Account, cluster.config) as client:
                    await client.update("deposit", [3, 7], request_id="async:1")
                    assert (await client.outcome("async:1")).balance == 457
                    assert (await client.query("balance", [3])).balance == 457
                    return int((await client.transfer(3, 4, 7)).balance)

            assert asyncio.run(ask()) == 450
            cluster.kill(cluster.primary())
            assert bank.withdraw(3, 50).balance == 400
        for line in (["balance", "3"], ["serve", "bankrmi:Account", "balance", "3"]):
            ended = command(cluster, *line)
            assert (ended.returncode, ended.stdout.strip()) == (0, "Current balance: 400")
            assert ended.stderr == ""


def test_who_says_what_is_served_gets_the_client_of_that(tmp_path: Path) -> None:
    """Nothing is sent: what the configuration says is enough."""
    ours = "nameserver: 127.0.0.1:1\nservers:\n  s1: 127.0.0.1:2\n"
    for serves, is_alone in (
        ("", True),
        ("serves: bankrmi:Account\n", True),
        ("serves:\n  giro: bankrmi:Account\n", True),
        ("serves:\n  account: bankrmi:Account\n  shop: shop:Shop\n", False),
    ):
        (tmp_path / "bank.yaml").write_text(ours + serves)
        with bankrmi.connect(bankrmi.Account, tmp_path / "bank.yaml") as client:
            assert isinstance(client, AccountClient) is is_alone, serves
    with bankrmi.connect(bankrmi.Account, nameserver="127.0.0.1:1", service="account") as client:
        assert not isinstance(client, AccountClient), "beside others: alone it needs no name"


@pytest.mark.parametrize("with_a_file", [True, False])
def test_whoever_names_the_bank_before_a_command_gets_what_the_bank_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_a_file: bool
) -> None:
    """So `simulate`, `chaos`, `check`, `bench`, `init` and `demo` are the bank's own."""
    monkeypatch.chdir(tmp_path)
    if with_a_file:
        (tmp_path / "config.yaml").write_text("nameserver: 127.0.0.1:1\nserves: shop:Shop\n")
    said = Invocation(path=None, insecure=False, log_json=False)
    for name, served in (("bankrmi:Account", None), ("kv:KV", {"account": "kv:KV"})):
        monkeypatch.setenv(SERVES_VARIABLE, name)
        found = said.served_here()
        assert (None if found is None else found[0]) == served
        assert class_by_variable() == (None if served is None else name)
