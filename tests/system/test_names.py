"""Names in a running bank: nobody steals a role, and with the name server alone a client finds its way."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import Pyro5.api
import Pyro5.errors
import pytest

import bankrmi
from tests import warm
from tests.system.cluster import DEADLINE_S, NAMESERVER, Cluster
from tests.system.commands import BANKRMI
from tests.system.commands import bankrmi as run_bankrmi
from tests.system.ports import own_addresses

ROLE = {"service:account", "role:primary"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path / "bank") as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        yield cluster


@pytest.fixture
def names(cluster: Cluster) -> Iterator[Any]:
    with Pyro5.api.Proxy(f"PYRO:Pyro.NameServer@{cluster.configuration.nameserver}") as proxy:
        proxy._pyroTimeout = DEADLINE_S
        yield proxy


def primary_by_name(names: Any) -> dict[str, str]:
    return dict(names.yplookup(meta_all=ROLE, return_metadata=False))


def at(cluster: Cluster, server: str) -> dict[str, str]:
    name = f"bankrmi.account.{server}"
    return {name: f"PYRO:{name}@{cluster.configuration.servers[server]}"}


def test_a_stock_client_steals_neither_role_nor_name(cluster: Cluster, names: Any) -> None:
    primary, standby = cluster.primary(), cluster.standby()
    cluster.until(lambda: primary_by_name(names) == at(cluster, primary), "the primary is found")
    account, uri = f"bankrmi.account.{primary}", "PYRO:bankrmi.account.s1@127.0.0.1:6666"
    names.register("aaa", uri, metadata=ROLE | {"epoch:99", "kind:x"})
    names.set_metadata("aaa", ROLE)
    thefts: list[Callable[[], object]] = [
        lambda: names.register(account, f"PYRO:{account}@127.0.0.1:6666", metadata=ROLE),
        lambda: names.set_metadata(account, {"service:account"}),
        lambda: names.set_metadata(f"bankrmi.account.{standby}", ROLE),
        lambda: names.remove(account),
        lambda: names.register("Pyro.NameServer", "PYRO:Pyro.NameServer@127.0.0.1:6666"),
        lambda: names.remove("Pyro.NameServer"),
    ]
    for theft in thefts:
        with pytest.raises(Pyro5.errors.PyroError) as refused:
            theft()
        assert refused.value.code == "access_denied"
        assert refused.value.happened is False
    assert names.remove(prefix="bankrmi") == 0
    assert primary_by_name(names) == at(cluster, primary)
    assert names.remove("aaa") == 1


@contextmanager
def stranger(cluster: Cluster, server: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start an empty server of that name, with a port of its own, as an operator does by mistake."""
    folder = cluster.directory / "stranger"
    folder.mkdir()
    (folder / "ledger.csv").write_text("1,1000000\n")
    with own_addresses(1) as [port]:
        text = cluster.config.read_text().replace(cluster.configuration.servers[server], port)
        (folder / "config.yaml").write_text(text)
        with (folder / "log").open("wb") as log:
            command = [*BANKRMI, "--config", str(folder / "config.yaml"), "server", server]
            process = warm.Popen(
                [*command, "--parent-pid", str(os.getpid())], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait(DEADLINE_S)


@pytest.mark.parametrize("leads", [True, False])
def test_an_empty_stranger_with_a_servers_name_and_another_port_gets_nothing(
    cluster: Cluster, names: Any, leads: bool
) -> None:
    """Be it the primary or the standby whose name it has: today's holder is the one that the view names."""
    server = cluster.primary() if leads else cluster.standby()
    primary = cluster.primary()
    cluster.until(lambda: primary_by_name(names) == at(cluster, primary), "the primary is found")
    role = f"role:{'primary' if leads else 'standby'}"
    cluster.until(
        lambda: role in names.lookup(f"bankrmi.account.{server}", return_metadata=True)[1], "it has its role"
    )
    log = cluster.directory / "stranger" / "log"
    with stranger(cluster, server):
        cluster.until(
            lambda: log.exists() and "the name server did not take our name" in log.read_text(),
            "the stranger was refused",
        )
        assert f"the view names another process of {server}" in log.read_text()
        assert primary_by_name(names) == at(cluster, primary)
        assert names.list(prefix=f"bankrmi.account.{server}") == at(cluster, server)
        assert cluster.client().deposit(3, 1).balance == 451


def test_a_server_that_restarts_has_its_name_and_its_role_at_once(cluster: Cluster, names: Any) -> None:
    first, second = cluster.primary(), cluster.standby()
    cluster.kill(first)
    cluster.until(lambda: primary_by_name(names) == at(cluster, second), "the new primary is found")
    cluster.start(first)
    cluster.wait_until_in_sync()
    name = f"bankrmi.account.{first}"
    cluster.until(
        lambda: "role:standby" in names.lookup(name, return_metadata=True)[1], "the old one is a standby"
    )
    assert cluster.switch_over(to=first)["after"]["primary"] == first
    cluster.until(lambda: primary_by_name(names) == at(cluster, first), "it is found as the primary")


def test_a_server_that_lost_its_disk_is_a_standby_again_once_it_has_a_copy(
    cluster: Cluster, names: Any
) -> None:
    """The copy is another disk: the server introduces itself anew."""
    standby = cluster.standby()
    cluster.client().deposit(3, 1)
    cluster.kill(standby)
    for file in sorted(cluster.data(standby).iterdir()):
        file.unlink()
    cluster.start(standby)
    cluster.wait_until_in_sync()
    name = f"bankrmi.account.{standby}"
    cluster.until(lambda: "role:standby" in names.lookup(name, return_metadata=True)[1], "it is a standby")


def test_a_full_name_server_still_takes_the_servers_names(cluster: Cluster, names: Any) -> None:
    cluster.kill(NAMESERVER)
    cluster.kill(*cluster.servers)
    cluster.start(NAMESERVER)
    names._pyroRelease()
    for number in range(512):
        names.register(f"name {number}", "PYRO:x@127.0.0.1:1")
    with pytest.raises(Pyro5.errors.PyroError, match="takes no more"):
        names.register("one more", "PYRO:x@127.0.0.1:1")
    cluster.start(*cluster.servers)
    cluster.until(lambda: len(primary_by_name(names)) == 1, "the primary is found")


def test_a_client_that_knows_the_name_server_alone_follows_a_takeover(cluster: Cluster) -> None:
    with bankrmi.connect(nameserver=cluster.configuration.nameserver, timeout=DEADLINE_S) as client:
        assert client.withdraw(3, 10).balance == 440
        cluster.kill(cluster.primary())
        assert client.withdraw(3, 10).balance == 430
    with bankrmi.connect(nameserver=cluster.configuration.nameserver, timeout=DEADLINE_S) as client:
        assert client.balance(3).balance == 430


@pytest.fixture
def client_file(cluster: Cluster) -> Path:
    file = cluster.directory / "client.yaml"
    file.write_text(f"nameserver: {cluster.configuration.nameserver}\n")
    return file


def test_the_commands_of_clients_need_no_servers_in_their_file(client_file: Path) -> None:
    done = run_bankrmi(client_file, "withdraw", "3", "10")
    assert (done.returncode, done.stdout) == (0, "Current balance: 440\n")
    assert run_bankrmi(client_file, "deposit", "3", "10").stdout == "Current balance: 450\n"
    assert run_bankrmi(client_file, "balance", "3").stdout == "Current balance: 450\n"
    menu = run_bankrmi(client_file, "menu", typed="1\n3\n4\n")
    assert menu.returncode == 0
    assert "Current balance: 450" in menu.stdout


@pytest.mark.parametrize(
    "command", ["up --no-menu", "nameserver", "server s1", "status", "export", "switchover --yes"]
)
def test_all_other_commands_say_in_a_sentence_that_they_do(tmp_path: Path, command: str) -> None:
    file = tmp_path / "client.yaml"
    file.write_text("nameserver: 127.0.0.1:9\n")
    done = run_bankrmi(file, *command.split())
    assert done.returncode == 2
    assert done.stdout == ""
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith(f"{file}: servers is missing: with the name server alone one can be a client")
